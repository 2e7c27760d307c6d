import asyncio
import contextlib
import json
import random
import time
from typing import Any

import aiohttp
import pytest
from held_app import TOPIC, HeldApp, OpenApp

from server.realtime import log_topic
from server.realtime.event import Cursor
from server.realtime.log_topic import LogTopic
from server.transports import long_polling
from server.transports.connections import End
from support.live_server import sqlite_only
from support.waiting import wait_until

LONG = 25.0
"""Seconds that a request is held unless something happens."""
SOON = 20.0
"""Seconds within which something has happened, with much to spare on a busy machine."""


async def poll(
    app: HeldApp, last: str = "closed", timeout: float = LONG, **who: Any
) -> tuple[int, Any, aiohttp.typedefs.LooseHeaders]:
    """Status, body and headers of one held request."""
    async with app.client.get(
        "door", params={"last": last, "timeout": str(timeout)}, headers=app.headers(**who)
    ) as answer:
        return answer.status, await answer.json(content_type=None), answer.headers


async def held(app: HeldApp, count: int = 1) -> None:
    """Wait until that many requests are held."""
    await wait_until(lambda: app.connections.polls == count, every=0.005)


async def open_the_door(app: HeldApp) -> None:
    app.doors.state = "open"
    await app.append('"open"')


async def test_a_poll_answers_at_once_if_something_has_changed(app: HeldApp) -> None:
    started = time.monotonic()
    status, body, _ = await poll(app, last="open")
    assert (status, body) == (200, {"state": "closed"})
    assert time.monotonic() - started < SOON
    assert app.connections.held == 0


async def test_a_poll_answers_with_the_event_that_changes_it(app: HeldApp) -> None:
    task = asyncio.create_task(poll(app))
    await held(app)
    await open_the_door(app)
    status, body, _ = await asyncio.wait_for(task, SOON)
    assert (status, body) == (200, {"state": "open"})
    assert (app.connections.held, app.connections.polls, app.doors.looks) == (0, 0, 1)


async def test_a_poll_is_held_through_events_that_change_nothing_for_it(app: HeldApp) -> None:
    task = asyncio.create_task(poll(app))
    await held(app)
    for _ in range(3):
        looks = app.doors.looks
        await app.append('"closed"')
        await wait_until(lambda: app.doors.looks > looks, every=0.005)  # noqa: B023
    await app.append('"open"', subject="another door")
    await held(app)
    assert not task.done()
    await open_the_door(app)
    assert (await asyncio.wait_for(task, SOON))[0] == 200


async def test_a_change_between_reading_and_waiting_is_not_missed(app: HeldApp) -> None:
    """Whenever it happens: the poll registers first and reads then."""
    for turn in range(20):
        last, state = ("closed", "open") if turn % 2 == 0 else ("open", "closed")
        app.doors.state = last
        task = asyncio.create_task(poll(app, last=last))
        for _ in range(turn * 3):
            await asyncio.sleep(0.0005)
        app.doors.state = state
        await app.append(f'"{state}"')
        assert (await task)[:2] == (200, {"state": state})


async def test_a_timeout_is_an_empty_204(app: HeldApp) -> None:
    started = time.monotonic()
    status, body, headers = await poll(app, timeout=0.3)
    assert (status, body) == (204, None)
    assert "Retry-After" not in headers
    assert 0.25 < time.monotonic() - started < SOON
    assert app.connections.held == 0


async def test_the_timeout_counts_from_the_request(app: HeldApp) -> None:
    started = time.monotonic()
    task = asyncio.create_task(poll(app, timeout=0.6))
    while not task.done():
        await app.append('"closed"')
        await asyncio.sleep(0.02)
    assert task.result()[0] == 204
    assert time.monotonic() - started < SOON


async def test_under_pressure_the_longest_held_poll_is_answered_early(open_app: OpenApp) -> None:
    app = await open_app(most=10)
    tasks = []
    for number in range(8):
        tasks.append(asyncio.create_task(poll(app)))
        await held(app, number + 1)
    tasks.append(asyncio.create_task(poll(app)))  # over four fifths
    status, body, headers = await asyncio.wait_for(tasks[0], SOON)
    assert (status, body) == (204, None)
    assert int(headers["Retry-After"]) >= 1  # type: ignore[call-overload,index]
    await held(app, 8)
    assert not any(task.done() for task in tasks[1:])
    async with app.follow():  # a stream needs room as well
        assert (await asyncio.wait_for(tasks[1], SOON))[0] == 204
    await open_the_door(app)
    assert {(await task)[0] for task in tasks[2:]} == {200}


async def test_an_early_answer_is_not_undone_by_an_irrelevant_event(
    app: HeldApp,
) -> None:
    """Both at once: the event that changes nothing must not swallow the end."""
    task = asyncio.create_task(poll(app))
    await held(app)
    append = asyncio.create_task(app.append('"closed"'))
    publish = app.database.publish

    def publish_and_end(events: Any) -> None:
        publish(events)
        app.connections.end_all(End.RELEASED)

    app.database.publish = publish_and_end
    await append
    status, _, headers = await asyncio.wait_for(task, SOON)
    assert (status, headers["Retry-After"]) == (204, "1")  # type: ignore[call-overload,index]


async def test_at_the_limit_it_is_429_for_the_account_and_503_for_all(open_app: OpenApp) -> None:
    app = await open_app(most=3, most_an_account=2)
    async with app.follow(), app.follow(), app.follow(headers=app.headers(account="acc_2")):
        status, body, headers = await poll(app, account="acc_3")
        assert (status, body["status"]) == (503, 503)
        assert headers["Retry-After"]  # type: ignore[call-overload,index]
        # A poll that answers at once needs no slot.
        assert (await poll(app, last="open", account="acc_3"))[0] == 200
    await wait_until(lambda: app.connections.held == 0)
    async with app.follow(), app.follow():
        assert (await poll(app))[0] == 429


async def test_draining_answers_every_poll_and_accepts_no_more(app: HeldApp) -> None:
    tasks = [asyncio.create_task(poll(app)) for _ in range(5)]
    await held(app, 5)
    app.connections.drain()
    for status, _, headers in await asyncio.wait_for(asyncio.gather(*tasks), SOON):
        assert (status, "Retry-After" in headers) == (204, False), "the server has spread them"
    assert (await poll(app))[0] == 503


async def test_an_expired_token_is_a_401(app: HeldApp) -> None:
    status, body, headers = await asyncio.wait_for(poll(app, seconds=1), SOON)
    assert (status, body["type"]) == (401, "urn:tiffin:problem:token-expired")
    assert headers["WWW-Authenticate"] == "Bearer"  # type: ignore[call-overload,index]


async def test_a_revocation_is_a_401_for_that_session_only(app: HeldApp) -> None:
    mine = asyncio.create_task(poll(app))
    others = asyncio.create_task(poll(app, session="ses_2"))
    await held(app, 2)
    await app.revoke("ses_1")
    status, body, _ = await asyncio.wait_for(mine, SOON)
    assert (status, body["type"]) == (401, "urn:tiffin:problem:session-ended")
    assert not others.done()
    await open_the_door(app)
    assert (await others)[0] == 200


@sqlite_only  # where two transactions at once are one commit
async def test_an_event_committed_together_with_a_revocation_is_not_sent(app: HeldApp) -> None:
    mine = asyncio.create_task(poll(app))
    others = asyncio.create_task(poll(app, session="ses_2"))
    await held(app, 2)
    app.doors.state = "open"
    await asyncio.gather(app.revoke("ses_1"), app.append('"open"'))
    assert [(await asyncio.wait_for(one, SOON))[0] for one in (mine, others)] == [401, 200]


async def test_a_disconnected_client_frees_its_slot(app: HeldApp) -> None:
    listeners = app.hub.listeners
    tasks = [asyncio.create_task(poll(app)) for _ in range(10)]
    await held(app, 10)
    for task in tasks:
        task.cancel()
    await held(app, 0)
    await wait_until(lambda: app.hub.listeners == listeners)
    assert app.connections.held == 0


async def test_hundreds_are_woken_by_one_event_without_a_query_each(app: HeldApp) -> None:
    tasks = [asyncio.create_task(poll(app, timeout=30)) for _ in range(300)]
    await held(app, 300)
    assert app.doors.looks == 1, "the others know as much as the first, who waits"
    assert (await poll(app, last="ajar"))[:2] == (200, {"state": "closed"})
    await open_the_door(app)
    assert {(await task)[0] for task in tasks} == {200}
    assert app.doors.looks == 2


async def test_an_answer_leaves_no_task_behind(app: HeldApp) -> None:
    before = len(asyncio.all_tasks())
    for _ in range(3):
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.1):
                await poll(app)
        await poll(app, timeout=0.05)
    await wait_until(lambda: len(asyncio.all_tasks()) <= before + 2)


async def events(
    app: HeldApp, after: str | None, timeout: float = LONG, **who: Any
) -> tuple[int, Any, aiohttp.typedefs.LooseHeaders]:
    """Status, body and headers of a request for events."""
    params = {"timeout": str(timeout)} | ({} if after is None else {"after": after})
    async with app.client.get("events", params=params, headers=app.headers(**who)) as answer:
        return answer.status, await answer.json(content_type=None), answer.headers


async def test_without_a_cursor_events_begin_now_and_at_once(app: HeldApp) -> None:
    await app.append("1")
    assert (await events(app, None))[:2] == (200, {"events": [], "cursor": app.cursor(1)})
    held_one = asyncio.create_task(events(app, app.cursor(1)))
    await held(app)
    await app.append("2", subject="whatever it is about")
    status, body, _ = await held_one
    event = {"type": "changed", "logged_at": app.logged_at(2), "data": 2}
    assert (status, body) == (200, {"events": [event], "cursor": app.cursor(2)})
    assert (app.connections.held, app.hub.listeners) == (0, 1)  # that of revocations


async def test_polls_for_events_are_held_and_end_like_others(app: HeldApp) -> None:
    cursor = app.cursor(0)
    started = time.monotonic()
    assert (await events(app, cursor, timeout=1))[:2] == (204, None)
    assert 0.95 < time.monotonic() - started < SOON
    revoked, released = (
        asyncio.create_task(events(app, cursor, session=session)) for session in ("ses_2", "ses_3")
    )
    await held(app, 2)
    await app.revoke("ses_2")
    status, body, _ = await revoked
    assert (status, body["type"]) == (401, "urn:tiffin:problem:session-ended")
    status, body, _ = await events(app, cursor, seconds=2)
    assert (status, body["type"]) == (401, "urn:tiffin:problem:token-expired")
    app.connections.end_all(End.RELEASED)
    status, _, headers = await released
    assert (status, headers["Retry-After"]) == (204, "1")  # type: ignore[call-overload,index]


@pytest.mark.parametrize("ended", ["session", "right"])
async def test_no_event_is_sent_after_an_end_this_process_has_not_heard_of(
    app: HeldApp, ended: str
) -> None:
    """It was committed elsewhere, and the news of it is still on its way."""
    task = asyncio.create_task(events(app, app.cursor(0)))
    await held(app)
    if ended == "session":
        app.revoked.add("ses_1")
    else:
        app.doors.shut = True
    await app.append("1")
    assert (await task)[0] == (401 if ended == "session" else 404)


async def test_a_cursor_that_cannot_be_continued_is_410(app: HeldApp) -> None:
    await app.append("1", "2", "3")
    await app.append("4", topic="another")
    at = app.cursor(1)
    bad = [
        app.cursor(9),
        str(Cursor(app.log.epoch, "another", 1)),
        str(Cursor("0" * 12, TOPIC, 1)),
        f"{at}~{at}",
        "nonsense",
        "x" * 2000,
    ]
    for cursor in bad:
        status, body, _ = await events(app, cursor)
        assert (status, body["type"]) == (410, "urn:tiffin:problem:reset"), cursor
    assert (await events(app, at))[1]["events"] == [
        {"type": "changed", "logged_at": app.logged_at(2), "data": 2},
        {"type": "changed", "logged_at": app.logged_at(3), "data": 3},
    ]
    await app.log.trim("9999")
    app.hub.drop_ring(TOPIC)
    assert (await events(app, at))[0] == 410
    assert (await events(app, app.cursor(3), timeout=0.1))[0] == 204


async def test_an_answer_is_bounded_and_the_next_one_continues_at_once(app: HeldApp) -> None:
    most, large = long_polling.PAGE_EVENTS, long_polling.PAGE_BYTES
    await app.append(*map(str, range(most + 1)), f'"{"x" * large}"', '"y"')
    first = (await events(app, app.cursor(0)))[1]
    assert [one["data"] for one in first["events"]] == list(range(most))
    second = (await events(app, first["cursor"]))[1]
    assert [one["data"] for one in second["events"]] == [most, "x" * large]
    third = (await events(app, second["cursor"]))[1]
    assert [one["data"] for one in third["events"]] == ["y"]


async def test_polls_and_streams_deliver_the_same(
    app: HeldApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However they are paged, interrupted and continued by one another."""
    monkeypatch.setattr(long_polling, "PAGE_EVENTS", 3)
    monkeypatch.setattr(long_polling, "PAGE_BYTES", 200)
    monkeypatch.setattr(log_topic, "RING", 4)
    monkeypatch.setattr(log_topic, "PAGE", 5)
    number = 120
    written = [f'"{n} {"x" * (n * 37 % 150)}"' for n in range(number)]

    async def write() -> None:
        chance = random.Random(1)
        left = [*written]
        while left:
            some = chance.randint(1, 9)
            await app.append(*left[:some])
            del left[:some]
            await asyncio.sleep(chance.choice((0, 0, 0.005)))

    async def read(seed: int) -> list[str]:
        chance = random.Random(seed)
        cursor, found = app.cursor(0), list[str]()
        while len(found) < number:
            if chance.random() < 0.5:
                status, body, _ = await events(app, cursor)
                assert status == 200
                assert len(body["events"]) <= 3
                found += [one["data"] for one in body["events"]]
                cursor = body["cursor"]
            else:
                async with app.follow(cursor) as stream:
                    for _ in range(min(chance.randint(1, 9), number - len(found))):
                        event = await stream.event()
                        assert event is not None
                        cursor = event["id"]
                        if "data" in event:  # else it tells that there is nothing left to replay
                            found.append(json.loads(event["data"]))
        assert (await events(app, cursor, timeout=0.1))[0] == 204
        return found

    async with asyncio.timeout(60):
        readers = await asyncio.gather(write(), *(read(seed) for seed in range(6)))
    for found in readers[1:]:
        assert found == [json.loads(one) for one in written]


async def test_an_event_is_encoded_once_for_all_polls(
    app: HeldApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LogTopic, "drop_encoded", lambda _: None)  # as a sweep may at any time
    tasks = [asyncio.create_task(events(app, app.cursor(0))) for _ in range(300)]
    await held(app, 300)
    (event,) = await app.append('"news"')
    assert {(await task)[1]["cursor"] for task in tasks} == {app.hub.log.cursor_of(event)}
    assert (app.doors.encoded, app.hub.listeners) == (1, 1)
