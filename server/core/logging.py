"""Structured logs: one JSON object a line, secrets masked."""

import atexit
import json
import logging
import os
import queue
import re
import select
import sys
import time
from collections.abc import Iterator
from contextvars import ContextVar
from logging.handlers import QueueHandler, QueueListener
from typing import Any, TextIO

from server.core.clock import now, to_text
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
    text = _RUN.sub(_without_token, text)
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def _safe(text: str) -> str:
    """The text with secrets masked and without terminal control sequences."""
    return spelled(mask(text))


def _without_token(run: re.Match[str]) -> str:
    """A JWT has two dots and begins with the letters that `{"` is in base64."""
    text = run[0]
    start = text.find("eyJ")
    return text if start < 0 or text.count(".", start) < 2 else text[:start] + "<token>"


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON; what was passed as `extra={"fields": {...}}` is part of it."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, masked."""
        line: dict[str, Any] = {
            "at": to_text(now()),
            "level": record.levelname,
            "logger": record.name,
            "message": _safe(record.getMessage()),
        }
        if identifier := request_id.get():
            line["request_id"] = identifier
        for name, value in getattr(record, "fields", {}).items():
            line[name] = _safe(value) if isinstance(value, str) else value
        if record.exc_info:
            line["exception"] = _safe(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False, default=str)


class _Enqueue(QueueHandler):
    """Formats a line where it is logged, as only there the request's id is known."""

    def __init__(self, most: int) -> None:
        self.lines: queue.Queue[Any] = queue.Queue(most)
        super().__init__(self.lines)
        self.setFormatter(JsonFormatter())
        self.dropped = 0

    def prepare(self, record: logging.LogRecord) -> str:
        return self.format(record)

    def enqueue(self, record: Any) -> None:
        try:
            self.lines.put_nowait(record)
        except queue.Full:
            self.dropped += 1


class _Write(QueueListener):
    """Writes the lines in a thread, and logs how many were dropped."""

    def __init__(self, source: _Enqueue, stream: TextIO) -> None:
        super().__init__(source.lines)
        self._source = source
        self._stream = stream
        self._told = 0

    def handle(self, record: Any) -> None:
        lines = [record, *self._more()]
        taken = len(lines)
        if (dropped := self._source.dropped) > self._told:
            words = f"{dropped - self._told} log lines were dropped: nobody read them in time"
            fields = ("server.core.logging", logging.WARNING, __file__, 0, words, None, None)
            lines.append(self._source.format(logging.LogRecord(*fields)))
            self._told = dropped
        try:
            _write("".join(f"{line}\n" for line in lines), self._stream)
        except (OSError, ValueError):  # a reader that is gone, a full disk, a stream that is closed
            self._source.dropped += taken
        for _ in range(taken - 1):  # the listener itself marks the first one as done
            self._source.lines.task_done()
        time.sleep(PAUSE_SECONDS)

    def _more(self) -> Iterator[Any]:
        """Further lines that wait."""
        for _ in range(LINES_A_WRITE - 1):
            try:
                line = self._source.lines.get_nowait()
            except queue.Empty:
                return
            yield line


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
    source = _Enqueue(lines)
    _Write(source, stream).start()
    root = logging.getLogger()
    root.handlers[:] = [source]
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
        if isinstance(handler, _Enqueue):
            with handler.lines.all_tasks_done:
                if handler.lines.unfinished_tasks:
                    handler.lines.all_tasks_done.wait(seconds)


def dropped_lines() -> int:
    """Lines that this process had to drop."""
    handlers = logging.getLogger().handlers
    return sum(handler.dropped for handler in handlers if isinstance(handler, _Enqueue))
