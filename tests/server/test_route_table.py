"""The route table: every route, called by every kind of caller."""

import asyncio
import time
from dataclasses import dataclass
from typing import Any

import pytest
import socketio

from server.app import OPERATIONS
from support.cast import Cast, log_in_support
from support.live_server import LiveServer
from support.rest import Rest
from support.room import open_chat, room
from support.socketio_client import connected
from support.tokens import claims_of, forgeries, signed
from support.uploads import COFFEE, form_of, sent
from support.waiting import PATIENCE

pytestmark = pytest.mark.server_settings(photo_workers=0)
"""Photos stay in the queue: none is shown, and none has a result."""

CUSTOMERS = ("customer",)
EMPLOYEES = ("employee",)
BOTH = ("customer", "employee")
ALL = (*BOTH, "support")
DESK = ("employee", "support")
"""As employees share what is for support."""


@dataclass(frozen=True)
class Row:
    """One route: who may call it, and what is hidden from others of the owner's role.

    `owned` routes answer 404 to another account of the right role. `body` is one that binds,
    `query` the required parameters. `riding` needs the order on its way; what is not `there` is 404
    for all. `support` belongs to one customer and the desk. `form` is for a route that takes
    a file.
    """

    roles: tuple[str, ...]
    owned: bool = False
    body: Any = None
    query: str = ""
    riding: bool = False
    there: bool = True
    support: bool = False
    form: bool = False


CALLERS = {
    "customer": "customer",
    "stranger": "customer",
    "employee": "employee",
    "outsider": "employee",
    "support": "support",
}
DISH = {"name": "Dal", "price_cents": 500}
STEP = {"status": "accepted"}
NEWS = {"title": "Rain", "body": "Slow down.", "severity": "info", "audience": "everyone"}
HERE = {"lat": 48.86, "lng": 2.36}
THERE = "?from_lat=48.86&from_lng=2.36&to_lat=48.85&to_lng=2.35"
TABLE = {
    "POST /auth/register": Row((), body={"email": "x", "password": "y", "name": "z"}),
    "POST /auth/login": Row((), body={"email": "nobody@example.com", "password": "wrong"}),
    "POST /auth/demo": Row((), body={"role": "customer"}),
    "POST /auth/refresh": Row((), body={"refresh_token": "rt_none"}),
    "POST /auth/logout": Row(ALL, body={"refresh_token": "rt_none"}),
    "GET /me": Row(ALL),
    "PATCH /me": Row(ALL, body={}),
    "DELETE /me": Row(ALL, body={"password": "x"}),
    "PUT /me/password": Row(ALL, body={"current_password": "x", "new_password": "long enough"}),
    "GET /me/export": Row(ALL),
    "GET /me/sessions": Row(ALL),
    "DELETE /me/sessions/{id}": Row(ALL, there=False),
    "DELETE /me/sessions": Row(ALL),
    "GET /restaurants": Row(ALL),
    "GET /restaurants/{id}": Row(ALL),
    "PATCH /restaurants/{id}": Row(EMPLOYEES, owned=True, body={}),
    "GET /restaurants/{id}/staff": Row(EMPLOYEES, owned=True),
    "POST /restaurants/{id}/menu": Row(EMPLOYEES, owned=True, body=DISH),
    "PATCH /restaurants/{id}/menu/{item_id}": Row(EMPLOYEES, owned=True, body={}),
    "DELETE /restaurants/{id}/menu/{item_id}": Row(EMPLOYEES, owned=True),
    "GET /restaurants/{id}/orders/stream": Row(EMPLOYEES, owned=True),
    "GET /restaurants/{id}/orders/events": Row(EMPLOYEES, owned=True),
    "GET /restaurants/{id}/summary": Row(EMPLOYEES, owned=True),
    "GET /drivers": Row(EMPLOYEES),
    "PUT /drivers/{id}/location": Row(EMPLOYEES, owned=True, body=HERE),
    "GET /drivers/{id}/location": Row(BOTH, owned=True, riding=True),
    "GET /drivers/{id}/location/stream": Row(BOTH, owned=True, riding=True),
    "GET /map": Row(ALL, there=False),
    "GET /map/route": Row(ALL, query=THERE),
    "POST /announcements": Row(DESK, body=NEWS),
    "GET /announcements": Row(ALL),
    "GET /announcements/audiences": Row(DESK),
    "GET /announcements/stream": Row(ALL),
    "GET /announcements/events": Row(ALL),
    "DELETE /announcements/{id}": Row(DESK),
    "POST /announcements/{id}/ack": Row(ALL),
    "GET /announcements/{id}/acks": Row(DESK),
    "GET /announcements/{id}/acks/stream": Row(DESK),
    "POST /orders": Row(CUSTOMERS, body={}),
    "POST /orders/quote": Row(CUSTOMERS, body={}),
    "GET /orders": Row(BOTH),
    "GET /orders/{id}": Row(BOTH, owned=True),
    "POST /orders/{id}/status": Row(EMPLOYEES, owned=True, body=STEP),
    "POST /orders/{id}/cancel": Row(CUSTOMERS, owned=True, body={}),
    "POST /orders/{id}/rating": Row(CUSTOMERS, owned=True, body={"stars": 5}),
    "GET /orders/{id}/status": Row(BOTH, owned=True),
    "POST /chats": Row(CUSTOMERS, body={"subject": "Where is it?"}),
    "GET /chats": Row(ALL),
    "GET /chats/stream": Row(DESK),
    "GET /chats/events": Row(DESK),
    "GET /chats/{id}": Row(ALL, support=True),
    "GET /chats/{id}/events": Row(ALL, support=True),
    "POST /chats/{id}/take": Row(DESK, support=True),
    "POST /chats/{id}/close": Row(ALL, support=True),
    "POST /chats/{id}/reopen": Row(ALL, support=True),
    "GET /chats/{id}/messages": Row(ALL, support=True),
    "POST /chats/{id}/messages": Row(ALL, support=True, body={"client_id": "1", "text": "Hello"}),
    "POST /chats/{id}/read": Row(ALL, support=True, body={"cursor": "x"}),
    "GET /chats/{id}/ws": Row(ALL, support=True),
    "POST /uploads": Row(ALL, form=True),
    "GET /uploads": Row(ALL),
    "GET /uploads/{id}": Row(ALL, owned=True),
    "GET /uploads/{id}/original": Row(ALL, owned=True),
    "GET /uploads/{id}/result": Row(ALL, owned=True, there=False),
    "DELETE /uploads/{id}": Row(ALL, owned=True),
}
OUTSIDE = {
    "GET /healthz",
    "GET /readyz",
    "GET /metrics",
    "GET /api/v1/openapi.json",
    "GET /socket.io/",
    "POST /socket.io/",
    "OPTIONS /socket.io/",
}


def routes_of(server: LiveServer) -> set[str]:
    """Every route the application has, relative to the API's prefix."""
    found = set()
    for route in server.app.router.routes():
        info = route.get_info()
        path = info.get("path") or info.get("formatter")
        if route.method != "HEAD":
            found.add(f"{route.method} {path}")
    return found


async def call(rest: Rest, route: str, ids: dict[str, str], row: Row) -> int:
    """Call the route; a stream is left once its headers have arrived."""
    method, path = route.split(" ")
    headers = rest.headers
    body = {"json": row.body} if row.body is not None else {}
    if row.form:
        body = {"data": form_of(COFFEE.read_bytes(), {"purpose": "avatar"})}
    url = rest.url(path.format(**ids)) + row.query
    async with (
        asyncio.timeout(PATIENCE),
        rest.http.request(method, url, headers=headers, **body) as got,
    ):
        return got.status


async def ids_for(
    path: str, cast: Cast, order: str, chat: str, owner: Rest | None = None
) -> dict[str, str]:
    """The values of the path's parameters: things of `employee`'s restaurant and of `customer`; for
    an upload, which has one owner, of that one."""
    if path.startswith("/uploads/"):
        return {"id": await sent(owner or cast.customer)}
    place = order if path.startswith("/orders") else cast.place.id
    place = chat if path.startswith("/chats") else place
    place = cast.place.drivers[0] if path.startswith("/drivers") else place
    if path.startswith("/announcements/{id}"):
        place = (await cast.employee.post("/announcements", NEWS)).must(201).json["id"]
    return {"id": place, "item_id": cast.place.dishes[1]}


async def test_the_table_knows_every_route(live_server: LiveServer) -> None:
    known = {f"{m} /api/v1{p}" for m, p in (row.split(" ") for row in TABLE)}
    assert routes_of(live_server) == known | OUTSIDE
    operations = {f"{one.method} {one.path}" for one in OPERATIONS}
    assert operations == known


async def test_every_route_by_every_kind_of_caller(cast: Cast, live_server: LiveServer) -> None:
    support = await log_in_support(live_server, cast.nobody)
    owners = {"customer": cast.customer, "employee": cast.employee, "support": support}
    for route, row in TABLE.items():
        path = route.split(" ")[1]
        order = str((await cast.order_at("out_for_delivery" if row.riding else "placed"))["id"])
        chat = await open_chat(cast.customer)
        ids = await ids_for(path, cast, order, chat)
        status = await call(cast.nobody, route, ids, row)
        if row.roles:
            assert status == 401, f"nobody at {route}"
        elif path != "/auth/demo":
            assert status in (401, 422), f"nobody at {route}"
        else:
            assert status == 404
        for caller, role in CALLERS.items():
            if not row.roles:
                continue
            ids = await ids_for(path, cast, order, chat, owners[role])
            rest = support if role == "support" else getattr(cast, caller)
            status = await call(rest, route, ids, row)
            what = f"{caller} at {route}: {status}"
            if role not in row.roles:
                assert status == 403, what
            elif (
                not row.there
                or (row.owned and caller in ("stranger", "outsider"))
                or (row.support and caller == "stranger")
            ):
                assert status == 404, what
            elif path.endswith("/ws"):
                assert status == 426, what
            else:
                assert status < 400 or status in (409, 422), what


async def test_no_forged_token_opens_any_route(cast: Cast) -> None:
    order, chat = str((await cast.order())["id"]), await open_chat(cast.customer)
    known = {route: await ids_for(route.split(" ")[1], cast, order, chat) for route in TABLE}
    for good in (cast.customer, cast.employee):
        assert good.token is not None
        for name, token in forgeries(good.token).items():
            for route, row in TABLE.items():
                if not row.roles:
                    continue
                forger = cast.nobody.another()
                forger.token = token
                assert await call(forger, route, known[route], row) == 401, f"{name} at {route}"
            async with room(forger, chat, settled=False) as entered:
                assert (await entered.closed()).code == 4401, f"{name} at the WebSocket"
            with pytest.raises(socketio.exceptions.ConnectionError):
                await connected(forger)
    claims = claims_of(cast.customer.token or "")
    still_good = cast.nobody.another()
    still_good.token = signed(claims | {"iat": int(time.time())})
    (await still_good.get("/me")).must(200)


async def test_every_room_by_every_kind_of_caller_over_both_transports(
    cast: Cast, live_server: LiveServer
) -> None:
    support = await log_in_support(live_server, cast.nobody)
    chat_id = await open_chat(cast.customer)
    for caller, code in {
        "customer": 0,
        "stranger": 4404,
        "employee": 0,
        "outsider": 0,
        "support": 0,
        "nobody": 4401,
    }.items():
        rest = support if caller == "support" else getattr(cast, caller)
        async with room(rest, chat_id, settled=False) as entered:
            if code:
                assert (await entered.closed()).code == code, caller
            else:
                assert (await entered.next())["type"] == "presence", caller
        async with room(rest, "cht_nobodys", settled=False) as entered:
            assert (await entered.closed()).code == (code or 4404), caller
        if caller == "nobody":
            with pytest.raises(socketio.exceptions.ConnectionError):
                await connected(rest)
            continue
        client = await connected(rest)
        for chat, refused in ((chat_id, code), ("cht_nobodys", 4404)):
            answer = await client.call("join", {"chat_id": chat}, timeout=PATIENCE)
            if refused:
                assert answer["code"] == "not_found", caller
            else:
                assert answer["cursor"], caller
        await client.disconnect()


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz", "bearer  ", "Bearer a b", "Token x"],
)
async def test_an_empty_authorization_is_401(live_server: LiveServer, header: str) -> None:
    async with Rest(live_server.url) as nobody:
        answer = await nobody.get("/me", headers={"Authorization": header})
        assert answer.must(401).headers["WWW-Authenticate"] == "Bearer"
        assert answer.headers["Content-Type"].startswith("application/problem+json")
        problem = answer.json
        assert problem["status"] == 401
        assert problem["request_id"] == answer.headers["X-Request-ID"]


@pytest.mark.server_settings(photo_workers=0, shared_support=False)
async def test_without_shared_support_only_support_has_the_desk(
    cast: Cast, live_server: LiveServer
) -> None:
    support = await log_in_support(live_server, cast.nobody)
    assert cast.employee.grant["account"]["support"] is False
    assert (await cast.employee.get("/me")).json["support"] is False
    assert "support" not in support.grant["account"]
    order, chat = str((await cast.order())["id"]), await open_chat(cast.customer)
    news = (await support.post("/announcements", NEWS)).must(201).json["id"]
    for route, row in TABLE.items():
        path = route.split(" ")[1]
        if not row.roles or not path.startswith(("/chats", "/announcements")):
            continue
        ids = {"id": news if path.startswith("/announcements") else chat}
        desk = row.roles == DESK or path.startswith("/chats")
        status = await call(cast.employee, route, ids, row)
        assert (status == 403) == desk, f"employee at {route}: {status}"
        status = await call(support, route, ids, row)
        assert (status == 403) == (row.roles == CUSTOMERS), f"support at {route}: {status}"
    for path in ("/announcements", "/announcements/events", "/announcements/stream"):
        (await cast.employee.get(f"{path}?scope=all")).must(403)
    async with room(cast.employee, chat, settled=False) as entered:
        assert (await entered.closed()).code == 4403
    client = await connected(cast.employee)
    message = {"chat_id": chat, "client_id": "1", "text": "Hello"}
    for event, sent_ in (("join", {"chat_id": chat}), ("message", message)):
        answer = await client.call(event, sent_, timeout=PATIENCE)
        assert answer["code"] == "forbidden", event
    await client.disconnect()
    assert (await cast.employee.get(f"/orders/{order}")).must(200)
