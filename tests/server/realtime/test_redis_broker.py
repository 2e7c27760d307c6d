"""Two processes' hubs on one file and a real Redis, which breaks in every way."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from hub_node import TOPIC, ListSink, Node, OpenNode
from redis.asyncio import Redis

from server.core.clock import now, to_text
from server.realtime import redis_broker
from server.realtime.event import Event
from server.realtime.redis_broker import RedisBroker, backoff
from support.waiting import PATIENCE, wait_until
from tools.cluster.redis_server import RedisServer
from tools.ports import free_port

SECRET = "a secret that every process of a server knows"
SLOW_SWEEP = 60.0
"""So slow that whatever arrives came through Redis."""
PROMISED = 2.0
"""Seconds that an append takes at most, whatever happens to Redis."""


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Redis that is only slow loses nothing: most of these tests have no sweep that heals it."""
    monkeypatch.setattr(redis_broker, "CONFIRM_SECONDS", PATIENCE)
    monkeypatch.setattr(redis_broker, "PUBLISH_SECONDS", PATIENCE)


def connections(server: RedisServer, kind: str) -> int:
    """Connections of that type, as Redis counts them."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        connection.sendall(f"CLIENT LIST TYPE {kind}\r\n".encode())
        with connection.makefile("rb") as answer:
            size = int(answer.readline()[1:])
            return len(answer.read(size).splitlines())


async def two(open_node: OpenNode, url: str, sweep_seconds: float) -> tuple[Node, Node]:
    return (
        await open_node(RedisBroker(url, SECRET), sweep_seconds=sweep_seconds),
        await open_node(RedisBroker(url, SECRET), sweep_seconds=sweep_seconds),
    )


async def subscribed(node: Node, topic: str = TOPIC) -> ListSink:
    sink = ListSink()
    await node.hub.subscribe(topic, None, sink)
    return sink


async def arrives(sink: ListSink, seqs: Sequence[int]) -> None:
    """Wait for them; that takes less than `SLOW_SWEEP`."""
    await wait_until(lambda: sink.seqs == list(seqs), every=0.005)


async def test_events_reach_the_other_process_at_once_and_each_once(
    open_node: OpenNode, redis_url: str
) -> None:
    here, there = await two(open_node, redis_url, SLOW_SWEEP)
    near, far = await subscribed(here), await subscribed(there)
    for _ in range(50):
        await here.append(count=2)
    await arrives(far, range(1, 101))
    assert near.seqs == far.seqs
    back = [await there.append() for _ in range(3)]
    await arrives(near, range(1, 104))
    assert far.events[-1].seq == back[-1][0].seq
    assert (here.hub.gaps, there.hub.gaps) == (0, 0)
    assert (here.broker.state, there.broker.state) == ("ok", "ok")


async def test_both_write_at_once_and_both_read_everything_in_order(
    open_node: OpenNode, redis_url: str
) -> None:
    here, there = await two(open_node, redis_url, 0.2)
    near, far = await subscribed(here), await subscribed(there)
    await asyncio.gather(*(node.append() for node in (here, there) for _ in range(60)))
    await arrives(near, range(1, 121))
    await arrives(far, range(1, 121))


async def test_a_topic_without_readers_is_not_subscribed_to(
    open_node: OpenNode, own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from server.realtime import hub

    def channels() -> int:
        return int(own_redis.command("PUBSUB", "CHANNELS", "tiffin:*").lstrip("*"))

    monkeypatch.setattr(hub, "LINGER_SECONDS", 0.1)
    node = await open_node(RedisBroker(own_redis.url, SECRET))
    assert channels() == 1  # the connection's own
    sink = ListSink()
    subscription = await node.hub.subscribe(TOPIC, None, sink)
    assert channels() == 2
    subscription.close()
    await wait_until(lambda: channels() == 1)
    await node.hub.subscribe(TOPIC, None, sink)
    assert channels() == 2


async def test_one_connection_listens_to_any_number_of_topics(
    open_node: OpenNode, own_redis: RedisServer
) -> None:
    here, there = await two(open_node, own_redis.url, SLOW_SWEEP)
    names = [f"restaurant:{number}" for number in range(120)]
    sinks = [await subscribed(there, name) for name in names]
    assert connections(own_redis, "pubsub") == 2  # one a process
    await asyncio.gather(*(here.append(name) for name in names))
    for sink in sinks:
        await arrives(sink, [1])
    assert connections(own_redis, "normal") <= 3  # one for each process, and this query


async def test_a_killed_listening_connection_loses_nothing(
    open_node: OpenNode, own_redis: RedisServer
) -> None:
    here, there = await two(open_node, own_redis.url, 0.5)
    far = await subscribed(there)
    for turn in range(3):
        await here.append(count=10)
        await wait_until(own_redis.kill_pubsub, what="a listening connection, killed")
        await here.append(count=10)
        await arrives(far, range(1, 20 * (turn + 1) + 1))
    await wait_until(lambda: connections(own_redis, "pubsub") == 2)
    await wait_until(lambda: there.broker.state == "ok")  # once it has Redis' answer


async def test_it_is_fast_again_after_a_killed_connection(
    open_node: OpenNode, own_redis: RedisServer
) -> None:
    """Without the sweep: every topic is subscribed to again, and lost events are looked for."""
    here, there = await two(open_node, own_redis.url, SLOW_SWEEP)
    sinks = [await subscribed(there, f"restaurant:{number}") for number in range(20)]
    own_redis.kill_pubsub()
    await asyncio.gather(*(here.append(f"restaurant:{number}") for number in range(20)))
    for sink in sinks:
        await arrives(sink, [1])
    await wait_until(lambda: connections(own_redis, "pubsub") == 2)
    await asyncio.gather(*(here.append(f"restaurant:{number}") for number in range(20)))
    for sink in sinks:
        await arrives(sink, [1, 2])


async def test_a_redis_that_restarts_loses_nothing_and_is_used_again(
    open_node: OpenNode, own_redis: RedisServer
) -> None:
    here, there = await two(open_node, own_redis.url, 0.5)
    far = await subscribed(there)
    await here.append()
    await arrives(far, [1])
    own_redis.kill()
    await here.append()
    await arrives(far, [1, 2])
    await wait_until(lambda: there.broker.state != "ok")
    await asyncio.to_thread(own_redis.start)
    await here.append()
    await arrives(far, [1, 2, 3])
    await wait_until(lambda: (here.broker.state, there.broker.state) == ("ok", "ok"))
    there.hub._sweep_seconds = SLOW_SWEEP
    there.hub.request_sweep()  # the one that has begun still waits for less
    for _ in range(20):
        await here.append()
    await arrives(far, range(1, 24))


async def test_a_frozen_redis_delays_nobody(
    open_node: OpenNode, own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_broker, "PING_SECONDS", 0.5)
    monkeypatch.setattr(redis_broker, "SILENCE_SECONDS", 1.5)
    monkeypatch.setattr(redis_broker, "CONFIRM_SECONDS", 1.0)
    monkeypatch.setattr(redis_broker, "PUBLISH_SECONDS", 2.0)
    here, there = await two(open_node, own_redis.url, 0.5)
    far = await subscribed(there)
    own_redis.freeze()
    try:
        taken = []
        for turn in range(4):
            started = time.monotonic()
            await here.append()
            taken.append(time.monotonic() - started)
            await arrives(far, range(1, turn + 2))
        assert min(taken) < PROMISED
        async with asyncio.timeout(PATIENCE):
            new = await subscribed(there, "restaurant:new")
        await here.append("restaurant:new")
        await arrives(new, [1])
        await wait_until(lambda: there.broker.state != "ok", what="the silence is noticed")
    finally:
        own_redis.thaw()
    await wait_until(lambda: there.broker.state == "ok")
    await here.append()
    await arrives(far, range(1, 6))
    # Redis finds out late about those that ended while it was frozen.
    await wait_until(lambda: connections(own_redis, "pubsub") <= 2)


async def test_without_redis_events_wait_for_a_sweep(open_node: OpenNode) -> None:
    here, there = await two(open_node, f"redis://127.0.0.1:{free_port()}/0", 0.5)
    near, far = await subscribed(here), await subscribed(there)
    taken = []
    for turn in range(3):
        started = time.monotonic()
        await here.append()
        taken.append(time.monotonic() - started)
        assert near.seqs == list(range(1, turn + 2))  # a process's own events need no broker
        await arrives(far, range(1, turn + 2))
    assert min(taken) < PROMISED
    await wait_until(lambda: there.broker.state.startswith("no connection to Redis"))


async def test_a_redis_that_comes_later_is_found(
    open_node: OpenNode, own_redis: RedisServer
) -> None:
    own_redis.stop()
    here, there = await two(open_node, own_redis.url, SLOW_SWEEP)
    far = await subscribed(there)
    await asyncio.to_thread(own_redis.start)
    await wait_until(lambda: (here.broker.state, there.broker.state) == ("ok", "ok"))
    await here.append()
    await arrives(far, [1])


async def test_subscriptions_made_while_connecting_are_kept(
    open_node: OpenNode, own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = await open_node(RedisBroker(own_redis.url, SECRET), sweep_seconds=SLOW_SWEEP)
    # It is opened without waiting for Redis: connecting is given up after two seconds.
    monkeypatch.setattr(redis_broker, "CONFIRM_SECONDS", 0.1)
    own_redis.freeze()
    there = await open_node(RedisBroker(own_redis.url, SECRET), sweep_seconds=SLOW_SWEEP)
    assert there.broker.state == "connecting"  # it hangs in the middle of the handshake
    sinks = [await subscribed(there, f"restaurant:{number}") for number in range(5)]
    own_redis.thaw()
    await wait_until(lambda: there.broker.state == "ok")
    await asyncio.gather(*(here.append(f"restaurant:{number}") for number in range(5)))
    for sink in sinks:
        await arrives(sink, [1])


async def test_publishing_never_waits(own_redis: RedisServer) -> None:
    broker = RedisBroker(own_redis.url, SECRET)
    delivered: list[Event] = []
    broker.deliver = delivered.append
    await broker.open("epoch")
    own_redis.freeze()
    events = [Event(TOPIC, seq, "changed", "", "{}", "") for seq in range(1, 15_001)]
    started = time.monotonic()
    for start in range(0, 15_000, 100):
        broker.publish(events[start : start + 100])
    assert time.monotonic() - started < PATIENCE  # each would wait for seconds
    assert delivered == events
    assert 0 < len(broker._queue) <= redis_broker.QUEUE
    broker.publish([Event(TOPIC, seq, "changed", "", "x" * 20_000, "") for seq in range(1500)])
    assert sum(len(message) for _, message in broker._queue) <= redis_broker.QUEUE_BYTES
    own_redis.thaw()
    await asyncio.wait_for(broker.close(), PATIENCE)


async def test_databases_that_share_a_redis_are_separate(
    open_node: OpenNode, redis_url: str
) -> None:
    here = await open_node(RedisBroker(redis_url, SECRET), sweep_seconds=SLOW_SWEEP)
    other = await open_node(RedisBroker(redis_url, SECRET), name="other", sweep_seconds=SLOW_SWEEP)
    twin = await open_node(RedisBroker(redis_url, SECRET), name="other", sweep_seconds=SLOW_SWEEP)
    mine, theirs, twins = [await subscribed(node) for node in (here, other, twin)]
    await other.append(data='"theirs"')
    await arrives(twins, [1])
    await here.append(data='"mine"')
    assert [event.data for event in mine.events] == ['"mine"']
    assert [event.data for event in theirs.events] == ['"theirs"']


@pytest.mark.parametrize(
    "message", ["nonsense", "x\n{}", "x\n[", "x\n" + "[" * 50_000, "x\n[1,2,3,4,5,6]", "\n", ""]
)
async def test_an_unsigned_message_is_ignored(
    open_node: OpenNode, redis_server: RedisServer, redis_url: str, message: str
) -> None:
    here, there = await two(open_node, redis_url, SLOW_SWEEP)
    far = await subscribed(there)
    again: list[None] = []
    there.broker.reconnected = lambda: again.append(None)
    redis_server.command("PUBLISH", there.channel + TOPIC, message)
    await here.append()
    await arrives(far, [1])
    assert there.broker.state == "ok"
    assert again == []


@asynccontextmanager
async def overheard(url: str, channel: str) -> AsyncIterator[Callable[[], Awaitable[bytes]]]:
    """Everything published there, as anybody who reaches that Redis can read it."""
    async with Redis.from_url(url) as redis, redis.pubsub() as ear:
        await ear.subscribe(channel)
        assert await ear.get_message(timeout=PATIENCE), "Redis does not confirm"

        async def heard() -> bytes:
            async with asyncio.timeout(PATIENCE):
                while True:
                    message = await ear.get_message(ignore_subscribe_messages=True, timeout=1)
                    if message is not None:
                        return bytes(message["data"])

        yield heard


async def test_a_genuine_message_cannot_be_misused(
    open_node: OpenNode, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Repeated it changes nothing; on another channel, or with another text, it is dropped."""
    here, there = await two(open_node, redis_url, SLOW_SWEEP)
    other = "restaurant:res_2"
    far, elsewhere = await subscribed(there), await subscribed(there, other)
    channel = there.channel
    async with overheard(redis_url, channel + TOPIC) as heard, Redis.from_url(redis_url) as redis:
        await here.append(data='"mine"')
        message = await heard()
        await arrives(far, [1])
        forged = [
            (TOPIC, message.replace(b"mine", b"ours")),
            (TOPIC, message.replace(b",1,", b",2,")),
            (TOPIC, message[32:]),
            (TOPIC, b"\0" * 32 + message[32:].replace(b",1,", b",2,")),
            (other, message),
            (other, message.replace(TOPIC.encode(), other.encode())),
        ]
        for topic, sent in forged:
            await redis.publish(channel + topic, sent)
        for _ in range(3):
            await redis.publish(channel + TOPIC, message)
        await here.append()
        await here.append(other)
        await arrives(far, [1, 2])
        await arrives(elsewhere, [1])
    assert [event.data for event in far.events] == ['"mine"', "{}"]
    assert there.broker.rejected == len(forged)
    told = [record for record in caplog.records if "not signed" in record.getMessage()]
    assert [record.levelname for record in told] == ["WARNING"], "once, however many there are"
    assert (there.broker.state, there.hub.gaps) == ("ok", 0)


async def test_another_secret_delays_by_a_sweep_and_is_reported(
    open_node: OpenNode, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    here = await open_node(RedisBroker(redis_url, SECRET))
    there = await open_node(RedisBroker(redis_url, SECRET + "?"))
    far = await subscribed(there)
    for _ in range(3):
        await here.append()
    await arrives(far, [1, 2, 3])
    await wait_until(lambda: there.broker.rejected == 3, what="each is counted")
    assert "another TIFFIN_JWT_SECRET" in caplog.text


async def test_a_message_signed_with_the_previous_secret_is_accepted(
    open_node: OpenNode, redis_url: str
) -> None:
    new = await open_node(RedisBroker(redis_url, SECRET + "!", SECRET), sweep_seconds=SLOW_SWEEP)
    old = await open_node(RedisBroker(redis_url, SECRET, SECRET + "!"), sweep_seconds=SLOW_SWEEP)
    for seq, (here, there) in enumerate(((new, old), (old, new)), start=1):
        far = await subscribed(there)
        await here.append()
        await arrives(far, [seq])
        assert there.broker.rejected == 0


async def test_a_repeated_ephemeral_event_is_too_old(open_node: OpenNode, redis_url: str) -> None:
    here, there = await two(open_node, redis_url, SLOW_SWEEP)
    topic = "ephemeral/chat:1"
    far = await subscribed(there, topic)
    old = Event(topic, 0, "typing", "", '"old"', to_text(now() - timedelta(seconds=61)))
    here.broker.publish([old])
    here.hub.broadcast(topic, "typing", '"new"')
    await wait_until(lambda: far.events)
    assert [event.data for event in far.events] == ['"new"']


async def test_an_error_while_delivering_does_not_end_listening(
    open_node: OpenNode, redis_url: str
) -> None:
    here, there = await two(open_node, redis_url, 0.5)
    far = await subscribed(there)
    deliver: Callable[[Event], None] = there.broker.deliver
    failed = asyncio.Event()

    def fails(event: Event) -> None:
        there.broker.deliver = deliver
        failed.set()
        raise ZeroDivisionError

    there.broker.deliver = fails
    await here.append()
    await asyncio.wait_for(failed.wait(), PATIENCE)
    await here.append()
    await arrives(far, [1, 2])
    await wait_until(lambda: there.broker.state == "ok")


def test_pauses_grow_to_a_limit_for_hours() -> None:
    assert backoff(0) < 0.1
    for attempt in (10, 1024, 100_000):
        assert 1 <= backoff(attempt) <= 3
    assert len({backoff(20) for _ in range(20)}) > 1


async def test_closing_takes_no_longer_when_redis_does_not_answer(
    own_redis: RedisServer, open_node: OpenNode
) -> None:
    node = await open_node(RedisBroker(own_redis.url, SECRET))
    await subscribed(node)
    own_redis.freeze()
    await node.append()
    started = time.monotonic()
    await node.close()
    assert time.monotonic() - started < PATIENCE / 2
    own_redis.thaw()


async def test_it_closes_at_any_moment_of_publishing(redis_url: str) -> None:
    """redis-py may lose a cancellation that arrives just after a command was sent."""
    event = Event(TOPIC, 1, "made", "x", "{}", "2026-01-31T12:00:00.000Z")
    for turns in range(60):
        broker = RedisBroker(redis_url, SECRET)
        await broker.open("closing")
        broker.publish([event])
        for _ in range(turns):
            await asyncio.sleep(0)
        await asyncio.wait_for(broker.close(), PATIENCE)
