"""Arbitrary requests to a small application built of the real parts."""

import asyncio
import gzip
import json
import time
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Annotated, Any

import aiohttp
import pytest
from aiohttp import web
from pydantic import Field

from server.core import auth, bodies, routing
from server.core.auth import AccessTokens, Claims, Gate, Identity
from server.core.bodies import BodyDeadlines
from server.core.errors import Problem
from server.core.limits import RateLimit, RequestLimits
from server.core.metrics import Metrics
from server.core.middleware import access_middleware, add_headers
from server.core.routing import (
    ANY_ROLE,
    CUSTOMER,
    PUBLIC,
    Answer,
    IdempotencyKey,
    Limit,
    Router,
    identity_of,
)
from server.core.services import SERVICES, Services, service
from server.features.shared.schemas import Id, Latitude, Name, Wire
from server.settings import Settings
from support.rest import Answer as Got
from support.rest import Rest
from support.server_process import UNLIMITED
from support.waiting import PATIENCE

SECRET = "s" * 32


class Item(Wire):
    """A dish and how often."""

    name: Name
    quantity: Annotated[int, Field(ge=1, le=50)] = 1
    lat: Latitude = 0.0


class Basket(Wire):
    """What is sent and what comes back."""

    items: Annotated[list[Item], Field(max_length=20)]


class Greeter:
    """A service."""

    greeting = "hello"


router = Router("things")


@router.route("POST", "/baskets", roles=PUBLIC, status=201)
async def make_basket(request: web.Request, basket: Basket) -> Answer[Basket]:
    """What came."""
    return Answer(basket, headers={"Location": "/api/v1/baskets/1"})


@router.route("GET", "/things/{id}", roles=PUBLIC)
async def get_thing(request: web.Request, id: Id, limit: Limit = 50, name: str = "-") -> Item:
    """One thing."""
    return Item(name=f"{id} {name}", quantity=min(limit, 50))


@router.route("POST", "/keys", roles=PUBLIC)
async def repeat_key(request: web.Request, key: IdempotencyKey = None) -> Item:
    """The key."""
    return Item(name=key or "none")


@router.route("PUT", "/mine", roles=CUSTOMER)
async def change_mine(request: web.Request) -> None:
    """For customers."""
    assert service(request, Greeter).greeting == "hello"


@router.route("PUT", "/mine/often", roles=CUSTOMER, counted=False)
async def change_often(request: web.Request) -> None:
    """Counted in its own way."""


@router.route("GET", "/mine", roles=ANY_ROLE)
async def read_mine(request: web.Request) -> Item:
    """For both."""
    return Item(name=identity_of(request).name)


@router.route("GET", "/page", roles=ANY_ROLE)
async def read_page(request: web.Request, limit: Limit = 60) -> Item:
    """A list."""
    return Item(name="page", quantity=min(limit, 50))


@router.route("GET", "/broken", roles=PUBLIC)
async def broken(request: web.Request) -> Item:
    """Raises what nobody expected."""
    raise ValueError("password='hunter2'")


@router.route("GET", "/conflict", roles=PUBLIC, problems=(409,))
async def conflict(request: web.Request) -> Item:
    """A problem with members of its own."""
    raise Problem(409, "At odds.", kind="odds", extra={"order": {"id": "ord_1"}})


REVOKED, EMPLOYEES = "ses_revoked", "ses_employee"


@pytest.fixture
async def client() -> AsyncIterator[Rest]:
    async def look_up(claims: Claims) -> Identity | None:
        if claims.session_id == REVOKED:
            return None
        role = "employee" if claims.session_id == EMPLOYEES else "customer"
        return Identity(**asdict(claims), name="Ada", role=role, restaurant_id=None)

    app = web.Application(middlewares=[access_middleware], client_max_size=4096)
    app.on_response_prepare.append(add_headers)
    gate = Gate(AccessTokens(SECRET, 60))
    gate.look_up = look_up
    settings = Settings.model_construct(**UNLIMITED)
    limited = RequestLimits(settings)
    limited.writes = RateLimit(3, "changes")
    limited.reads = RateLimit(8, "requests by this account")
    app[SERVICES] = Services(settings, gate, limited, BodyDeadlines(), Metrics(), Greeter())
    router.add_to(app)
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    async with Rest(f"http://127.0.0.1:{runner.addresses[0][1]}") as rest:
        yield rest
    await runner.cleanup()


def token(session: str = "ses_1", seconds: int = 60) -> str:
    return AccessTokens(SECRET, seconds).issue("acc_1", session)


def problem(answer: Got, status: int) -> dict[str, Any]:
    """The problem document in that answer, which has to be complete and valid."""
    answer.must(status)
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    body: dict[str, Any] = answer.json
    assert {"type", "title", "status", "detail", "request_id"} <= set(body)
    assert body["status"] == status
    assert body["detail"]
    assert body["request_id"] == answer.headers["X-Request-ID"]
    if status == 422:
        assert all({"loc", "msg"} == set(error) for error in body["errors"])
    return body


async def test_binds_and_answers(client: Rest) -> None:
    answer = await client.post("/baskets", {"items": [{"name": " Soup ", "quantity": 2}]})
    assert answer.must(201).json == {"items": [{"name": "Soup", "quantity": 2, "lat": 0.0}]}
    assert answer.headers["Location"] == "/api/v1/baskets/1"
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    sent = b'{"items": [{"name": "Soup", "quantity": 2, "lat": -0.0}, {"name": "Tea", "lat": 47}]}'
    items = (await client.post("/baskets", data=sent, headers=JSON)).must(201).json["items"]
    assert [item["lat"] for item in items] == [0, 47]
    answer = await client.get("/things/a_1", params={"limit": "7", "name": "x", "other": "y"})
    assert answer.must(200).json["name"] == "a_1 x"


JSON = {"Content-Type": "application/json"}
ITEM = b'{"items": [{"name": "x", "quantity": %s}]}'


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"items": [}',
        b'{"items": [], }',
        b"{'items': []}",
        b"\xff\xfe{}",
        b'{"items": [{"name": "\xff"}]}',
        b'{"items": [{"name": "\xed\xa0\x80"}]}',
        b'{"items": [{"name": "\\ud800"}]}',
        b'{"items": [{"name": "\\udc00\\ud800"}]}',
        b'{"items": [{"name": "\\x"}]}',
        b'{"items": ' + b"[" * 1500 + b"]" * 1500 + b"}",
        b'{"a":' * 600 + b"1" + b"}" * 600,
        b'{"items": []} trailing',
        b'{"items": [], "items": []}',
        b'{"items": [], "x": {"a": 1, "\\u0061": 2}}',
        b'{"items": [], "x": NaN}',
        b'{"items": [], "x": [-Infinity]}',
        '{"items": []}'.encode("utf-16"),
    ],
)
async def test_invalid_json_is_400(client: Rest, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    problem(await client.post("/baskets", data=body, headers=headers), 400)


@pytest.mark.parametrize(
    "body",
    [
        b"null",
        b"[]",
        b'"text"',
        b"1",
        b"{}",
        b'{"items": null}',
        b'{"items": {}}',
        b'{"items": [{"name": ""}]}',
        b'{"items": [{"name": "   "}]}',
        b'{"items": [{"name": "a\\u0000b"}]}',
        b'{"items": [{"name": "a\\u0007b"}]}',
        b'{"items": [{"name": "' + b"x" * 81 + b'"}]}',
        b'{"items": [{"name": 1}]}',
        b'{"items": [{"name": "x", "lat": NaN}]}',
        b'{"items": [{"name": "x", "lat": Infinity}]}',
        b'{"items": [{"name": "x", "lat": 1e400}]}',
        b'{"items": [{"name": "x", "lat": 91}]}',
        ITEM % b"0",
        ITEM % b"51",
        ITEM % b"1.5",
        ITEM % b"1.0",
        ITEM % b"1e1",
        ITEM % b"true",
        ITEM % b'"2"',
        b'{"items": [{"name": "x", "lat": true}]}',
        b'{"items": [{"name": "x", "lat": "47.07"}]}',
        b'{"items": [{"name": true}]}',
        ITEM % b"NaN",
        ITEM % b"-Infinity",
        ITEM % b"1e400",
        ITEM % (b"9" * 1000),
        ITEM % b'"two"',
        ITEM % b"[]",
        b'{"items": [' + b'{"name": "x"},' * 20 + b'{"name": "x"}]}',
    ],
)
async def test_invalid_values_are_422_with_the_fields(client: Rest, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    assert problem(await client.post("/baskets", data=body, headers=headers), 422)["errors"]


async def test_a_number_of_any_length_is_no_500(client: Rest) -> None:
    headers = {"Content-Type": "application/json"}
    for body in (ITEM % (b"9" * 4000), b'{"items": [], "x": ' + b"9" * 4000 + b"}"):
        answer = await client.post("/baskets", data=body, headers=headers)
        assert answer.status < 500, answer.body


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", "nonsense", ";;"],
)
async def test_another_content_type_is_415(client: Rest, kind: str) -> None:
    answer = await client.post("/baskets", data=b'{"items": []}', headers={"Content-Type": kind})
    problem(answer, 415)


@pytest.mark.parametrize(
    "kind", ["application/json; charset=utf-8", "APPLICATION/JSON", "application/vnd.x+json"]
)
async def test_every_json_content_type_is_read(client: Rest, kind: str) -> None:
    answer = await client.post("/baskets", data=b'{"items": []}', headers={"Content-Type": kind})
    answer.must(201)


async def test_too_large_is_413_however_it_is_sent(client: Rest) -> None:
    headers = {"Content-Type": "application/json"}
    large = b'{"items": [], "x": "' + b"a" * 5000 + b'"}'
    problem(await client.post("/baskets", data=large, headers=headers), 413)

    async def chunks() -> AsyncIterator[bytes]:
        yield large

    async with client.http.post(client.url("/baskets"), data=chunks(), headers=headers) as answer:
        assert answer.status == 413
    bomb = gzip.compress(b"[" + b" " * 5_000_000 + b"]")
    zipped = headers | {"Content-Encoding": "gzip"}
    answer = await client.post("/baskets", data=bomb, headers=zipped)
    assert answer.status in (400, 413)


async def test_a_body_that_is_not_what_its_headers_say_is_400(client: Rest) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    problem(await client.post("/baskets", data=b'{"items": []}', headers=headers), 400)


async def raw(client: Rest, *parts: bytes, whole: bool = True) -> bytes:
    """The answer to these bytes, each part sent separately: whole, or its first line."""
    port = int(client.base_url.rsplit(":", 1)[1])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for part in parts:
        writer.write(part)
        await asyncio.sleep(0.05)  # so that they do not arrive as one
    async with asyncio.timeout(PATIENCE):
        answer = await (reader.read() if whole else reader.readline())
    writer.close()
    return answer


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /api/v1/mine HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \xff\xfe.a.b\r\n", 401),
        (b"GET /api/v1/mine HTTP/1.1\r\nHost: x\r\nAuthorization: \xff\r\n", 401),
        (b"GET /api/v1/things/%ff HTTP/1.1\r\nHost: x\r\n", 404),
        (b"GET /api/v1/things/a%00b HTTP/1.1\r\nHost: x\r\n", 404),
        (b"GET /api/v1/things/a?limit=%ff HTTP/1.1\r\nHost: x\r\n", 422),
        (b"GET /api/v1/nothing/%ff HTTP/1.1\r\nHost: x\r\n", 404),
        (b"POST /api/v1/keys HTTP/1.1\r\nHost: x\r\nIdempotency-Key: \xff\r\n", 422),
        (b"POST /api/v1/keys HTTP/1.1\r\nHost: x\r\nIdempotency-Key:\r\n", 422),
        (
            b"POST /api/v1/baskets HTTP/1.1\r\nHost: x\r\nContent-Type: \xff\xfe\r\n"
            b"Content-Length: 0\r\n",
            415,
        ),
    ],
)
async def test_no_byte_of_a_request_is_a_500(
    client: Rest, request_bytes: bytes, status: int
) -> None:
    answer = await raw(client, request_bytes + b"Connection: close\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status), answer
    assert json.loads(body)["status"] == status


async def test_a_broken_chunk_is_400_also_in_the_middle(
    client: Rest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.3)
    head = (
        b"POST /api/v1/baskets HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    )
    for parts in ((head + b"not a length\r\n",), (head + b"2\r\n{}\r\n", b"not a length\r\n")):
        assert b" 400 " in await raw(client, *parts, whole=False)


async def test_a_body_that_never_arrives_is_400_after_a_while(
    client: Rest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.2)
    head = (
        b"POST /api/v1/baskets HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Content-Length: 10\r\nConnection: close\r\n\r\n"
    )
    assert b" 400 " in await raw(client, head + b"{", whole=False)


async def test_an_unknown_path_is_404_and_a_wrong_method_405(client: Rest) -> None:
    problem(await client.get("/nowhere"), 404)
    problem(await client.get("//nowhere"), 404)
    answer = await client.delete("/mine")
    problem(answer, 405)
    assert set(answer.headers["Allow"].split(",")) == {"GET", "HEAD", "PUT"}


@pytest.mark.parametrize(
    "path", ["/things/a%20b", "/things/a.b", "/things/%C3%A9", f"/things/{'x' * 65}", "/things/"]
)
async def test_an_invalid_id_is_404(client: Rest, path: str) -> None:
    problem(await client.get(path), 404)


@pytest.mark.parametrize("limit", ["0", "201", "-1", "x", "", "1.5", "9" * 500])
async def test_a_limit_out_of_bounds_is_422(client: Rest, limit: str) -> None:
    answer = problem(await client.get("/things/a", params={"limit": limit}), 422)
    assert answer["errors"][0]["loc"] == ["limit"]


@pytest.mark.parametrize("key", ["x" * 256, "with space", "caf\u00e9"])
async def test_a_key_out_of_bounds_is_422(client: Rest, key: str) -> None:
    problem(await client.post("/keys", headers={"Idempotency-Key": key}), 422)


async def test_an_unexpected_error_reveals_only_its_id(client: Rest) -> None:
    answer = await client.get("/broken")
    assert b"hunter2" not in answer.body
    assert b"ValueError" not in answer.body
    problem(answer, 500)


async def test_a_problem_may_have_its_own_members_and_type(client: Rest) -> None:
    body = problem(await client.get("/conflict"), 409)
    assert body["order"] == {"id": "ord_1"}
    assert body["type"] == "urn:tiffin:problem:odds"


async def test_a_valid_request_id_of_the_client_is_used(client: Rest) -> None:
    answer = await client.get("/broken", headers={"X-Request-ID": "from-me.1"})
    assert answer.headers["X-Request-ID"] == answer.json["request_id"] == "from-me.1"
    for bad in ("x" * 65, "a b", "<script>", "caf\u00e9"):
        answer = await client.get("/broken", headers={"X-Request-ID": bad})
        assert answer.headers["X-Request-ID"].startswith("req_")


async def test_guards_apply_in_order(client: Rest) -> None:
    for header in (None, "Basic x", "Bearer", "Bearer ", "Bearer a.b.c", f"bearer {token()[:-2]}"):
        headers = {"Authorization": header} if header else {}
        answer = await client.get("/mine", headers=headers)
        assert problem(answer, 401)
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    for bad, kind in (
        (token(seconds=-1), "token-expired"),
        (token(session=REVOKED), "session-ended"),
    ):
        answer = await client.get("/mine", headers={"Authorization": f"Bearer {bad}"})
        assert problem(answer, 401)["type"] == f"urn:tiffin:problem:{kind}"
    employee = {"Authorization": f"Bearer {token(EMPLOYEES)}"}
    problem(await client.put("/mine", headers=employee), 403)
    assert (await client.get("/mine", headers=employee)).must(200).json["name"] == "Ada"


async def test_a_token_signed_by_another_algorithm_or_for_another_use_is_not_valid() -> None:
    import jwt

    tokens = AccessTokens(SECRET, 60)
    claims = jwt.decode(token(), SECRET, algorithms=["HS256"], audience="tiffin-api")
    assert isinstance(tokens.verify(token()), Claims)
    bad = [
        jwt.encode(claims, None, algorithm="none"),
        jwt.encode(claims, SECRET * 2, algorithm="HS512"),
        jwt.encode(claims | {"aud": "another"}, SECRET),
        jwt.encode(claims | {"iss": "another"}, SECRET),
        jwt.encode({k: v for k, v in claims.items() if k != "exp"}, SECRET),
        jwt.encode({k: v for k, v in claims.items() if k != "sid"}, SECRET),
        jwt.encode(claims, "t" * 32),
    ]
    for one in bad:
        with pytest.raises(Problem) as refused:
            tokens.verify(one)
        assert refused.value.status == 401
    ahead = jwt.encode(claims | {"iat": int(time.time()) + 30}, SECRET)
    assert tokens.verify(ahead).account_id == "acc_1"


@pytest.mark.usefixtures("at_one_moment")
async def test_writes_count_against_the_accounts_rate_and_reads_do_not(client: Rest) -> None:
    headers = {"Authorization": f"Bearer {token()}"}
    for _ in range(3):
        (await client.put("/mine", headers=headers)).must(204)
    answer = await client.put("/mine", headers=headers)
    problem(answer, 429)
    assert int(answer.headers["Retry-After"]) == 20
    (await client.put("/mine/often", headers=headers)).must(204)
    (await client.get("/mine", headers=headers)).must(200)


@pytest.mark.usefixtures("at_one_moment")
async def test_reads_count_against_a_rate_of_their_own_whatever_comes_of_them(
    client: Rest,
) -> None:
    headers = {"Authorization": f"Bearer {token(EMPLOYEES)}"}
    for _ in range(6):
        (await client.get("/mine", headers=headers)).must(200)
    problem(await client.put("/mine/often", headers=headers), 403)
    problem(await client.put("/mine", headers=headers), 403)
    (await client.get("/mine", headers=headers)).must(200)
    began = time.perf_counter()
    answer = await client.get("/mine", headers=headers)
    problem(answer, 429)
    assert time.perf_counter() - began > 0.95 * routing.THROTTLE_SECONDS
    assert 1 <= int(answer.headers["Retry-After"]) <= 8
    for _ in range(2):
        problem(await client.put("/mine", headers=headers), 403)
    problem(await client.put("/mine", headers=headers), 429)


@pytest.mark.usefixtures("at_one_moment")
async def test_a_long_page_costs_more_than_a_short_one(client: Rest) -> None:
    headers = {"Authorization": f"Bearer {token()}"}
    (await client.get("/page?limit=10", headers=headers)).must(200)  # 2 of eight
    (await client.get("/page", headers=headers)).must(429)  # 1 and 60 / 10
    (await client.get("/page?limit=49", headers=headers)).must(200)
    (await client.get("/mine", headers=headers)).must(200)
    (await client.get("/mine", headers=headers)).must(429)


async def test_a_client_that_disconnects_before_the_answer_harms_nobody(client: Rest) -> None:
    with pytest.raises((asyncio.TimeoutError, aiohttp.ClientError)):
        async with asyncio.timeout(0.0001):
            await client.get("/things/a")
    (await client.get("/things/a")).must(200)


async def test_a_session_is_remembered_for_less_than_two_seconds_and_until_any_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked_up: list[str] = []
    ends_meanwhile = False

    async def look_up(claims: Claims) -> Identity | None:
        looked_up.append(claims.session_id)
        if ends_meanwhile:
            gate.forget()
        return Identity(**asdict(claims), name="Ada", role="customer", restaurant_id=None)

    gate = Gate(AccessTokens(SECRET, 60))
    gate.look_up = look_up
    one, later, other = (
        gate.tokens.verify(token(*who)) for who in (("ses_1",), ("ses_1", 50), ("ses_2",))
    )
    assert gate.recall(one) is None
    found = await gate.check(one)
    assert gate.recall(one) is found
    assert gate.recall(later) is None, "a stream ends with the token that it was opened with"
    assert gate.recall(other) is None
    assert auth.REMEMBERED_SECONDS < 2
    with monkeypatch.context() as later_on:
        later_on.setattr(auth, "REMEMBERED_SECONDS", 0)
        assert gate.recall(one) is None
    for claims in (one, other):
        await gate.check(claims)
    gate.forget()
    assert gate.recall(one) is gate.recall(other) is None
    await gate.check(one)
    await gate.check(one)
    assert looked_up == ["ses_1", "ses_1", "ses_2", "ses_1", "ses_1"], "`check` always asks"
    ends_meanwhile = True
    await gate.check(one)
    assert gate.recall(one) is None, "it may have been looked up before the session ended"
