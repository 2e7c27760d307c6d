"""Whatever dies while photos are processed: each ends once, done or failed with a message."""

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support.processes import all_gone
from support.rest import Rest
from support.scene import in_test_all
from support.server_process import StartServer
from support.town import stored_rows
from support.uploads import QUICK_WORKER, done, final, photo_workers, sent
from support.waiting import wait_until
from tools.cluster.azurite import Azurite

pytestmark = [pytest.mark.fault, pytest.mark.timeout(300)]

SHORT = float(os.environ.get("FAULT_SECONDS", "0")) < 10
PHOTOS = 4 if SHORT else 20
LEASE = {"TIFFIN_PHOTO_LEASE_SECONDS": "2"}
PHOTO_WORKERS = {"TIFFIN_PHOTO_WORKERS": "1"} if SHORT else {}
"""Each takes longer to start than it needs for its photos."""


@dataclass(frozen=True)
class Photos:
    """The photos' work: short runs have quick workers, and hold them; others have the model."""

    held: Path

    @property
    def worker(self) -> tuple[str, ...]:
        """Of the servers."""
        return (*QUICK_WORKER, str(self.held)) if SHORT else ()

    def go_on(self) -> None:
        """Let them be done."""
        self.held.unlink()


@pytest.fixture
def photos(tmp_path: Path) -> Photos:
    """None is done before `go_on`, in a short run."""
    held = tmp_path / "held"
    held.touch()
    return Photos(held)


async def crowd(rest: Rest, photos: int = PHOTOS) -> list[str]:
    """Queue that many photos."""
    await rest.register("ana@example.com")
    return [await sent(rest) for _ in range(photos)]


async def in_the_middle(rest: Rest) -> None:
    """Return while some are being processed and others wait."""

    async def busy() -> bool:
        statuses = {one["status"] for one in (await rest.get("/uploads")).json["items"]}
        return {"processing", "queued"} <= statuses

    await wait_until(busy, every=0.05, what="photos are being processed")


async def each_ends_once(
    rest: Rest, data_dir: Path, ids: list[str], *, all_done: bool
) -> list[dict[str, Any]]:
    """Every upload is final, with one result or an error message, and stays so."""
    uploads = [await final(rest, one, seconds=150) for one in ids]
    for upload in uploads:
        assert 1 <= upload["attempts"] <= 3, upload
        if upload["status"] == "failed":
            assert not all_done, upload
            assert upload["error"].endswith("."), upload
            assert "result_url" not in upload
    rows = stored_rows(
        data_dir, "SELECT id, attempts, status, result_blob, due_at, shown FROM uploads"
    )
    for row in rows:
        assert row["due_at"] is None
        name = f"{row['id']}.{row['attempts']}.result" if row["status"] == "done" else None
        assert row["result_blob"] == name
    done = any(one["status"] == "done" for one in uploads)
    assert sum(row["shown"] for row in rows) == (1 if done else 0)
    return uploads


async def test_another_server_takes_over_from_a_killed_one(
    start_server: StartServer, data_dir: Path, photos: Photos
) -> None:
    left, right = (start_server(env=LEASE | PHOTO_WORKERS, worker=photos.worker) for _ in range(2))
    async with Rest(left.url) as rest, Rest(right.url) as other:
        ids = await crowd(rest)
        other.token = rest.token
        await in_the_middle(other)
        await wait_until(lambda: photo_workers(left.pid), what="the first processes some of them")
        left.kill()
        photos.go_on()
        await each_ends_once(other, data_dir, ids, all_done=True)


@in_test_all
async def test_a_killed_server_finishes_its_photos_after_a_restart(
    start_server: StartServer, data_dir: Path, photos: Photos
) -> None:
    server = start_server(env=LEASE | PHOTO_WORKERS, worker=photos.worker)
    async with Rest(server.url) as rest:
        ids = await crowd(rest)
        await in_the_middle(rest)
        await asyncio.to_thread(server.restart)
        photos.go_on()
        await each_ends_once(rest, data_dir, ids, all_done=True)


async def test_a_stopped_server_puts_its_photos_back(
    start_server: StartServer, data_dir: Path, photos: Photos
) -> None:
    server = start_server(env=LEASE | PHOTO_WORKERS, worker=photos.worker)
    async with Rest(server.url) as rest:
        ids = await crowd(rest)
        await in_the_middle(rest)
        left_behind = photo_workers(server.pid)
        assert await asyncio.to_thread(server.terminate) == 0
        await asyncio.to_thread(all_gone, left_behind)
        photos.go_on()
        await asyncio.to_thread(server.start)
        await each_ends_once(rest, data_dir, ids, all_done=True)


@in_test_all
async def test_killed_workers_fail_no_photo(
    start_server: StartServer, data_dir: Path, photos: Photos
) -> None:
    """As often as a photo may fail, and no photo fails for it: that an operator or the kernel kills
    a worker is not the photo's fault."""
    server = start_server(env=LEASE | {"TIFFIN_PHOTO_WORKERS": "1"}, worker=photos.worker)
    async with Rest(server.url) as rest:
        [first] = await crowd(rest, 1)
        for attempt in range(1, 4):

            async def at_work(attempt: int = attempt) -> bool:
                upload = (await rest.get(f"/uploads/{first}")).json
                assert upload["status"] in ("queued", "processing"), upload
                return upload["attempts"] == attempt and upload["status"] == "processing"

            await wait_until(at_work, every=0.02, what=f"attempt {attempt}")
            await wait_until(lambda: photo_workers(server.pid), every=0.02)
            for worker in photo_workers(server.pid):
                worker.kill()
        photos.go_on()
        assert (await done(rest, first))["attempts"] == 4


async def half_sent(rest: Rest, data_dir: Path) -> tuple[Path, asyncio.StreamWriter]:
    """A form that has begun to arrive, the file it is written to, and its connection."""
    before = set((data_dir / "arriving").iterdir())
    _, writer = await asyncio.open_connection("127.0.0.1", int(rest.base_url.rpartition(":")[2]))
    writer.write(
        b"POST /api/v1/uploads HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n"
        b"Content-Type: multipart/form-data; boundary=x\r\n"
        + f"Authorization: Bearer {rest.token}\r\n\r\n".encode()
        + b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\n'
        + b"\xff\xd8\xff"
    )
    arriving: set[Path] = set()

    def there() -> bool:
        arriving.update(set((data_dir / "arriving").iterdir()) - before)
        return bool(arriving)

    await wait_until(there, what="the file has begun to arrive")
    return arriving.pop(), writer


async def test_files_of_a_killed_server_are_removed_and_live_ones_kept(
    start_server: StartServer, data_dir: Path
) -> None:
    left, right = start_server(), start_server()
    async with Rest(left.url) as rest, Rest(right.url) as other:
        await rest.register("ana@example.com")
        other.token = rest.token
        dead, one = await half_sent(rest, data_dir)
        live, two = await half_sent(other, data_dir)
        left.kill()
        for path in (dead, live):  # as if they were old
            os.utime(path, (0, 0))
        await asyncio.to_thread(left.start)
        await wait_until(lambda: not dead.exists(), what="the killed server's file is gone")
        assert live.exists()
        for writer in (one, two):
            writer.close()
        await wait_until(lambda: not live.exists(), what="the other one's has gone by itself")


@in_test_all
@pytest.mark.parametrize(
    "back",
    [
        pytest.param(True, id="and comes back"),
        # Until they are too old, each after an attempt that takes some seconds.
        pytest.param(False, id="for good", marks=pytest.mark.soak),
    ],
)
async def test_photos_survive_a_killed_blob_store(
    start_server: StartServer, data_dir: Path, own_azurite: Azurite, photos: Photos, back: bool
) -> None:
    settings = {"TIFFIN_AZURE_STORAGE_CONNECTION_STRING": own_azurite.connection_string}
    if not back:
        settings["TIFFIN_PHOTO_WAIT_HOURS"] = str(10 / 3600)
    settings |= LEASE | {"TIFFIN_PHOTO_WORKERS": "1"}
    server = start_server(env=settings, worker=photos.worker)
    async with Rest(server.url) as rest:
        ids = await crowd(rest, PHOTOS if back else 4)
        await in_the_middle(rest)
        own_azurite.kill()
        photos.go_on()
        if back:
            await asyncio.sleep(3)
            await asyncio.to_thread(own_azurite.start)
        uploads = [await final(rest, one, seconds=250) for one in ids]
        for upload in uploads:
            # What a store had not written when it was killed is missing from it.
            words = "not in the store any more" if back else "too long"
            assert upload["status"] == "done" or words in upload["error"], upload
        if back:
            await each_ends_once(rest, data_dir, ids, all_done=False)
