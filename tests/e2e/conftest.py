"""Real terminals, for tests that see what a user sees."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.tmux import Tmux


@pytest.fixture
def tmux(tmp_path: Path) -> Iterator[Tmux]:
    """A tmux of the test's own; its windows are closed with it."""
    terminals = Tmux(tmp_path)
    yield terminals
    terminals.close()
