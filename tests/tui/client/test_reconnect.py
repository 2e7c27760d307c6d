"""When to come back, and when not."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from server.features.shared.schemas import ProblemDetails
from tui.common.client import retry as reconnect
from tui.common.client.errors import ApiError, SignedOut, Unreachable
from tui.common.client.retry import Backoff, is_permanent, parse_retry_after


def api_error(status: int) -> ApiError:
    return ApiError(
        ProblemDetails(type="about:blank", title="t", status=status, detail="d", request_id="r")
    )


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 406, 409, 410, 413, 415, 422])
def test_what_the_client_did_wrong_is_final(status: int) -> None:
    assert is_permanent(api_error(status))


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 520])
def test_what_passes_is_not_final(status: int) -> None:
    assert not is_permanent(api_error(status))


def test_no_network_is_not_final_and_being_signed_out_is() -> None:
    assert not is_permanent(Unreachable("gone"))
    assert is_permanent(SignedOut("out"))


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("0", 0),
        (" 7 ", 7),
        ("-3", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("9" * 400, 120),
        ("Mon, 01 Jan 2001 00:00:00 GMT", 0),
    ],
)
def test_retry_after(value: str | None, seconds: float | None) -> None:
    assert parse_retry_after(value) == seconds


def test_retry_after_as_a_date() -> None:
    moment = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    assert parse_retry_after(moment) == pytest.approx(30, abs=2)


def test_waits_grow_to_the_cap_and_are_never_alike() -> None:
    runs = [[backoff.lost() for _ in range(12)] for backoff in (Backoff(), Backoff())]
    for waits in runs:
        for attempt, wait in enumerate(waits):
            whole = min(8.0, 0.5 * 2**attempt)
            assert whole / 2 <= wait <= whole
    assert runs[0] != runs[1]


def test_no_wait_is_longer_than_eight_seconds_however_long_it_lasts() -> None:
    backoff = Backoff()
    assert max(backoff.lost() for _ in range(5000)) <= 8.0


def test_the_servers_wishes_are_a_floor() -> None:
    backoff = Backoff()
    assert 20 <= backoff.lost(retry_after=20) <= 22
    backoff.floor = 3.0
    backoff.reset()
    assert 3 <= backoff.lost() <= 3.3


def test_an_end_by_the_server_is_answered_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    backoff = Backoff()
    now = 1000.0
    monkeypatch.setattr(reconnect.time, "monotonic", lambda: now)
    for _ in range(5):
        backoff.opened()
        now += 30
        assert backoff.ended() <= 0.25


def test_ending_as_soon_as_it_is_open_is_answered_more_and_more_slowly() -> None:
    backoff = Backoff()
    waits = []
    for _ in range(8):
        backoff.opened()
        waits.append(backoff.ended())
    assert waits[0] <= 0.25
    assert waits[-1] >= 4


def test_a_connection_that_held_starts_over(monkeypatch: pytest.MonkeyPatch) -> None:
    backoff = Backoff()
    now = 1000.0
    monkeypatch.setattr(reconnect.time, "monotonic", lambda: now)
    for _ in range(6):
        backoff.lost()
    backoff.opened()
    now += 5
    assert backoff.lost() <= 0.5
