"""Answers of JSON, or of nothing: the headers that every answer has, and how it is sent."""

from collections.abc import Mapping
from functools import lru_cache
from http import HTTPStatus

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.http import HttpVersion, HttpVersion10

from server.core.clock import now, to_text

REQUEST_ID = web.RequestKey("request_id", str)
ON_EVERY_ANSWER = {
    "Server": "Tiffin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
"""Browsers do not guess content types, and do not send our URLs to other sites."""
TIME = "Tiffin-Time"
"""The clock by which events are stamped, to the millisecond: `Date` has whole seconds."""
NO_STORE = {"Cache-Control": "no-store"}
"""No answer is cached, errors included, unless it says otherwise."""


class JsonResponse(web.StreamResponse):
    """An answer whose body is known; without one, its status is 204.

    It has the same headers as aiohttp's own response with `middleware.add_headers`, put together as
    text: a dictionary of them takes longer to make than a small answer. What is put into `headers`
    later is not sent.
    """

    def __init__(self, status: int, body: bytes | None, headers: Mapping[str, str]) -> None:
        super().__init__(status=status)
        assert (body is None) == (status == 204), status
        self._content = body
        self._more = headers

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Have it sent by `write_eof`, the head and the body together."""
        if self._payload_writer is None and not self._eof_sent:
            self._req, self._payload_writer = request, request.writer
            if self._keep_alive is None:
                self._keep_alive = request.keep_alive
        return self._payload_writer

    async def write_eof(self, data: bytes = b"") -> None:
        """Send it. Raises ConnectionError where the client has gone or reads too slowly."""
        request = self._req
        if request is None:  # it is sent
            return
        answer = self._head(request)
        if request.method != "HEAD" and self._content is not None:
            answer += self._content
        self._content = None  # or there were two of it while a slow client reads
        await request.writer.write_eof(answer)
        self._eof_sent = True
        self._req = self._payload_writer = None

    def _head(self, request: web.BaseRequest) -> bytes:
        version = request.version
        length = ""
        if self._content is not None:
            length = f"Content-Length: {len(self._content)}\r\n"
        connection = ""
        if self._keep_alive and version == HttpVersion10:
            connection = "Connection: keep-alive\r\n"
        elif not self._keep_alive and version != HttpVersion10:
            connection = "Connection: close\r\n"
        return (
            f"{_start(version, self.status)}{_lines(self._more) if self._more else ''}{length}"
            f"X-Request-ID: {request[REQUEST_ID]}\r\nDate: {rfc822_formatted_time()}\r\n"
            f"{TIME}: {to_text(now())}\r\n{connection}\r\n"
        ).encode()


@lru_cache(maxsize=64)
def _start(version: HttpVersion, status: int) -> str:
    """The first lines, which are the same for all answers with that status."""
    headers = ON_EVERY_ANSWER | NO_STORE
    if status != 204:
        headers = {"Content-Type": "application/json; charset=utf-8"} | headers
    line = f"HTTP/{version.major}.{version.minor} {status} {HTTPStatus(status).phrase}\r\n"
    return line + _lines(headers)


def _lines(headers: Mapping[str, str]) -> str:
    for value in headers.values():
        if not value.isprintable():
            raise ValueError("a header has a line break or another control character")
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items())
