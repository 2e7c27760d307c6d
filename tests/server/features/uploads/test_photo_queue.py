"""The queue: who gets a job, who loses it, and that there is one end to each."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from server.app import create_app
from server.core.clock import now
from server.core.database import Database
from server.core.routing import SERVICES
from server.features.accounts.service import AccountService
from server.features.restaurants.service import RestaurantService
from server.features.uploads import store
from server.features.uploads.queue import ATTEMPTS, Job, Queue
from server.features.uploads.schemas import UploadPurpose, UploadStatus
from server.features.uploads.store import Made, NewRow, StoredUpload
from support.live_server import settings_for
from support.town import database_in
from support.waiting import wait_until

LEASE = timedelta(seconds=0.3)


@pytest.fixture
async def database(data_dir: Path) -> AsyncIterator[Database]:
    async with database_in(data_dir) as database:
        yield database


def queue_on(database: Database, data_dir: Path, lease: timedelta = LEASE) -> Queue:
    """The queue as one process has it, with the services that it tells of its ends."""
    services = create_app(settings_for(data_dir))[SERVICES]
    accounts = services[AccountService]
    restaurants = services[RestaurantService]
    assert isinstance(accounts, AccountService)
    assert isinstance(restaurants, RestaurantService)
    return Queue(database, accounts, restaurants, lease)


@pytest.fixture
def queue(database: Database, data_dir: Path) -> Queue:
    return queue_on(database, data_dir)


async def put_in(database: Database, name: str, account: str = "acc_ana") -> None:
    row = NewRow(
        id=name,
        account_id=account,
        purpose=UploadPurpose.AVATAR,
        restaurant_id=None,
        menu_item_id=None,
        media_type="image/jpeg",
        size=1,
        original_blob=f"{name}.sent",
        created_at=now(),
    )
    await database.write(lambda tx: store.insert(tx, row))


async def look(database: Database, name: str) -> StoredUpload:
    found = await database.read(lambda tx: store.upload(tx, name))
    assert found is not None
    return found


def made(job: Job) -> Made:
    original, result = job.blobs
    return Made(original, "image/jpeg", result, 6, 4)


async def claimed(queue: Queue) -> Job:
    """The next job, as soon as there is one."""
    job = await wait_until(queue.claim, 5, what="a job may be taken")
    assert job is not None
    return job


async def test_the_oldest_comes_first_and_each_once(database: Database, queue: Queue) -> None:
    for number in range(3):
        await put_in(database, f"upl_{number}")
        await asyncio.sleep(0.002)
    taken = [await queue.claim() for _ in range(4)]
    assert [job.id if job else None for job in taken] == ["upl_0", "upl_1", "upl_2", None]
    assert (await look(database, "upl_0")).status is UploadStatus.PROCESSING


async def test_many_workers_of_two_processes_never_share_a_job(data_dir: Path) -> None:
    async with database_in(data_dir) as one, database_in(data_dir) as two:
        for number in range(20):
            await put_in(one, f"upl_{number}")
        queues = [queue_on(one, data_dir, LEASE * 100), queue_on(two, data_dir, LEASE * 100)]
        taken: list[str] = []

        async def work(queue: Queue) -> None:
            while job := await queue.claim():
                taken.append(job.id)

        await asyncio.gather(*(work(queue) for queue in queues for _ in range(5)))
        assert sorted(taken) == sorted(f"upl_{number}" for number in range(20))


async def test_a_worker_that_outlived_its_lease_cannot_finish(
    database: Database, queue: Queue
) -> None:
    await put_in(database, "upl_1")
    late = await claimed(queue)
    assert await queue.claim() is None, "it is leased"
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


async def test_a_lease_that_is_renewed_holds(database: Database, queue: Queue) -> None:
    await put_in(database, "upl_1")
    job = await claimed(queue)
    for _ in range(6):
        await asyncio.sleep(LEASE.total_seconds() / 3)
        assert await queue.renew(job)
        assert await queue.claim() is None
    assert await queue.finish(job, made(job))


async def test_after_three_lost_workers_it_fails_in_words(database: Database, queue: Queue) -> None:
    await put_in(database, "upl_1")
    for attempt in range(1, ATTEMPTS + 1):
        assert (await claimed(queue)).attempt == attempt

    async def given_up() -> bool:
        assert await queue.claim() is None
        return (await look(database, "upl_1")).status is UploadStatus.FAILED

    await wait_until(given_up)
    found = await look(database, "upl_1")
    assert found.attempts == ATTEMPTS
    assert "Send it again" in (found.error or "")


async def test_put_back_comes_again_after_its_time_and_not_for_ever(
    database: Database, queue: Queue
) -> None:
    await put_in(database, "upl_1")
    for attempt in range(1, ATTEMPTS + 1):
        job = await claimed(queue)
        assert job.attempt == attempt
        assert await queue.put_back(job, "the store was away", timedelta(seconds=0.2))
        assert await queue.claim() is None
    found = await look(database, "upl_1")
    assert (found.status, found.error) == (UploadStatus.FAILED, "the store was away")


async def test_the_newer_photo_stays_whichever_is_done_first(
    database: Database, queue: Queue
) -> None:
    for name in ("upl_1", "upl_2"):
        await put_in(database, name)
        await asyncio.sleep(0.002)
    older, newer = await claimed(queue), await claimed(queue)
    assert await queue.finish(newer, made(newer))
    assert await queue.finish(older, made(older))
    assert [(await look(database, name)).shown for name in ("upl_1", "upl_2")] == [False, True]


async def test_a_job_whose_upload_was_deleted_ends_in_nothing(
    database: Database, queue: Queue
) -> None:
    await put_in(database, "upl_1")
    job = await claimed(queue)
    await database.write(lambda tx: store.delete(tx, "upl_1"))
    assert not await queue.renew(job)
    assert not await queue.finish(job, made(job))
    unneeded = await database.read(lambda tx: store.unneeded(tx, now(), 99))
    assert set(unneeded) == set(job.blobs)
