import asyncio
import base64
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.core import idempotency, pages
from server.core.clock import from_text, now, to_text
from server.core.database import Database, Transaction
from server.core.errors import Problem
from server.core.idempotency import KeyedRequest, once
from server.features.shared.schemas import Address, Wire


class Made(Wire):
    """The result of a request."""

    number: int


def order(text: str = "1 Quay", key: str | None = "k1", account: str = "acc_1") -> KeyedRequest:
    return KeyedRequest.of(account, "POST /orders", key, Address(text=text, lat=0, lng=0))


@pytest.fixture(autouse=True)
async def accounts(database: Database) -> None:
    """Those whose requests these are."""
    sql = (
        "INSERT INTO accounts (id, email, password_hash, role, name, created_at)"
        " VALUES (:id, :id, '', 'customer', 'Ana', '')"
    )
    for account_id in ("acc_1", "acc_2"):
        await database.write(lambda tx, id=account_id: tx.execute(sql, {"id": id}))


async def send(database: Database, request: KeyedRequest, made: list[str | None]) -> int:
    async def make() -> Made:
        made.append(request.key)
        return Made(number=len(made))

    return (await database.write(lambda tx: once(tx, request, make, Made))).number


async def test_simultaneous_and_repeated_requests_run_once(database: Database) -> None:
    made: list[str | None] = []
    answers = await asyncio.gather(*(send(database, order(), made) for _ in range(10)))
    assert set(answers) == {1}
    assert await send(database, order(), made) == 1
    assert made == ["k1"]


async def test_keys_belong_to_their_account(database: Database) -> None:
    made: list[str | None] = []
    for request in (order(), order(key="k2"), order(account="acc_2")):
        await send(database, request, made)
    assert len(made) == 3


async def test_without_a_key_it_runs_each_time(database: Database) -> None:
    made: list[str | None] = []
    assert [await send(database, order(key=None), made) for _ in range(2)] == [1, 2]


async def test_another_content_under_the_same_key_is_422(database: Database) -> None:
    await send(database, order(), [])
    with pytest.raises(Problem) as refused:
        await send(database, order("2 Quay"), [])
    assert refused.value.status == 422


async def test_a_failed_request_stores_no_answer(database: Database) -> None:
    async def make() -> Made:
        return Made(number=1)

    async def fails(tx: Transaction) -> None:
        await once(tx, order(), make, Made)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await database.write(fails)
    made: list[str | None] = []
    await send(database, order(), made)
    assert made == ["k1"]


async def test_after_a_day_it_is_another_request(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str | None] = []
    await send(database, order(), made)
    at = now()
    assert await database.write(lambda tx: idempotency.drop_expired(tx, at)) == 0
    later = at + timedelta(hours=24, seconds=1)
    monkeypatch.setattr(idempotency, "now", lambda: later)
    await send(database, order(), made)
    assert len(made) == 1, "a clock that leaps makes no second one"
    assert await database.write(lambda tx: idempotency.drop_expired(tx, later)) == 1
    await send(database, order("2 Quay"), made)
    assert len(made) == 2


def test_times_are_utc_with_milliseconds_and_sort_as_text() -> None:
    moment = now()
    assert to_text(moment).endswith("Z")
    assert len(to_text(moment)) == len("2026-01-31T12:00:00.000Z")
    assert from_text(to_text(moment)) == moment
    assert to_text(moment) < to_text(moment + timedelta(milliseconds=1))


@given(st.text())
def test_an_invalid_before_is_422(text: str) -> None:
    with pytest.raises(Problem) as refused:
        pages.parse(text)
    assert refused.value.status == 422


@given(st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8")))
def test_a_position_in_a_list_survives_encoding(key: str, identifier: str) -> None:
    assert pages.parse(pages.after(key, identifier)) == (key, identifier)


def test_a_surrogate_is_no_position() -> None:
    with pytest.raises(Problem):
        pages.parse(pages.after("\ud800", "x"))


def test_a_deeply_nested_before_is_422() -> None:
    """It fits into a request line, and would have been a 500."""
    with pytest.raises(Problem):
        pages.parse(base64.urlsafe_b64encode(b"[" * 5000).decode())
