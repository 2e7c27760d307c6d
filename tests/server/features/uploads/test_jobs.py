"""The queue: who gets a job, who loses it, and that each job ends once."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from server.app import create_app
from server.core.audit import AuditActor
from server.core.clock import now
from server.core.database import Database
from server.core.services import SERVICES
from server.features.accounts.schemas import Role
from server.features.accounts.service import AccountService, add_account
from server.features.accounts.store import NewAccount
from server.features.restaurants.service import RestaurantService
from server.features.uploads import jobs, store
from server.features.uploads.jobs import (
    MAX_ATTEMPTS,
    MAX_TOTAL_ATTEMPTS,
    MAX_WAIT,
    MIN_WAIT,
    Job,
    JobQueue,
)
from server.features.uploads.schemas import UploadPurpose, UploadStatus
from server.features.uploads.store import NewUploadRow, ProcessedPhoto, StoredUpload
from support.live_server import settings_for, sqlite_only
from support.town import database_in

LEASE = timedelta(seconds=30)


class Clock:
    """The queue's clock; it advances on demand, and may be set."""

    def __init__(self) -> None:
        self.at = now()
        self.passed = timedelta(0)

    def __call__(self) -> datetime:
        return self.at

    def advance(self, by: timedelta) -> None:
        self.at += by
        self.passed += by


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(jobs, "now", clock)
    monkeypatch.setattr(jobs, "monotonic", lambda: clock.passed.total_seconds())
    return clock


@pytest.fixture
async def database(data_dir: Path) -> AsyncIterator[Database]:
    async with database_in(data_dir) as database:
        yield database


def queue_on(database: Database, data_dir: Path) -> JobQueue:
    """The queue of one process, with the services that it updates."""
    services = create_app(settings_for(data_dir))[SERVICES]
    accounts = services[AccountService]
    restaurants = services[RestaurantService]
    return JobQueue(database, accounts, restaurants, LEASE)


@pytest.fixture
def queue(database: Database, data_dir: Path, clock: Clock) -> JobQueue:
    return queue_on(database, data_dir)


async def enqueue(database: Database, name: str, at: datetime, account: str = "acc_ana") -> None:
    row = NewUploadRow(
        id=name,
        account_id=account,
        purpose=UploadPurpose.AVATAR,
        restaurant_id=None,
        menu_item_id=None,
        media_type="image/jpeg",
        size=1,
        original_blob=f"{name}.sent",
        created_at=at,
    )
    await database.write(lambda tx: store.insert(tx, row))


async def stored(database: Database, name: str) -> StoredUpload:
    found = await database.read(lambda tx: store.upload(tx, name))
    assert found is not None
    return found


def result_of(job: Job) -> ProcessedPhoto:
    original, result = job.blobs
    return ProcessedPhoto(original, "image/jpeg", 10, result, 20, 6, 4)


async def claimed(queue: JobQueue) -> Job:
    """The next job, which can be claimed now."""
    job = await queue.claim()
    assert job is not None
    return job


async def test_jobs_are_claimed_once_each_oldest_first(
    database: Database, queue: JobQueue, clock: Clock
) -> None:
    for number in range(3):
        await enqueue(database, f"upl_{number}", clock())
        clock.advance(timedelta(milliseconds=1))
    taken = [await queue.claim() for _ in range(4)]
    assert [job.id if job else None for job in taken] == ["upl_0", "upl_1", "upl_2", None]
    assert (await stored(database, "upl_0")).status is UploadStatus.PROCESSING


async def test_accounts_take_turns(database: Database, queue: JobQueue, clock: Clock) -> None:
    """An account with many photos does not hold up the others, nor they it."""
    for number in range(5):
        await enqueue(database, f"ana_{number}", clock())
    taken = [(await claimed(queue)).id, (await claimed(queue)).id]
    await enqueue(database, "bea_0", clock(), "acc_bea")
    await enqueue(database, "bea_1", clock(), "acc_bea")
    await enqueue(database, "cyd_0", clock(), "acc_cyd")
    taken += [(await claimed(queue)).id for _ in range(3)]
    # Sending the next photo as soon as one is done does not overtake those that wait.
    for number in range(2, 4):
        await enqueue(database, f"bea_{number}", clock(), "acc_bea")
    taken += [(await claimed(queue)).id for _ in range(5)]
    assert taken == [
        *("ana_0", "ana_1"),
        *("ana_2", "bea_0", "cyd_0"),
        *("ana_3", "bea_1", "ana_4", "bea_2", "bea_3"),
    ]


@sqlite_only
async def test_the_cost_of_a_claim_does_not_grow_with_what_is_stored(
    database: Database, queue: JobQueue, clock: Clock
) -> None:
    """Each of its statements finds its rows by an index and sorts nothing."""
    given = dict.fromkeys(("now", "latest", "account_id"), "x")
    for name in (
        "active_attempts",
        "any_ready",
        "any_pause_over",
        "any_paused",
        "end_pauses",
        "claim",
        "last_turn",
        "usage_of",
    ):
        sql = "EXPLAIN QUERY PLAN " + getattr(store._queries, name).args[0]
        rows = await database.read(lambda tx, sql=sql: tx.fetch(sql, given))
        steps = [row["detail"] for row in rows]
        assert not [step for step in steps if "TEMP B-TREE" in step], (name, steps)
        assert all("INDEX" in step for step in steps if "uploads" in step), (name, steps)


async def test_many_workers_of_two_processes_never_share_a_job(data_dir: Path) -> None:
    async with database_in(data_dir) as one, database_in(data_dir) as two:
        for number in range(20):
            await enqueue(one, f"upl_{number}", now())
        queues = [queue_on(one, data_dir), queue_on(two, data_dir)]
        taken: list[str] = []

        async def work(queue: JobQueue) -> None:
            while job := await queue.claim():
                taken.append(job.id)

        await asyncio.gather(*(work(queue) for queue in queues for _ in range(5)))
        assert sorted(taken) == sorted(f"upl_{number}" for number in range(20))


async def test_a_worker_that_outlived_its_lease_cannot_finish(
    database: Database, queue: JobQueue, clock: Clock
) -> None:
    await enqueue(database, "upl_1", clock())
    late = await claimed(queue)
    assert await queue.claim() is None, "it is leased"
    clock.advance(LEASE - timedelta(milliseconds=1))
    assert await queue.claim() is None, "it is leased to the last moment"
    clock.advance(timedelta(milliseconds=1))
    quick = await claimed(queue)
    assert (late.id, late.attempt, quick.attempt) == ("upl_1", 1, 2)
    assert set(late.blobs).isdisjoint(quick.blobs)
    # The late one cannot change anything.
    assert not await queue.renew(late)
    assert not await queue.finish(late, result_of(late))
    assert not await queue.fail(late, "no")
    assert not await queue.retry(late, None, timedelta(0))
    assert (await stored(database, "upl_1")).status is UploadStatus.PROCESSING
    assert await queue.finish(quick, result_of(quick))
    assert not await queue.finish(late, result_of(late))
    assert not await queue.finish(quick, result_of(quick)), "a job ends once"
    found = await stored(database, "upl_1")
    assert (found.status, found.result_blob) == (UploadStatus.DONE, quick.blobs[1])
    removals = await database.read(lambda tx: store.removals_due(tx, now() + timedelta(days=1), 99))
    assert set(removals) == {*late.blobs, "upl_1.sent"}


async def test_a_renewed_lease_holds(database: Database, queue: JobQueue, clock: Clock) -> None:
    await enqueue(database, "upl_1", clock())
    job = await claimed(queue)
    for _ in range(6):
        clock.advance(LEASE / 3)
        assert await queue.renew(job)
        assert await queue.claim() is None
    assert await queue.finish(job, result_of(job))


async def test_a_job_that_has_lost_three_workers_fails(
    database: Database, queue: JobQueue, clock: Clock
) -> None:
    await enqueue(database, "upl_1", clock())
    for attempt in range(1, MAX_ATTEMPTS + 1):
        assert (await claimed(queue)).attempt == attempt
        assert await queue.claim() is None
        clock.advance(LEASE)
    assert await queue.claim() is None
    found = await stored(database, "upl_1")
    assert (found.status, found.attempts) == (UploadStatus.FAILED, MAX_ATTEMPTS)
    assert "The photo may be fine: send it again" in (found.error or "")


async def test_a_job_is_retried_after_its_delay_and_not_for_ever(
    database: Database, queue: JobQueue, clock: Clock
) -> None:
    await enqueue(database, "upl_1", clock())
    delay = timedelta(seconds=2)
    for attempt in range(1, MAX_ATTEMPTS + 1):
        job = await claimed(queue)
        assert job.attempt == attempt
        assert await queue.retry(job, "the store was away", delay)
        clock.advance(delay - timedelta(milliseconds=1))
        assert await queue.claim() is None
        clock.advance(timedelta(milliseconds=1))
    found = await stored(database, "upl_1")
    assert (found.status, found.error) == (UploadStatus.FAILED, "the store was away")


async def test_excused_attempts_do_not_count_but_are_limited(
    database: Database, queue: JobQueue, clock: Clock
) -> None:
    await enqueue(database, "upl_1", clock())
    for excused in [True] * (MAX_TOTAL_ATTEMPTS - MAX_ATTEMPTS) + [False] * (MAX_ATTEMPTS - 1):
        job = await claimed(queue)
        assert await queue.retry(job, "it was killed", timedelta(0), excused=excused)
    found = await stored(database, "upl_1")
    assert (found.status, found.attempts) == (UploadStatus.QUEUED, MAX_TOTAL_ATTEMPTS - 1)
    assert await queue.retry(await claimed(queue), "it was killed", timedelta(0), excused=True)
    found = await stored(database, "upl_1")
    assert (found.status, found.error) == (UploadStatus.FAILED, "it was killed")


async def test_a_photo_waits_longer_and_longer_for_its_store_but_not_for_ever(
    database: Database, queue: JobQueue, clock: Clock
) -> None:
    longest = timedelta(hours=1)
    started = clock()
    await enqueue(database, "upl_1", started)
    waited = []
    while await queue.postpone(job := await claimed(queue), longest):
        found = await stored(database, "upl_1")
        assert (found.status, found.tried, found.error) == (UploadStatus.QUEUED, 0, None)
        assert found.due_at is not None
        assert await queue.claim() is None, "others go first"
        assert await queue.any_paused()
        waited.append(found.due_at - clock())
        clock.advance(waited[-1])
    assert waited == sorted(waited)
    assert (waited[0], waited[-1]) == (MIN_WAIT, MAX_WAIT)
    assert clock() - started > longest
    assert job.attempt > MAX_TOTAL_ATTEMPTS
    assert not job.is_last(excused=False), "none of them counted"
    assert not await queue.any_paused()
    assert await queue.postpone(job, timedelta(0)), "without a limit"


async def test_a_clock_that_was_ahead_delays_nothing(
    database: Database, queue: JobQueue, clock: Clock
) -> None:
    """Not a photo that was sent meanwhile, nor one to be retried, nor one being processed."""
    ahead = timedelta(days=1)
    clock.at += ahead
    for number in range(3):
        await enqueue(database, f"upl_{number}", clock())
    first, second = await claimed(queue), await claimed(queue)
    assert await queue.retry(first, "the store was away", timedelta(seconds=2))
    clock.at -= ahead
    assert (await claimed(queue)).id == "upl_0", "its pause does not last a day"
    assert (await claimed(queue)).id == "upl_2"
    assert await queue.claim() is None
    clock.advance(LEASE / 2)
    assert await queue.renew(second)
    assert await queue.claim() is None
    clock.advance(LEASE / 2)
    lost = {(await claimed(queue)).id, (await claimed(queue)).id}
    assert lost == {"upl_0", "upl_2"}, "a lease is not longer"
    clock.at += ahead
    assert await queue.claim() is None, "and not shorter"
    # A new photo counts as newer than those that seem to be from tomorrow.
    assert await queue.finish(second, result_of(second))
    clock.at -= 2 * ahead
    await enqueue(database, "upl_3", clock())
    newest = await claimed(queue)
    assert await queue.finish(newest, result_of(newest))
    assert (await stored(database, "upl_3")).shown


async def test_a_photo_whose_blobs_were_removed_is_processed_again(
    database: Database, queue: JobQueue, clock: Clock
) -> None:
    """As when the clock is set forward and the janitor removes the attempt's blobs."""
    await enqueue(database, "upl_1", clock())
    job = await claimed(queue)
    await database.write(lambda tx: store.cancel_removal(tx, job.blobs[:1]))
    assert not await queue.finish(job, result_of(job))
    again = await claimed(queue)
    assert (again.id, again.upload.excused) == (job.id, 1)
    assert await queue.finish(again, result_of(again))


async def test_the_newer_photo_is_shown_whichever_is_done_first(
    database: Database, queue: JobQueue, clock: Clock
) -> None:
    for name in ("upl_1", "upl_2"):
        await enqueue(database, name, clock())
        clock.advance(timedelta(milliseconds=1))
    older, newer = await claimed(queue), await claimed(queue)
    assert await queue.finish(newer, result_of(newer))
    assert await queue.finish(older, result_of(older))
    assert [(await stored(database, name)).shown for name in ("upl_1", "upl_2")] == [False, True]


async def test_of_two_photos_that_are_done_at_once_the_newer_is_shown(data_dir: Path) -> None:
    async with database_in(data_dir) as one, database_in(data_dir) as two:
        account = NewAccount("acc_ana", "ana@example.com", "", Role.CUSTOMER, "Ana")
        await one.write(lambda tx: add_account(tx, account, AuditActor("test")))
        queues = [queue_on(one, data_dir), queue_on(two, data_dir)]
        for number in range(10):
            names = [f"upl_{number}_{order}" for order in range(2)]
            for name in names:
                await enqueue(one, name, now())
            taken = [(queue, await claimed(queue)) for queue in queues]
            done = await asyncio.gather(
                *(queue.finish(job, result_of(job)) for queue, job in reversed(taken))
            )
            assert done == [True, True]
            shown = await one.read(
                lambda tx: tx.fetch("SELECT id FROM uploads WHERE shown = 1", {})
            )
            assert [row["id"] for row in shown] == names[1:]


async def test_a_job_whose_upload_was_deleted_changes_nothing(
    database: Database, queue: JobQueue, clock: Clock
) -> None:
    await enqueue(database, "upl_1", clock())
    job = await claimed(queue)
    await database.write(lambda tx: store.delete(tx, "upl_1"))
    assert not await queue.renew(job)
    assert not await queue.finish(job, result_of(job))
    removals = await database.read(lambda tx: store.removals_due(tx, now(), 99))
    assert set(removals) == set(job.blobs)
