"""Real terminals, and two processes that share a database, with Redis and without."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.tmux import Tmux
from support.two_processes import Two


@pytest.fixture(params=["two_on_redis", "without_redis"])
def two(request: pytest.FixtureRequest) -> Two:
    """Two processes on one database."""
    found: Two = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def tmux(tmp_path: Path) -> Iterator[Tmux]:
    """A tmux for this test alone; its windows are closed with it."""
    terminals = Tmux(tmp_path)
    yield terminals
    terminals.close()
