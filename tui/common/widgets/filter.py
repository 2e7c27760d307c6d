"""The filter of a list: what matches, and the field that is typed into."""

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Input, Label

from server.text import fold
from tui.common.format import fit
from tui.common.language import _
from tui.common.sanitize import plain

MOST_CHARACTERS = 60
PART_CELLS = 22


def matcher(text: str) -> "Matcher":
    """What tells whether all words of `text` occur in another text."""
    return Matcher(fold(text).split())


class Matcher:
    """True for a text in which all its words occur, whatever their case, accents and order."""

    def __init__(self, words: list[str]) -> None:
        self._words = words

    def __call__(self, text: str) -> bool:
        """Whether they all occur."""
        return self.in_folded(fold(text))

    def in_folded(self, text: str) -> bool:
        """Whether they all occur in a text that is folded already."""
        return all(word in text for word in self._words)


class Filterable(Widget):
    """A widget of rows, of which `/` shows those that match; a `FilterField` is beside it.

    Named after the other base: Textual takes styles and component classes from the first only.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", _("Filter"), key_display="/"),
        Binding("escape", "clear_filter", _("Clear filter")),
    ]
    filter_text = ""
    """Only rows with all its words are shown."""

    def redraw(self) -> None:
        """Show what the filter leaves, and call `FilterField.show_count` where there is one."""
        raise NotImplementedError

    def refilter(self) -> None:
        """Show what another filter leaves of the same rows."""
        self.redraw()

    def prepare_filter(self) -> None:
        """A filter is about to be typed: do now what the first key would wait for."""

    def filter_counts(self) -> tuple[int, int, str]:
        """How many rows are shown, of how many, and where these are only a part, which part."""
        raise NotImplementedError

    @property
    def filter_field(self) -> "FilterField":
        """The nearest filter field."""
        return next(field for node in self.ancestors for field in node.query(FilterField))

    @property
    def nothing_matches(self) -> Content:
        """What stands in place of the rows where none matches."""
        return Content(
            _("Nothing matches “{text}”. Esc clears the filter.").format(
                text=plain(self.filter_text)
            )
        )

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Filter only what has rows; clear a filter only where there is one."""
        if action == "filter":
            return self.filter_counts()[1] > 0
        if action == "clear_filter":
            return self.filter_text != ""
        return True

    def action_filter(self) -> None:
        """Open the filter field."""
        self.filter_field.open(self)

    def action_clear_filter(self) -> None:
        """Show all rows."""
        self.filter_field.clear()


class FilterField(Widget):
    """A field that filters a list as you type, and how many rows are left. Enter goes back to the
    list and keeps the filter, Esc clears it."""

    DEFAULT_CSS = """
    FilterField {
        display: none; layout: horizontal; height: 1; padding: 0 1; width: 1fr;
        & > Label { width: auto; color: $wire-ink; }
        & > Input { width: 1fr; min-width: 8; }
        & > #filter-count { margin-left: 1; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "clear", _("Clear filter")),
        Binding("down,up", "leave", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._rows: Filterable | None = None
        self._input = Input(compact=True, max_length=MOST_CHARACTERS, placeholder=_("filter"))
        self._input.can_focus = False  # hidden, it must not be what a panel focuses first
        self._count = Label("", id="filter-count", markup=False)
        self._counted: tuple[int, int, str] | None = None

    def compose(self) -> ComposeResult:
        """The key, the field, the count."""
        yield Label("/ ", markup=False)
        yield self._input
        yield self._count

    def open(self, rows: Filterable) -> None:
        """Filter this list from now on."""
        if self._rows is not None and self._rows is not rows:
            self.clear()
        self._rows = rows
        self._input.value = rows.filter_text
        self.display = True
        # styles now, not with the next frame: a hidden widget takes no focus
        self.app.stylesheet.update(self)
        self.show_count()
        self._input.can_focus = True
        self.screen.set_focus(self._input)  # at once: the next key is meant for it
        self.call_after_refresh(rows.prepare_filter)

    def clear(self) -> None:
        """Show all rows, and hide the field."""
        if self._rows is None:
            return
        rows, self._rows = self._rows, None
        rows.filter_text = self._input.value = ""
        rows.refilter()
        if self._input.has_focus:
            rows.focus()
        self._input.can_focus = False
        self.display = False
        rows.refresh_bindings()

    def show_count(self) -> None:
        """Show how many rows are left, as after news."""
        counted = self._rows.filter_counts() if self._rows is not None else None
        if counted is None or counted == self._counted:
            return
        self._counted = counted
        found, of, part = counted
        words = _("{found:,} of {of:,}").format(found=found, of=of)
        if part:
            words += f" {fit(part, PART_CELLS)}"
        self._count.update(Content(words))

    def action_clear(self) -> None:
        """Show all rows."""
        self.clear()

    def action_leave(self) -> None:
        """Back to the list; the filter stays, unless it is empty."""
        self._apply()  # over a slow line Enter may be handled before what was typed
        if self._rows is not None and not self._rows.filter_text:
            self.clear()
        elif self._rows is not None:
            self._rows.focus()

    @on(Input.Changed)
    def _filter(self, event: Input.Changed) -> None:
        event.stop()
        self._apply()

    def _apply(self) -> None:
        text = self._input.value.strip()
        if self._rows is not None and self._rows.filter_text != text:
            self._rows.filter_text = text
            self._rows.refilter()
            self.show_count()

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.action_leave()
