"""Lines in and out: a terminal's or a pipe's, without cursor movement, colours or drawing.

A line is read by `input` in a thread: with readline it has editing and a history, and news may be
printed meanwhile, as readline tells what is typed so far. Without a terminal a thread reads the
file, which works for pipes and plain files alike; the event loop cannot watch the latter.
"""

import asyncio
import contextlib
import getpass
import json
import os
import readline
import sys
import termios
import threading
from collections.abc import Callable
from datetime import datetime

from pydantic import BaseModel

from tui.common.format import hours_minutes
from tui.common.sanitize import plain

LONGEST_LINE = 64 * 1024
"""Bytes of a command; a longer line is no command."""


class ConsoleClosed(Exception):
    """Nobody reads the output any more."""


class Console:
    """Standard input and output. With `as_json` each line is an object with `kind`, `at`, `text`
    and, where there is one, the server's object as `data`."""

    def __init__(self, *, as_json: bool, now: Callable[[], datetime]) -> None:
        """`now` is the server's clock."""
        self.interactive = os.isatty(0) and os.isatty(1)
        """Whether somebody types and reads here."""
        self._as_json = as_json
        self._now = now
        self._prompt: str | None = None
        """The prompt that waits for a line."""
        self._rest = b""
        self._terminal = termios.tcgetattr(0) if os.isatty(0) else None
        if self.interactive:
            readline.parse_and_bind("set enable-bracketed-paste off")

    def say(self, text: str, kind: str = "answer", data: BaseModel | None = None) -> None:
        """Print one line; a line break in `text` becomes a space. News is anything but an answer,
        an error or help: it begins with the time of day. Errors in words go to standard error
        where nobody types."""
        text = plain(text)
        at = self._now().astimezone()
        if self._as_json:
            line: dict[str, object] = {"kind": kind, "at": at.isoformat(), "text": text}
            if data is not None:
                line["data"] = data.model_dump(mode="json")
            text = json.dumps(line)
        elif kind not in ("answer", "error", "help"):
            text = f"{hours_minutes(at)} {text}"
        if self._prompt is not None:  # whole lines: below what is being typed, which is repeated
            text = f"\n{text}\n{self._prompt}{readline.get_line_buffer()}"
        else:
            text += "\n"
        to_errors = kind == "error" and not self.interactive and not self._as_json
        output = sys.stderr if to_errors else sys.stdout
        try:
            output.write(text)
            output.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is left is flushed at exit
            raise ConsoleClosed from None

    async def read(self, prompt: str) -> str | None:
        """The next line; None at the end of the input. `prompt` is shown on a terminal."""
        if not self.interactive:
            return await _in_thread(self._read_file)
        self._prompt = prompt
        try:
            return await _in_thread(lambda: input(prompt))
        finally:
            self._prompt = None

    async def read_secret(self, prompt: str) -> str | None:
        """The same for a password: never echoed; without a terminal it is the next line."""
        if self._terminal is None:
            return await _in_thread(self._read_file)
        return await _in_thread(lambda: getpass.getpass(prompt))

    def close(self) -> None:
        """Leave the terminal as it was found."""
        if self._terminal is not None:
            with contextlib.suppress(termios.error):
                termios.tcsetattr(0, termios.TCSANOW, self._terminal)
        if self._prompt is not None:
            with contextlib.suppress(OSError):
                sys.stdout.write("\n")
                sys.stdout.flush()

    def _read_file(self) -> str | None:
        while b"\n" not in self._rest:
            part = os.read(0, LONGEST_LINE)  # without a lock that the interpreter wants at exit
            if not part:
                line, self._rest = self._rest, b""
                return line.decode(errors="replace") if line else None
            self._rest += part
            if len(self._rest) > LONGEST_LINE and b"\n" not in self._rest:
                return self._rest.decode(errors="replace")
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode(errors="replace")


async def _in_thread(read: Callable[[], str | None]) -> str | None:
    """What `read` returns, None where it finds no more. The thread ends with the process: nothing
    can wake one that waits for a key."""
    loop = asyncio.get_running_loop()
    result: asyncio.Future[str | None] = loop.create_future()

    def finish(line: str | None, fault: Exception | None) -> None:
        if result.done():
            return
        if fault is None:
            result.set_result(line)
        else:
            result.set_exception(fault)

    def run() -> None:
        line, fault = None, None
        try:
            line = read()
        except (EOFError, OSError):
            line = None
        except Exception as error:
            fault = error
        with contextlib.suppress(RuntimeError):  # the loop is closed: the process ends
            loop.call_soon_threadsafe(finish, line, fault)

    threading.Thread(target=run, daemon=True).start()
    return await result
