"""A server whose logs nobody reads keeps serving, counts what it dropped, and stops in time."""

import fcntl
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest

from support.preloaded import Forked, fork
from support.server_process import server_environment
from support.waiting import PATIENCE, wait_until
from tools.ports import free_port

SMALL_PIPES = sys.platform == "linux"
REQUESTS = 600 if SMALL_PIPES else 1_400
"""Half of them fill pipe and queue."""
QUEUE = 200
SERVERS = {
    "server": ["--port"],
    "gunicorn": [
        "server.app:create_runner",
        *("-k", "aiohttp.GunicornUVLoopWebWorker", "--timeout", "20", "-b"),
    ],
}


@contextmanager
def unread_server(name: str, data_dir: Path) -> Iterator[tuple[Forked, int, str]]:
    """A server, the pipe that it logs to, and its address."""
    port = free_port()
    address = f"127.0.0.1:{port}"
    where = address if name == "gunicorn" else str(port)
    more = {"TIFFIN_LOG_QUEUE_LINES": str(QUEUE), "TIFFIN_PHOTO_WORKERS": "0"}
    log = data_dir / "log"
    os.mkfifo(log)
    pipe = os.open(log, os.O_RDONLY | os.O_NONBLOCK)  # until the server has opened it too
    try:
        if SMALL_PIPES:
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, 4096)
        environment = server_environment(data_dir, more=more)
        process = fork([*SERVERS[name], where], environment, log, module=name)
        try:
            yield process, pipe, f"http://{address}"
        finally:
            process.kill()
            process.wait()
    finally:
        os.close(pipe)


@pytest.mark.parametrize("name", SERVERS)
async def test_an_unread_log_stops_nothing(name: str, data_dir: Path) -> None:
    with unread_server(name, data_dir) as (process, pipe, url):
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as http:

            async def get(path: str) -> str:
                async with http.get(url + path) as answer:
                    assert answer.status == 200
                    return await answer.text()

            async def ready() -> bool:
                try:
                    return bool(await get("/readyz"))
                except (aiohttp.ClientError, TimeoutError, AssertionError):
                    return False

            await wait_until(ready, 40)
            for _ in range(REQUESTS):
                await get("/readyz")
            [dropped] = [
                float(line.split()[1])
                for line in (await get("/metrics")).splitlines()
                if line.startswith("tiffin_log_lines_dropped")  # gunicorn's has a label
            ]
            assert REQUESTS / 2 < dropped < REQUESTS

            read = bytearray()
            os.set_blocking(pipe, True)

            def drain() -> None:
                while data := os.read(pipe, 65_536):
                    read.extend(data)

            reader = threading.Thread(target=drain, daemon=True)
            reader.start()

            async def told() -> bool:  # once it is read again
                await get("/readyz")
                found = re.findall(rb"(\d+) log lines were dropped", read)
                return sum(map(int, found)) >= dropped

            await wait_until(told)
            assert read.count(b"\n") > QUEUE, "what the pipe and the queue hold was kept"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=PATIENCE) in (0, -signal.SIGTERM)
        reader.join(PATIENCE)  # before its pipe is closed, and the number used for another file
        assert not reader.is_alive()


async def test_a_server_stops_in_time_though_nobody_reads_its_log(data_dir: Path) -> None:
    with unread_server("server", data_dir) as (process, _, url):
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as http:

            async def answers() -> bool:
                try:
                    async with http.get(f"{url}/healthz") as answer:
                        return answer.status == 200
                except (aiohttp.ClientError, TimeoutError):
                    return False

            await wait_until(answers, 40)
            for _ in range(REQUESTS // 2):
                assert await answers()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=PATIENCE) == 0
