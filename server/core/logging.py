"""Structured logs: one JSON object a line, secrets masked."""

import atexit
import logging
import os
import re
import select
import sys
import threading
import time
from collections import deque
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, TextIO

from pydantic_core import to_json

from server.core.clock import to_text
from server.core.errors import Problem
from server.text import spelled

request_id: ContextVar[str] = ContextVar("request_id", default="")

# The text comes from strangers, such as a path of 8,000 letters, so matching has to take linear
# time: quantifiers are possessive or bounded, and no pattern begins with one.
_RUN = re.compile(r"[\w.-]{16,}+")
LINES_A_WRITE = 500
PAUSE_SECONDS = 0.01
"""Between two writes: waking the thread for each line would cost more than writing it."""
FLUSH_SECONDS = 1.0
_SECRETS = (
    (re.compile(r"(?i)(bearer\s++)[^\s\"',;]++"), r"\1<token>"),
    (re.compile(r"\brt_[\w.-]+"), "<token>"),
    (
        re.compile(
            r"(?i)((?:password|secret|refresh_token|access_token|authorization)\w{0,32}+[\"']?"
            r"\s{0,8}+[:=]\s{0,8}+)"
            r"(\"(?:[^\"\\]|\\.)*+\"|'(?:[^'\\]|\\.)*+'|[^\s,;&}]++)"
        ),
        r"\1<masked>",
    ),
    (re.compile(r"([?&]sid=)[^\s&\"'#]++"), r"\1<masked>"),
    (re.compile(r"(://[^\s:/@]{0,128}+:)[^\s@]{1,512}+(@)"), r"\1<masked>\2"),
)


def mask(text: str) -> str:
    """The text without tokens, passwords, Engine.IO's session ids and credentials in URLs."""
    if not _may_hold_secret(text):
        return text
    text = _RUN.sub(_without_token, text)
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def _may_hold_secret(text: str) -> bool:
    """Whether any pattern could match: most texts have none of the letters that all of them need,
    which takes a tenth of the time to find."""
    return ":" in text or "=" in text or "eyJ" in text or "rt_" in text or "bearer" in text.lower()


def _safe(text: str) -> str:
    """The text with secrets masked and without terminal control sequences."""
    return spelled(mask(text))


def _without_token(run: re.Match[str]) -> str:
    """A JWT has two dots and begins with the letters that `{"` is in base64."""
    text = run[0]
    start = text.find("eyJ")
    return text if start < 0 or text.count(".", start) < 2 else text[:start] + "<token>"


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON; what was passed as `extra={"fields": {...}}` is part of it:
    numbers as they are, anything else as text."""

    _second = 0, ""
    """The second of the last line, and the text of its time without the milliseconds."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, masked."""
        line: dict[str, Any] = {
            "at": self._time(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": _safe(record.getMessage()),
        }
        if identifier := request_id.get():
            line["request_id"] = identifier
        for name, value in getattr(record, "fields", {}).items():
            plain = value is None or isinstance(value, int | float)
            line[name] = value if plain else _safe(str(value))
        if record.exc_info:
            line["exception"] = _safe(self.formatException(record.exc_info))
        return to_json(line).decode()

    def _time(self, created: float) -> str:
        """As `clock.to_text`; most lines are of the same second as the one before."""
        second, text = self._second
        if second != int(created):
            second = int(created)
            text = to_text(datetime.fromtimestamp(second, UTC)).removesuffix("000Z")
            self._second = second, text
        return f"{text}{int((created - second) * 1000):03}Z"


class _Writer(logging.Handler):
    """Formats a line where it is logged, as only there the request's id is known, and writes it
    from a thread. At most `most` lines wait (0: any number); further ones are dropped."""

    def __init__(self, stream: TextIO, most: int) -> None:
        super().__init__()
        self.setFormatter(JsonFormatter())
        self.dropped = 0
        self._told = 0
        """How many of them the log has told of."""
        self._stream = stream
        self._most = most
        self._lines: deque[str] = deque()
        self._wake = threading.Event()
        self._idle = False
        """Whether the thread waits to be woken."""
        threading.Thread(target=self._run, name="log writer", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Add the record to those that wait."""
        try:
            if self._most and len(self._lines) >= self._most:
                self.dropped += 1
                return
            self._lines.append(self.format(record))
            if self._idle:
                self._idle = False
                self._wake.set()
        except Exception:
            self.handleError(record)

    def wait_written(self, seconds: float) -> None:
        """Wait until everything is written, at most so long."""
        until = time.monotonic() + seconds
        while (self._lines or not self._idle) and time.monotonic() < until:
            time.sleep(PAUSE_SECONDS / 10)

    def _run(self) -> None:
        while True:
            while self._lines:
                self._write_some()
                time.sleep(PAUSE_SECONDS)
            self._idle = True
            if not self._lines:  # else one was added before `emit` could see that this is idle
                self._wake.wait()
            self._idle = False
            self._wake.clear()

    def _write_some(self) -> None:
        lines = [self._lines.popleft() for _ in range(min(len(self._lines), LINES_A_WRITE))]
        taken = len(lines)
        if (dropped := self.dropped) > self._told:
            words = f"{dropped - self._told} log lines were dropped: nobody read them in time"
            fields = ("server.core.logging", logging.WARNING, __file__, 0, words, None, None)
            lines.append(self.format(logging.LogRecord(*fields)))
            self._told = dropped
        try:
            _write("".join(f"{line}\n" for line in lines), self._stream)
        except (OSError, ValueError):  # a reader that is gone, a full disk, a stream that is closed
            self.dropped += taken


def _write(text: str, stream: TextIO) -> None:
    """Write without the stream's buffer: a thread that holds its lock would keep Python from
    exiting."""
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):  # in a test
        stream.write(text)
        return
    rest = memoryview(text.encode(errors="backslashreplace"))
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:
            select.select((), (descriptor,), ())


def configure_logging(level: str, stream: TextIO = sys.stderr, lines: int = 0) -> None:
    """Write all logs to `stream` as JSON, from a thread.

    So a slow reader of the log delays nothing: at most `lines` wait to be written (0: any number),
    further ones are dropped. When the process ends, writing the rest may take FLUSH_SECONDS. Call
    it after a fork, as threads do not survive one.
    """
    # No line has the place in the code, the thread or the process: not to find them out saves a
    # third of a record's time (Python's "Logging HOWTO", Optimization).
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    root = logging.getLogger()
    root.handlers[:] = [_Writer(stream, lines)]
    root.setLevel(level)
    logging.getLogger("aiosqlite").setLevel(logging.WARNING)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    atexit.register(flush_logs, FLUSH_SECONDS)


def log_failure(
    logger: logging.Logger, error: BaseException, message: str, *values: object
) -> None:
    """Log a failure of work that will be retried.

    A Problem, such as a full disk, has been logged as an error where it arose, so it is a warning
    of one line here.
    """
    if isinstance(error, Problem):
        logger.warning(message + ": %s", *values, error)
    else:
        logger.error(message, *values, exc_info=error)


def flush_logs(seconds: float) -> None:
    """Wait until everything logged is written, at most so long."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, _Writer):
            handler.wait_written(seconds)


def dropped_lines() -> int:
    """Lines that this process had to drop."""
    handlers = logging.getLogger().handlers
    return sum(handler.dropped for handler in handlers if isinstance(handler, _Writer))
