import asyncio
import contextlib
import json
import time
from functools import partial

import pytest
from held_app import HeldApp

from server.core.auth import Claims
from server.core.errors import Problem
from server.realtime.event import Event
from server.realtime.log import LogPage
from server.settings import Settings
from server.transports.connections import (
    AUTH_TOPIC,
    RETRY_MS,
    Connections,
    End,
    Revocations,
    Slot,
)
from server.transports.heartbeat import Heartbeat
from support.waiting import PATIENCE, wait_until
from tui.common.client.retry import Backoff


def claims(session: str = "ses_1", account: str = "acc_1", seconds: float = 60) -> Claims:
    return Claims(account_id=account, session_id=session, expires=time.time() + seconds)


class PassingLoop(asyncio.SelectorEventLoop):
    """Its time passes when nothing is left to do now, as far as the next timer."""

    def __init__(self) -> None:
        super().__init__()
        self._passed = 0.0
        select = self._selector.select

        def pass_time(timeout: float | None = None) -> object:
            self._passed += timeout or 0
            return select(0)

        self._selector.select = pass_time  # type: ignore[method-assign]

    def time(self) -> float:
        return self._passed


async def test_every_slot_is_freed_however_the_connection_ends() -> None:
    connections = Connections(10, 10)
    for _ in range(5):
        with pytest.raises(ZeroDivisionError), connections.hold(claims(), print):
            raise ZeroDivisionError
    with connections.hold(claims(), print), connections.hold(claims(), repr, poll=True):
        assert (connections.held, connections.polls) == (2, 1)
    assert (connections.held, connections.polls) == (0, 0)
    assert not connections._by_account
    assert not connections._by_session


def test_the_clients_of_a_server_that_stops_return_evenly() -> None:
    """Of 200 at most a sixth in any one second: the server's ends are even, the client's wait is
    its own rule, and each is back in less than a second. A busy machine makes that a fifth."""
    seconds = Settings.model_fields["shutdown_seconds"].default
    loop = PassingLoop()

    def wait(end: End) -> float:
        backoff = Backoff()
        backoff.opened()
        backoff.floor = end.retry_ms / 1000
        return backoff.ended()

    async def ends(count: int, drain_seconds: float, leaving: int = 0) -> list[tuple[float, End]]:
        """When and why each of so many is ended; some leave just after the first."""
        connections = Connections(300, 300, drain_seconds=drain_seconds)
        found: list[tuple[float, End]] = []
        slots: dict[int, Slot] = {}

        def end(number: int, why: End) -> None:
            found.append((loop.time() - begun, why))
            slots.pop(number).release()
            while len(found) == 1 and len(slots) > count - leaving - 1:
                slots.popitem()[1].release()

        for n in range(count):
            slots[n] = connections.hold(claims(), partial(end, n), poll=n % 3 == 0)
        begun = loop.time()
        connections.drain()
        await asyncio.sleep(10)
        assert not connections.held
        return found

    with contextlib.closing(loop), asyncio.Runner(loop_factory=lambda: loop) as runner:
        few = runner.run(ends(8, seconds))
        assert few == [(0.0, End.DRAINING)] * 8, "a few end at once"
        for count, leaving in ((200, 0), (200, 60)):
            even = runner.run(ends(count, seconds, leaving))
            assert [why for _, why in even] == [End.DRAINING] * (count - leaving)
            assert 0.9 * seconds < even[-1][0] < seconds
            waits = [wait(End.DRAINING) for _ in even]
            assert max(waits) < 0.3
            returns = [at + wait for (at, _), wait in zip(even, waits, strict=True)]
            for start in returns:
                assert sum(start <= at < start + 1 for at in returns) <= len(even) / 6
        at_once = runner.run(ends(200, 0))
        assert at_once == [(0.0, End.RELEASED)] * 200, "without a schedule"
        waits = sorted(wait(End.RELEASED) for _ in at_once)
        assert waits[0] >= RETRY_MS[0] / 1000
        assert waits[-1] - waits[0] > 1, "at random"


async def test_an_end_is_delivered_to_its_session_only() -> None:
    connections = Connections(10, 10)
    ends: list[tuple[str, End]] = []
    with (
        connections.hold(claims("a"), lambda why: ends.append(("a", why))),
        connections.hold(claims("b"), lambda why: ends.append(("b", why))),
    ):
        connections.revoke("a")
        connections.revoke("nobody")
        assert ends == [("a", End.REVOKED)]
        connections.drain()
        assert ends[1:] == [("a", End.DRAINING), ("b", End.DRAINING)]
        with pytest.raises(Problem) as refused, connections.hold(claims(), print):
            pass
        assert refused.value.status == 503


async def test_an_expired_token_ends_its_connection_at_once() -> None:
    connections = Connections(10, 10)
    ended: asyncio.Future[End] = asyncio.get_running_loop().create_future()
    with connections.hold(claims(seconds=-5), ended.set_result):
        assert await asyncio.wait_for(ended, PATIENCE) is End.EXPIRED


async def test_streams_are_never_ended_under_pressure() -> None:
    connections = Connections(5, 5)
    released: list[End] = []
    with (
        connections.hold(claims(), released.append),
        connections.hold(claims(), lambda why: released.append(why)),
        connections.hold(claims(), lambda why: released.append(why)),
        connections.hold(claims(), lambda why: released.append(why)),
        connections.hold(claims(), lambda why: released.append(why)),
    ):
        assert released == []


async def test_revocations_continue_after_their_topic_was_lost(app: HeldApp) -> None:
    """All are asked to reconnect, but not before the topic is followed again."""
    ends: list[End] = []
    revocations = Revocations(app.hub, app.connections, app.gate)
    await revocations.open()
    read, fails = app.log.read, True

    async def unreadable(topic: str, after: int, limit: int) -> LogPage:
        if fails:
            raise Problem(503, "The database cannot take this now.")
        return await read(topic, after, limit)

    app.log.read = unreadable  # type: ignore[method-assign]
    with app.connections.hold(claims("ses_9"), ends.append):
        listeners = app.hub.listeners
        revocations.fail()
        await wait_until(lambda: ends == [End.RESET])
        assert app.hub.listeners == listeners
        fails = False
        identity = await app.gate.check(claims("ses_9"))
        await app.append(json.dumps({"sessions": ["ses_9"]}), topic=AUTH_TOPIC)
        await wait_until(lambda: End.REVOKED in ends)
        assert app.gate.recall(identity) is None


async def test_revocations_are_followed_again_when_the_database_is_back(
    app: HeldApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    from server.realtime import topic_reader

    monkeypatch.setattr(topic_reader, "RETRY_SECONDS", 0.05)
    revocations = Revocations(app.hub, app.connections, app.gate)
    await revocations.open()
    tried = 0
    subscribe = app.hub.subscribe

    async def refuses_twice(*arguments: object) -> object:
        nonlocal tried
        tried += 1
        if tried <= 2:
            raise Problem(503, "The event log cannot be read now.")
        return await subscribe(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(app.hub, "subscribe", refuses_twice)
    ends: list[End] = []
    with app.connections.hold(claims("ses_9"), ends.append):
        revocations.reset()
        await wait_until(lambda: tried == 3)
        await wait_until(lambda: ends == [End.RESET])
        revocations.write(Event(AUTH_TOPIC, 1, "session.revoked", "", '{"sessions":["ses_9"]}', ""))
        assert ends == [End.RESET, End.REVOKED]


async def test_the_streams_of_an_app_are_called_together() -> None:
    heartbeat = Heartbeat(0.2)
    for number in range(30):
        name = f"session {number % 3}"
        heartbeat.add(partial(str, name), name)
    for _ in range(1000):  # of one session, in a test of load
        heartbeat.add(partial(str, "load"), "load")
    slices: list[list[str]] = [
        [beat.args[0] for beat in members if isinstance(beat, partial)]
        for members in heartbeat._slices
    ]
    for number in range(3):
        assert sum(f"session {number}" in names for names in slices) == 1
    assert max(map(len, slices)) - min(map(len, slices)) <= 30


async def test_a_heartbeat_calls_each_member_and_survives_a_broken_one() -> None:
    heartbeat = Heartbeat(0.1)
    beats = [0] * 25
    await heartbeat.open()

    def beat(number: int) -> None:
        beats[number] += 1
        if number == 3:
            raise RuntimeError("the handler is closed")

    members = [partial(beat, number) for number in range(25)]
    for number, member in enumerate(members):
        heartbeat.add(member, f"session {number}")
    await wait_until(lambda: min(beats) >= 3)
    assert max(beats) - min(beats) <= 1
    for member in members:
        heartbeat.remove(member)
    seen = list(beats)
    await asyncio.sleep(0.15)  # no longer members
    assert beats == seen
    await heartbeat.close()
