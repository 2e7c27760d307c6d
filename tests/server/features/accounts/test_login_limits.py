"""Limits on log-in, per address and per account."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from server.core.errors import Problem
from server.core.routing import SERVICES
from server.features.accounts.service import AccountService
from support.accounts import PASSWORD
from support.live_server import LiveServer, running_server, settings_for
from support.rest import Answer, Rest


@pytest.fixture
async def limited(data_dir: Path) -> AsyncIterator[LiveServer]:
    """A server that lets an address or account log in three times a minute."""
    async with running_server(settings_for(data_dir, login_per_minute=3)) as running:
        yield running


@pytest.fixture
async def client(limited: LiveServer) -> AsyncIterator[Rest]:
    """Nobody there."""
    async with Rest(limited.url) as client:
        yield client


def refused(answer: Answer) -> bool:
    """Whether it is a 429 that says when to come back."""
    if answer.status != 429:
        return False
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    return True


async def test_an_address_may_try_so_often_whoever_it_says_it_is(client: Rest) -> None:
    for number in range(3):
        body = {"email": f"{number}@example.org", "password": PASSWORD}
        (await client.post("/auth/login", body)).must(401)
    body = {"email": "another@example.org", "password": PASSWORD}
    assert refused(await client.post("/auth/login", body))
    assert refused(await client.post("/auth/register", body | {"name": "Another"}))


async def test_an_account_may_be_tried_so_often_from_wherever(limited: LiveServer) -> None:
    accounts = limited.app[SERVICES][AccountService]
    assert isinstance(accounts, AccountService)
    statuses = []
    for number, email in enumerate(["a@example.org", "A@example.org", "a@EXAMPLE.org"] * 2):
        with pytest.raises(Problem) as caught:
            await accounts.log_in(email, "a guess", f"192.0.2.{number}")
        statuses.append(caught.value.status)
    assert statuses == [401, 401, 401, 429, 429, 429]


async def test_a_password_cannot_be_guessed_through_its_change(
    client: Rest, limited: LiveServer
) -> None:
    await client.register("ada@example.org", PASSWORD)
    change = {"current_password": "a guess", "new_password": "a new long password"}
    answers = [await client.put("/me/password", change) for _ in range(4)]
    assert [answer.status for answer in answers] == [422, 422, 422, 429]
    assert refused(answers[-1])


async def test_a_refresh_is_not_limited_that_tightly(client: Rest) -> None:
    await client.register("ada@example.org", PASSWORD)
    token = client.grant["refresh_token"]
    for _ in range(20):
        answer = await client.post("/auth/refresh", {"refresh_token": token})
        token = answer.must(200).json["refresh_token"]
    answers = [await client.post("/auth/refresh", {"refresh_token": "rt_no"}) for _ in range(40)]
    assert refused(answers[-1])
