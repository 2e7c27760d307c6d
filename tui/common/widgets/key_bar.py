"""The line of keys at the bottom: those of the focused panel first, as many as fit.

Not Textual's `Footer`: that makes a widget for each key anew at each change of focus (126 ms of
processor against 21), and scrolls where they don't fit.
"""

from typing import TYPE_CHECKING

from rich.cells import cell_len
from textual import events
from textual.app import App
from textual.content import Content
from textual.widget import Widget

from tui.common.language import _

if TYPE_CHECKING:
    from textual.screen import Screen

EDGE_CELLS = 3
"""Of a box's edge beside the words in it."""
HINT_GAP = " · "
HINT_KEYS = {"esc": "escape", "del": "delete", "/": "slash", "↑↓": "down", "↓": "down"}
"""Keys whose name at an edge is another."""

Item = tuple[str, str, str]
"""A key as it is shown, what it does, and the key itself."""


class KeyBar(Widget):
    """The keys of its screen.

    One line, painted whole: a change of focus costs no layout. `help`, `quit` and the palette
    always have their place; of the others the last are dropped first, those of the app before those
    of the panel.
    """

    DEFAULT_CSS = """
    KeyBar { dock: bottom; height: 1; padding: 0 1; background: $footer-background; }
    """
    ALWAYS = ("help", "quit")
    OF_PARTS = True

    def __init__(self) -> None:
        super().__init__()
        self._own: list[Item] = []
        self._general: list[Item] = []
        self._always: list[Item] = []
        self._palette = ""
        self._hit_areas: list[tuple[range, str]] = []

    def on_mount(self) -> None:
        """Follow the screen's bindings."""
        self.screen.bindings_updated_signal.subscribe(self, self._changed)
        self.app.screen_change_signal.subscribe(self, lambda _: self.refresh())
        self._changed(self.screen)

    def _changed(self, screen: "Screen[object]") -> None:
        own: dict[str, Item] = {}
        general: dict[str, Item] = {}
        always: dict[str, Item] = {}
        self._palette = ""
        for key, active in screen.active_bindings.items():
            binding = active.binding
            if key == self.app.COMMAND_PALETTE_BINDING:
                self._palette = key
            if not binding.show or not active.enabled:
                continue
            item = (self.app.get_key_display(binding), binding.description, key)
            if not isinstance(active.node, App):
                own.setdefault(binding.action, item)
            elif binding.action in self.ALWAYS:
                always.setdefault(binding.action, item)
            else:
                general.setdefault(binding.action, item)
        self._own, self._general = list(own.values()), list(general.values())
        self._always = list(always.values())
        self.refresh()

    def render(self) -> Content:
        """The keys that fit, the palette at the right edge."""
        self._hit_areas = []
        if not self.screen.is_active:  # under a dialog, these keys do nothing
            return Content("")
        width = self.content_size.width
        palette: Item | None = ("^p", _("palette"), self._palette) if self._palette else None
        room = width - (_cells(palette) if palette else 0)
        room -= sum(_cells(item) for item in self._always)
        chosen: list[Item] = []
        for item in [*self._own, *self._general]:
            if _cells(item) > room:
                break
            chosen.append(item)
            room -= _cells(item)
        shown = [_draw(item) for item in [*chosen, *self._always]]
        at = 0
        for item in [*chosen, *self._always]:
            self._hit_areas.append((range(at, at + _cells(item) - 2), item[2]))
            at += _cells(item)
        if palette:
            shown += [Content(" " * max(0, room)), _draw(palette)]
            self._hit_areas.append((range(width - _cells(palette), width), palette[2]))
        return Content.assemble(*shown)

    def on_click(self, event: events.Click) -> None:
        """A click on a key presses it."""
        offset = event.get_content_offset(self)
        for cells, key in self._hit_areas:
            if offset is not None and offset.x in cells:
                self.app.simulate_key(key)


def press_hint(box: Widget, event: events.Click) -> bool:
    """Press the key that is named where the lower edge of a box was clicked, as in `esc closes`.

    False where there is none: it may be a count.
    """
    words = box._border_subtitle.plain if box._border_subtitle else ""
    if event.screen_y != box.region.bottom - 1 or not words:
        return False
    at = box.region.x + max(EDGE_CELLS, box.region.width - EDGE_CELLS - cell_len(words))
    for hint in words.split(HINT_GAP):
        if at <= event.screen_x < at + cell_len(hint):
            named = hint.partition(" ")[0]
            key = HINT_KEYS.get(named, named)
            if key in box.screen.active_bindings and not key.isdigit():
                # from the app: a key goes up no further than to who has sent it
                box.app.call_later(box.app.simulate_key, key)
                return True
        at += cell_len(hint + HINT_GAP)
    return False


def _cells(item: Item) -> int:
    return cell_len(item[0]) + cell_len(item[1]) + 3


def _draw(item: Item) -> Content:
    shown, words, _ = item
    return Content.assemble(
        (shown, "bold $footer-key-foreground"),
        (f" {words}  ", "$footer-description-foreground"),
    )
