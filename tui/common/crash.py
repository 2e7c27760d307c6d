"""Crash reports: a file for developers, and one sentence on the screen."""

import contextlib
import os
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path
from types import TracebackType

from server.text import spelled
from tui.common.language import _, without_isolates

FILES_KEPT = 10
"""Crash files of a user; older ones are deleted."""
MAX_ERRORS = 20
"""Errors that one process records; the first ones say most."""
MAX_CHARACTERS = 200_000
"""Characters of one error: its text may quote whatever was sent to us."""


class CrashReport:
    """The unexpected errors of this process.

    Tracebacks are written without the values of variables, which may be passwords, into a file of
    mode 0600 in the state folder.
    """

    def __init__(self) -> None:
        self._path: Path | None = None
        self._why_no_file = ""
        self._first = ""
        self._last: BaseException | None = None
        self._count = 0
        self._lock = threading.Lock()

    def record(self, error: BaseException) -> None:
        """Record an error; the same one a second time is left out."""
        with self._lock:
            if self._count >= MAX_ERRORS or error is self._last:
                return
            self._first = self._first or _in_short(error)
            self._last = error
            self._count += 1
            try:
                self._write("".join(traceback.format_exception(error)))
            except OSError as fault:
                self._why_no_file = f"{type(fault).__name__}: {fault}"

    def message(self) -> str:
        """What to tell the user; "" as long as nothing has crashed."""
        if not self._count:
            return ""
        if self._path is not None:
            return spelled(
                _(
                    "Tiffin had an internal error; please report it together with the file {path}."
                ).format(path=self._path)
            )
        words = _(
            "Tiffin had an internal error, {first}, and could not write the details to "
            "a file ({why_no_file})."
        ).format(first=self._first, why_no_file=self._why_no_file)
        return spelled(without_isolates(words))

    def print_message(self) -> bool:
        """Print the sentence on standard error; False if nothing has crashed."""
        sentence = self.message()
        if sentence:
            with contextlib.suppress(OSError, ValueError, AttributeError):
                sys.stderr.write(f"{sentence}\n")
                sys.stderr.flush()
        return bool(sentence)

    def install(self) -> None:
        """From now on, record what ends this process or one of its threads."""
        sys.excepthook = self._uncaught
        threading.excepthook = self._uncaught_in_thread

    def _uncaught(
        self, kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        if not isinstance(error, Exception):  # ctrl-c and the like are no crash
            sys.__excepthook__(kind, error, trace)
            return
        self.record(error)
        self.print_message()

    def _uncaught_in_thread(self, failure: threading.ExceptHookArgs) -> None:
        if isinstance(failure.exc_value, Exception):
            self.record(failure.exc_value)

    def _write(self, text: str) -> None:
        if len(text) > MAX_CHARACTERS:
            half = MAX_CHARACTERS // 2
            text = f"{text[:half]}\n[...]\n{text[-half:]}"
        if self._path is None:
            self._path = _new_file()
            text = f"{time.strftime('%Y-%m-%d %H:%M:%S %z')}, Python {sys.version}\n\n{text}"
        with self._path.open("ab") as file:
            file.write(f"{spelled(text)}\n".encode())


REPORT = CrashReport()
"""The reporter of this process."""


def _new_file() -> Path:
    from tui.common.client.token_store import state_folder

    folder = state_folder()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    older = sorted(folder.glob("crash-*.txt"))
    for path in older[: max(0, len(older) - FILES_KEPT + 1)]:
        with contextlib.suppress(OSError):
            path.unlink()
    # mkstemp makes it 0600 from the start.
    handle, path_made = tempfile.mkstemp(
        dir=folder, prefix=time.strftime("crash-%Y%m%d-%H%M%S-"), suffix=".txt"
    )
    os.close(handle)
    return Path(path_made)


def _in_short(error: BaseException) -> str:
    """Its type and where it was raised, without its message, which may quote what was typed."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{where}"
