"""A small client of the public API for tests, which sees every status and header.

An answer that the OpenAPI document does not name fails the test.
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any

import aiohttp
from multidict import CIMultiDictProxy

from tui.common.client.token_store import StoredToken, TokenStore

API = "/api/v1"


@dataclass(frozen=True)
class Answer:
    """A complete response."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, parsed as JSON."""
        return json.loads(self.body)

    def must(self, status: int) -> "Answer":
        """This response, if it has that status; otherwise the assertion shows what came."""
        assert self.status == status, f"{self.status} instead of {status}: {self.body[:2000]!r}"
        return self


@cache
def _operations() -> list[tuple[list[str], str, dict[str, Any]]]:
    """The segments of each operation's path, its method, and its answers by status."""
    from server.app import openapi_document

    return [
        (path.split("/"), method.upper(), operation["responses"])
        for path, methods in json.loads(openapi_document(True))["paths"].items()
        for method, operation in methods.items()
    ]


@cache
def _documented(method: str, path: str) -> dict[str, Any] | None:
    """The answers to that request by status; None for a path that is not in the document."""
    sent = path.split("/")
    found = [
        (segments.count("{id}"), answers)
        for segments, named, answers in _operations()
        if named == method
        and len(segments) == len(sent)
        and all(one[:1] == "{" or one == other for one, other in zip(segments, sent, strict=True))
    ]
    return min(found, key=lambda one: one[0])[1] if found else None


def _check_documented(answer: aiohttp.ClientResponse) -> None:
    answers = _documented(answer.method, answer.url.raw_path)
    if answers is None or "X-Request-ID" not in answer.headers:  # that is a proxy's
        return
    named = f"{answer.method} {answer.url.path}: {answer.status} {answer.content_type}"
    assert str(answer.status) in answers, f"not documented: {named}"
    kinds = answers[str(answer.status)].get("content", {})
    assert not kinds or answer.status == 304 or answer.content_type in kinds, (
        f"documented: {list(kinds)}, not {named}"
    )


class Rest:
    """Requests to one server, as one account or without one."""

    def __init__(
        self,
        base_url: str,
        session: aiohttp.ClientSession | None = None,
        *,
        keep_alive: bool = False,
    ) -> None:
        """`keep_alive` uses a connection for several requests, which halves what they cost. With a
        server that is killed, the next one's first request would fail on it."""
        self.base_url = base_url
        self.token: str | None = None
        self.password = ""
        self.grant: dict[str, Any] = {}
        self._owned = session is None
        self._session = session or aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=not keep_alive),
            timeout=aiohttp.ClientTimeout(total=90),
        )

    async def __aenter__(self) -> "Rest":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections, unless they belong to another client."""
        if self._owned:
            await self._session.close()

    def another(self) -> "Rest":
        """A client without an account, on the same connections: for a second account at the same
        server."""
        return Rest(self.base_url, self._session)

    @property
    def http(self) -> aiohttp.ClientSession:
        """The underlying HTTP session, for streams."""
        return self._session

    @property
    def headers(self) -> dict[str, str]:
        """The Authorization header."""
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    def url(self, path: str) -> str:
        """The URL of a path relative to `/api/v1`; one that starts with `//` is relative to the
        root."""
        return self.base_url + (path[1:] if path.startswith("//") else API + path)

    async def request(
        self,
        method: str,
        path: str,
        json_body: object = None,
        *,
        params: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        data: bytes | None = None,
    ) -> Answer:
        """Send one request and read the whole response."""
        arguments: dict[str, Any] = {"data": data} if data is not None else {}
        if json_body is not None:
            arguments = {"json": json_body}
        async with self._session.request(
            method,
            self.url(path),
            params=params,
            headers=self.headers | (headers or {}),
            allow_redirects=False,
            **arguments,
        ) as answer:
            _check_documented(answer)
            return Answer(answer.status, answer.headers, await answer.read())

    async def get(self, path: str, **more: Any) -> Answer:
        """GET."""
        return await self.request("GET", path, **more)

    async def post(self, path: str, json_body: object = None, **more: Any) -> Answer:
        """POST."""
        return await self.request("POST", path, json_body, **more)

    async def put(self, path: str, json_body: object = None, **more: Any) -> Answer:
        """PUT."""
        return await self.request("PUT", path, json_body, **more)

    async def patch(self, path: str, json_body: object = None, **more: Any) -> Answer:
        """PATCH."""
        return await self.request("PATCH", path, json_body, **more)

    async def delete(self, path: str, json_body: object = None, **more: Any) -> Answer:
        """DELETE."""
        return await self.request("DELETE", path, json_body, **more)

    async def demo(self, role: str) -> "Rest":
        """Log in as the demo account of that role."""
        return self._be(await self.post("/auth/demo", {"role": role}), 200)

    async def log_in(self, email: str, password: str) -> "Rest":
        """Log in as that account."""
        self.password = password
        return self._be(await self.post("/auth/login", {"email": email, "password": password}), 200)

    async def register(self, email: str, password: str = "correct horse", name: str = "") -> "Rest":
        """Register as a new customer."""
        self.password = password
        body = {"email": email, "password": password, "name": name or email.partition("@")[0]}
        return self._be(await self.post("/auth/register", body), 201)

    async def keep_in(self, path: Path) -> TokenStore:
        """The stored session, as an app finds it that has logged in before."""
        store = TokenStore(path)
        async with store.locked():
            await store.write(StoredToken(self.grant["refresh_token"], self.grant["account"]["id"]))
        return store

    async def delete_account(self) -> Answer:
        """Delete this account."""
        return await self.delete("/me", {"password": self.password})

    def _be(self, answer: Answer, status: int) -> "Rest":
        self.grant = answer.must(status).json
        self.token = self.grant["access_token"]
        return self
