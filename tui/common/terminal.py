"""The terminal of an app: restored whatever ends or stops the process, and written in UTF-8."""

import asyncio
import contextlib
import os
import select
import signal
import termios
import threading
import time
from codecs import getincrementaldecoder
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual._compositor import ChopsUpdate, LayoutUpdate
from textual._xterm_parser import BRACKETED_PASTE_END, BRACKETED_PASTE_START, XTermParser
from textual.app import App, SuspendNotSupported
from textual.binding import Binding, BindingType
from textual.driver import Driver
from textual.drivers.linux_driver import LinuxDriver
from textual.message import Message

from tui.common.hosted import hosted_where
from tui.common.language import _
from tui.common.sanitize import anchored
from tui.common.terminal_cells import CellUpdate, TerminalCells, pieces_of

if TYPE_CHECKING:
    from io import TextIOWrapper

    from rich.console import RenderableType
    from textual.screen import Screen

ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)
"""These signals quit the app, with the exit code 128 plus the signal's number, as shells count."""
SIGNAL_SECONDS = 0.2
FORCE_EXIT_SECONDS = 8.0
"""Time to quit after such a signal; supervisors send SIGKILL after ten."""
PASTE_CHARACTERS = 20_000
"""Characters of one paste, at most: no field holds more than 4,000, and 2 MB would block the app.
"""
TICK_SECONDS = 0.1
"""After this time an Escape was a key, and not the beginning of a sequence."""
TICKS = 3
"""How often this is checked after the last key; a terminal without keys wakes nobody."""
RESTORE = (
    "\x1b[?2026l\x1b[<u\x1b[?1049l\x1b[?25h\x1b[?7h\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1004l"
    "\x1b[?1006l\x1b[?1015l\x1b[?1016l\x1b[?2004l\x1b[?2048l\x1b[0m\x1b[8h\x1b[23;2t"
)
"""Show what is drawn, restore plain keys, leave the alternate screen, show the cursor, wrap lines;
no reports of mouse, focus, paste and size; plain text, laid out by it; the title from before."""


class TerminalDriver(LinuxDriver):
    """Textual's driver, which also handles the signals that end or stop a process.

    Signals are handled in the event loop: a signal handler may run while the output's queue is
    locked. `close` restores the previous handlers.
    """

    def __init__(
        self,
        app: App[Any],
        *,
        debug: bool = False,
        mouse: bool = True,
        size: tuple[int, int] | None = None,
    ) -> None:
        handled = (*ENDING, signal.SIGTSTP, signal.SIGCONT)
        self._before = {number: signal.getsignal(number) for number in handled}
        super().__init__(app, debug=debug, mouse=mouse, size=size)
        # Standard error may be a file that collects error messages.
        self._file = cast("TextIOWrapper", _Output(1, self._on_terminal_lost))
        self._on = False
        """Whether the app has the terminal."""
        self._ended = False
        self._lays_out: bool = getattr(app, "lays_out", False)
        """Whether text from right to left comes in the order of its cells (ECMA-48's BDSM)."""
        self.before_leaving: Callable[[], None] = lambda: None
        """Called while the app still has the terminal that it is about to give back."""
        self._input_end: tuple[int, int] | None = None
        """A pipe: written to, it ends the reading of keys."""
        for number in ENDING:
            # A signal that was ignored stays ignored, as for `nohup`.
            if self._before[number] is not signal.SIG_IGN:
                signal.signal(number, self._on_end_signal)
        self._handle_stops()

    def start_application_mode(self) -> None:
        """Take the terminal."""
        self._on = True
        self._input_end = os.pipe()
        super().start_application_mode()  # type: ignore[no-untyped-call]
        self.write("\x1b[8l" * self._lays_out)

    # Without the terminal nothing may touch it: that would stop a process in the background, also
    # one that was stopped and then told to end.

    def stop_application_mode(self) -> None:
        """Restore the terminal, if the app has it."""
        if self._on:
            self.before_leaving()
            self.write("\x1b[8h" * self._lays_out)
            super().stop_application_mode()
            self._on = False

    def disable_input(self) -> None:
        """Read no more keys."""
        if not self._on:
            return
        pipe = self._end_input()
        super().disable_input()
        for descriptor in pipe:
            os.close(descriptor)

    def _end_input(self) -> tuple[int, ...]:
        """Have the thread end that reads keys; returns its pipe."""
        pipe, self._input_end = self._input_end, None
        if pipe is None:
            return ()
        os.write(pipe[1], b"\0")
        return pipe

    def write(self, data: str) -> None:
        """Draw, if the app has the terminal, so that its cursor is where Textual expects it."""
        if self._on:
            super().write(anchored(data))

    def close(self) -> None:
        """The app has ended."""
        super().close()
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextlib.contextmanager
    def lent(self) -> Iterator[None]:
        """Another program of this job has the terminal; ^Z in it stops both."""
        self._give_back()
        self._use_default_handlers(signal.SIGTSTP, signal.SIGCONT)
        try:
            yield
        finally:
            if not self._ended:
                self._take()

    # -- ending

    def _on_end_signal(self, number: int, _frame: FrameType | None) -> None:
        if not self._ended:
            self._ended = True
            # Not in the event loop: it may be waiting for a terminal that accepts no more output.
            last_resort = threading.Timer(FORCE_EXIT_SECONDS, self._force_exit, (128 + number,))
            last_resort.daemon = True
            last_resort.start()
            self._in_loop(lambda: self._app.exit(return_code=128 + number))

    def _on_terminal_lost(self) -> None:
        """The terminal was closed."""
        self._on_end_signal(signal.SIGHUP, None)

    def _force_exit(self, code: int) -> None:
        if self._on and select.select([], [1], [], 0.5)[1]:
            with contextlib.suppress(OSError):
                os.write(1, RESTORE.encode())
        if self._on and self.attrs_before is not None:
            with contextlib.suppress(OSError, termios.error):
                termios.tcsetattr(self.fileno, termios.TCSANOW, self.attrs_before)
        os._exit(code)

    # -- keys

    def run_input_thread(self) -> None:
        """Like Textual's, but neither invalid UTF-8 nor the terminal's end is an error."""
        parser = XTermParser(self._debug)
        shorten = PasteFilter()
        decode = getincrementaldecoder("utf-8")("replace").decode
        pipe, ticks = self._input_end, TICKS
        while pipe is not None and not self.exit_event.is_set():
            events: list[Message] = []
            seconds = TICK_SECONDS if ticks else None
            ready = select.select([self.fileno, pipe[0]], [], [], seconds)[0]
            ticks = TICKS if self.fileno in ready else max(0, ticks - 1)
            if pipe[0] in ready:
                return
            if self.fileno in ready:
                try:
                    data = os.read(self.fileno, 4096)
                except OSError:
                    data = b""
                if not data:
                    self._on_terminal_lost()
                    return
                if text := shorten(decode(data)):  # "" would be the end of the input
                    events += parser.feed(text)
            events += parser.tick()
            for event in events:
                self.process_message(event)

    # -- stopping and going on

    def _handle_stops(self) -> None:
        signal.signal(signal.SIGTSTP, lambda *_: self._in_loop(self.stop))
        signal.signal(signal.SIGCONT, lambda *_: self._in_loop(self._retake))

    def stop(self, *, job: bool = False) -> None:
        """Restore the terminal, stop, and take it again when continued.

        With `job` the whole job stops, as with the terminal's own ^Z: `make` or another parent
        would otherwise wait for ever for an app that has stopped alone. Does nothing without a
        shell, as nobody could continue the process.
        """
        if not self._on:
            return
        self._give_back()
        if job:  # first, as a shell whose job has stopped takes the terminal at once
            signal.signal(signal.SIGTSTP, signal.SIG_IGN)
            os.kill(0, signal.SIGTSTP)
        self._use_default_handlers(signal.SIGTSTP, signal.SIGCONT)
        signal.raise_signal(signal.SIGTSTP)
        if not self._ended:
            self._take()

    def _retake(self) -> None:
        """Stopped from outside, without a chance to restore the terminal, and continued."""
        if not self._on:
            return
        self._use_default_handlers(signal.SIGTSTP, signal.SIGCONT)
        self._wait_for_foreground()
        if self._ended:  # in the background, where the terminal is the shell's again
            self._end_input()
            self._on = False
            return
        self._give_back()
        self._take()

    def _take(self) -> None:
        self._wait_for_foreground()
        if self._ended:
            return
        self._handle_stops()
        self._must_signal_resume = True  # the app redraws everything
        self.start_application_mode()

    def _give_back(self) -> None:
        self.stop_application_mode()
        super().close()

    def _wait_for_foreground(self) -> None:
        """In the background, any change of the terminal, even to its present state, stops a
        process.

        A signal that ends the app also continues it, and may have come to another thread, which
        has not told this one yet: it is given SIGNAL_SECONDS before the process stops again.
        """
        with contextlib.suppress(OSError, termios.error):
            until = time.monotonic() + SIGNAL_SECONDS
            while os.tcgetpgrp(self.fileno) != os.getpgrp() and time.monotonic() < until:
                time.sleep(0.01)  # a handler of a signal runs meanwhile
                if self._ended:
                    return
            termios.tcsetattr(self.fileno, termios.TCSANOW, termios.tcgetattr(self.fileno))

    @staticmethod
    def _use_default_handlers(*numbers: signal.Signals) -> None:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)

    def _in_loop(self, call: Callable[[], object]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: the app has ended anyway
            self._loop.call_soon_threadsafe(call)


class PasteFilter:
    """Shortens pastes in a terminal's input before they are parsed, a character at a time.

    One character more than `PASTE_CHARACTERS` is left, so that the app sees that there were more.
    """

    def __init__(self) -> None:
        self._left: int | None = None
        """How many more characters of the current paste pass; None outside of a paste."""
        self._tail = ""
        """The last characters: the beginning of a marker, perhaps."""

    def __call__(self, text: str) -> str:
        passed: list[str] = []
        while text:
            if self._left is None:
                seen = self._tail + text
                at = seen.find(BRACKETED_PASTE_START)
                if at < 0:
                    self._tail = seen[1 - len(BRACKETED_PASTE_START) :]
                    return "".join([*passed, text])
                end = at + len(BRACKETED_PASTE_START) - len(self._tail)
                passed.append(text[:end])
                text, self._tail, self._left = text[end:], "", PASTE_CHARACTERS + 1
            else:
                text = self._tail + text
                at = text.find(BRACKETED_PASTE_END)
                end = at if at >= 0 else max(0, len(text) - len(BRACKETED_PASTE_END) + 1)
                passed.append(text[: min(end, self._left)])
                self._left = max(0, self._left - end)
                if at < 0:
                    self._tail = text[end:]
                    break
                passed.append(BRACKETED_PASTE_END)
                text, self._tail, self._left = text[at + len(BRACKETED_PASTE_END) :], "", None
        return "".join(passed)


class TerminalApp(App[None]):
    """An app in such a terminal; ^Z suspends it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        # Not in a field that has an undo of its own on this key.
        Binding("ctrl+z", "suspend_process", _("To the shell"), show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._cells = TerminalCells()

    def get_driver_class(self) -> type[Driver]:
        """Textual's driver, replaced by the one that always restores the terminal."""
        return TerminalDriver

    def _display(self, screen: "Screen[object]", renderable: "RenderableType | None") -> None:
        """Write only what the terminal does not show yet: nothing, where that is all."""
        if not self._batch_count and self._running and not self._closed:
            if isinstance(renderable, LayoutUpdate):
                self._cells.store(renderable)
            elif isinstance(renderable, CellUpdate | ChopsUpdate):
                changes = self._cells.changes(
                    renderable.pieces
                    if isinstance(renderable, CellUpdate)
                    else pieces_of(renderable)
                )
                cursor = self.screen.outer_size.clamp_offset(self.cursor_position)
                if changes is None and cursor != self._previous_cursor_position:
                    changes = CellUpdate(())
                super()._display(screen, cast("RenderableType", changes))
                return
        super()._display(screen, renderable)

    def on_resize(self) -> None:
        """A terminal of another size may have moved what it shows."""
        self._cells.forget()

    def on_driver_signal_resume(self) -> None:
        """Continued by the shell, in a terminal that shows nothing of this app."""
        self._cells.forget()
        self.refresh(layout=True)

    def action_suspend_process(self) -> None:
        """Suspend the app until `fg`."""
        if isinstance(self._driver, TerminalDriver) and not hosted_where():
            self._driver.stop(job=True)

    async def run_program(self, *command: str) -> int:
        """Run another program in this terminal, and take it back when that has ended; its exit
        code. Raises OSError; SuspendNotSupported where the app has no terminal."""
        if not isinstance(self._driver, TerminalDriver):
            raise SuspendNotSupported("This app has no terminal that another could use.")
        with self._driver.lent():
            program = await asyncio.create_subprocess_exec(*command)
            try:
                return await program.wait()
            finally:
                if program.returncode is None:  # the app is told to end
                    program.terminate()
                    await program.wait()


class _Output:
    """Writes text to a terminal as UTF-8, which terminals expect whatever the locale says.

    `lost` is called once the terminal was closed; later output is dropped.
    """

    def __init__(self, descriptor: int, lost: Callable[[], None]) -> None:
        self._descriptor = descriptor
        self._on_terminal_lost = lost

    def write(self, text: str) -> None:
        data = text.encode("utf-8", "replace")
        while data:
            try:
                data = data[os.write(self._descriptor, data) :]
            except BlockingIOError:  # a process that shares the terminal has made it so
                select.select([], [self._descriptor], [])
            except OSError:
                self._on_terminal_lost()
                return

    def flush(self) -> None:
        """Nothing is buffered."""

    def fileno(self) -> int:
        return self._descriptor
