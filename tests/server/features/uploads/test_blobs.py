"""The blob port, the same for both adapters; Azure's against a real Azurite."""

import asyncio
import os
import shutil
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from server.core.temp_files import lock
from server.features.uploads import azure_blobs
from server.features.uploads.azure_blobs import AzureBlobs
from server.features.uploads.blobs import BlobError, BlobNotFound, Blobs, checked_name
from server.features.uploads.folder_blobs import FolderBlobs
from server.features.uploads.schemas import MAX_BYTES
from server.settings import SettingsError
from support.live_server import running_server, settings_for
from support.rest import Rest
from support.uploads import COFFEE, done, send, sent
from support.waiting import wait_until
from tools.cluster.azurite import ACCOUNT, KEY, Azurite


@pytest.fixture(params=["folder", "azure"])
async def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Blobs]:
    found: Blobs = FolderBlobs(tmp_path / "blobs")
    if request.param == "azure":
        azurite: Azurite = request.getfixturevalue("azurite")
        found = AzureBlobs(azurite.connection_string, f"port-{os.getpid()}")
    yield found
    await found.close()


async def test_a_blob_is_stored_read_replaced_and_removed(blobs: Blobs, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    assert await blobs.state() == "ok"
    source.write_bytes(b"another")
    await blobs.put("upl_0.sent", source, "image/png")
    with pytest.raises(BlobNotFound):
        await blobs.fetch("upl_1.sent", target)
    for content in (b"first", b"second" * 100_000, b""):
        source.write_bytes(content)
        await blobs.put("upl_1.sent", source, "image/png")
        assert source.read_bytes() == content, "what was put stays where it was"
        await blobs.fetch("upl_1.sent", target)
        assert target.read_bytes() == content
    await blobs.remove("upl_1.sent")
    await blobs.remove("upl_1.sent")
    with pytest.raises(BlobNotFound):
        await blobs.fetch("upl_1.sent", target)


async def test_many_blobs_are_stored_at_once(blobs: Blobs, tmp_path: Path) -> None:
    async def one(number: int) -> None:
        source, target = tmp_path / f"s{number}", tmp_path / f"t{number}"
        source.write_bytes(bytes([number]) * 10_000)
        await blobs.put(f"upl_{number}", source, "image/png")
        await blobs.fetch(f"upl_{number}", target)
        assert target.read_bytes() == source.read_bytes()
        await blobs.remove(f"upl_{number}")

    await asyncio.gather(*(one(number) for number in range(10)))


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../x", "a/b", "/etc/passwd", "a\\b", "a\0b", "a b", "ä", ".hidden", "a" * 99],
)
async def test_a_name_is_never_a_path(blobs: Blobs, tmp_path: Path, name: str) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"x")
    with pytest.raises(ValueError, match="is not a name for a blob"):
        await blobs.put(name, source, "image/png")
    with pytest.raises(ValueError, match="is not a name for a blob"):
        await blobs.fetch(name, tmp_path / "target")
    assert checked_name("upl_abc.1.result") == "upl_abc.1.result"


async def test_half_a_blob_is_never_seen(tmp_path: Path) -> None:
    """A copy that fails half-way leaves the blob before it."""
    blobs = FolderBlobs(tmp_path / "blobs")
    source = tmp_path / "source"
    source.write_bytes(b"whole")
    await blobs.put("upl_1", source, "image/png")
    with pytest.raises(BlobError):
        await blobs.put("upl_1", tmp_path, "image/png")
    assert blobs.local_path("upl_1").read_bytes() == b"whole"
    files = [path.name for path in (tmp_path / "blobs").rglob("*") if path.is_file()]
    assert files == ["upl_1"]


async def test_nothing_is_lost_while_a_disk_is_not_mounted(tmp_path: Path) -> None:
    """Neither blobs nor removals, and no new blob is written under the mount point."""
    folder, source, target = tmp_path / "blobs", tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"x")
    before = FolderBlobs(folder)
    await before.put("upl_1", source, "image/png")
    folder.rename(tmp_path / "disk")
    for empty in (False, True):
        if empty:
            folder.mkdir()
        for blobs in (before, FolderBlobs(folder)):  # and as one that is started now sees it
            for call in (blobs.fetch("upl_1", target), blobs.remove("upl_1")):
                with pytest.raises(BlobError, match="not mounted"):
                    await call
        with pytest.raises(BlobError, match="not mounted"):
            await before.put("upl_2", source, "image/png")
        assert "not mounted" in await before.state()
    folder.rmdir()
    (tmp_path / "disk").rename(folder)
    assert await before.state() == "ok"
    await before.fetch("upl_1", target)
    with pytest.raises(BlobNotFound):
        await before.fetch("upl_2", target)


async def test_several_may_store_the_first_blob_at_once(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"x")
    for number in range(100):
        blobs = FolderBlobs(tmp_path / f"blobs-{number}")
        await asyncio.gather(*(blobs.put(f"upl_{one}", source, "image/png") for one in range(6)))


async def test_only_the_operator_reads_that_a_folder_has_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs = FolderBlobs(tmp_path / "blobs")
    assert await blobs.state() == "ok"
    full = shutil.disk_usage(tmp_path)._replace(free=MAX_BYTES - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    assert (
        await blobs.state() == f"{tmp_path}/blobs has no room for another photo: 10239 KiB are free"
    )
    (tmp_path / "blobs").rmdir()
    (tmp_path / "blobs").write_text("no folder")
    with pytest.raises(BlobError) as trouble:
        await blobs.put("upl_1", tmp_path / "blobs", "image/png")
    assert str(trouble.value) == "not a directory"


async def test_a_nearly_full_disk_takes_no_new_blob_but_completes_others(
    tmp_path: Path,
) -> None:
    blobs = FolderBlobs(tmp_path / "blobs", reserve=1 << 60)
    source = tmp_path / "source"
    source.write_bytes(b"x")
    with pytest.raises(BlobError, match="the disk is nearly full"):
        await blobs.check_space()
    assert "no room" in await blobs.state()
    await blobs.put("upl_1.1.result", source, "image/png")  # in place of what was sent
    await FolderBlobs(tmp_path / "blobs", reserve=1).check_space()


async def test_drafts_of_killed_servers_are_swept(tmp_path: Path) -> None:
    folder = tmp_path / "blobs"
    blobs = FolderBlobs(folder)
    source = tmp_path / "source"
    source.write_bytes(b"whole")
    await blobs.put("upl_1.sent", source, "image/png")
    left = [folder / ".drafts" / "upl_2.sent.0a0b0c0d", folder / ".upl_3.sent.0a0b0c0d"]
    kept = [folder / "upl_1.sent", folder / ".drafts" / "upl_4.sent.0a0b0c0d"]
    for path in [*left, *kept]:
        path.write_bytes(b"half")
        os.utime(path, (0, 0))
    with kept[1].open() as being_written:
        lock(being_written.fileno())
        await blobs.sweep()
        assert [path for path in left if path.exists()] == []
        assert all(path.exists() for path in kept)
    await blobs.sweep()
    assert not kept[1].exists()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Azure's adapter gives up early."""
    monkeypatch.setattr(azure_blobs, "RETRY_SECONDS", 0)
    monkeypatch.setattr(azure_blobs, "CALL_SECONDS", 0.4)
    monkeypatch.setattr(azure_blobs, "STATE_SECONDS", 0.3)


@pytest.mark.parametrize("silent", [False, True], ids=["away", "silent"])
async def test_a_store_that_does_not_answer_is_a_readable_error(
    tmp_path: Path, impatient: None, silent: bool, caplog: pytest.LogCaptureFixture
) -> None:
    nowhere = Azurite(tmp_path)  # not started
    source = tmp_path / "source"
    source.write_bytes(b"x")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))  # nobody else takes that port meanwhile
        nowhere.port = listener.getsockname()[1]
        if silent:
            listener.listen()
        blobs = AzureBlobs(nowhere.connection_string, "tiffin")
        for call in (
            blobs.put("upl_1", source, "image/png"),
            blobs.fetch("upl_1", tmp_path / "target"),
            blobs.remove("upl_1"),
        ):
            with pytest.raises(BlobError, match="blob store") as trouble:
                await call
            assert "sig=" not in str(trouble.value)
        assert "blob store" in await blobs.state()
        await blobs.close()
    assert caplog.text.count("the blob store cannot be used") == 1, "an outage is told once"


@pytest.mark.parametrize("wrong", ["nonsense", "AccountName=x;BlobEndpoint=http://127.0.0.1:1/x"])
def test_an_invalid_connection_string_stops_the_start(data_dir: Path, wrong: str) -> None:
    from server.app import create_app

    with pytest.raises(SettingsError, match="TIFFIN_AZURE_STORAGE_CONNECTION_STRING"):
        create_app(settings_for(data_dir, azure_storage_connection_string=wrong))


def test_a_folder_beside_postgresql_is_one_that_the_operator_calls_shared(data_dir: Path) -> None:
    from server.app import create_app

    url = "postgresql://tiffin@127.0.0.1:1/tiffin"
    with pytest.raises(SettingsError, match="TIFFIN_BLOB_DIR"):
        create_app(settings_for(data_dir, database_url=url))
    create_app(settings_for(data_dir, database_url=url, blob_dir=data_dir / "shared"))


async def test_a_shared_folder_that_is_not_mounted_is_not_created(tmp_path: Path) -> None:
    folder, source = tmp_path / "shared", tmp_path / "source"
    blobs = FolderBlobs(folder, shared=True)
    assert "mount it" in await blobs.state()
    source.write_bytes(b"a picture")
    with pytest.raises(BlobError, match="no such folder"):
        await blobs.put("upl_1", source, "image/png")
    assert not folder.exists()
    folder.mkdir()
    await blobs.put("upl_1", source, "image/png")
    assert await blobs.state() == "ok"


@pytest.mark.parametrize(
    ("scheme", "wires"), [("https", "spr=https&"), ("http", "spr=https%2Chttp&")]
)
async def test_a_signed_url_requires_tls_where_the_store_has_it(scheme: str, wires: str) -> None:
    endpoint = f"BlobEndpoint={scheme}://127.0.0.1:1/{ACCOUNT};"
    blobs = AzureBlobs(f"AccountName={ACCOUNT};AccountKey={KEY};{endpoint}", "photos")
    link = blobs.signed_url("upl_1.original", "image/jpeg") or ""
    await blobs.close()
    assert link.startswith(f"{scheme}://")
    assert wires in link


async def test_a_photo_in_azure(azurite: Azurite, data_dir: Path) -> None:
    """From the upload to a URL that anyone may read for a while, and to its removal."""
    settings = settings_for(
        data_dir,
        azure_storage_connection_string=azurite.connection_string,
        blob_container="photos",
        photo_workers=1,
    )
    async with running_server(settings) as server, Rest(server.url) as ana:
        await ana.register("ana@example.com")
        assert (await ana.get("//readyz")).must(200).json["parts"]["blobs"] == "ok"
        upload = await done(ana, await sent(ana))
        links = []
        for which, kind, starts in (
            ("original", "image/jpeg", b"\xff\xd8\xff"),
            ("result", "image/png", b"\x89PNG"),
        ):
            answer = (await ana.get(f"/uploads/{upload['id']}/{which}")).must(302)
            assert answer.headers["Cache-Control"] == "no-store"
            links.append(answer.headers["Location"])
            async with aiohttp.ClientSession() as anybody, anybody.get(links[-1]) as got:
                assert got.status == 200
                assert got.headers["Content-Type"] == kind
                assert (await got.read()).startswith(starts)
        unsigned = links[0].partition("?")[0]
        assert ACCOUNT in unsigned
        other = unsigned.replace(".original", ".result") + "?" + links[0].partition("?")[2]
        async with aiohttp.ClientSession() as anybody:
            for link in (unsigned, other):
                async with anybody.get(link) as got:
                    assert got.status in (403, 404), "a link is for its own blob"
        (await ana.delete(f"/uploads/{upload['id']}")).must(204)

        async def gone() -> bool:
            async with aiohttp.ClientSession() as anybody, anybody.get(links[0]) as got:
                return got.status == 404

        await wait_until(gone)
        assert not (data_dir / "blobs").exists()


async def test_without_its_store_a_server_refuses_photos_and_serves_the_rest(
    data_dir: Path, tmp_path: Path, impatient: None
) -> None:
    nowhere = Azurite(tmp_path).connection_string
    settings = settings_for(data_dir, azure_storage_connection_string=nowhere)
    async with running_server(settings) as server, Rest(server.url) as ana:
        await ana.register("ana@example.com")
        state = (await ana.get("//readyz")).must(200).json
        assert state["status"] == "degraded"
        assert "blob store" in (await server.parts())["blobs"]
        answer = (await send(ana, COFFEE.read_bytes())).must(503)
        assert int(answer.headers["Retry-After"]) >= 1
        assert (await ana.get("/uploads")).json["items"] == []
        (await ana.get("/restaurants")).must(200)
