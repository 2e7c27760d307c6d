"""What the tests of the employee's window share."""

import pytest


@pytest.fixture(autouse=True)
def _few_frames(few_frames: None) -> None:
    """Nothing here is about single frames."""
