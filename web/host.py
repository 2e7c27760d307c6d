"""The apps in the browser: pages, and a WebSocket for each window, beside the API."""

import asyncio
import contextlib
import json
import logging
import re
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote, urlsplit

from aiohttp import WSMsgType, web

from web.session import AppProcess
from web.town import NoTown, Towns

logger = logging.getLogger(__name__)

PAGES = Path(__file__).with_name("pages")
ROLES = ("customer", "employee")
LARGEST_MESSAGE = 64 * 1024
"""Bytes of a message from the browser: a paste is cut to 20,000 characters anyway."""
LARGEST_DOWNLOAD = 16 * 1024 * 1024
PART = 64 * 1024
"""Bytes of a download that are asked for at once."""
DOWNLOAD_SECONDS = 60.0
MOST_CELLS = 500
POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:;"
    " frame-ancestors 'self'; form-action 'none'; base-uri 'none'"
)
PAGE_HEADERS = {"Content-Security-Policy": POLICY, "Cache-Control": "private, no-cache"}
COOKIE = "tiffin-visitor"
"""Says which windows are one visitor's, where each has a town of their own."""
TOKEN = re.compile(r"[\w-]{32}", re.ASCII)

LANGUAGE_RANGE = re.compile(
    r"(?<![^,\s])([a-z]{2,3})(?:-[\w-]*)?\s*(?:;\s*q\s*=\s*([01](?:\.\d{0,3})?)\s*)?(?=,|$)",
    re.ASCII,
)


class NoTerminalPage(Exception):
    """The package with the terminal for the browser is not installed."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Of a server process; 0 is no limit."""

    windows: int
    windows_per_address: int
    idle_seconds: float
    memory_mb: int


class WebHost:
    """Serves `/` and `/web/…`, and holds the open windows."""

    def __init__(
        self,
        limits: Limits,
        address_of: Callable[[web.Request], str],
        is_allowed_host: Callable[[str], bool],
        may_open: Callable[[str], bool],
        towns: Towns | None = None,
    ) -> None:
        """`address_of` is what the limits know the visitor's address by, behind trusted proxies
        too; `is_allowed_host`, whether a page of that host name may open windows; `may_open` counts
        a window of that address, or says that these are too many a minute. Without `towns` all
        visitors are in this server's. Raises `NoTerminalPage`."""
        self._limits = limits
        self._address_of = address_of
        self._is_allowed_host = is_allowed_host
        self._may_open = may_open
        self._towns = towns
        self._open: Counter[str] = Counter()
        self._sockets: set[web.WebSocketResponse] = set()
        self._downloads: dict[str, Download] = {}
        spec = find_spec("textual_serve")  # its server is not imported: it would bring Textual
        if spec is None or spec.origin is None:
            raise NoTerminalPage
        self._static = Path(spec.origin).with_name("static")
        script = (self._static / "js" / "textual.js").read_text(encoding="utf-8")
        self._script = script.replace("origin}/download/", "origin}/web/download/")

    def add_to(self, app: web.Application) -> None:
        """Add the routes, and close every window when the app stops."""
        app.router.add_get("/", self._index)
        app.router.add_get("/web/textual.js", self._textual_script)
        app.router.add_get("/web/download/{key}", self._download)
        app.router.add_static("/web/static", self._static)
        app.router.add_static("/web/pages", PAGES)
        for role in ROLES:
            app.router.add_get(f"/web/{role}", self._terminal)
        app.router.add_get("/web/{role}/ws", self._window)
        app.on_shutdown.append(self._close_all)
        if self._towns is not None:
            app.on_cleanup.append(self._towns.close)

    # -- pages

    async def _index(self, request: web.Request) -> web.StreamResponse:
        return self._page(request, "index.html")

    async def _terminal(self, request: web.Request) -> web.StreamResponse:
        return self._page(request, "terminal.html")

    def _page(self, request: web.Request, name: str) -> web.StreamResponse:
        response = web.FileResponse(PAGES / name, headers=PAGE_HEADERS)
        if self._towns is not None and not _visitor(request):
            token = secrets.token_urlsafe(24)
            response.set_cookie(COOKIE, token, httponly=True, samesite="Lax", secure=request.secure)
        return response

    async def _textual_script(self, request: web.Request) -> web.StreamResponse:
        return web.Response(text=self._script, content_type="text/javascript")

    # -- windows

    async def _window(self, request: web.Request) -> web.StreamResponse:
        role = request.match_info["role"]
        if role not in ROLES:
            raise web.HTTPNotFound
        self._check_origin(request)
        socket = web.WebSocketResponse(heartbeat=20, max_msg_size=LARGEST_MESSAGE)
        await socket.prepare(request)
        self._sockets.add(socket)
        address = self._address_of(request)
        if refusal := self._refusal(address):
            await socket.send_bytes(f"\r\n  {refusal}\r\n".encode())
            await socket.close(code=1013, message=b"too many windows")
            self._sockets.discard(socket)
            return socket
        self._open[address] += 1
        try:
            await self._run(request, role, socket)
        finally:
            self._open[address] -= 1
            self._open += Counter()  # forget addresses without a window
            self._sockets.discard(socket)
            await socket.close()
        return socket

    def _check_origin(self, request: web.Request) -> None:
        """A page of another site must not open a window here, in whose name it would act."""
        try:
            origin = urlsplit(request.headers.get("Origin", ""))
        except ValueError:  # such as `http://[`
            raise web.HTTPForbidden from None
        if origin.netloc.lower() != request.host.lower() or not self._is_allowed_host(
            origin.hostname or ""
        ):
            raise web.HTTPForbidden

    def _refusal(self, address: str) -> str:
        limits = self._limits
        if limits.windows and self._open.total() >= limits.windows:
            return f"All {limits.windows} windows of this server are in use. Try again later."
        if limits.windows_per_address and self._open[address] >= limits.windows_per_address:
            return (
                f"Your address has {limits.windows_per_address} windows open, as many as it may."
                " Close one, and reload."
            )
        if not self._may_open(address):  # each is a process, which takes a second to start
            return "Your address opens windows too quickly. Wait a moment, and reload."
        return ""

    @contextlib.asynccontextmanager
    async def _server_for(self, request: web.Request) -> AsyncIterator[str]:
        """The URL of the server that this visitor's windows talk to. Raises NoTown, OSError."""
        if self._towns is None:
            assert request.transport is not None
            yield _url_of_listener(request.transport)
            return
        if not (visitor := _visitor(request)):
            raise NoTown("Allow this page its cookie, which says whose town is yours, and reload.")
        async with self._towns.visit(visitor) as url:
            yield url

    async def _run(self, request: web.Request, role: str, socket: web.WebSocketResponse) -> None:
        try:
            async with self._server_for(request) as url:
                languages = wanted_languages(request.headers.get("Accept-Language", ""))
                process = AppProcess(role, url, self._limits.memory_mb, languages)
                await self._run_app(process, request, socket)
        except NoTown as refusal:
            await socket.send_bytes(f"\r\n  {refusal}\r\n".encode())
        except OSError as error:
            logger.error("a window could not be started: %s", error)
            await socket.send_bytes(b"\r\n  The server cannot start another window now.\r\n")

    async def _run_app(
        self, process: AppProcess, request: web.Request, socket: web.WebSocketResponse
    ) -> None:
        downloads: list[Download] = []
        try:
            await process.start(_cells(request, "width", 80), _cells(request, "height", 24))
            shown = asyncio.create_task(self._show(process, socket, downloads))
            typed = asyncio.create_task(self._type(process, socket))
            tasks = {shown, typed}
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            for task in tasks:
                error = None if task.cancelled() else task.exception()
                if error is not None and not isinstance(error, ConnectionError):
                    raise error
        finally:
            for download in downloads:
                self._downloads.pop(download.key, None)
                download.end()
            await asyncio.shield(process.stop())

    async def _type(self, process: AppProcess, socket: web.WebSocketResponse) -> None:
        """Pass on keys, until the tab is closed or nobody has pressed one for too long."""
        loop = asyncio.get_running_loop()
        seconds = self._limits.idle_seconds or None
        try:
            async with asyncio.timeout(seconds) as idle:
                async for message in socket:
                    if message.type is not WSMsgType.TEXT:
                        return
                    kind, *content = _parsed(message.data)
                    if kind == "ping":
                        await socket.send_str(json.dumps(["pong", *content]))
                    elif kind == "stdin" and isinstance(content[0], str):
                        await process.type(content[0])
                        idle.reschedule(loop.time() + seconds if seconds else None)
                    elif kind == "resize" and isinstance(content[0], dict):
                        size = {
                            name: _bounded(content[0].get(name)) for name in ("width", "height")
                        }
                        await process.tell(type="resize", **size)
                    elif kind in ("focus", "blur"):
                        await process.tell(type=kind)
        except TimeoutError:
            await socket.send_bytes(
                b"\x1b[?1049l\x1b[2J\x1b[H\r\n  Nothing was typed for a while,"
                b" so this window was closed.\r\n"
            )

    async def _show(
        self, process: AppProcess, socket: web.WebSocketResponse, downloads: "list[Download]"
    ) -> None:
        async for kind, payload in process.packets():
            if kind == b"D":
                await socket.send_bytes(payload)
            elif kind == b"P":
                self._store(payload)
            elif (said := json.loads(payload))["type"] == "exit":
                return
            elif said["type"] == "deliver_file_start":
                download = Download(said["key"], Path(said["path"]).name, process)
                downloads.append(download)
                self._downloads[download.key] = download
                await socket.send_str(json.dumps(["deliver_file_start", download.key]))
            # `open_url` is not passed on: an app must not open pages in a visitor's browser

    # -- downloads

    def _store(self, payload: bytes) -> None:
        from textual_serve._binary_encode import load

        match load(payload):
            case ("deliver_chunk", str(key), bytes(part)) if key in self._downloads:
                self._downloads[key].parts.put_nowait(part)

    async def _download(self, request: web.Request) -> web.StreamResponse:
        """A file that an app has offered; its key is random, and good once."""
        download = self._downloads.get(request.match_info["key"])
        if download is None or download.taken:
            raise web.HTTPNotFound
        download.taken = True
        try:
            content = await download.content()
        except TimeoutError:
            raise web.HTTPNotFound from None
        finally:
            self._downloads.pop(download.key, None)
        name = quote(download.name)
        return web.Response(
            body=content,
            content_type="application/octet-stream",
            headers={"Content-Disposition": f"attachment; filename*=UTF-8''{name}"},
        )

    async def _close_all(self, app: web.Application) -> None:
        await asyncio.gather(*(one.close(code=1001) for one in list(self._sockets)))


class Download:
    """A file that an app gives in parts."""

    def __init__(self, key: str, name: str, process: AppProcess) -> None:
        self.key, self.name = key, name
        self.taken = False
        self.parts: asyncio.Queue[bytes] = asyncio.Queue()
        self._process = process

    async def content(self) -> bytes:
        """All of it. Raises TimeoutError where the app does not give it."""
        whole = bytearray()
        async with asyncio.timeout(DOWNLOAD_SECONDS):
            while True:
                await self._process.tell(type="deliver_chunk_request", key=self.key, size=PART)
                part = await self.parts.get()
                whole += part
                if not part or len(whole) > LARGEST_DOWNLOAD:
                    return bytes(whole)

    def end(self) -> None:
        """The app has ended: no more parts come."""
        self.parts.put_nowait(b"")


def _url_of_listener(transport: asyncio.BaseTransport) -> str:
    """The API by the listener that the visitor came through. Raises OSError where that is no TCP
    port."""
    name = transport.get_extra_info("sockname")
    if not isinstance(name, tuple):
        raise OSError("windows need a TCP port of the server, and it listens on a socket file")
    host, port = name[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _visitor(request: web.Request) -> str:
    """The visitor's token; "" where there is none, or none of ours."""
    token = request.cookies.get(COOKIE, "")
    return token if TOKEN.fullmatch(token) else ""


def wanted_languages(accepted: str) -> str:
    """The languages of an `Accept-Language`, the best first, as in the variable `LANGUAGE`: `ar:en`
    for `en;q=0.5, ar-EG`."""
    found = ((name[1], float(name[2] or 1)) for name in LANGUAGE_RANGE.finditer(accepted.lower()))
    best = sorted((one for one in found if one[1]), key=lambda one: -one[1])
    return ":".join(dict.fromkeys(name for name, _weight in best))


def _parsed(text: str) -> list[object]:
    """A message of the page, which may be anybody's."""
    with contextlib.suppress(ValueError, RecursionError):
        parsed = json.loads(text)
        if isinstance(parsed, list) and parsed:
            return [*parsed, None] if len(parsed) == 1 else parsed
    return ["", None]


def _bounded(value: object) -> int:
    return min(max(value, 1), MOST_CELLS) if isinstance(value, int) else 80


def _cells(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name, "")
    return _bounded(int(text)) if text.isascii() and text.isdigit() and len(text) < 6 else default
