"""Limits on requests of the whole server: by address without a token, by account with one."""

import asyncio
import threading
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from server.app import create_app
from server.core.database import Database, Transaction
from server.core.sqlite import READERS
from support.accounts import PASSWORD
from support.live_server import running_server, settings_for
from support.raw_http import RawRequest
from support.rest import Answer, Rest
from support.tokens import claims_of, signed
from support.waiting import wait_until

pytestmark = pytest.mark.usefixtures("at_one_moment")


def refused(answer: Answer) -> Answer:
    """That answer, which has to be a 429 that says when to try again."""
    answer.must(429)
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    seconds = int(answer.headers["Retry-After"])
    assert seconds >= 1
    assert f"Try again in {seconds} s." in answer.json["detail"]
    return answer


ANONYMOUS = [
    ("GET", "//readyz"),
    ("GET", "//metrics"),
    ("GET", "/openapi.json"),
    ("GET", "/no/such/path"),
    ("PATCH", "/restaurants"),
    ("POST", "/auth/login"),
    ("POST", "/auth/register"),
    ("POST", "/auth/demo"),
    ("POST", "/auth/refresh"),
    ("GET", "/me"),
    ("PATCH", "/me"),
    ("GET", "/map/route"),
    ("GET", "/chats/stream"),
    ("GET", "/chats/cht_1/ws"),
]


async def test_requests_without_a_token_count_against_the_address(data_dir: Path) -> None:
    settings = settings_for(data_dir, anonymous_per_minute=4, trusted_proxies="127.0.0.1")
    async with running_server(settings) as server, Rest(server.url) as rest:

        async def ask(number: int, method: str, path: str) -> None:
            own = {"X-Forwarded-For": f"203.0.113.{number}"}
            assert (await rest.request(method, path, headers=own)).status != 429, path
            refused(await rest.request(method, path, headers=own))
            refused(await rest.get("//readyz", headers=own))
            (await rest.get("//healthz", headers=own)).must(200)

        await asyncio.gather(*(ask(number, *route) for number, route in enumerate(ANONYMOUS)))


async def test_a_logged_in_client_is_not_delayed_by_others_at_its_address(
    data_dir: Path,
) -> None:
    settings = settings_for(data_dir, anonymous_per_minute=4)
    async with running_server(settings) as server, Rest(server.url) as ada:
        await ada.register("ada@example.org", PASSWORD)
        stranger = ada.another()
        refused(await stranger.post("/auth/refresh", {"refresh_token": "rt_junk"}))
        refused(await stranger.get("/me"))
        (await ada.get("/me")).must(200)
        # The app is told that its token has expired, and gets another.
        expired = ada.another()
        expired.token = signed(claims_of(ada.token or "") | {"exp": 1})
        (await expired.get("/me")).must(401)
        refused(await expired.get("/me"))
        padded = {"Authorization": f"bearer  {expired.token}"}
        refused(await stranger.get("/me", headers=padded))
        token = ada.grant["refresh_token"]
        (await stranger.post("/auth/refresh", {"refresh_token": token})).must(200)


async def test_reads_of_one_account_are_limited_and_expensive_ones_sooner(data_dir: Path) -> None:
    settings = settings_for(data_dir, reads_per_minute=12)
    way = "/map/route?from_lat=47.07&from_lng=15.43&to_lat=47.08&to_lng=15.44"
    async with running_server(settings) as server, Rest(server.url) as rest:
        bea = await rest.another().register("bea@example.org", PASSWORD)
        costs = {}
        for path in ("/me", "/restaurants?limit=200", way):
            ada = await rest.another().register(f"a{len(costs)}@example.org", PASSWORD)
            costs[path] = 0
            while (answer := await ada.get(path)).status == 200:
                costs[path] += 1
            refused(answer)
        assert costs == {"/me": 3, "/restaurants?limit=200": 1, way: 1}
        (await bea.get("/me")).must(200)


async def test_accounts_at_one_address_share_its_limit(data_dir: Path) -> None:
    settings = settings_for(data_dir, address_per_minute=24, trusted_proxies="127.0.0.1")
    async with running_server(settings) as server, Rest(server.url) as rest:
        accounts = [await rest.another().register(f"{n}@example.org", PASSWORD) for n in range(4)]

        async def statuses(method: str, address: str, body: object = None) -> list[int]:
            headers = {"X-Forwarded-For": address}
            return [
                (await one.request(method, "/me", body, headers=headers)).status for one in accounts
            ]

        assert await statuses("GET", "203.0.113.1") == [200, 200, 200, 200]
        assert await statuses("PATCH", "203.0.113.2", {}) == [200, 429, 429, 429]
        assert await statuses("PATCH", "203.0.113.1", {}) == [429, 429, 429, 429]


async def test_clients_behind_a_trusted_proxy_are_counted_one_by_one(data_dir: Path) -> None:
    settings = settings_for(data_dir, login_per_minute=1, trusted_proxies="127.0.0.0/8")
    async with running_server(settings) as server, Rest(server.url) as rest:

        async def try_from(address: str) -> int:
            body = {"email": "ada@example.org", "password": PASSWORD}
            headers = {"X-Forwarded-For": f"198.51.100.7, {address}"}
            return (await rest.post("/auth/login", body, headers=headers)).status

        for address in ("203.0.113.1", "203.0.113.2", "2001:db8::1", "2001:db8:0:1::1"):
            assert await try_from(address) == 401
        for address in ("203.0.113.1", "203.0.113.2:4711", "2001:db8::2", "[2001:db8:0:1::2]:80"):
            assert await try_from(address) == 429


async def test_without_trusted_proxies_headers_are_ignored(data_dir: Path) -> None:
    settings = settings_for(data_dir, login_per_minute=1)
    async with running_server(settings) as server, Rest(server.url) as rest:
        for number, status in ((1, 401), (2, 429)):
            body = {"email": "ada@example.org", "password": PASSWORD}
            headers = {"X-Forwarded-For": f"203.0.113.{number}"}
            (await rest.post("/auth/login", body, headers=headers)).must(status)


async def test_clients_of_a_proxy_on_a_unix_socket_are_counted_one_by_one(
    data_dir: Path, tmp_path: Path
) -> None:
    app = create_app(settings_for(data_dir, anonymous_per_minute=1, trusted_proxies="127.0.0.0/8"))
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=1)
    await runner.setup()
    path = str(tmp_path / "s")
    try:
        await web.UnixSite(runner, path).start()
        async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(path)) as http:
            for client, status in (
                ("203.0.113.1", 200),
                ("203.0.113.2", 200),
                ("203.0.113.1", 429),
            ):
                headers = {"Forwarded": f"for={client}"}
                async with http.get("http://proxy/readyz", headers=headers) as answer:
                    assert answer.status == status
    finally:
        await runner.cleanup()


async def test_a_request_of_a_disconnected_client_counts(data_dir: Path) -> None:
    settings = settings_for(data_dir, address_per_minute=80)  # 20 at once
    async with running_server(settings) as server, Rest(server.url) as rest:
        await rest.register("ana@example.com")
        released = threading.Event()

        async def wait(tx: Transaction) -> None:
            released.wait(30)

        database = server.services[Database]
        readers = [asyncio.create_task(database.read(wait)) for _ in range(READERS)]
        try:
            for _ in range(40):  # none of them is answered: no reader is free
                request = await RawRequest.send(server.port, "/me", rest.token)
                await asyncio.sleep(0)
                request.reset()

            async def one_too_many() -> bool:
                asked = asyncio.create_task(rest.get("/me"))
                done, _ = await asyncio.wait({asked}, timeout=2)
                if not done:
                    asked.cancel()
                return bool(done) and asked.result().status == 429

            await wait_until(one_too_many, what="the address is asked to wait")
        finally:
            released.set()
            await asyncio.gather(*readers)


async def test_health_requests_are_limited(data_dir: Path) -> None:
    settings = settings_for(data_dir, address_per_minute=12)  # three at once
    async with running_server(settings) as server, Rest(server.url) as rest:
        for _ in range(3):
            (await rest.get("//healthz")).must(200)
        refused(await rest.get("//healthz"))
