"""Structured logs: one JSON object a line, secrets masked."""

import json
import logging
import re
import sys
from contextvars import ContextVar
from typing import Any, TextIO

from server.core.clock import now, to_text

request_id: ContextVar[str] = ContextVar("request_id", default="")

# What is masked comes from anybody, such as a path of 8,000 letters: every pattern has to be
# linear in it, so quantifiers are possessive or bounded and none begins with one.
_RUN = re.compile(r"[\w.-]{16,}+")
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
            "message": mask(record.getMessage()),
        }
        if identifier := request_id.get():
            line["request_id"] = identifier
        for name, value in getattr(record, "fields", {}).items():
            line[name] = mask(value) if isinstance(value, str) else value
        if record.exc_info:
            line["exception"] = mask(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False, default=str)


def configure_logging(level: str, stream: TextIO = sys.stderr) -> None:
    """Everything that is logged goes to `stream`, in this form."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.getLogger("aiosqlite").setLevel(logging.WARNING)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
