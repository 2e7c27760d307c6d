"""The lab's network does to real connections what its dials say, and counts all of it."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import psutil
import pytest

from support.waiting import PATIENCE, keeps, wait_until
from tui.lab.dials import PRESETS, Dials, Weather, is_within, next_change
from tui.lab.network import Link, Network

Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter
SHORT = 0.2
"""Seconds in which nothing may happen."""


class Behind:
    """A server that sends back what it gets; `writers` are its connections."""

    def __init__(self) -> None:
        self.writers: list[Writer] = []
        self.received = b""
        self.sent = 0
        self.ended: list[str] = []

    async def echo(self, reader: Reader, writer: Writer) -> None:
        self.writers.append(writer)
        try:
            while data := await reader.read(65536):
                self.received += data
                writer.write(data)
                await writer.drain()
            self.ended.append("FIN")
        except OSError:
            self.ended.append("RST")
        finally:
            writer.close()

    async def pour(self, reader: Reader, writer: Writer) -> None:
        """Send without end."""
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 * 1024)
        with contextlib.suppress(OSError):
            while True:
                writer.write(b"x" * 10_000)
                await writer.drain()
                self.sent += 10_000
        writer.close()


@pytest.fixture
def behind() -> Behind:
    return Behind()


class Tapped:
    """What has crossed the network."""

    def __init__(self) -> None:
        self.began = 0.0
        self.connections: list[float] = []
        self.packets: list[tuple[float, bool, int]] = []
        self.lateness: list[float] = []

    def begun(self, at: float) -> None:
        self.began = at

    def connected(self, pattern: str, at: float) -> None:
        self.connections.append(at)

    def passed(self, pattern: str, at: float, *, up: bool, data: bytes) -> None:
        self.packets.append((at, up, len(data)))

    def late(self, at: float, seconds: float) -> None:
        self.lateness.append(seconds)


@dataclass
class Scene:
    """A network in front of a server, and its clients."""

    network: Network
    link: Link
    clients: list[Writer] = field(default_factory=list)

    async def connect(self) -> tuple[Reader, Writer]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.link.port)
        self.clients.append(writer)
        return reader, writer


@asynccontextmanager
async def network_to(
    serve: Callable[[Reader, Writer], Awaitable[None]], dials: Dials | None = None
) -> AsyncIterator[Scene]:
    """A network in front of a server that handles connections so; nothing is left at the end."""
    tasks, files = asyncio.all_tasks(), psutil.Process().num_fds()
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with Network(dials) as network:
        scene = Scene(network, await network.listen("sse", *server.sockets[0].getsockname()))
        yield scene
    assert not scene.link.open
    for writer in scene.clients:
        writer.close()
    server.close()
    await wait_until(lambda: asyncio.all_tasks() <= tasks, what="no task of the network is left")
    await wait_until(lambda: psutil.Process().num_fds() <= files, what="no socket is left")


async def ask(reader: Reader, writer: Writer, data: bytes = b"?") -> tuple[bytes, float]:
    """The echo of that, and the seconds that it took."""
    began = time.monotonic()
    writer.write(data)
    async with asyncio.timeout(PATIENCE):
        return await reader.readexactly(len(data)), time.monotonic() - began


async def nothing_comes(reader: Reader) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(SHORT):
            await reader.read(1)


@pytest.mark.parametrize(
    "dials",
    [
        Dials(),
        Dials(delay=0.01, jitter=0.03, loss=0.2),
        Dials(up=400_000, down=400_000, window=2000),
        replace(PRESETS["hotel"].dials, up=0, down=0),
    ],
    ids=["none", "late and lossy", "narrow", "hotel"],
)
async def test_bytes_arrive_once_in_order_and_are_counted(behind: Behind, dials: Dials) -> None:
    data = b"".join(b"%06d\n" % number for number in range(8000))
    tap = Tapped()
    async with network_to(behind.echo, dials) as scene:
        scene.network.tap = tap
        scene.network.begin()
        reader, writer = await scene.connect()
        for start in range(0, len(data), 8000):
            writer.write(data[start : start + 8000])
        async with asyncio.timeout(PATIENCE):
            assert await reader.readexactly(len(data)) == data
        assert behind.received == data
        link = scene.link
        assert (link.connections, link.bytes_up, link.bytes_down) == (1, len(data), len(data))
        assert sum(size for _, up, size in tap.packets if up) == len(data)
        assert len(tap.packets) == link.packets_up + link.packets_down
        assert tap.packets == sorted(tap.packets, key=lambda packet: packet[0])
        assert tap.began <= tap.connections[0] <= tap.packets[0][0]
        await wait_until(lambda: tap.lateness, what="the network has looked how late it is")
        assert min(tap.lateness) >= 0


async def test_a_delay_is_at_least_what_was_asked_for_and_a_handshake_costs_a_round_trip(
    behind: Behind,
) -> None:
    async with network_to(behind.echo, Dials(delay=0.05, jitter=0.02)) as scene:
        reader, writer = await scene.connect()
        assert 0.2 <= (await ask(reader, writer))[1] < PATIENCE

        async def round_trip() -> float:
            return (await ask(reader, writer))[1]

        assert min([await round_trip() for _ in range(4)]) >= 0.1
        await keeps(0.2, round_trip, tries=20)
        scene.network.turn(Dials())
        await keeps(0.05, round_trip, tries=20)


async def test_a_narrow_line_takes_its_time_and_a_slow_reader_holds_the_server_back(
    behind: Behind,
) -> None:
    async with network_to(behind.echo, Dials(up=200_000)) as scene:
        reader, writer = await scene.connect()
        assert 0.25 <= (await ask(reader, writer, b"x" * 50_000))[1] < PATIENCE
    async with network_to(behind.pour, Dials(down=10_000, window=16_000)) as scene:
        await scene.connect()
        before = -1

        async def stands_still() -> bool:
            nonlocal before
            before, same = behind.sent, behind.sent == before
            return same and before > 0

        await wait_until(stands_still, every=SHORT, what="the server waits")
        assert behind.sent < 1_000_000  # what fits into the sockets' buffers


async def test_a_stall_delays_and_a_cut_ends(behind: Behind) -> None:
    async with network_to(behind.echo) as scene:
        reader, writer = await scene.connect()
        assert (await ask(reader, writer))[0] == b"?"
        scene.network.turn(Dials(stall=True))
        writer.write(b"late")
        await nothing_comes(reader)
        scene.network.turn(Dials())
        async with asyncio.timeout(PATIENCE):
            assert await reader.readexactly(4) == b"late"
            scene.network.cut()
            with pytest.raises(ConnectionResetError):
                await reader.read()
            await wait_until(lambda: behind.ended == ["RST"])
            scene.network.turn(Dials(reset=False))
            reader, writer = await scene.connect()
            await ask(reader, writer)
            scene.link.cut()
            assert await reader.read() == b""
            await wait_until(lambda: behind.ended == ["RST", "FIN"])
            scene.network.turn(Dials(cut=True))
            reader, writer = await scene.connect()
            with pytest.raises(ConnectionResetError):
                await reader.read()
        link = scene.link
        assert (link.connections, link.refused, link.cuts, len(behind.ended)) == (3, 1, 2, 2)


async def test_cuts_and_stalls_come_by_the_clock_of_the_run(behind: Behind) -> None:
    async with network_to(behind.echo, Dials(cut_every=0.8, cut_for=0.1)) as scene:
        scene.network.begin()
        began = time.monotonic()
        reader, _ = await scene.connect()
        async with asyncio.timeout(PATIENCE):
            with pytest.raises(ConnectionResetError):
                await reader.read()
            assert time.monotonic() - began >= 0.8
            await wait_until(lambda: not scene.network.is_cut, every=0.005)
            assert time.monotonic() - began >= 0.9
            await scene.connect()
            await wait_until(lambda: scene.link.open)
            cuts = scene.link.cuts
            scene.network.turn(Dials(cut_every=0.1))  # what was before is past
            assert scene.link.cuts == cuts
    times = [number / 100 for number in range(1000)]
    assert [at for at in times if is_within(at, 4, 1)] == [
        at for at in times if 4 <= at < 5 or 8 <= at < 9
    ]
    assert [next_change(at, 4, 1) for at in (0, 3.5, 4, 4.5, 5, 7.5)] == [4, 4, 5, 5, 8, 8]


async def test_half_open_is_silent_and_stays_so(behind: Behind) -> None:
    async with network_to(behind.echo) as scene:
        reader, writer = await scene.connect()
        await ask(reader, writer)
        scene.network.turn(Dials(half_open=True))
        writer.write(b"lost")
        behind.writers[0].write(b"lost too")
        behind.writers[0].close()
        new_reader, new_writer = await scene.connect()
        new_writer.write(b"lost as well")
        await nothing_comes(reader)
        await nothing_comes(new_reader)
        scene.network.turn(Dials())
        writer.write(b"still lost")
        await nothing_comes(reader)
        assert behind.received == b"?"
        reader, writer = await scene.connect()
        assert (await ask(reader, writer))[0] == b"?"


async def test_only_idle_connections_are_ended(behind: Behind) -> None:
    async with network_to(behind.echo, Dials(idle=1)) as scene:
        idle, _ = await scene.connect()
        busy = await scene.connect()
        ended = asyncio.create_task(idle.read())
        began = time.monotonic()
        while not ended.done():
            assert (await ask(*busy))[0] == b"?"
            assert time.monotonic() - began < PATIENCE
            await asyncio.sleep(0.01)
        assert await ended == b""
        assert (await ask(*busy))[0] == b"?"


async def test_a_client_may_stop_sending_and_still_get_its_answer() -> None:
    async def answer(reader: Reader, writer: Writer) -> None:
        asked = await reader.read()
        writer.write(asked)
        writer.close()

    async with network_to(answer, Dials(delay=0.01)) as scene:
        reader, writer = await scene.connect()
        writer.write(b"all of it")
        writer.write_eof()
        async with asyncio.timeout(PATIENCE):
            assert await reader.read() == b"all of it"


def test_the_weather_depends_on_seed_and_time_alone() -> None:
    dials = Dials(delay=0.1, jitter=0.1, loss=0.1)
    times = [number * 0.003 for number in range(3000)]

    def delays(seed: int, *, up: bool) -> list[float]:
        weather = Weather(seed)
        return [weather.delay(dials, at, 100, up=up) for at in times]

    assert delays(1, up=True) == delays(1, up=True)
    assert delays(1, up=True) != delays(2, up=True)
    assert delays(1, up=True) != delays(1, up=False)
    lossless = [delay for delay in delays(1, up=True) if delay < 0.3]
    assert min(lossless) >= 0.1
    assert max(lossless) < 0.2
    assert 0.08 < 1 - len(lossless) / len(times) < 0.12
    assert 0.14 < sum(lossless) / len(lossless) < 0.16


@pytest.mark.parametrize(
    "wrong", [{"delay": -1}, {"loss": 1}, {"window": 0}, {"cut_every": 2, "cut_for": 2}]
)
def test_a_dial_that_makes_no_sense_is_refused_in_words(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(reversed(wrong))):
        Dials(**wrong)  # type: ignore[arg-type]
