"""An announcement that is being written: kept until it has been sent."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.events import Click
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Button, Input, Label, Static, TextArea

from server.features.announcements.schemas import Announcement, Audience, NewAnnouncement, Severity
from server.features.shared.schemas import Actor
from tui.common.announcements import format as announcement_text
from tui.common.dialogs.base import Dialog
from tui.common.format import field_of, message_for
from tui.common.widgets.status_line import StatusLine

LASTS: tuple[tuple[str, timedelta | None], ...] = (
    ("never", None),
    ("for one hour", timedelta(hours=1)),
    ("for four hours", timedelta(hours=4)),
    ("for a day", timedelta(days=1)),
    ("for a week", timedelta(days=7)),
)
"""How long it may stand."""


@dataclass
class Draft:
    """The fields as they are filled in; `lasts` is a place in LASTS."""

    title: str = ""
    body: str = ""
    severity: Severity = Severity.INFO
    audience: Audience = Audience.EVERYONE
    lasts: int = 0
    _tried: tuple[object, ...] = ()
    _attempt: tuple[NewAnnouncement, str] | None = None

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing yet that could be lost."""
        return not (self.title.strip() or self.body.strip())

    def attempt(self, now: datetime) -> tuple[NewAnnouncement, str]:
        """What to send, with the key that makes it one announcement however often it arrives.

        The same again while no field has changed: an answer may have been lost. Raises
        ValidationError.
        """
        fields = (self.title, self.body, self.severity, self.audience, self.lasts)
        if self._attempt is None or fields != self._tried:
            lasts = LASTS[self.lasts][1]
            new = NewAnnouncement(
                title=self.title,
                body=self.body,
                severity=self.severity,
                audience=self.audience,
                expires_at=now + lasts if lasts is not None else None,
            )
            self._tried, self._attempt = fields, (new, str(uuid.uuid4()))
        return self._attempt


class Choice(Widget, can_focus=True):
    """`◂ value ▸`; left, right and space change it."""

    DEFAULT_CSS = """
    Choice {
        height: 1; width: 1fr; padding: 0 1; background: $panel; text-wrap: nowrap;
        &:focus { background: $block-cursor-background; color: $block-cursor-foreground; }
        &:nocolor:focus { text-style: underline; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "turn(-1)", "Before", show=False),
        Binding("right,space", "turn(1)", "Next", show=False),
    ]

    class Changed(Message):
        """Another value is chosen."""

        def __init__(self, choice: "Choice") -> None:
            super().__init__()
            self.choice = choice

        @property
        def control(self) -> "Choice":
            """The field, for `on`."""
            return self.choice

    def __init__(self, values: Sequence[str], index: int, *, id: str) -> None:
        super().__init__(id=id)
        self._values = values
        self.index = index

    def render(self) -> Content:
        """The value between two arrows."""
        return Content.assemble(
            ("◂ ", "$wire-ink"), (self._values[self.index], "bold"), (" ▸", "$wire-ink")
        )

    def action_turn(self, step: int) -> None:
        """The next value, or the one before."""
        self.index = (self.index + step) % len(self._values)
        self.refresh()
        self.post_message(self.Changed(self))

    def on_click(self, event: Click) -> None:
        """The next value; the one before at the left edge."""
        self.action_turn(-1 if event.x <= 2 else 1)


SEVERITIES = (
    (Severity.INFO, "info"),
    (Severity.WARNING, "warning: also a toast"),
    (Severity.CRITICAL, "critical: a toast until read"),
)
TITLE_CHARACTERS = 120


class ComposeScreen(Dialog[Announcement]):
    """Sends, and answers the announcement as the server has it; None when closed.

    Every change is in the draft at once: closed or refused, nothing of it is lost.
    """

    DEFAULT_CSS = """
    ComposeScreen {
        & > .box { width: 76; padding: 0 2; }
        & .row { height: 1; margin-top: 1; }
        & .row.-tall { height: 5; }
        & .row.-close { margin-top: 0; }
        & .row > Label { width: 10; color: $title; }
        & .row > Input { width: 1fr; }
        & TextArea {
            width: 1fr; height: 5; border: none; padding: 0 1; background: $panel;
            &:focus { border: none; background: $block-cursor-background; }
        }
        & #preview { height: 4; margin-top: 1; padding: 0 1; border-top: solid $edge; }
        & StatusLine { margin-top: 0; width: 1fr; padding-right: 1; }
        & #end { height: auto; margin-top: 1; }
        &.-short #end { margin-top: 0; }
    }
    """
    AUTO_FOCUS = "#title"
    BINDINGS: ClassVar[list[BindingType]] = [
        # After the keys before it, which may still wait for their field.
        Binding("ctrl+s", "send", "Announce"),
        # Before those after it: over a slow line several come at once, the next for another field.
        Binding("tab", "app.focus_next", show=False, priority=True),
        Binding("shift+tab", "app.focus_previous", show=False, priority=True),
    ]

    def __init__(self, draft: Draft) -> None:
        super().__init__()
        self._draft = draft
        self._sending = False

    def body(self) -> ComposeResult:
        """The fields, the preview, the button."""
        draft = self._draft
        severities = [severity for severity, _ in SEVERITIES]
        with Vertical(classes="box") as box:
            box.border_title = "Announce"
            box.border_subtitle = "tab goes on · ^s announces · esc keeps it for later"
            with Horizontal(classes="row -close"):
                yield Label("Title")
                yield Input(draft.title, id="title", compact=True, max_length=TITLE_CHARACTERS)
            with Horizontal(classes="row -tall"):
                yield Label("Text")
                yield TextArea(draft.body, id="body", tab_behavior="focus", soft_wrap=True)
            with Horizontal(classes="row"):
                yield Label("Severity")
                words = [word for _, word in SEVERITIES]
                yield Choice(words, severities.index(draft.severity), id="severity")
            with Horizontal(classes="row -close"):
                yield Label("For")
                audiences = list(Audience)
                yield Choice(audiences, audiences.index(draft.audience), id="audience")
            with Horizontal(classes="row -close"):
                yield Label("Expires")
                yield Choice([word for word, _ in LASTS], draft.lasts, id="lasts")
            yield Static("", id="preview", markup=False)
            with Horizontal(id="end"):
                yield StatusLine()
                yield Button("Announce", id="send", variant="primary", compact=True)

    def on_mount(self) -> None:
        """Show what there is of it."""
        self._show()

    def on_resize(self) -> None:
        """The preview is cut to the width there is."""
        self.call_after_refresh(self._show)

    @on(Input.Changed, "#title")
    def _title_changed(self, event: Input.Changed) -> None:
        self._draft.title = event.value
        self._show()

    @on(TextArea.Changed, "#body")
    def _body_changed(self, event: TextArea.Changed) -> None:
        self._draft.body = event.text_area.text
        self._show()

    @on(Choice.Changed)
    def _chosen(self, event: Choice.Changed) -> None:
        draft, index = self._draft, event.choice.index
        if event.choice.id == "severity":
            draft.severity = SEVERITIES[index][0]
        elif event.choice.id == "audience":
            draft.audience = list(Audience)[index]
        else:
            draft.lasts = index
        self._show()

    @on(Input.Submitted, "#title")
    def _submitted(self) -> None:
        self.focus_next()

    @on(Button.Pressed, "#send")
    def _pressed(self) -> None:
        self.action_send()

    def action_send(self) -> None:
        """Announce it; once, however often that is pressed."""
        if not self._sending:
            self._sending = True
            self._take()
            self.run_worker(self._send(), group="announce", exit_on_error=True)

    def _take(self) -> None:
        """The fields as they are now; word of the last change may still be on its way."""
        draft = self._draft
        draft.title = self.query_one("#title", Input).value
        draft.body = self.query_one("#body", TextArea).text
        draft.severity = SEVERITIES[self.query_one("#severity", Choice).index][0]
        draft.audience = list(Audience)[self.query_one("#audience", Choice).index]
        draft.lasts = self.query_one("#lasts", Choice).index

    async def _send(self) -> None:
        api = self.services.api
        self.show_status("◌ sending …", "info")
        try:
            new, key = self._draft.attempt(self.services.session.server_now())
            made = await api.announce(new, key)
        except Exception as error:
            words = message_for(error)
            if self.is_attached:
                self.show_status(words)
                self._point_at(field_of(error))
            return
        finally:
            self._sending = False
        if self.is_attached:
            self.dismiss(made)

    def _point_at(self, field: str | None) -> None:
        if field in ("title", "body"):
            self.query_one(f"#{field}").focus()

    def _show(self) -> None:
        """How it will look in the list."""
        preview = self.query_one("#preview", Static)
        width = preview.content_size.width
        if width <= 0:
            return
        now = datetime.now(UTC)
        draft = self._draft
        seen = Announcement(
            id="",
            title=draft.title.strip() or "…",
            body=draft.body.strip() or "…",
            severity=draft.severity,
            audience=draft.audience,
            by=Actor(id="", name="", role=""),
            published_at=now,
        )
        preview.update(
            Content("\n").join(
                [
                    Content.assemble(("as they will see it", "$wire-ink")),
                    announcement_text.head_line(seen, width, now, unread=True),
                    announcement_text.short_line(seen, width),
                ]
            )
        )
