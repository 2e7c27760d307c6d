"""The server's clock as its answers tell it."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from aiohttp import web
from faulty_server import FaultyServer

from support.waiting import wait_until
from tui.common.client.clock import ServerClock
from tui.common.client.session import Session


def said(ahead: float) -> str:
    """The `Date` of a server whose clock is so many seconds ahead of ours; whole seconds."""
    return format_datetime(datetime.now(UTC) + timedelta(seconds=ahead), usegmt=True)


def ahead(clock: ServerClock) -> float:
    return (clock.now() - datetime.now(UTC)).total_seconds()


def test_before_anything_was_said_it_is_our_own() -> None:
    assert ahead(ServerClock()) == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize("seconds", [-86_400, -300, -4, 4, 300])
def test_it_follows_what_was_said(seconds: float) -> None:
    clock = ServerClock()
    clock.record(said(seconds), 0.02)
    assert ahead(clock) == pytest.approx(seconds, abs=0.7)
    assert clock.now().tzinfo is UTC


@pytest.mark.parametrize("seconds", [-1, 0, 1])
def test_what_rounding_may_have_done_is_no_difference(seconds: float) -> None:
    clock = ServerClock()
    clock.record(said(seconds), 0.02)
    assert ahead(clock) == pytest.approx(0, abs=0.1)


def test_the_newest_answer_counts() -> None:
    clock = ServerClock()
    clock.record(said(300), 0.02)
    clock.record(said(0), 0.02)
    assert ahead(clock) == pytest.approx(0, abs=0.1)


def test_an_answer_that_was_held_says_nothing() -> None:
    clock = ServerClock()
    clock.record(said(-20), 20)
    assert ahead(clock) == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize(
    "date",
    [None, "", "soon", "Mon, 99 Foo 2026 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT"],
)
def test_nonsense_changes_nothing_or_at_least_breaks_nothing(date: str | None) -> None:
    clock = ServerClock()
    clock.record(date, 0.02)
    assert clock.now().tzinfo is UTC


async def test_a_session_knows_it_from_any_answer(session: Session, faulty: FaultyServer) -> None:
    assert abs((session.server_now() - datetime.now(UTC)).total_seconds()) < 0.1

    async def in_an_hour(_: web.Request) -> web.Response:
        return web.json_response({}, headers={"Date": said(3600)})

    async def from_a_cache(_: web.Request) -> web.Response:
        return web.json_response({}, headers={"Date": said(-3600), "Age": "3600"})

    faulty.on("GET", "/me", in_an_hour)
    faulty.on("GET", "/map", from_a_cache)

    async def is_known(path: str) -> bool:
        """After that answer; one that took long, as on a busy machine, says less or nothing."""
        await session.request("GET", path)
        ahead = (session.server_now() - datetime.now(UTC)).total_seconds()
        return ahead == pytest.approx(3600, abs=0.7)

    await wait_until(lambda: is_known("/me"))
    assert await is_known("/map")
