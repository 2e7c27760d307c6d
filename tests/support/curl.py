"""`curl -N` on a stream: what anyone with a terminal sees."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.rest import Rest
from support.waiting import PATIENCE, wait_until


class Curl:
    """A running curl; its output is read from a file as it arrives."""

    def __init__(self, process: subprocess.Popen[bytes], output: Path) -> None:
        self.process = process
        self._output = output

    @property
    def text(self) -> str:
        """All it has printed."""
        return self._output.read_bytes().decode()

    @property
    def blocks(self) -> list[dict[str, str]]:
        """The complete blocks so far, each as its fields; a comment's field is ""."""
        return [
            {name: value for name, _, value in (line.partition(": ") for line in block.split("\n"))}
            for block in self.text.split("\n\n")[:-1]
        ]

    def events(self, type: str) -> list[dict[str, str]]:
        """The events of that type so far."""
        return [block for block in self.blocks if block.get("event") == type]

    async def has(
        self, count: int, type: str = "location", seconds: float = PATIENCE
    ) -> dict[str, str]:
        """Wait for exactly that many events of that type; the last of them."""
        await wait_until(lambda: len(self.events(type)) >= count, seconds, what=f"{count} {type}")
        found = self.events(type)
        assert len(found) == count, found
        return found[-1]

    async def ends(self, seconds: float = PATIENCE) -> int:
        """Wait for curl to end by itself; its exit code."""
        await wait_until(lambda: self.process.poll() is not None, seconds, what="curl ends")
        return self.process.returncode


@contextmanager
def curl(rest: Rest, path: str, folder: Path, **headers: str) -> Iterator[Curl]:
    """`curl -N` as that account; skips the test, saying so, where there is no curl."""
    found = shutil.which("curl")
    if found is None:
        pytest.skip("curl is not installed: this test shows what it prints")
    lines = [f"{name}: {value}" for name, value in (rest.headers | headers).items()]
    more = [text for line in lines for text in ("-H", line)]
    output = folder / f"curl-{len(list(folder.glob('curl-*')))}.txt"
    with output.open("wb") as out:
        process = subprocess.Popen(
            [found, "-q", "-sS", "-N", "--noproxy", "*", "--fail-with-body", *more, rest.url(path)],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        yield Curl(process, output)
    finally:
        process.kill()
        process.wait()
