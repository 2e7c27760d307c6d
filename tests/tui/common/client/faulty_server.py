"""A small server with faults to order."""

import asyncio
import json
import secrets
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from tools.ports import free_port

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def problem(status: int, **headers: str) -> web.Response:
    """An error as the API has it."""
    body = {
        "type": "about:blank",
        "title": f"status {status}",
        "status": status,
        "detail": f"this is a {status}",
        "request_id": "r",
    }
    return web.json_response(
        body, status=status, headers=headers, content_type="application/problem+json"
    )


class FaultyServer:
    """A real server on a real port which keeps tokens as the API says, and else does as told.

    It can stop and start again on its port. `used_twice` counts refresh tokens that came back
    after they were exchanged: what a real server takes for theft.
    """

    def __init__(self) -> None:
        self.handlers: dict[tuple[str, str], Handler] = {}
        self.requests: list[tuple[str, str]] = []
        self.last_event_ids: list[str | None] = []
        self.access: set[str] = set()
        self.refreshable: set[str] = set()
        self.answers: dict[tuple[str, str], dict[str, Any]] = {}
        self.refreshes = 0
        self.used_twice = 0
        self.expires_in = 900
        self.account_id = "acc-1"
        self.passwords: dict[str, str] = {}
        """Of those who have registered; anybody else may log in with any."""
        self.after_register: Callable[[], Awaitable[None]] | None = None
        self.after_refresh: Callable[[], Awaitable[None]] | None = None
        self.before_refresh: Callable[[], Awaitable[None]] | None = None
        self.refresh_answer: web.Response | None = None
        """Given to every renewal, as by something on the way, where it is set."""
        self.open_now = 0
        self.port = free_port()
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def on(self, method: str, path: str, handler: Handler) -> None:
        """Answer `path` (after /api/v1) with `handler`, for those with a good token."""
        self.handlers[method, path] = handler

    async def start(self, context: ssl.SSLContext | None = None) -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(
            app, handler_cancellation=True, shutdown_timeout=0.1, access_log=None
        )
        await self._runner.setup()
        listener = socket.create_server(("127.0.0.1", self.port), backlog=512)
        await web.SockSite(self._runner, listener, ssl_context=context).start()

    async def stop(self) -> None:
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    def grant(self) -> dict[str, Any]:
        """A new session, as `/auth/login` answers it."""
        access, refresh = secrets.token_hex(8), secrets.token_hex(8)
        self.access.add(access)
        self.refreshable.add(refresh)
        return {
            "access_token": access,
            "expires_in": self.expires_in,
            "token_type": "Bearer",
            "refresh_token": refresh,
            "account": {
                "id": self.account_id,
                "email": "ana@example.com",
                "name": "Ana",
                "role": "customer",
            },
        }

    def revoke_access(self) -> None:
        """From now on every access token gets a 401, as if it had expired early."""
        self.access.clear()

    def revoke_all(self) -> None:
        self.access.clear()
        self.refreshable.clear()
        self.answers.clear()

    def count(self, method: str, path: str) -> int:
        return self.requests.count((method, path))

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        path = request.path.removeprefix("/api/v1")
        self.requests.append((request.method, path))
        if path in ("/auth/login", "/auth/demo", "/auth/register"):
            return await self._sign_in(path, await request.json())
        if path == "/auth/refresh":
            return await self._refresh(request)
        if request.headers.get("Authorization", "").removeprefix("Bearer ") not in self.access:
            return problem(401, **{"WWW-Authenticate": "Bearer"})
        handler = self.handlers.get((request.method, path))
        if handler is None:
            return problem(404)
        self.open_now += 1
        try:
            return await handler(request)
        finally:
            self.open_now -= 1

    async def _sign_in(self, path: str, form: dict[str, str]) -> web.StreamResponse:
        email, password = form.get("email", ""), form.get("password", "")
        if path == "/auth/register":
            if email in self.passwords:
                return problem(409)
            self.passwords[email] = password
            if self.after_register is not None:
                await self.after_register()
        elif self.passwords.get(email, password) != password:
            return problem(401)
        return web.json_response(self.grant())

    async def _refresh(self, request: web.Request) -> web.StreamResponse:
        if self.before_refresh is not None:
            await self.before_refresh()
        if self.refresh_answer is not None:
            return self.refresh_answer
        token = (await request.json())["refresh_token"]
        key = request.headers["Idempotency-Key"]
        answer = self.answers.get((token, key))
        if answer is None or answer["refresh_token"] not in self.refreshable:
            if token not in self.refreshable:
                self.used_twice += 1
                self.revoke_all()
                return problem(401)
            self.refreshable.discard(token)
            self.refreshes += 1
            answer = self.answers[token, key] = self.grant()
        if self.after_refresh is not None:
            await self.after_refresh()
        return web.json_response(answer)


async def open_stream(server: FaultyServer, request: web.Request) -> web.StreamResponse:
    """The head of an event stream; the client's cursor is noted."""
    server.last_event_ids.append(request.headers.get("Last-Event-ID"))
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    response.enable_chunked_encoding()
    await response.prepare(request)
    return response


def event(number: int, kind: str = "order.updated") -> bytes:
    """An event as the server writes it; its cursor is `c-<number>`."""
    return f"id: c-{number}\nevent: {kind}\ndata: {json.dumps({'n': number})}\n\n".encode()


def after(request: web.Request) -> int:
    """The number of the last event that the client has."""
    cursor = request.headers.get("Last-Event-ID")
    return int(cursor.removeprefix("c-")) if cursor else 0


async def for_ever() -> None:
    """Hold a handler until its client leaves or the server stops."""
    await asyncio.Event().wait()
