"""Requests from a process of their own, to see how long a busy server lets others wait."""

import asyncio
import http.client
import multiprocessing
import multiprocessing.connection
import time


def probe(port: int, token: str, control: multiprocessing.connection.Connection) -> None:
    """In a process of its own: ask for the caller's profile again and again until told to stop,
    then send back the seconds that each answer took."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    headers = {"Authorization": f"Bearer {token}"}
    taken = []
    while not control.poll():
        began = time.perf_counter()
        connection.request("GET", "/api/v1/me", headers=headers)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200
        if not taken:
            control.send(None)
        taken.append(time.perf_counter() - began)
        time.sleep(0.002)
    control.send(taken)


class Prober:
    """The probe, from outside of its process."""

    def __init__(self, port: int, token: str) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._ours, theirs = spawn.Pipe()
        self._process = spawn.Process(target=probe, args=(port, token, theirs), daemon=True)
        self._process.start()

    async def ready(self) -> None:
        """Return once it has had its first answer."""
        await asyncio.to_thread(self._ours.recv)

    async def stop(self) -> list[float]:
        """The seconds of every answer."""
        self._ours.send(None)
        taken: list[float] = await asyncio.to_thread(self._ours.recv)
        self._process.join()
        return taken
