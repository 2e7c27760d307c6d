"""The hub: each topic's subscriptions in this process, and the sweep that finds lost events."""

import asyncio
import logging
from collections.abc import Sequence

from server.core.clock import now, to_text
from server.core.database import Database
from server.core.errors import Problem, unavailable
from server.core.lifecycle import Component, SupervisedTask
from server.core.logging import log_failure
from server.realtime.broker import Broker
from server.realtime.ephemeral_topic import EPHEMERAL, EphemeralTopic
from server.realtime.event import Cursor, Event, cursor_text
from server.realtime.log import EventLog, Position
from server.realtime.log_topic import LogTopic, RingMemory
from server.realtime.state_topic import STATE, States, StateTopic
from server.realtime.topic import Sink, Subscription, Topic, Waiters

logger = logging.getLogger(__name__)

COMPARED_AT_ONCE = 8
"""Topics; a process has so many connections to the database."""
LINGER_SECONDS = 60.0
"""How long a topic is kept after its last subscription, for readers that reconnect."""


class Hub(Component):
    """Delivers the events of committed transactions to this process's subscriptions, each once
    and in order.

    The broker may lose events. Every `sweep_seconds` the sweep reads which topics have changed in
    the database, and so finds them.

    Once the database is another instance, such as a standby that has taken over, it may lack what
    was delivered, and use its numbers again. Nothing is delivered until each topic was compared
    with it.
    """

    def __init__(
        self,
        database: Database,
        log: EventLog,
        broker: Broker,
        sweep_seconds: float,
        rings: RingMemory | None = None,
    ) -> None:
        self.log = log
        self.states = States(database)
        self.gaps = 0
        self.ring_memory = rings or RingMemory(0, 0)
        self._database = database
        self._broker = broker
        self._sweep_seconds = sweep_seconds
        self._topics: dict[str, Topic] = {}
        self._opening: dict[str, asyncio.Task[Topic]] = {}
        self._touched: set[Topic] = set()
        self._idle: dict[str, float] = {}
        """When topics without a reader were last used, the longest ago first."""
        self._sweeper = SupervisedTask("sweep", self._sweep_for_ever)
        self.tasks = (*broker.tasks, self._sweeper)
        self._sweep_requested = asyncio.Event()
        self._known: Position | None = None
        self._unsubscribing: set[asyncio.Task[None]] = set()
        broker.deliver = self._receive
        broker.reconnected = self.request_sweep
        database.publish = self._publish

    async def open(self) -> None:
        """Open the log and the broker, and start the sweep."""
        await self.log.open()
        await self._join_instance()
        self._sweeper.start()

    async def close(self) -> None:
        """Stop the sweep, and close every topic and the broker."""
        await self._sweeper.stop()
        for task in (*self._opening.values(), *self._unsubscribing):
            task.cancel()
        for topic in self._topics.values():
            topic.close()
        self._topics.clear()
        await self._broker.close()

    @property
    def listeners(self) -> int:
        """Subscriptions and waiters of this process."""
        return sum(
            len(topic.subscriptions) + sum(map(len, topic.waiters.values()))
            for topic in self._topics.values()
        )

    @property
    def topics(self) -> int:
        """Topics open in this process."""
        return len(self._topics)

    async def subscribe(self, name: str, after: str | None, sink: Sink) -> Subscription:
        """Write every event of the topic after the cursor `after` to the sink; without a cursor,
        every event from now.

        Of a state topic the sink gets the newest event at once, and each newer one; it misses
        those for which it had no room.

        Calls the sink's `reset` for a cursor of another epoch or topic, of another event than the
        one of that number, from the future, or from before the log's first event.
        """
        topic = await self.topic(name, recent=after is not None)
        cursor = Cursor.parse(after) if after is not None else None
        seq = topic.start_seq if after is None else -1
        if cursor is not None and (cursor.epoch, cursor.topic) == (self.log.epoch, name):
            await topic.load_recent(cursor.seq)
            seq = cursor.seq if await topic.honours(cursor) else -1
        subscription = Subscription(topic, seq, sink)
        topic.join(subscription)
        if seq < 0:
            sink.reset()
        else:
            subscription.start()
        return subscription

    def cursor_of(self, subscription: Subscription) -> str:
        """The cursor of the last event its sink got."""
        topic, seq = subscription.topic, subscription.cursor
        return cursor_text(self.log.epoch, topic.name, seq, topic.check_at(seq))

    def watch(self, name: str, subject: str) -> "Watch":
        """A future with the topic's next event about that subject; or with None where events were
        missed that may have been about it: then read again.

        It is registered before this enters, so nothing falls between it and what is read inside.
        """
        return Watch(self, name, subject)

    def broadcast(self, name: str, type: str, data: str, subject: str = "") -> None:
        """Send an event to an ephemeral topic's present subscriptions, in all processes.

        `data` is JSON text.
        """
        assert name.startswith(EPHEMERAL), name
        self._publish([Event(name, 0, type, subject, data, to_text(now()))])

    def drop_ring(self, name: str) -> None:
        """Drop the recent events of a topic whose stored events were rewritten."""
        if topic := self._topics.get(name):
            topic.drop_ring()

    def drop_rings(self) -> None:
        """Drop the recent events of every topic: any may have been rewritten."""
        for topic in self._topics.values():
            topic.drop_ring()

    def request_sweep(self) -> None:
        """Sweep now: events may have been lost."""
        self._sweep_requested.set()

    async def topic(self, name: str, *, recent: bool = False) -> Topic:
        """The topic of that name, opened if necessary, see `Topic.open`. Raises Problem 503."""
        opening = self._opening.get(name)
        topic = self._topics.get(name)
        if opening is None and topic is not None:
            self._idle.pop(name, None)
            self._touched.add(topic)
            return topic
        if opening is None:
            opening = asyncio.create_task(self._open_topic(name, recent), name=f"open {name}")
            self._opening[name] = opening
            opening.add_done_callback(lambda _: self._opening.pop(name, None))
        try:
            return await asyncio.shield(opening)
        except Problem:
            raise
        except Exception as error:
            logger.exception("opening %s failed", name)
            raise unavailable("The event log cannot be read now. Try again.") from error

    async def _open_topic(self, name: str, recent: bool) -> Topic:
        topic: Topic
        if name.startswith(STATE):
            topic = StateTopic(name, self.states)
        elif name.startswith(EPHEMERAL):
            topic = EphemeralTopic(name)
        else:
            topic = LogTopic(name, self.log, self.ring_memory)
        self._topics[name] = topic
        topic.touched = self._touched
        try:
            await self._broker.subscribe(name)
            await topic.open(recent)
        except BaseException:
            self._topics.pop(name, None)
            topic.close()
            raise
        self._touched.add(topic)
        return topic

    def _publish(self, events: Sequence[Event]) -> None:
        if not self.log.is_current:
            self.request_sweep()
            return
        try:
            self._broker.publish(events)
        except Exception:
            logger.exception("the broker did not accept %d events", len(events))
            self.request_sweep()

    def _receive(self, event: Event) -> None:
        topic = self._topics.get(event.topic)
        if topic is not None and self.log.is_current:
            topic.receive(event)

    async def _sweep_for_ever(self) -> None:
        loop = asyncio.get_running_loop()
        seen = -1
        failing = False
        while True:
            try:
                async with asyncio.timeout(self._sweep_seconds):
                    await self._sweep_requested.wait()
            except TimeoutError:
                pass
            try:
                version = await self._database.data_version()
                if not self.log.is_current:
                    await self._join_instance()
                if version != seen or self._sweep_requested.is_set():
                    self._sweep_requested.clear()
                    await self._sweep()
                    seen = version
                self._refresh_topics(loop.time())
                self._close_idle(loop.time())
                failing = False
            except Exception as error:
                if not failing:  # logged once an outage, not twice a second
                    log_failure(logger, error, "the sweep failed; it will be tried again")
                failing = True
                self._sweep_requested.clear()
                seen = -1

    async def _join_instance(self) -> None:
        """Meet the other processes of this database, and no process of a copy; then compare every
        topic, and sweep."""
        instance = self._database.instance
        await self._broker.open(f"{self.log.epoch}:{instance}")
        topics = [*self._topics.values()]
        for start in range(0, len(topics), COMPARED_AT_ONCE):
            some = topics[start : start + COMPARED_AT_ONCE]
            await asyncio.gather(*(topic.compare() for topic in some))
        self.log.instance, self._known = instance, None
        self.request_sweep()

    async def _sweep(self) -> None:
        self._known, heads = await self.log.changes(self._known, self._topics)
        for name, seq in heads.items():
            topic = self._topics.get(name)
            if topic is not None and seq > topic.head:
                self.gaps += 1
                topic.hint(seq)

    def _refresh_topics(self, now: float) -> None:
        """Retry gaps that could not be filled, drop what is encoded, and find topics without a
        reader. Only where something has changed: looking at all topics took a twentieth of the time
        of 300 chat messages a second in 500 rooms."""
        touched = tuple(self._touched)
        self._touched.clear()
        for topic in touched:
            if self._topics.get(topic.name) is not topic:
                continue
            topic.hint(0)
            topic.drop_encoded()
            if topic.idle:
                self._idle.pop(topic.name, None)
                self._idle[topic.name] = now

    def _close_idle(self, now: float) -> None:
        while self._idle:
            name, since = next(iter(self._idle.items()))
            if now - since <= LINGER_SECONDS:
                return
            del self._idle[name]
            topic = self._topics.get(name)
            if topic is not None and topic.idle and name not in self._opening:
                del self._topics[name]
                topic.close()
                # The sweep does not wait for a broker that may be slow to answer.
                leaving = asyncio.create_task(self._broker.unsubscribe(name), name=f"leave {name}")
                self._unsubscribing.add(leaving)
                leaving.add_done_callback(self._unsubscribing.discard)


class Watch:
    """See `Hub.watch`; a generator would take more memory a held request."""

    __slots__ = ("_future", "_hub", "_name", "_subject", "_topic", "_waiting")

    def __init__(self, hub: Hub, name: str, subject: str) -> None:
        self._hub, self._name, self._subject = hub, name, subject

    async def __aenter__(self) -> asyncio.Future[Event | None]:
        self._topic = topic = await self._hub.topic(self._name)
        self._future: asyncio.Future[Event | None] = asyncio.get_running_loop().create_future()
        waiting = topic.waiters.get(self._subject)
        if waiting is None:
            waiting = topic.waiters[self._subject] = Waiters()
        self._waiting = waiting
        waiting[self._future] = None
        return self._future

    async def __aexit__(self, *exception: object) -> None:
        self._waiting.pop(self._future)
        if not self._waiting:
            self._topic.waiters.pop(self._subject)
            self._topic.touched.add(self._topic)
        self._future.cancel()

    def knows(self, state: object) -> bool:
        """Whether another one who waits has told that the subject is in that state still."""
        return self._waiting.known == state

    def tell(self, state: object) -> None:
        """The subject was read inside, and is in that state: those who come until the next event
        need not read it."""
        if not self._future.done():
            self._waiting.known = state
