"""Textual's App with our changes: keys in order, themes, plain toasts, no values in tracebacks."""

import asyncio
import os
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from textual.app import App
from textual.command import CommandPalette
from textual.dom import DOMNode
from textual.events import Event, Key, MouseEvent, Paste
from textual.filter import ANSIToTruecolor, LineFilter
from textual.message import Message
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input, TextArea
from textual.worker import Worker, WorkerFailed, WorkerState
from textual.worker_manager import WorkerManager

from server.text import clean, fault
from tui.common.config import Config, remember_theme
from tui.common.crash import REPORT
from tui.common.format import fit, set_clock
from tui.common.hosted import hosted_where
from tui.common.keys import key_problems, named_bindings, with_ids
from tui.common.language import _, ngettext, without_isolates
from tui.common.right_to_left import LaidOutCache, set_layout, with_mouse_in_text
from tui.common.sanitize import in_one_line, plain
from tui.common.terminal import PASTE_CHARACTERS, TerminalApp, TerminalDriver
from tui.common.terminal_news import TerminalNews
from tui.common.themes import DAY, NIGHT, PALETTES, completed, own_themes
from tui.common.toasts import Toasts

if TYPE_CHECKING:
    from textual.command import Provider
    from textual.driver import Driver
    from textual.notifications import SeverityLevel
    from textual.theme import Theme


KEY_SECONDS = 1.0
"""For how long a key may hold up those after it."""
PROBLEMS_SHOWN, PROBLEM_CELLS = 3, 110
"""How many problems with the settings a toast has, and how much of each: it covers the panels."""
KEPT_STYLES = 256
"""Of how many classes of widgets the parsed styles are kept. There are more than Textual's 64 in
either app: then it would parse all of them anew whenever a dialog is opened for the first time."""


def _commands() -> "type[Provider]":
    from tui.common.commands import Commands

    return Commands


def _finder() -> "type[Provider]":
    from tui.common.commands import Finder

    return Finder


class KeyHandled(Message):
    """Follows a key from the focused widget up to the app."""


class BaseApp(TerminalApp):
    """What both apps have in common, whatever they show."""

    COMMANDS = {_commands, _finder}  # noqa: RUF012 Textual has it so

    def __init__(self, config: Config | None = None) -> None:
        """`config`: by default nothing is read or remembered."""
        self.config = config or Config()
        super().__init__()
        self.lays_out = set_layout(self.config.bidi, os.environ)
        self._bindings = with_ids(type(self), self._bindings)
        self.set_keymap(dict(self.config.keys))
        if self.config.motion == "reduced":
            self.animation_level = "none"
        # set before anything is styled: a change of theme later costs a fifth of the first paint
        self.set_reactive(App.theme, self._register_themes())
        self.stylesheet.set_variables(self.get_css_variables())
        self._workers = Workers(self)
        self.stylesheet._parse_cache.grow(KEPT_STYLES)
        self.toasts = Toasts(self)
        self.terminal_news = TerminalNews(self.config, os.environ, self.write_to_terminal)
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
            return
        if isinstance(event, MouseEvent) and not event.is_forwarded and self.lays_out:
            event = with_mouse_in_text(self, event)
        await super().on_event(event)

    def on_key_handled(self) -> None:
        """Go on to the next key, after what this one has asked for, such as a focus."""
        self.call_later(self._key_handled)

    async def _key_handled(self) -> None:
        if self._notifications:  # what one works on may be elsewhere now
            self.call_after_refresh(self.toasts.place)
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
                words = _("Only the first {paste_characters:,} characters were pasted.").format(
                    paste_characters=PASTE_CHARACTERS
                )
                self.notify(words, title=_("Paste"), severity="warning")
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
        """Show a toast, in place of an older one with the same title; by the terminal too, while
        another window is in focus.

        Always plain text, whatever `markup` says: toasts often quote data.
        """
        if not self.app_focus:
            self.terminal_news.notify(title, message)
        for older in [one for one in self._notifications if title and one.title == plain(title)]:
            self._unnotify(older, refresh=False)
        super().notify(
            plain(message, newlines=True),
            title=plain(title),
            severity=severity,
            timeout=timeout,
            markup=False,
        )

    def _refresh_notifications(self) -> None:
        """Show the toasts on the present screen, few and in nobody's way."""
        self.toasts.join_oldest()
        super()._refresh_notifications()
        if self._notifications and self._screen_stack:
            self.toasts.follow(self.screen)

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

    def tell_terminal(self, headline: str, progress: float | None) -> None:
        """Show the headline as the terminal's title, and a progress."""
        self.terminal_news.title(f"{headline.strip()} · tiffin" if headline.strip() else "tiffin")
        self.terminal_news.progress(progress)

    def write_to_terminal(self, text: str) -> None:
        """Write a control sequence, where there is a terminal."""
        if isinstance(self._driver, TerminalDriver):
            self._driver.write(text)

    # -- settings

    def on_mount(self) -> None:
        """Say what is wrong with the settings, and remember another theme from now on."""
        if isinstance(self._driver, TerminalDriver):
            self._driver.before_leaving = self.terminal_news.leave
        set_clock(twelve_hours=self.config.clock == "12h")
        self._say_problems([*self.config.problems, *self._problems])
        self.theme_changed_signal.subscribe(self, self._remember_theme)

    def _say_problems(self, problems: Sequence[str]) -> None:
        """One toast for all that was said until now: the first ones, cut, as it covers panels."""
        self._problems = [*problems]
        if problems:
            shown = problems[:PROBLEMS_SHOWN]
            lines = [fit(one.replace(f"{self.config.folder}/", ""), PROBLEM_CELLS) for one in shown]
            more = len(problems) - len(shown)
            if more:
                lines.append(ngettext("And {count} more.", "And {count} more.", more))
                lines[-1] = lines[-1].format(count=more)
            lines.append(
                _("The default is used. In a shell, the app's name and “config” prints all.")
            )
            self.notify("\n".join(lines), title=_("Settings"), severity="warning", timeout=30)

    def _register_themes(self) -> str:
        """Register Tiffin's and the user's themes; returns the name of the one to begin with."""
        night, day = PALETTES.get(self.console.color_system or "", PALETTES["truecolor"])
        own, self._problems = own_themes(self.config)
        for theme in (night, day, *own):
            self.register_theme(theme)
        return self.config.theme if self.config.theme in self.available_themes else night.name

    @property
    def available_themes(self) -> "dict[str, Theme]":
        """Without those of the terminal's own colours: others are mixed from a theme's."""
        return {name: one for name, one in super().available_themes.items() if not one.ansi}

    def get_theme(self, theme_name: str) -> "Theme | None":
        """A theme with all the colours that the apps draw with."""
        theme = super().get_theme(theme_name)
        return theme and completed(theme)

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Our variables, which are needed before our themes are."""
        return NIGHT.variables

    def action_theme(self) -> None:
        """Day or night."""
        self.theme = DAY.name if self.current_theme.dark else NIGHT.name

    def _remember_theme(self, theme: "Theme") -> None:
        if self.config.remembered is not None:
            try:
                remember_theme(self.config.remembered, theme.name)
            except OSError as error:
                words = _("{remembered} cannot be written: {strerror}.").format(
                    remembered=self.config.remembered, strerror=error.strerror or error
                )
                self.notify(words, title=_("Theme not remembered"), severity="warning")

    def action_command_palette(self) -> None:
        """Open the palette; its field says that it finds more than commands."""
        app: App[Any] = self
        if self.use_command_palette and not CommandPalette.is_open(app):
            words = _("A command, or what you look for…")
            self.push_screen(CommandPalette(placeholder=words, id="--command-palette"))

    def action_copy(self) -> None:
        """Copy what is selected where the focus is."""
        from tui.common.dialogs.copy import copy_one

        nodes = [self.screen] if self.focused is None else self.focused.ancestors_with_self
        source = next((one for one in nodes if hasattr(one, "copyable")), None)
        copy_one(self.screen, source.copyable() if source is not None else ())

    def copy_to_clipboard(self, text: str) -> None:
        """Copy what was written, without the marks by which it is laid out."""
        super().copy_to_clipboard(without_isolates(text))

    def bell(self) -> None:
        """Ring, unless the user has turned that off."""
        if self.config.bell:
            super().bell()

    def _register(self, parent: DOMNode, *widgets: Widget, **more: Any) -> list[Widget]:
        """Give the keys of a new widget their ids, and lay out what it draws; where less motion is
        asked for, its cursor stands still."""
        for widget in widgets:
            if not widget.is_attached:
                if self.lays_out and not isinstance(widget, Screen):  # it may show another's lines
                    widget._styles_cache = LaidOutCache(type(widget))
                widget._bindings = named_bindings(type(widget), self.config.vim).copy()
                if isinstance(widget, Input | TextArea) and self.animation_level == "none":
                    widget.set_reactive(type(widget).cursor_blink, False)
        return super()._register(parent, *widgets, **more)

    async def check_keys(self) -> None:
        """Say which of the user's keys cannot be had; those have their defaults."""
        if self.config.keys:
            wrong = await asyncio.to_thread(key_problems, self.config)
            right = {name: keys for name, keys in self.config.keys.items() if name not in wrong}
            self.set_keymap(right)
            self._say_problems([*self._problems, *wrong.values()])

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
