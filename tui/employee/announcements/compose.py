"""An announcement that is being written: kept until it has been sent."""

import asyncio
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar, TypeVar, cast

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Button, Input, Label, Select, Static, TextArea

from server.features.announcements.schemas import Announcement, Audience, NewAnnouncement, Severity
from server.features.shared.schemas import Actor
from tui.common.announcements import format as announcement_text
from tui.common.dialogs.base import Dialog
from tui.common.language import _, ngettext
from tui.common.widgets.status_line import StatusLine

LIFETIMES: tuple[tuple[str, timedelta | None], ...] = (
    (_("never"), None),
    (_("in one hour"), timedelta(hours=1)),
    (_("in four hours"), timedelta(hours=4)),
    (_("in a day"), timedelta(days=1)),
    (_("in a week"), timedelta(days=7)),
)
"""When it expires, from now on."""


@dataclass
class Draft:
    """The fields as they are filled in; `expires` is an index of LIFETIMES."""

    title: str = ""
    body: str = ""
    severity: Severity = Severity.INFO
    audience: Audience = Audience.EVERYONE
    expires: int = 0
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
        fields = (self.title, self.body, self.severity, self.audience, self.expires)
        if self._attempt is None or fields != self._tried:
            lifetime = LIFETIMES[self.expires][1]
            new = NewAnnouncement(
                title=self.title,
                body=self.body,
                severity=self.severity,
                audience=self.audience,
                expires_at=now + lifetime if lifetime is not None else None,
            )
            self._tried, self._attempt = fields, (new, str(uuid.uuid4()))
        return self._attempt


SEVERITIES = (
    (Severity.INFO, _("info")),
    (Severity.WARNING, _("warning: also a toast")),
    (Severity.CRITICAL, _("critical: a toast until read")),
)
TITLE_CHARACTERS = 120


ValueT = TypeVar("ValueT")


class Choice(Select[ValueT]):
    """A `Select` whose value left and right change."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "step(-1)", _("Previous"), show=False),
        Binding("right", "step(1)", _("Next"), show=False),
    ]

    def __init__(self, options: list[tuple[str, ValueT]], value: ValueT, *, id: str) -> None:
        super().__init__(options, value=value, allow_blank=False, compact=True, id=id)
        self._values = [value for _, value in options]

    def action_step(self, distance: int) -> None:
        """The next value, or the one before; around the ends."""
        at = self._values.index(self.chosen) + distance
        self.value = self._values[at % len(self._values)]

    @property
    def chosen(self) -> ValueT:
        """The value; there always is one."""
        return cast("ValueT", self.value)


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
        & Select { width: 1fr; }
        & Select > SelectCurrent { background: $panel; padding: 0 1; }
        & Select:focus > SelectCurrent { background: $block-cursor-background; }
        & Select:nocolor:focus > SelectCurrent { text-style: underline; }
        & #preview { height: 4; margin-top: 1; padding: 0 1; border-top: solid $edge; }
        & StatusLine { margin-top: 0; width: 1fr; padding-right: 1; }
        & #end { height: auto; margin-top: 1; }
        &.-short #end { margin-top: 0; }
    }
    """
    AUTO_FOCUS = "#title"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+s", "send", _("Announce"))]

    def __init__(self, draft: Draft) -> None:
        super().__init__()
        self._draft = draft
        self._sending = False

    def body(self) -> ComposeResult:
        """The fields, the preview, the button."""
        draft = self._draft
        with Vertical(classes="box") as box:
            box.border_title = _("Announce")
            box.border_subtitle = _("tab next field · ^s announces · esc keeps it for later")
            with Horizontal(classes="row -close"):
                yield Label(_("Title"))
                yield Input(draft.title, id="title", compact=True, max_length=TITLE_CHARACTERS)
            with Horizontal(classes="row -tall"):
                yield Label(_("Text"))
                yield TextArea(draft.body, id="body", tab_behavior="focus", soft_wrap=True)
            with Horizontal(classes="row"):
                yield Label(_("Severity"))
                options = [(name, severity) for severity, name in SEVERITIES]
                yield Choice(options, draft.severity, id="severity")
            with Horizontal(classes="row -close"):
                yield Label(_("For"))
                yield Choice(
                    [(announcement_text.AUDIENCES[one], one) for one in Audience],
                    draft.audience,
                    id="audience",
                )
            with Horizontal(classes="row -close"):
                yield Label(_("Expires"))
                times = [(name, at) for at, (name, _) in enumerate(LIFETIMES)]
                yield Choice(times, draft.expires, id="expires")
            yield Static("", id="preview", markup=False)
            with Horizontal(id="end"):
                yield StatusLine()
                yield Button(_("Announce"), id="send", variant="primary", compact=True)

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

    @on(Select.Changed)
    def _selected(self) -> None:
        self._read_fields()
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
            self._read_fields()
            self.run_worker(self._send(), group="announce", exit_on_error=True)

    def _read_fields(self) -> None:
        """Put the fields into the draft; the message of the last change may not have come yet."""
        draft = self._draft
        draft.title = self.query_one("#title", Input).value
        draft.body = self.query_one("#body", TextArea).text
        draft.severity = self.query_one("#severity", Choice).chosen
        draft.audience = self.query_one("#audience", Choice).chosen
        draft.expires = self.query_one("#expires", Choice).chosen

    async def _send(self) -> None:
        api = self.services.api
        try:
            new, key = self._draft.attempt(self.services.session.server_now())
            if new.severity is not Severity.INFO and not await self._confirmed(new):
                return
            self.show_status(_("◌ sending…"), "info")
            made = await api.announce(new, key)
        except Exception as error:
            self.show_error(error)
            return
        finally:
            self._sending = False
        if self.is_attached:
            self.dismiss(made)

    async def _confirmed(self, new: NewAnnouncement) -> bool:
        """Ask before an alert, which interrupts people, with how many they are."""
        from tui.common.dialogs.confirm import ConfirmScreen

        sizes = await self.services.api.audiences()
        count = {
            Audience.EVERYONE: sizes.everyone,
            Audience.CUSTOMERS: sizes.customers,
            Audience.EMPLOYEES: sizes.employees,
        }[new.audience]
        until = _(" until they have read it") if new.severity is Severity.CRITICAL else ""
        people = ngettext("One person sees", "{count:,} people see", count).format(count=count)
        words = _("{people} “{title}” over whatever they do{until}: {audience}.").format(
            people=people,
            title=new.title,
            until=until,
            audience=announcement_text.AUDIENCES[new.audience],
        )
        question = ConfirmScreen(_("Announce"), words, yes=_("Announce"), no=_("Not yet"))
        answered: asyncio.Future[bool | None] = asyncio.get_running_loop().create_future()
        self.app.push_screen(question, answered.set_result)
        return await answered is True

    def _show(self) -> None:
        """How it will look in the list."""
        preview = self.query_one("#preview", Static)
        width = preview.content_size.width
        if width <= 0:
            return
        now = self.services.session.server_now()
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
                    Content.assemble((_("as they will see it"), "$wire-ink")),
                    announcement_text.head_line(seen, width, now, unread=True),
                    announcement_text.short_line(seen, width),
                ]
            )
        )
