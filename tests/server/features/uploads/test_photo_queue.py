"""The queue: who gets a job, who loses it, and that there is one end to each."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from server.app import create_app
from server.core.clock import now
from server.core.database import Database
from server.core.services import SERVICES
from server.features.accounts.service import AccountService
from server.features.restaurants.service import RestaurantService
from server.features.uploads import queue as queue_module
from server.features.uploads import store
from server.features.uploads.queue import (
    ATTEMPTS,
    LONGEST_WAIT,
    MOST_ATTEMPTS,
    SHORTEST_WAIT,
    Job,
    Queue,
)
from server.features.uploads.schemas import UploadPurpose, UploadStatus
from server.features.uploads.store import Made, NewRow, StoredUpload
from support.live_server import settings_for
from support.town import database_in

LEASE = timedelta(seconds=30)


class Clock:
    """What the queue takes for the time; it goes on when told to, and may be set to another."""

    def __init__(self) -> None:
        self.at = now()
        self.passed = timedelta(0)

    def __call__(self) -> datetime:
        return self.at

    def go_on(self, by: timedelta) -> None:
        self.at += by
        self.passed += by


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(queue_module, "now", clock)
    monkeypatch.setattr(queue_module, "monotonic", lambda: clock.passed.total_seconds())
    return clock


@pytest.fixture
async def database(data_dir: Path) -> AsyncIterator[Database]:
    async with database_in(data_dir) as database:
        yield database


def queue_on(database: Database, data_dir: Path) -> Queue:
    """The queue as one process has it, with the services that it tells of its ends."""
    services = create_app(settings_for(data_dir))[SERVICES]
    accounts = services[AccountService]
    restaurants = services[RestaurantService]
    return Queue(database, accounts, restaurants, LEASE)


@pytest.fixture
def queue(database: Database, data_dir: Path, clock: Clock) -> Queue:
    return queue_on(database, data_dir)


async def put_in(database: Database, name: str, at: datetime, account: str = "acc_ana") -> None:
    row = NewRow(
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


async def look(database: Database, name: str) -> StoredUpload:
    found = await database.read(lambda tx: store.upload(tx, name))
    assert found is not None
    return found


def made(job: Job) -> Made:
    original, result = job.blobs
    return Made(original, "image/jpeg", 10, result, 20, 6, 4)


async def claimed(queue: Queue) -> Job:
    """The next job, which may be taken now."""
    job = await queue.claim()
    assert job is not None
    return job


async def test_the_oldest_comes_first_and_each_once(
    database: Database, queue: Queue, clock: Clock
) -> None:
    for number in range(3):
        await put_in(database, f"upl_{number}", clock())
        clock.go_on(timedelta(milliseconds=1))
    taken = [await queue.claim() for _ in range(4)]
    assert [job.id if job else None for job in taken] == ["upl_0", "upl_1", "upl_2", None]
    assert (await look(database, "upl_0")).status is UploadStatus.PROCESSING


async def test_accounts_take_turns(database: Database, queue: Queue, clock: Clock) -> None:
    """One with many photos does not hold up the others, and is not held up by them."""
    for number in range(5):
        await put_in(database, f"ana_{number}", clock())
    taken = [(await claimed(queue)).id, (await claimed(queue)).id]
    await put_in(database, "bea_0", clock(), "acc_bea")
    await put_in(database, "bea_1", clock(), "acc_bea")
    await put_in(database, "cyd_0", clock(), "acc_cyd")
    taken += [(await claimed(queue)).id for _ in range(3)]
    # One after the other as soon as the one before is done is no way past those that wait.
    for number in range(2, 4):
        await put_in(database, f"bea_{number}", clock(), "acc_bea")
    taken += [(await claimed(queue)).id for _ in range(5)]
    assert taken == [
        *("ana_0", "ana_1"),
        *("ana_2", "bea_0", "cyd_0"),
        *("ana_3", "bea_1", "ana_4", "bea_2", "bea_3"),
    ]


async def test_a_claim_costs_the_same_however_much_is_stored(
    database: Database, queue: Queue, clock: Clock
) -> None:
    """Each of its statements finds its rows by an index, and in no other's order."""
    given = dict.fromkeys(("now", "latest", "account_id"), "x")
    for name in (
        "at_work",
        "ready",
        "pause_over",
        "any_paused",
        "end_pauses",
        "claim",
        "last_turn",
        "kept_by",
    ):
        sql = "EXPLAIN QUERY PLAN " + getattr(store._queries, name).sql
        rows = await database.read(lambda tx, sql=sql: tx.fetch(sql, given))
        steps = [row["detail"] for row in rows]
        assert not [step for step in steps if "TEMP B-TREE" in step], (name, steps)
        assert all("INDEX" in step for step in steps if "uploads" in step), (name, steps)


async def test_many_workers_of_two_processes_never_share_a_job(data_dir: Path) -> None:
    async with database_in(data_dir) as one, database_in(data_dir) as two:
        for number in range(20):
            await put_in(one, f"upl_{number}", now())
        queues = [queue_on(one, data_dir), queue_on(two, data_dir)]
        taken: list[str] = []

        async def work(queue: Queue) -> None:
            while job := await queue.claim():
                taken.append(job.id)

        await asyncio.gather(*(work(queue) for queue in queues for _ in range(5)))
        assert sorted(taken) == sorted(f"upl_{number}" for number in range(20))


async def test_a_worker_that_outlived_its_lease_cannot_finish(
    database: Database, queue: Queue, clock: Clock
) -> None:
    await put_in(database, "upl_1", clock())
    late = await claimed(queue)
    assert await queue.claim() is None, "it is leased"
    clock.go_on(LEASE - timedelta(milliseconds=1))
    assert await queue.claim() is None, "it is leased to the end"
    clock.go_on(timedelta(milliseconds=1))
    quick = await claimed(queue)
    assert (late.id, late.attempt, quick.attempt) == ("upl_1", 1, 2)
    assert set(late.blobs).isdisjoint(quick.blobs)
    # Whatever the late one tries, nothing comes of it.
    assert not await queue.renew(late)
    assert not await queue.finish(late, made(late))
    assert not await queue.fail(late, "no")
    assert not await queue.put_back(late, None, timedelta(0))
    assert (await look(database, "upl_1")).status is UploadStatus.PROCESSING
    assert await queue.finish(quick, made(quick))
    assert not await queue.finish(late, made(late))
    assert not await queue.finish(quick, made(quick)), "one end is enough"
    found = await look(database, "upl_1")
    assert (found.status, found.result_blob) == (UploadStatus.DONE, quick.blobs[1])
    unneeded = await database.read(lambda tx: store.unneeded(tx, now() + timedelta(days=1), 99))
    assert set(unneeded) == {*late.blobs, "upl_1.sent"}


async def test_a_lease_that_is_renewed_holds(
    database: Database, queue: Queue, clock: Clock
) -> None:
    await put_in(database, "upl_1", clock())
    job = await claimed(queue)
    for _ in range(6):
        clock.go_on(LEASE / 3)
        assert await queue.renew(job)
        assert await queue.claim() is None
    assert await queue.finish(job, made(job))


async def test_after_three_lost_workers_it_fails_in_words(
    database: Database, queue: Queue, clock: Clock
) -> None:
    await put_in(database, "upl_1", clock())
    for attempt in range(1, ATTEMPTS + 1):
        assert (await claimed(queue)).attempt == attempt
        assert await queue.claim() is None
        clock.go_on(LEASE)
    assert await queue.claim() is None
    found = await look(database, "upl_1")
    assert (found.status, found.attempts) == (UploadStatus.FAILED, ATTEMPTS)
    assert "The photo may be fine: send it again" in (found.error or "")


async def test_put_back_comes_again_after_its_time_and_not_for_ever(
    database: Database, queue: Queue, clock: Clock
) -> None:
    await put_in(database, "upl_1", clock())
    delay = timedelta(seconds=2)
    for attempt in range(1, ATTEMPTS + 1):
        job = await claimed(queue)
        assert job.attempt == attempt
        assert await queue.put_back(job, "the store was away", delay)
        clock.go_on(delay - timedelta(milliseconds=1))
        assert await queue.claim() is None
        clock.go_on(timedelta(milliseconds=1))
    found = await look(database, "upl_1")
    assert (found.status, found.error) == (UploadStatus.FAILED, "the store was away")


async def test_attempts_that_are_excused_do_not_count_and_still_end(
    database: Database, queue: Queue, clock: Clock
) -> None:
    await put_in(database, "upl_1", clock())
    for excused in [True] * (MOST_ATTEMPTS - ATTEMPTS) + [False] * (ATTEMPTS - 1):
        job = await claimed(queue)
        assert await queue.put_back(job, "it was killed", timedelta(0), excused=excused)
    found = await look(database, "upl_1")
    assert (found.status, found.attempts) == (UploadStatus.QUEUED, MOST_ATTEMPTS - 1)
    assert await queue.put_back(await claimed(queue), "it was killed", timedelta(0), excused=True)
    found = await look(database, "upl_1")
    assert (found.status, found.error) == (UploadStatus.FAILED, "it was killed")


async def test_a_photo_waits_for_its_store_longer_and_longer_and_not_for_ever(
    database: Database, queue: Queue, clock: Clock
) -> None:
    longest = timedelta(hours=1)
    began = clock()
    await put_in(database, "upl_1", began)
    waited = []
    while await queue.wait(job := await claimed(queue), longest):
        found = await look(database, "upl_1")
        assert (found.status, found.tried, found.error) == (UploadStatus.QUEUED, 0, None)
        assert found.due_at is not None
        assert await queue.claim() is None, "others go first"
        assert await queue.any_paused()
        waited.append(found.due_at - clock())
        clock.go_on(waited[-1])
    assert waited == sorted(waited)
    assert (waited[0], waited[-1]) == (SHORTEST_WAIT, LONGEST_WAIT)
    assert clock() - began > longest
    assert job.attempt > MOST_ATTEMPTS
    assert not job.last(excused=False), "it counts as the first"
    assert not await queue.any_paused()
    assert await queue.wait(job, timedelta(0)), "without a limit"


async def test_a_clock_that_was_ahead_delays_nothing(
    database: Database, queue: Queue, clock: Clock
) -> None:
    """Neither a photo that came in meanwhile, nor one that was put back, nor one at work."""
    ahead = timedelta(days=1)
    clock.at += ahead
    for number in range(3):
        await put_in(database, f"upl_{number}", clock())
    first, second = await claimed(queue), await claimed(queue)
    assert await queue.put_back(first, "the store was away", timedelta(seconds=2))
    clock.at -= ahead
    assert (await claimed(queue)).id == "upl_0", "its pause is no day"
    assert (await claimed(queue)).id == "upl_2"
    assert await queue.claim() is None
    clock.go_on(LEASE / 2)
    assert await queue.renew(second)
    assert await queue.claim() is None
    clock.go_on(LEASE / 2)
    lost = {(await claimed(queue)).id, (await claimed(queue)).id}
    assert lost == {"upl_0", "upl_2"}, "a lease is as long as ever"
    clock.at += ahead
    assert await queue.claim() is None, "and no shorter"
    # A photo that comes now is newer than those that seem to be from tomorrow.
    assert await queue.finish(second, made(second))
    clock.at -= 2 * ahead
    await put_in(database, "upl_3", clock())
    newest = await claimed(queue)
    assert await queue.finish(newest, made(newest))
    assert (await look(database, "upl_3")).shown


async def test_what_was_made_and_is_gone_is_made_again(
    database: Database, queue: Queue, clock: Clock
) -> None:
    """As when the clock is set forward, and the janitor takes the attempt for long over."""
    await put_in(database, "upl_1", clock())
    job = await claimed(queue)
    await database.write(lambda tx: store.need(tx, job.blobs[:1]))
    assert not await queue.finish(job, made(job))
    again = await claimed(queue)
    assert (again.id, again.upload.excused) == (job.id, 1)
    assert await queue.finish(again, made(again))


async def test_the_newer_photo_stays_whichever_is_done_first(
    database: Database, queue: Queue, clock: Clock
) -> None:
    for name in ("upl_1", "upl_2"):
        await put_in(database, name, clock())
        clock.go_on(timedelta(milliseconds=1))
    older, newer = await claimed(queue), await claimed(queue)
    assert await queue.finish(newer, made(newer))
    assert await queue.finish(older, made(older))
    assert [(await look(database, name)).shown for name in ("upl_1", "upl_2")] == [False, True]


async def test_a_job_whose_upload_was_deleted_ends_in_nothing(
    database: Database, queue: Queue, clock: Clock
) -> None:
    await put_in(database, "upl_1", clock())
    job = await claimed(queue)
    await database.write(lambda tx: store.delete(tx, "upl_1"))
    assert not await queue.renew(job)
    assert not await queue.finish(job, made(job))
    unneeded = await database.read(lambda tx: store.unneeded(tx, now(), 99))
    assert set(unneeded) == set(job.blobs)
