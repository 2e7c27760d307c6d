"""The broker between processes: Redis Pub/Sub, with one listener per process."""

import asyncio
import contextlib
import hmac
import logging
import random
import secrets
import ssl
from collections import deque
from collections.abc import Callable, Iterable, Sequence

import redis.exceptions
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    InvalidResponse,
    NoPermissionError,
    RedisError,
    ResponseError,
)

from server.core.lifecycle import SupervisedTask
from server.realtime.event import Event

logger = logging.getLogger(__name__)

QUEUE = 10_000
QUEUE_BYTES = 16 * 1024 * 1024
"""Messages kept for a slow Redis; the oldest are dropped first, and the sweeps find them."""
PIPELINE = 500
CONFIRM_SECONDS = 1.0
PUBLISH_SECONDS = 2.0
CANCEL_SECONDS = 1.0
"""A task that has not ended this long after its cancellation is cancelled again."""
PING_SECONDS = 3.0
SILENCE_SECONDS = 9.0
"""A suspended Redis breaks no connection: without an answer for this long it counts as gone."""
RETRY_SECONDS = 0.2
IDLE_RETRY_SECONDS = 1.0
"""While publishing fails, it is retried after RETRY_SECONDS if there is a message, after both if
not."""
FIRST_PAUSE = 0.05
LONGEST_PAUSE = 2.0
KEY_LABEL = b"tiffin redis events v1"
"""Derives the signing key, so that it differs from other keys made of the same secret."""
SIGNATURE_BYTES = 32
WARNING_SECONDS = 60.0
"""Between two warnings of messages with a bad signature, as there may be many."""


class RedisBroker:
    """Events of this process go straight to its own hub, and through Redis to all others.

    Channel names contain the database's epoch and instance, so that servers with different
    databases can share a Redis, also where one is a copy of the other. A message is a signature
    (HMAC-SHA-256), the sender's id, a line feed, and the event. The key is made of the server's
    `secret`, and the channel is signed too: others who can publish on that Redis cannot forge an
    event or move one to another topic, and a replayed one has a known `seq`. A message with another
    signature is dropped, counted and logged; one signed with a `previous` secret is accepted.
    """

    def __init__(self, url: str, secret: str, *previous: str) -> None:
        """Raises ValueError, which does not quote it, for a URL that redis-py cannot use."""
        self.deliver: Callable[[Event], None] = lambda event: None
        self.reconnected: Callable[[], None] = lambda: None
        self._listens = _Link("listening to Redis")
        self._publishes = _Link("publishing to Redis")
        self.rejected = 0
        self._rejected_logged = 0
        self._warned_at = -WARNING_SECONDS
        # Copied for each message, which is half of the cost.
        self._keyed = [
            hmac.new(hmac.digest(one.encode(), KEY_LABEL, "sha256"), digestmod="sha256")
            for one in (secret, *previous)
        ]
        self._prefix = ""
        self._sender = secrets.token_hex(8).encode()
        no_retry = Retry(NoBackoff(), 0)  # this class reconnects by itself
        try:
            self._listening = Redis.from_url(
                url, retry=no_retry, socket_connect_timeout=2, health_check_interval=0
            )
            # With a socket_timeout redis-py sends by asyncio.wait_for, which loses cancellations.
            self._publishing = Redis.from_url(url, retry=no_retry, socket_connect_timeout=1)
            self._publishing.connection_pool.make_connection()  # type: ignore[no-untyped-call]
        except (TypeError, ValueError, OSError, RedisError):
            raise ValueError(
                "redis-py cannot use it; look at what comes after the ? and at the files it names"
            ) from None
        self._wanted: set[str] = set()
        self._confirmed: dict[str, asyncio.Event] = {}
        self._pubsub: PubSub | None = None
        self._queue: deque[tuple[str, bytes]] = deque()
        self._queue_bytes = 0
        self._queued = asyncio.Event()
        self.tasks = (
            SupervisedTask("redis listener", self._listen_for_ever),
            SupervisedTask("redis publisher", self._publish_for_ever),
        )

    @property
    def state(self) -> str:
        """`ok` while it listens and the last message was accepted, else what is wrong."""
        return self._listens.state if self._listens.state != "ok" else self._publishes.state

    async def open(self, name: str) -> None:
        """Start listening and publishing, or go on under another name; waits up to a second until
        both work or fail."""
        listener, publisher = self.tasks
        if self._prefix:
            await listener.stop(insist=CANCEL_SECONDS)
        else:
            publisher.start()
        self._prefix = f"tiffin:{name}:"
        listener.start()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CONFIRM_SECONDS):
                await self._listens.known.wait()
                await self._publishes.known.wait()

    async def close(self) -> None:
        """Stop both, and disconnect."""
        await asyncio.gather(*(task.stop(insist=CANCEL_SECONDS) for task in self.tasks))
        await self._listening.aclose()
        await self._publishing.aclose()

    def publish(self, events: Sequence[Event]) -> None:
        """Deliver to this process now, and to the others in this tick's pipeline."""
        for event in events:
            channel = self._prefix + event.topic
            message = self._sender + b"\n" + event.to_message().encode()
            message = _signature(self._keyed[0], channel, message) + message
            self._queue.append((channel, message))
            self._queue_bytes += len(message)
        while len(self._queue) > QUEUE or self._queue_bytes > QUEUE_BYTES:
            self._pop()
        self._queued.set()
        for event in events:
            self.deliver(event)

    async def subscribe(self, topic: str) -> None:
        """Returns when Redis has confirmed, or after a second: the sweep covers the rest."""
        self._wanted.add(topic)
        confirmed = self._confirmed.setdefault(topic, asyncio.Event())
        if self._pubsub is None:
            return
        try:
            async with asyncio.timeout(CONFIRM_SECONDS):
                await self._pubsub.subscribe(self._prefix + topic)
                await confirmed.wait()
        except Exception as error:  # the connection may end meanwhile
            logger.warning("subscribing to %s: %s", topic, error or "no answer from Redis")

    async def unsubscribe(self, topic: str) -> None:
        """Unsubscribe, also on later connections."""
        self._wanted.discard(topic)
        self._confirmed.pop(topic, None)
        if self._pubsub is not None:
            with contextlib.suppress(Exception):  # the next connection won't subscribe to it
                async with asyncio.timeout(CONFIRM_SECONDS):
                    await self._pubsub.unsubscribe(self._prefix + topic)

    async def _listen_for_ever(self) -> None:
        attempt = 0
        while True:
            pubsub = self._listening.pubsub()
            try:
                # This channel keeps the connection subscribed while no topic is wanted.
                requested = frozenset(self._wanted)
                await pubsub.subscribe(self._prefix, *self._channels(requested))
                self._pubsub = pubsub
                if late := self._wanted - requested:  # added while connecting
                    await pubsub.subscribe(*self._channels(late))
                await self._listen(pubsub)
            except Exception as error:  # of any kind: the listener must not stop for good
                attempt = 0 if self._listens.state == "ok" else attempt + 1
                if self._listens.failed(error) and not isinstance(error, (RedisError, OSError)):
                    logger.exception("listening to Redis failed")
            finally:
                self._pubsub = None
                for confirmed in self._confirmed.values():
                    confirmed.clear()
                with contextlib.suppress(RedisError, OSError):
                    await pubsub.aclose()  # type: ignore[no-untyped-call]
            await asyncio.sleep(backoff(attempt))

    def _channels(self, topics: Iterable[str]) -> list[str]:
        return [self._prefix + topic for topic in topics]

    async def _listen(self, pubsub: PubSub) -> None:
        loop = asyncio.get_running_loop()
        received = pinged = loop.time()
        while True:
            message = await pubsub.get_message(timeout=1.0)
            now = loop.time()
            if message is None:
                if now - received > SILENCE_SECONDS:
                    raise TimeoutError("no answer")
                if now - max(received, pinged) > PING_SECONDS:
                    pinged = now
                    async with asyncio.timeout(PING_SECONDS):
                        await pubsub.ping()
                continue
            received = now
            channel = _text(message["channel"]) if message["channel"] else ""
            if message["type"] == "message" and channel == self._prefix:
                pass  # a process probes whether publishing works
            elif message["type"] == "message":
                self._receive(channel, message["data"])
            elif message["type"] == "subscribe" and channel == self._prefix:
                # At first, and again where the library has reconnected by itself: messages may
                # have been lost before.
                self._listens.succeeded()
                self.reconnected()
            elif message["type"] == "subscribe" and (
                confirmed := self._confirmed.get(channel.removeprefix(self._prefix))
            ):
                confirmed.set()

    def _receive(self, channel: str, data: bytes) -> None:
        signature, message = data[:SIGNATURE_BYTES], data[SIGNATURE_BYTES:]
        sender, _, text = message.partition(b"\n")
        if sender == self._sender:
            return
        if not any(
            hmac.compare_digest(signature, _signature(keyed, channel, message))
            for keyed in self._keyed
        ):
            self._reject()
            return
        try:
            event = Event.from_message(text)
        except ValueError:  # of another version of the server
            self._reject()
            return
        self.deliver(event)

    def _reject(self) -> None:
        self.rejected += 1
        now = asyncio.get_running_loop().time()
        if now - self._warned_at < WARNING_SECONDS:
            return
        logger.warning(
            "%d messages on our Redis channels were not signed by this server's secret and were"
            " dropped: another process has another TIFFIN_JWT_SECRET or is of another version, or"
            " somebody else writes to this Redis. The sweep finds what was lost.",
            self.rejected - self._rejected_logged,
        )
        self._warned_at, self._rejected_logged = now, self.rejected

    async def _publish_for_ever(self) -> None:
        while True:
            if self._publishes.state == "ok":
                await self._queued.wait()
            self._queued.clear()
            try:
                while self._queue or self._publishes.state != "ok":
                    await self._publish_some()
            except Exception as error:
                self._publishes.failed(error)
                self._queue.clear()
                self._queue_bytes = 0
                with contextlib.suppress(TimeoutError):
                    await asyncio.sleep(RETRY_SECONDS)
                    async with asyncio.timeout(IDLE_RETRY_SECONDS):
                        await self._queued.wait()

    async def _publish_some(self) -> None:
        async with self._publishing.pipeline(transaction=False) as pipeline:
            if self._publishes.state != "ok":
                pipeline.publish(self._prefix, b"")
            for _ in range(min(PIPELINE, len(self._queue))):
                pipeline.publish(*self._pop())
            async with asyncio.timeout(PUBLISH_SECONDS):
                # The error that it would raise contains the message.
                answers = await pipeline.execute(raise_on_error=False)
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        self._publishes.succeeded()

    def _pop(self) -> tuple[str, bytes]:
        channel, message = self._queue.popleft()
        self._queue_bytes -= len(message)
        return channel, message


class _Link:
    """Whether publishing or listening works; changes are logged."""

    def __init__(self, what: str) -> None:
        self._what = what
        self.state = "connecting"
        self.known = asyncio.Event()
        """Set once it has worked or failed."""

    def succeeded(self) -> None:
        """It has just worked."""
        if self.state not in ("ok", "connecting"):
            logger.info("%s works again", self._what)
        self.state = "ok"
        self.known.set()

    def failed(self, error: Exception) -> bool:
        """It has failed; returns whether that was logged, as it is new."""
        before, (level, self.state) = self.state, describe_error(error)
        self.known.set()
        news = before in ("ok", "connecting") or (level == logging.ERROR and before != self.state)
        if news:
            logger.log(
                level,
                "%s: %s; without it the sweep carries on, and each process limits requests alone",
                self._what,
                self.state,
            )
        return news


def describe_error(error: Exception) -> tuple[int, str]:
    """The log level of an error, and what to do about it.

    Quotes only connection errors, which contain the address alone: a server or proxy that does not
    know a command repeats it, with the password or the message.
    """
    text = str(error)
    if isinstance(error, AuthenticationError):
        if "HELLO" in text or "NOAUTH" in text or "required" in text:
            return logging.ERROR, "Redis needs a password, and TIFFIN_REDIS_URL has none"
        return (
            logging.ERROR,
            "Redis does not take the user name and password of TIFFIN_REDIS_URL",
        )
    if isinstance(error, NoPermissionError):
        return (
            logging.ERROR,
            "Redis' ACL does not let the user of TIFFIN_REDIS_URL use PUBLISH, SUBSCRIBE and PING"
            " on the channels tiffin:*",
        )
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return logging.ERROR, "the certificate of Redis is not trusted: see ssl_ca_certs"
        if isinstance(cause, ssl.SSLError):
            return logging.ERROR, "Redis does not speak TLS there: TIFFIN_REDIS_URL needs redis://"
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, ResponseError) and text.startswith("DB index"):
        return logging.ERROR, "Redis has no database of the number in TIFFIN_REDIS_URL"
    if isinstance(error, ResponseError):
        return logging.ERROR, f"Redis refused ({text.partition(' ')[0][:20]})"
    if isinstance(error, (redis.exceptions.TimeoutError, TimeoutError)):
        return logging.WARNING, "no connection to Redis: no answer in time"
    if "closed" in text.lower() or isinstance(error, InvalidResponse):
        return (
            logging.WARNING,
            "no connection to Redis: it ended the connection. Where it speaks TLS,"
            " TIFFIN_REDIS_URL starts with rediss://",
        )
    return logging.WARNING, f"no connection to Redis: {text}"


def backoff(attempt: int) -> float:
    """Seconds before that attempt to reconnect: doubling up to a limit, with jitter."""
    doubled = FIRST_PAUSE * (1 << min(attempt, 16))  # never overflows
    return min(LONGEST_PAUSE, doubled) * random.uniform(0.5, 1.5)  # noqa: S311


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _signature(keyed: hmac.HMAC, channel: str, message: bytes) -> bytes:
    mac = keyed.copy()
    mac.update(channel.encode() + b"\n" + message)
    return mac.digest()
