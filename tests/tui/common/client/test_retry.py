"""When to try again, and when not."""

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from server.features.shared.schemas import ProblemDetails
from support.waiting import PATIENCE, wait_until
from tui.common.client import retry as retry_module
from tui.common.client.errors import ApiError, ClientError, ResetStream, SignedOut, Unreachable
from tui.common.client.meter import Pattern, State, Wire
from tui.common.client.retry import Backoff, is_permanent, parse_retry_after, retry, sync_loop


def api_error(status: int, retry_after: float | None = None) -> ApiError:
    problem = ProblemDetails(
        type="about:blank", title="t", status=status, detail="d", request_id="r"
    )
    return ApiError(problem, retry_after)


class Attempts:
    """Answers with each of these in turn: raises the errors, returns the rest."""

    def __init__(self, *outcomes: object) -> None:
        self.outcomes = list(outcomes)
        self.errors: list[tuple[ClientError, float | None]] = []
        self.slept: list[float] = []

    async def __call__(self) -> object:
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def on_error(self, error: ClientError, wait: float | None) -> None:
        self.errors.append((error, wait))

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


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
    assert parse_retry_after(moment) == pytest.approx(30, abs=5)


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
    monkeypatch.setattr(retry_module.time, "monotonic", lambda: now)
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
    monkeypatch.setattr(retry_module.time, "monotonic", lambda: now)
    for _ in range(6):
        backoff.lost()
    backoff.opened()
    now += 5
    assert backoff.lost() <= 0.5


async def test_retry_returns_the_first_answer_and_waits_as_the_server_asks() -> None:
    attempts = Attempts(Unreachable("gone"), api_error(503, 20), api_error(409, 1), "answer")
    answer = await retry(attempts, on_error=attempts.on_error, sleep=attempts.sleep)
    assert answer == "answer"
    assert attempts.slept == [wait for _, wait in attempts.errors]
    assert attempts.slept[0] <= 0.5
    assert 20 <= attempts.slept[1] <= 22
    assert len(attempts.slept) == 3


async def test_retry_raises_a_permanent_error_at_once() -> None:
    attempts = Attempts(api_error(404), "never")
    with pytest.raises(ApiError):
        await retry(attempts, on_error=attempts.on_error, sleep=attempts.sleep)
    assert [wait for _, wait in attempts.errors] == [None]
    assert not attempts.slept


async def test_retry_gives_up_after_the_attempts_it_was_given() -> None:
    attempts = Attempts(Unreachable("one"), Unreachable("two"), "never")
    with pytest.raises(Unreachable, match="two"):
        await retry(attempts, attempts=2, on_error=attempts.on_error, sleep=attempts.sleep)
    assert attempts.errors[-1][1] is None


async def test_a_wait_for_the_next_attempt_ends_when_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(retry_module, "LEAST_PAUSE_SECONDS", PATIENCE * 2)
    attempts = Attempts(api_error(503, 120), "answer")
    answer = asyncio.create_task(retry(attempts, on_error=attempts.on_error))
    await wait_until(lambda: attempts.errors)
    retry_module.retry_now()  # at once: a key that is held down must not be a storm
    for _ in range(10):  # turns in which an ended wait would try again
        await asyncio.sleep(0)
    assert not answer.done()
    monkeypatch.setattr(retry_module, "LEAST_PAUSE_SECONDS", 0.0)
    retry_module.retry_now()
    async with asyncio.timeout(PATIENCE):
        assert await answer == "answer"


async def test_sync_loop_reads_again_after_a_reset_and_an_end_and_stops_when_refused() -> None:
    read = Attempts("c-1", "c-2", "c-3", api_error(403))
    followed = Attempts(ResetStream("reset"), None, Unreachable("gone"))
    cursors: list[object] = []
    meter = Wire().meter("log", Pattern.SSE)

    async def follow(cursor: object) -> None:
        cursors.append(cursor)
        await followed()

    await sync_loop(read, follow, meter=meter, on_error=read.on_error, cap=0.1)
    assert cursors == ["c-1", "c-2", "c-3"]
    assert [wait is None for _, wait in read.errors] == [False, True]
    assert (meter.state, meter.detail) == (State.DOWN, "HTTP 403: t")
