"""While their store is away photos wait, and then all of them are processed."""

import base64
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from server.core import health
from server.core.database import Database
from server.features.uploads import jobs, processor
from server.features.uploads.jobs import MAX_TOTAL_ATTEMPTS
from support.live_server import LiveServer, running_server, settings_for
from support.rest import Rest
from support.uploads import done, final, sent
from support.waiting import wait_until
from tools.cluster.azurite import KEY, Azurite

OUTAGE = "the blob store cannot be used"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries follow each other quickly."""
    monkeypatch.setattr(processor, "STORE_RETRY_SECONDS", (0.02,) * 5)
    monkeypatch.setattr(processor, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(health, "REMEMBERED_SECONDS", 0.0)
    monkeypatch.setattr(jobs, "MIN_WAIT", timedelta(seconds=0.02))
    monkeypatch.setattr(jobs, "MAX_WAIT", timedelta(seconds=0.02))


@pytest.fixture
async def ana(data_dir: Path) -> AsyncIterator[Rest]:
    """At a server that accepts photos and leaves them in the queue."""
    settings = settings_for(data_dir, photo_workers=0)
    async with running_server(settings) as server, Rest(server.url) as rest:
        yield await rest.register("ana@example.com")


async def waits(rest: Rest, worker: LiveServer, upload_id: str, words: str) -> None:
    """The photo waits, readiness says why, and the photo itself does not."""

    async def reported() -> bool:
        return words in (await worker.parts())["worker"]

    await wait_until(reported, every=0.05, what=f"readiness says {words!r}")
    upload = (await rest.get(f"/uploads/{upload_id}")).must(200).json
    assert upload["status"] in ("queued", "processing")
    assert upload["attempts"] <= 1
    assert "error" not in upload


async def works(worker: LiveServer) -> None:
    """Readiness says that no photo waits any more."""

    async def reported() -> bool:
        return (await worker.parts())["worker"] == "ok"

    await wait_until(reported, every=0.05, what="no photo waits any more")


async def attempts(server: LiveServer, upload_id: str) -> int:
    """How often a worker has claimed it."""
    asked = "SELECT attempts FROM uploads WHERE id = :id"
    rows = await server.services[Database].read(lambda tx: tx.fetch(asked, {"id": upload_id}))
    return int(rows[0]["attempts"])


async def test_photos_survive_any_outage_of_their_store(
    ana: Rest, data_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ids = [await sent(ana) for _ in range(2)]
    store, away = data_dir / "blobs", data_dir / "away"
    store.rename(away)
    store.mkdir()  # as if its disk is not mounted
    settings = settings_for(data_dir, photo_workers=1)
    async with running_server(settings) as worker:

        async def tried_often() -> bool:
            return await attempts(worker, ids[0]) > MAX_TOTAL_ATTEMPTS

        await waits(ana, worker, ids[0], "a disk is not mounted")
        await wait_until(tried_often, what="it is tried again and again")
        store.rmdir()
        store.write_text("no folder")
        await waits(ana, worker, ids[0], "not a directory")
        store.unlink()
        (away / ".drafts").rename(data_dir / ".drafts")
        (away / ".drafts").write_text("no folder")
        away.rename(store)  # it can be read but not written
        await waits(ana, worker, ids[0], "file exists")
        (store / ".drafts").unlink()
        for upload_id in ids:
            assert (await done(ana, upload_id))["attempts"] == 1, "no outage counts as an attempt"
        await works(worker)
    outages = [record for record in caplog.records if OUTAGE in record.message]
    assert len(outages) == 1, "an outage is logged once"
    assert str(store) in outages[0].message
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_a_missing_blob_and_too_long_a_wait_are_final(ana: Rest, data_dir: Path) -> None:
    """A photo whose file is gone from a working store, and one that has waited for too long."""
    gone, unreadable = [await sent(ana) for _ in range(2)]
    (data_dir / "blobs" / f"{gone}.sent").unlink()
    (data_dir / "blobs" / f"{unreadable}.sent").unlink()
    (data_dir / "blobs" / f"{unreadable}.sent").mkdir()
    settings = settings_for(data_dir, photo_workers=1, photo_wait_hours=1e-9)
    async with running_server(settings) as worker:
        for upload_id, words in ((gone, "not in the store any more"), (unreadable, "too long")):
            upload: dict[str, Any] = await final(ana, upload_id)
            assert (upload["status"], upload["attempts"]) == ("failed", 1)
            assert words in upload["error"]
            assert "Send" in upload["error"]
            assert str(data_dir) not in upload["error"]
        await works(worker)


async def test_a_photo_waits_for_a_process_whose_key_the_store_accepts(
    azurite: Azurite, data_dir: Path
) -> None:
    right = {"azure_storage_connection_string": azurite.connection_string}
    other = base64.b64encode(b"some other key").decode()
    wrong = {"azure_storage_connection_string": azurite.connection_string.replace(KEY, other)}
    common: dict[str, Any] = {"blob_container": "refused"}
    accepting = settings_for(data_dir, photo_workers=0, **right, **common)
    refused = settings_for(data_dir, photo_workers=1, **wrong, **common)
    async with (
        running_server(accepting) as one,
        Rest(one.url) as ana,
        running_server(refused) as worker,
    ):
        await ana.register("ana@example.com")
        upload_id = await sent(ana)
        await waits(ana, worker, upload_id, "403")
        able = settings_for(data_dir, photo_workers=1, **right, **common)
        async with running_server(able):
            assert (await done(ana, upload_id))["attempts"] == 1
