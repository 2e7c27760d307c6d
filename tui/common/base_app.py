"""Textual's App with our changes: plain text in toasts, no values in a traceback."""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from textual.events import Event, Key, Paste
from textual.filter import ANSIToTruecolor, LineFilter
from textual.message import Message
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input
from textual.worker import Worker, WorkerFailed, WorkerState
from textual.worker_manager import WorkerManager

from server.text import clean, fault
from tui.common.crash import REPORT
from tui.common.hosted import hosted_where
from tui.common.sanitize import in_one_line, plain
from tui.common.terminal import PASTE_CHARACTERS, TerminalApp
from tui.common.theme import NIGHT

if TYPE_CHECKING:
    from textual.command import Provider
    from textual.driver import Driver
    from textual.notifications import SeverityLevel


KEY_SECONDS = 1.0
"""For how long a key may hold up those after it."""
KEPT_STYLES = 256
"""Of how many classes of widgets the parsed styles are kept. There are more than Textual's 64 in
either app: then it would parse all of them anew whenever a dialog is opened for the first time."""


def _commands() -> "type[Provider]":
    from tui.common.commands import Commands

    return Commands


class KeyHandled(Message):
    """Follows a key from the focused widget up to the app."""


class BaseApp(TerminalApp):
    """What both apps have in common, whatever they show."""

    COMMANDS = {_commands}  # noqa: RUF012 Textual has it so

    def __init__(self) -> None:
        super().__init__()
        self._workers = Workers(self)
        self.stylesheet._parse_cache.grow(KEPT_STYLES)
        self._typed: deque[Key | Paste] = deque()
        self._last_screen: Screen[object] | None = None
        self._overdue: asyncio.TimerHandle | None = None

    def get_driver_class(self) -> "type[Driver]":
        """The terminal's, or that of a page."""
        if hosted_where() == "browser":
            from tui.common.browser import BrowserDriver

            return BrowserDriver
        return super().get_driver_class()

    async def on_event(self, event: Event) -> None:
        """Handle one key after the other.

        Textual sends a key to the widget in focus when it arrives, though the key before it may be
        about to move the focus: of `/nap` typed fast, the filter that `/` opens would get nothing.
        """
        if isinstance(event, Key | Paste) and not event.is_forwarded:
            self._typed.append(event)
            if self._overdue is None:
                await self._handle_typed()
        else:
            await super().on_event(event)

    def on_key_handled(self) -> None:
        """Go on to the next key, after what this one has asked for, such as a focus."""
        self.call_later(self._key_handled)

    async def _key_handled(self) -> None:
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None
        await self._handle_typed()

    async def _handle_typed(self) -> None:
        while self._typed and self._overdue is None:
            if self.screen is not self._last_screen:  # it may not have a focus yet
                self._last_screen = self.screen
                self._wait_for(self.screen)
                continue
            target = self.focused or self.screen
            await self._handle_key(self._typed.popleft())
            self._wait_for(target)

    def _wait_for(self, target: Widget) -> None:
        if target.post_message(KeyHandled()):
            loop = asyncio.get_running_loop()
            self._overdue = loop.call_later(KEY_SECONDS, self.on_key_handled)

    async def _handle_key(self, event: Key | Paste) -> None:
        """Clean pasted text, unless the field shows none of it or cleans it itself.

        A character that Python's tables do not know, or do not count as a letter, such as a joiner,
        is handled like pasted text: Textual would ignore it as a key.
        """
        if isinstance(event, Key) and event.character and _is_text(event.character):
            event = Paste(event.character)
        if isinstance(event, Paste):
            if len(event.text) > PASTE_CHARACTERS:
                event.text = event.text[:PASTE_CHARACTERS]
                words = f"Only the first {PASTE_CHARACTERS:,} characters were pasted."
                self.notify(words, title="Paste", severity="warning")
            event.text = self._fitting(event.text)
            if not event.text:
                return
        await super().on_event(event)

    @property
    def clipboard(self) -> str:
        """The text copied in this app, as the field accepts it."""
        return self._fitting(super().clipboard)

    def _fitting(self, text: str) -> str:
        """A single-line field takes several lines as one, without the last line break."""
        if _takes_raw(self.focused):
            return text
        return in_one_line(text.rstrip("\r\n")) if isinstance(self.focused, Input) else clean(text)

    def notify(
        self,
        message: str,
        *,
        title: str = "",
        severity: "SeverityLevel" = "information",
        timeout: float | None = None,
        markup: bool = False,
    ) -> None:
        """Show a toast, in place of an older one with the same title.

        Always plain text, whatever `markup` says: toasts often quote data.
        """
        for older in [one for one in self._notifications if title and one.title == plain(title)]:
            self._unnotify(older, refresh=False)
        super().notify(
            plain(message, newlines=True),
            title=plain(title),
            severity=severity,
            timeout=timeout,
            markup=False,
        )

    def has_toast(self, title: str) -> bool:
        """Whether a toast with that title is shown."""
        return any(toast.title == plain(title) for toast in self._notifications)

    def remove_toast(self, title: str) -> None:
        """Remove the toast with that title, if there is one."""
        for toast in [one for one in self._notifications if one.title == plain(title)]:
            self._unnotify(toast)

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Without Textual's filter for ANSI colours: there are none here, and it costs time in each
        frame."""
        filters = super().get_line_filters()
        return [one for one in filters if not isinstance(one, ANSIToTruecolor)]

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Our variables, which are needed before our themes are."""
        return NIGHT.variables

    # -- internal errors

    def on_load(self) -> None:
        """Report tasks that fail while nobody waits for them."""
        asyncio.get_running_loop().set_exception_handler(_failed_alone)

    def _handle_exception(self, error: Exception) -> None:
        """End the app; `run_app` prints the message.

        Textual would print the value of every variable.
        """
        REPORT.record(error.error if isinstance(error, WorkerFailed) else error)
        self._return_code = 1
        if self._exception is None:  # tests raise it again
            self._exception = error
            self._exception_event.set()
        self._close_messages_no_wait()


class Workers(WorkerManager):
    """Also records the errors of workers that may fail without ending the app."""

    def _remove_worker(self, worker: Worker[object]) -> None:
        super()._remove_worker(worker)
        if worker.state is WorkerState.ERROR and worker.error is not None:
            REPORT.record(worker.error)


def _takes_raw(field: Widget | None) -> bool:
    return bool(getattr(field, "password", False) or getattr(field, "TAKES_RAW", False))


def _is_text(typed: str) -> bool:
    return not typed.isprintable() and not typed.isascii() and fault(typed) is None


def _failed_alone(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Record the error of a task or a callback; errors of connections are not internal errors."""
    error = context.get("exception")
    task = context.get("task", context.get("future"))
    if isinstance(error, Exception) and (isinstance(task, asyncio.Task) or "handle" in context):
        REPORT.record(error)
    else:
        loop.default_exception_handler(context)
