"""Requests from a separate process, to measure how long a busy server makes others wait."""

import asyncio
import http.client
import multiprocessing
import multiprocessing.connection
import time

TIMEOUT_SECONDS = 10.0


def probe(
    port: int,
    token: str,
    reconnect: bool,
    pause: float,
    control: multiprocessing.connection.Connection,
) -> None:
    """In a separate process: request the caller's profile again and again until told to stop, then
    send back the seconds that each answer took."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)
    headers = {"Authorization": f"Bearer {token}"}
    taken = []
    while not control.poll():
        began = time.perf_counter()
        try:
            connection.request("GET", "/api/v1/me", headers=headers)
            answer = connection.getresponse()
            answer.read()
        except OSError:
            assert reconnect
            time.sleep(max(0.0, began + TIMEOUT_SECONDS - time.perf_counter()))
        else:
            assert answer.status == 200
        if not taken:
            control.send(None)
        taken.append(time.perf_counter() - began)
        if reconnect:
            connection.close()
        time.sleep(pause)
    control.send(taken)


class Prober:
    """The probe, as seen by the test.

    With `reconnect` each request uses a new connection, and one without an answer counts as
    TIMEOUT_SECONDS. `pause` is the seconds between two requests.
    """

    def __init__(
        self, port: int, token: str, *, reconnect: bool = False, pause: float = 0.002
    ) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._ours, theirs = spawn.Pipe()
        self._process = spawn.Process(
            target=probe, args=(port, token, reconnect, pause, theirs), daemon=True
        )
        self._process.start()

    async def ready(self) -> None:
        """Return once the first answer has arrived."""
        await asyncio.to_thread(self._ours.recv)

    async def stop(self) -> list[float]:
        """The seconds of every answer."""
        self._ours.send(None)
        taken: list[float] = await asyncio.to_thread(self._ours.recv)
        self._process.join()
        return taken
