"""The broker between processes: Redis Pub/Sub, one connection and one listener a process."""

import asyncio
import contextlib
import hmac
import logging
import random
import secrets
import ssl
from collections import deque
from collections.abc import Callable, Sequence

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
"""Messages kept for a Redis that is slow; the oldest go first, and the sweeps find them."""
PIPELINE = 500
CONFIRM_SECONDS = 1.0
PUBLISH_SECONDS = 2.0
CANCEL_SECONDS = 1.0
"""A task that has not ended this long after its cancellation is cancelled again."""
PING_SECONDS = 3.0
SILENCE_SECONDS = 9.0
"""A stopped Redis breaks no connection: without an answer for this long it counts as gone."""
AGAIN_SECONDS = 0.2
TRY_SECONDS = 1.0
"""While nothing is taken, it is tried again after the first of these for the next message, after
both without one."""
FIRST_PAUSE = 0.05
LONGEST_PAUSE = 2.0
LABEL = b"tiffin redis events v1"
"""What the key is for that signs messages, so that it is no other use's of the same secret."""
SIGNATURE_BYTES = 32
TELL_SECONDS = 60.0
"""Between two warnings of messages that are not ours: whoever sends them may send many."""


class RedisBroker:
    """Events of this process go straight to its own hub, and through Redis to all others.

    Channels carry the database's epoch, so that two databases on one Redis never meet. A message
    is a signature (HMAC-SHA-256), the sender's mark, a line feed, and the event. The signature is
    by a key made of the server's `secret`, over the channel too: whoever can publish on that Redis
    can forge no event and move none to another topic, and of a replayed one `seq` says that it is
    known. What is not signed so is dropped, counted and told.
    """

    def __init__(self, url: str, secret: str) -> None:
        """Raises ValueError, without any of it, for a URL that redis-py cannot use."""
        self.deliver: Callable[[Event], None] = lambda event: None
        self.reconnected: Callable[[], None] = lambda: None
        self._listens = _Standing("listening to Redis")
        self._publishes = _Standing("publishing to Redis")
        self.rejected = 0
        self._rejected_told = 0
        self._told_at = -TELL_SECONDS
        key = hmac.digest(secret.encode(), LABEL, "sha256")
        self._keyed = hmac.new(key, digestmod="sha256")  # copied for each: half of the cost
        self._prefix = ""
        self._mark = secrets.token_hex(8).encode()
        no_retry = Retry(NoBackoff(), 0)  # coming back is this class's own work
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
        """`ok` while it listens and the last message was taken, else what is wrong, in words."""
        return self._listens.state if self._listens.state != "ok" else self._publishes.state

    async def open(self, epoch: str) -> None:
        """Start listening and publishing; waits a moment until both are known to work, or not."""
        self._prefix = f"tiffin:{epoch}:"
        for task in self.tasks:
            task.start()
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
        """To this process now, to the others with whatever else this tick brings."""
        for event in events:
            channel = self._prefix + event.topic
            message = self._mark + b"\n" + event.to_message().encode()
            message = self._signature(channel, message) + message
            self._queue.append((channel, message))
            self._queue_bytes += len(message)
        while len(self._queue) > QUEUE or self._queue_bytes > QUEUE_BYTES:
            self._take()
        self._queued.set()
        for event in events:
            self.deliver(event)

    async def subscribe(self, topic: str) -> None:
        """Returns when Redis has confirmed, or after a second without: the sweep covers that."""
        channel = self._prefix + topic
        self._wanted.add(channel)
        confirmed = self._confirmed.setdefault(channel, asyncio.Event())
        if self._pubsub is None:
            return
        try:
            async with asyncio.timeout(CONFIRM_SECONDS):
                await self._pubsub.subscribe(channel)
                await confirmed.wait()
        except Exception as error:  # the connection may be taken down in the middle of it
            logger.warning("subscribing to %s: %s", topic, error or "no answer from Redis")

    async def unsubscribe(self, topic: str) -> None:
        """No longer wanted, also not by the next connection."""
        channel = self._prefix + topic
        self._wanted.discard(channel)
        self._confirmed.pop(channel, None)
        if self._pubsub is not None:
            with contextlib.suppress(Exception):  # the next connection won't have it anyway
                async with asyncio.timeout(CONFIRM_SECONDS):
                    await self._pubsub.unsubscribe(channel)

    async def _listen_for_ever(self) -> None:
        attempt = 0
        while True:
            pubsub = self._listening.pubsub()
            try:
                # A channel of our own keeps the connection subscribed while nobody listens.
                asked = frozenset(self._wanted)
                await pubsub.subscribe(self._prefix, *asked)
                self._pubsub = pubsub
                if late := self._wanted - asked:  # came while we were connecting
                    await pubsub.subscribe(*late)
                await self._listen(pubsub)
            except Exception as error:  # whatever it was: a process must not stay deaf for good
                attempt = 0 if self._listens.state == "ok" else attempt + 1
                if self._listens.failed(error) and not isinstance(error, (RedisError, OSError)):
                    logger.exception("listening to Redis failed")
            finally:
                self._pubsub = None
                for confirmed in self._confirmed.values():
                    confirmed.clear()
                with contextlib.suppress(RedisError, OSError):
                    await pubsub.aclose()  # type: ignore[no-untyped-call]
            await asyncio.sleep(pause(attempt))

    async def _listen(self, pubsub: PubSub) -> None:
        loop = asyncio.get_running_loop()
        heard = pinged = loop.time()
        while True:
            message = await pubsub.get_message(timeout=1.0)
            now = loop.time()
            if message is None:
                if now - heard > SILENCE_SECONDS:
                    raise TimeoutError("no answer")
                if now - max(heard, pinged) > PING_SECONDS:
                    pinged = now
                    async with asyncio.timeout(PING_SECONDS):
                        await pubsub.ping()
                continue
            heard = now
            channel = _text(message["channel"]) if message["channel"] else ""
            if message["type"] == "message" and channel == self._prefix:
                pass  # somebody tries whether publishing works
            elif message["type"] == "message":
                self._arrived(channel, message["data"])
            elif message["type"] == "subscribe" and channel == self._prefix:
                # The first time, and again where the library connected anew by itself:
                # either way messages may have been lost before.
                self._listens.works()
                self.reconnected()
            elif message["type"] == "subscribe" and channel in self._confirmed:
                self._confirmed[channel].set()

    def _arrived(self, channel: str, data: bytes) -> None:
        signature, message = data[:SIGNATURE_BYTES], data[SIGNATURE_BYTES:]
        mark, _, text = message.partition(b"\n")
        if mark == self._mark:
            return
        if not hmac.compare_digest(signature, self._signature(channel, message)):
            self._reject()
            return
        try:
            event = Event.from_message(text)
        except ValueError:  # of another version of the server
            self._reject()
            return
        self.deliver(event)

    def _signature(self, channel: str, message: bytes) -> bytes:
        mac = self._keyed.copy()
        mac.update(channel.encode() + b"\n" + message)
        return mac.digest()

    def _reject(self) -> None:
        self.rejected += 1
        now = asyncio.get_running_loop().time()
        if now - self._told_at < TELL_SECONDS:
            return
        logger.warning(
            "%d messages on our Redis channels were not signed by this server's secret and were"
            " dropped: another process has another TIFFIN_JWT_SECRET or is of another version, or"
            " somebody else writes to this Redis. The sweep finds what was lost.",
            self.rejected - self._rejected_told,
        )
        self._told_at, self._rejected_told = now, self.rejected

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
                    await asyncio.sleep(AGAIN_SECONDS)
                    async with asyncio.timeout(TRY_SECONDS):
                        await self._queued.wait()

    async def _publish_some(self) -> None:
        async with self._publishing.pipeline(transaction=False) as pipeline:
            if self._publishes.state != "ok":
                pipeline.publish(self._prefix, b"")
            for _ in range(min(PIPELINE, len(self._queue))):
                pipeline.publish(*self._take())
            async with asyncio.timeout(PUBLISH_SECONDS):
                # An error that it raises by itself would hold the message.
                answers = await pipeline.execute(raise_on_error=False)
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        self._publishes.works()

    def _take(self) -> tuple[str, bytes]:
        channel, message = self._queue.popleft()
        self._queue_bytes -= len(message)
        return channel, message


class _Standing:
    """How one of the two ways stands, told in the log where that changes."""

    def __init__(self, what: str) -> None:
        self._what = what
        self.state = "connecting"
        self.known = asyncio.Event()
        """Set once it has worked or failed."""

    def works(self) -> None:
        """It has worked just now."""
        if self.state not in ("ok", "connecting"):
            logger.info("%s works again", self._what)
        self.state = "ok"
        self.known.set()

    def failed(self, error: Exception) -> bool:
        """It has not; gives whether that is news."""
        before, (level, self.state) = self.state, describe_error(error)
        self.known.set()
        news = before in ("ok", "connecting") or (level == logging.ERROR and before != self.state)
        if news:
            logger.log(level, "%s: %s; the sweep carries on without it", self._what, self.state)
        return news


def describe_error(error: Exception) -> tuple[int, str]:
    """How bad it is, for the log, and what to do about it.

    Nothing of what Redis answered but connection errors, which name the address alone: a server or
    proxy that does not know a command repeats it, password or message and all.
    """
    text = str(error)
    if isinstance(error, AuthenticationError):
        if "HELLO" in text or "NOAUTH" in text or "required" in text:
            return logging.ERROR, "Redis wants a password, and TIFFIN_REDIS_URL has none"
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
            return logging.ERROR, "Redis speaks no TLS there: TIFFIN_REDIS_URL wants redis://"
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


def pause(attempt: int) -> float:
    """Seconds before that attempt to connect again: doubling up to a limit, and never alike."""
    doubled = FIRST_PAUSE * (1 << min(attempt, 16))  # for hours on end, without overflowing
    return min(LONGEST_PAUSE, doubled) * random.uniform(0.5, 1.5)  # noqa: S311


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
