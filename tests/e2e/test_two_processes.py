"""What two processes that share a database and Redis must agree on."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from support.command import run_command
from support.rest import Answer, Rest
from support.tokens import claims_of, signed
from support.town import PASSWORD
from support.two_processes import Two
from support.waiting import PATIENCE, keeps

WITHIN = 2.0
"""Seconds by which every process must have ended what was revoked."""


@pytest.fixture
def two(two_on_redis: Two) -> Two:
    """Two processes that share both."""
    return two_on_redis


@pytest.fixture
async def at(two: Two) -> AsyncIterator[tuple[Rest, Rest]]:
    """A client without an account at each."""
    async with Rest(two.left.url) as left, Rest(two.right.url) as right:
        yield left, right


async def test_of_ten_who_accept_an_order_one_does(two: Two, at: tuple[Rest, Rest]) -> None:
    place = await two.open_restaurant(employees=10)
    customer = await at[0].another().register("ten@example.org")
    order = (await customer.post("/orders", place.basket())).must(201).json
    hands = [
        await at[number % 2].another().log_in(email, PASSWORD)
        for number, email in enumerate(place.employees)
    ]
    path, step = f"/orders/{order['id']}/status", {"status": "accepted", "expected_version": 1}
    answers = await asyncio.gather(*(hand.post(path, step) for hand in hands))
    assert sorted(answer.status for answer in answers) == [200] + [409] * 9
    (accepted,) = (answer.json for answer in answers if answer.status == 200)
    for answer in answers:
        if answer.status == 409:
            assert answer.headers["Content-Type"].startswith("application/problem+json")
            assert answer.json["order"] == accepted
    rows = two.logged(f"restaurant:{place.id}")
    assert [row.type for row in rows] == ["order.placed", "order.updated"]


async def test_fifty_copies_of_an_order_are_one(two: Two, at: tuple[Rest, Rest]) -> None:
    place = await two.open_restaurant()
    left, right = at
    right.token = (await left.register("fifty@example.org")).token
    basket, headers = place.basket(), {"Idempotency-Key": "dinner"}
    answers = await asyncio.gather(
        *(at[number % 2].post("/orders", basket, headers=headers) for number in range(50))
    )
    assert {answer.status for answer in answers} == {201}
    (body,) = {answer.body for answer in answers}
    assert {answer.headers["Location"] for answer in answers} == {
        f"/api/v1/orders/{answers[0].json['id']}"
    }
    assert len(two.logged(f"restaurant:{place.id}")) == 1
    assert len((await left.get("/orders")).json["items"]) == 1
    for rest in at:
        more = await rest.post("/orders", place.basket(quantity=2), headers=headers)
        more.must(422)
        assert (await rest.post("/orders", basket, headers=headers)).must(201).body == body
        other = await rest.another().register(f"other{rest.base_url[-5:]}@example.org")
        (await other.post("/orders", place.basket(quantity=2), headers=headers)).must(201)


class Open:
    """A stream of a kitchen at each process, in one session."""

    def __init__(self, employee: Rest, at: tuple[Rest, Rest], token: str) -> None:
        self._place = employee.grant["account"]["restaurant_id"]
        self._rests = [rest.another() for rest in at]
        for rest in self._rests:
            rest.token = token

    async def ended_by(self, cause: Callable[[], Awaitable[object]]) -> float:
        """Open both, run the action, and wait for both to end; returns the seconds in between."""
        async with AsyncExitStack() as stack:
            answers = []
            for rest in self._rests:
                url = rest.url(f"/restaurants/{self._place}/orders/stream")
                answer = await stack.enter_async_context(rest.http.get(url, headers=rest.headers))
                assert answer.status == 200, await answer.text()
                async with asyncio.timeout(PATIENCE):
                    await answer.content.readuntil(b"\n\n")  # the retry
                    await answer.content.readuntil(b"\n\n")  # where it begins: it is subscribed
                answers.append(answer)
            await cause()
            happened = time.monotonic()
            async with asyncio.timeout(PATIENCE):
                for answer in answers:
                    # The end of the chunked body: a connection cut short would raise here.
                    assert b"data:" not in await answer.content.read()
            return time.monotonic() - happened

    async def refused(self) -> list[Answer]:
        """The answers of both processes to another request, which no transaction checks again: both
        have forgotten that the session was valid."""
        return [await rest.get("/orders") for rest in self._rests]


LogIn = Callable[[], Awaitable[Rest]]


@pytest.fixture
async def log_in(two: Two, at: tuple[Rest, Rest]) -> LogIn:
    """Logs an employee in at the left."""
    place = await two.open_restaurant()
    return lambda: at[0].another().log_in(place.employees[0], PASSWORD)


async def test_logging_out_ends_the_streams_at_both(log_in: LogIn, at: tuple[Rest, Rest]) -> None:
    async def attempt() -> float:
        employee = await log_in()
        grant = {"refresh_token": employee.grant["refresh_token"]}
        streams = Open(employee, at, str(employee.token))

        async def log_out() -> None:
            (await employee.post("/auth/logout", grant)).must(204)

        seconds = await streams.ended_by(log_out)
        assert [answer.status for answer in await streams.refused()] == [401, 401]
        return seconds

    await keeps(WITHIN, attempt)


async def test_reusing_a_refresh_token_ends_the_streams_at_both(
    log_in: LogIn, at: tuple[Rest, Rest]
) -> None:
    async def attempt() -> float:
        employee = await log_in()
        spent = {"refresh_token": employee.grant["refresh_token"]}
        renewed = (await employee.post("/auth/refresh", spent)).must(200).json
        streams = Open(employee, at, renewed["access_token"])

        async def use_again() -> None:
            (await at[1].post("/auth/refresh", spent)).must(401)

        seconds = await streams.ended_by(use_again)
        assert [answer.status for answer in await streams.refused()] == [401, 401]
        newer = {"refresh_token": renewed["refresh_token"]}
        (await at[0].post("/auth/refresh", newer)).must(401)
        return seconds

    await keeps(WITHIN, attempt)


async def test_an_expired_token_ends_the_streams_at_both(
    log_in: LogIn, at: tuple[Rest, Rest]
) -> None:
    async def attempt() -> float:
        employee = await log_in()
        assert employee.token is not None
        expires = int(time.time()) + 6
        streams = Open(employee, at, signed(claims_of(employee.token) | {"exp": expires}))

        async def wait() -> None:
            await asyncio.sleep(expires - time.time())

        seconds = await streams.ended_by(wait)
        for answer in await streams.refused():
            assert answer.must(401).json["type"].endswith("token-expired")
        return seconds

    await keeps(WITHIN, attempt)


COMMANDS = {
    "set-password": ("another good password", "has a new password"),
    "set-role --role support": ("", "has the role support"),
    "end-sessions": ("", "sessions were ended"),
    "remove-account --yes": ("", "is deleted"),
}


@pytest.mark.parametrize("command", COMMANDS)
async def test_a_command_ends_the_streams_at_both(
    two: Two, at: tuple[Rest, Rest], command: str
) -> None:
    """A command is a third process, which tells nobody: both find out from the database."""
    stdin, printed = COMMANDS[command]

    async def attempt() -> float:
        email = (await two.open_restaurant()).employees[0]
        employee = await at[0].another().log_in(email, PASSWORD)
        streams = Open(employee, at, str(employee.token))

        async def run() -> None:
            arguments = (*command.split(), "--email", email)
            status, output = await run_command(two.left.data_dir, *arguments, stdin=stdin)
            assert (status, printed in output) == (0, True), output

        seconds = await streams.ended_by(run)
        assert [answer.status for answer in await streams.refused()] == [401, 401]
        return seconds

    await keeps(WITHIN, attempt)
