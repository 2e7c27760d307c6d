"""The workloads that the servers are measured with."""

import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from benchmarks.peers.client import Client, Connection, Requests, Response, mark

IDLE = 0.04
"""A server that uses less of its core has nothing left to do."""


@dataclass(frozen=True)
class Measured:
    """What some work took: the server's CPU time for one unit of it, in microseconds, and its
    memory for each connection, in kilobytes; and how many units it did a second."""

    microseconds: float
    kilobytes: float
    rate: float


@dataclass(frozen=True)
class Channel:
    """What is published and listened to. `publish` makes the request that publishes an event with
    that mark; `again` the next poll, from the answer to the last."""

    listen: bytes
    publish: Callable[[str], bytes]
    again: Callable[[Response], bytes] = lambda response: b""


@dataclass(frozen=True)
class Member:
    """A room's member: the request for the socket, then what is waited for and answered before it
    is open, and how a message with a mark is sent."""

    request: bytes
    hello: Sequence[tuple[bytes, bytes]]
    message: Callable[[str], bytes]


class Server(ABC):
    """A running server, and how it is asked for the works."""

    port: int

    def measuring(self) -> None:  # noqa: B027
        """A measurement begins."""

    @abstractmethod
    def cpu_seconds(self) -> float:
        """The CPU time that it has used."""

    @abstractmethod
    def kilobytes(self) -> int:
        """Its resident memory."""

    @abstractmethod
    def news(self) -> Channel:
        """What everybody may listen to."""

    @abstractmethod
    def kitchens(self, number: int) -> Sequence[Channel]:
        """Kitchens that get orders."""

    @abstractmethod
    def orders(self, number: int, steps: int) -> Sequence[Channel]:
        """Orders to be polled, each to be stepped at most so often."""

    @abstractmethod
    def order(self) -> bytes:
        """A request for one order."""

    @abstractmethod
    def members(self, rooms: int) -> Sequence[Member]:
        """The members of rooms: of the first room both, then those of the next."""


Work = Callable[[Server, int, float], Measured]
"""Measures a server with that many connections, for about so many seconds."""


def until_idle(server: Server, client: Client, seconds: float) -> None:
    """Read until the server uses nearly no CPU time for so long."""

    def idle() -> bool:
        before = server.cpu_seconds()
        client.wait(seconds)
        return server.cpu_seconds() - before < IDLE * seconds

    client.until(idle, "the server has nothing to do")


class _Meter:
    """A measurement: the memory of the connections opened first, then CPU time."""

    def __init__(self, server: Server, connections: int) -> None:
        self._server = server
        self._connections = connections
        self._memory = float(server.kilobytes())
        self._began = self._began_at = 0.0

    def opened(self, client: Client) -> None:
        """Everything is connected."""
        until_idle(self._server, client, 0.3)
        self._memory = (self._server.kilobytes() - self._memory) / self._connections

    def begin(self) -> None:
        """The work begins."""
        self._server.measuring()
        self._began = self._server.cpu_seconds()
        self._began_at = time.monotonic()

    def end(self, units: int) -> Measured:
        """The work is done."""
        spent = self._server.cpu_seconds() - self._began
        rate = units / (time.monotonic() - self._began_at)
        return Measured(spent / units * 1e6, self._memory, rate)


class _Streams:
    """Streams of some channels; each has to bring its channel's events, all and in order."""

    def __init__(self, client: Client, channels: Sequence[Channel], number: int) -> None:
        self.events = self._open = 0
        self._step = len(channels)
        for index in range(number):
            channel = index % len(channels)
            connection = client.connect(index, self._on_head, channels[channel].listen)
            connection.due = channel
            client.turn(0)
        client.until(lambda: self._open == number, "every stream is open")

    def _on_head(self, connection: Connection, data: bytes) -> None:
        connection.rest += data
        if b"\r\n\r\n" in connection.rest:
            assert connection.rest[9:12] == b"200", connection.rest
            connection.rest, connection.on_data = b"", self._on_events
            self._open += 1

    def _on_events(self, connection: Connection, data: bytes) -> None:
        for number, _ in connection.marks(data):
            assert number == connection.due, f"event {number} instead of {connection.due}"
            connection.due += self._step
            self.events += 1


def fan_out(server: Server, number: int, seconds: float) -> Measured:
    """Deliveries of events to many streams of one channel, one event after the other."""
    with Client(server.port) as client:
        channel, meter = server.news(), _Meter(server, number)
        streams = _Streams(client, [channel], number)
        meter.opened(client)
        requests, event, end = Requests(client, 1), 0, 0.0

        def publish() -> None:
            nonlocal event
            requests.send(channel.publish(mark(event)))
            event += 1
            client.until(lambda: streams.events == number * event, "every stream has the event")

        for _ in range(3):
            publish()
        meter.begin()
        warm, end = event, time.monotonic() + seconds
        while time.monotonic() < end:
            publish()
        requests.finish()
        return meter.end(number * (event - warm))


def kitchens(server: Server, number: int, seconds: float) -> Measured:
    """Orders, 500 a second, each to the one stream of its kitchen."""
    with Client(server.port) as client:
        channels, meter = server.kitchens(number), _Meter(server, number)
        streams = _Streams(client, channels, number)
        meter.opened(client)
        requests = Requests(client, 32)

        def place(event: int) -> None:
            kitchen = event % number
            requests.send(channels[kitchen].publish(mark(event)), group=kitchen)

        meter.begin()
        orders = client.paced(500, seconds, place)
        requests.finish()
        client.until(lambda: streams.events == orders, "every order has come to its kitchen")
        return meter.end(orders)


def read(server: Server, number: int, seconds: float) -> Measured:
    """Requests for an order, over connections of which each sends the next when it is answered."""
    request = server.order()
    return _one_after_the_other(server, [lambda: request], number, seconds)


def place(server: Server, number: int, seconds: float) -> Measured:
    """Orders in 100 kitchens, over connections of which each sends the next when it is answered."""
    requests = [partial(channel.publish, mark(0)) for channel in server.kitchens(100)]
    return _one_after_the_other(server, requests, number, seconds)


def _one_after_the_other(
    server: Server, requests: Sequence[Callable[[], bytes]], number: int, seconds: float
) -> Measured:
    with Client(server.port) as client:
        meter, answered = _Meter(server, number), 0

        def send(connection: Connection) -> None:
            connection.send(requests[connection.index % len(requests)]())

        def on_data(connection: Connection, data: bytes) -> None:
            nonlocal answered
            for response in connection.answers(data):
                response.must(200, 201)
                answered += 1
                send(connection)

        connections = [client.connect(index, on_data) for index in range(number)]
        meter.opened(client)
        for connection in connections:
            send(connection)
        client.wait(0.3)
        meter.begin()
        before = answered
        client.wait(seconds)
        return meter.end(answered - before)


class _Rooms:
    """Rooms of two; `sent` and `received` are messages, whose echoes do not count. With `reply`,
    a message is answered by its sender's next one."""

    def __init__(self, client: Client, members: Sequence[Member], *, reply: bool) -> None:
        self.sent = self.received = self._open = 0
        self._members = members
        self._reply = reply
        self._counts = [0] * len(members)
        self._steps = [deque([(b"\r\n\r\n", b""), *member.hello]) for member in members]
        self._connections = []
        for index, member in enumerate(members):
            self._connections.append(client.connect(index, self._on_hello, member.request))
            client.turn(0)
        client.until(lambda: self._open == len(members), "every socket is open")

    def say(self, index: int) -> None:
        """Send a message from that member."""
        text = mark(self._counts[index], index)
        self._counts[index] += 1
        self.sent += 1
        self._connections[index].send(self._members[index].message(text))

    def _on_hello(self, connection: Connection, data: bytes) -> None:
        connection.rest += data
        steps = self._steps[connection.index]
        while steps and steps[0][0] in connection.rest:
            if answer := steps.popleft()[1]:
                connection.rest = b""
                connection.send(answer)
        if not steps:
            self._open += 1
            connection.on_data = self._on_messages

    def _on_messages(self, connection: Connection, data: bytes) -> None:
        for number, sender in connection.marks(data):
            if sender == connection.index:
                continue
            assert sender == connection.index ^ 1, f"from {sender} to {connection.index}"
            assert number == connection.due, f"message {number} instead of {connection.due}"
            connection.due += 1
            self.received += 1
            if self._reply:
                self.say(sender)


def full_rooms(server: Server, number: int, seconds: float) -> Measured:
    """Chat messages in rooms of two, each member's next one sent when the last was received."""
    with Client(server.port) as client:
        members, meter = server.members(number // 2), _Meter(server, number)
        rooms = _Rooms(client, members, reply=True)
        meter.opened(client)
        for index in range(number):
            rooms.say(index)
        client.wait(0.5)
        before = rooms.received
        meter.begin()
        client.wait(seconds)
        return meter.end(rooms.received - before)


def quiet_rooms(server: Server, number: int, seconds: float) -> Measured:
    """Chat messages in rooms of two, 300 a second in all of them together."""
    with Client(server.port) as client:
        members, meter = server.members(number // 2), _Meter(server, number)
        rooms = _Rooms(client, members, reply=False)
        meter.opened(client)
        meter.begin()
        sent = client.paced(300, seconds, lambda message: rooms.say(message % number))
        client.until(lambda: rooms.received == sent, "every message has been received")
        return meter.end(sent)


class _Polls:
    """Held polls of some orders; each is sent again as soon as it is answered."""

    def __init__(self, client: Client, orders: Sequence[Channel], number: int) -> None:
        self.wakes = 0
        self._orders = orders
        for index in range(number):
            order = orders[index % len(orders)]
            client.connect(index, self._on_data, order.listen)
            client.turn(0)

    def wait_for(self, client: Client, wakes: int) -> None:
        """Read until so many polls have been answered."""
        client.until(lambda: self.wakes == wakes, "every poll is answered")

    def _on_data(self, connection: Connection, data: bytes) -> None:
        order = self._orders[connection.index % len(self._orders)]
        for response in connection.answers(data):
            self.wakes += 1
            connection.send(order.again(response.must(200)))


def polls_together(server: Server, number: int, seconds: float) -> Measured:
    """Wakes of many polls of one order by each of its steps, their return included."""
    with Client(server.port) as client:
        most = int(seconds * 10)
        (order,) = server.orders(1, most)
        meter = _Meter(server, number)
        polls = _Polls(client, [order], number)
        meter.opened(client)
        requests, steps, end = Requests(client, 1), 0, time.monotonic() + seconds
        meter.begin()
        while steps < most and time.monotonic() < end:
            steps += 1
            requests.send(order.publish(mark(steps)))
            polls.wait_for(client, number * steps)
            until_idle(server, client, 0.05)
        requests.finish()
        return meter.end(number * steps)


def polls_apart(server: Server, number: int, seconds: float) -> Measured:
    """Steps of orders, 300 a second, each of which wakes that order's one poll. No order has two:
    its poll might not be held again."""
    with Client(server.port) as client:
        seconds = min(seconds, number / 300)
        orders = server.orders(number, 1)
        meter = _Meter(server, number)
        polls = _Polls(client, orders, number)
        meter.opened(client)
        requests = Requests(client, 32)

        def step(event: int) -> None:
            requests.send(orders[event].publish(mark(event)), group=event)

        meter.begin()
        steps = client.paced(300, seconds, step)
        requests.finish()
        polls.wait_for(client, steps)
        until_idle(server, client, 0.05)
        return meter.end(steps)
