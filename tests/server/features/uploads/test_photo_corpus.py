"""Every bad or odd file: a right result, or words that say what is wrong; nothing else."""

import asyncio
import io
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from photo_corpus import FAILING, FINE, JUDGED, JUDGED_TOO, NAMES, READ, REFUSED, SECRET, Odd, jpeg
from PIL import Image

from server.features.uploads.picture import cut_out, read_picture, save_picture
from support.live_server import LiveServer, running_server, settings_for
from support.rest import Rest
from support.uploads import final, photo_workers, send, sent

MOST_MEGABYTES = 900
"""What a worker may ever have needed: what it is without a job, and 512 MB of growth."""


def worker_peaks() -> list[float]:
    """The peak memory of each of this server's workers, in MB."""
    found = []
    for process in photo_workers():
        status = Path(f"/proc/{process.pid}/status").read_text()
        found.append(int(status.split("VmHWM:")[1].split()[0]) / 1024)
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("corpus")


@pytest.fixture
async def server(data_dir: Path) -> AsyncIterator[LiveServer]:
    async with running_server(settings_for(data_dir, photo_workers=1)) as server:
        yield server


@pytest.fixture
async def ana(server: LiveServer) -> AsyncIterator[Rest]:
    async with Rest(server.url) as rest:
        yield await rest.register("ana@example.com")


def test_the_corpus_is_large_enough() -> None:
    everything = [*REFUSED, *FAILING, *FINE, *JUDGED, *JUDGED_TOO, *READ]
    assert len(everything) >= 40
    assert len({odd.name for odd in everything}) == len(everything)


async def test_a_file_that_is_not_a_picture_is_refused_at_once(
    ana: Rest, server: LiveServer
) -> None:
    for odd in REFUSED:
        answer = await send(ana, odd.make(), name=odd.file_name, kind=odd.media_type)
        assert answer.status == odd.becomes, f"{odd.name}: {answer.status} {answer.body[:300]!r}"
        assert answer.headers["Content-Type"].startswith("application/problem+json")
        assert len(answer.json["detail"]) > 20, odd.name
    assert (await ana.get("/uploads")).json["items"] == []
    data = server.settings.data_dir
    assert list((data / "arriving").iterdir()) == []
    assert not (data / "blobs").exists() or list((data / "blobs").iterdir()) == []


@pytest.mark.timeout(240)
async def test_an_odd_picture_is_done_or_fails_with_a_reason(ana: Rest, server: LiveServer) -> None:
    await _check_all([*FAILING, *FINE], ana, server)


@pytest.mark.timeout(240)
@pytest.mark.usefixtures("true_model")
@pytest.mark.parametrize(
    "odds",
    [
        pytest.param(JUDGED, id="some"),
        pytest.param([*JUDGED, *JUDGED_TOO], marks=pytest.mark.others, id="all"),
    ],
)
async def test_the_model_judges_a_picture_in_little_memory(
    odds: list[Odd], ana: Rest, server: LiveServer
) -> None:
    await _check_all(odds, ana, server)


async def _check_all(odds: list[Odd], ana: Rest, server: LiveServer) -> None:
    """All are sent at once."""
    ids = {}
    for odd in odds:
        content = await asyncio.to_thread(odd.make)
        ids[odd.name] = await sent(ana, content, name=odd.file_name, kind=odd.media_type)
    for odd in odds:
        await _check(ana, odd, ids[odd.name])
    metrics = (await ana.get("//metrics")).body.decode()
    assert "tiffin_photo_kills 0.0" in metrics, "a worker died over one of them"
    peaks = worker_peaks()
    print(f"workers' peaks: {peaks} MB")
    assert peaks
    assert max(peaks) < MOST_MEGABYTES
    assert list((server.settings.data_dir / "arriving").iterdir()) == []


@pytest.mark.parametrize("odd", READ, ids=lambda odd: odd.name)
def test_a_picture_loses_its_metadata(odd: Odd, tmp_path: Path) -> None:
    (tmp_path / "sent").write_bytes(odd.make())
    picture = read_picture(tmp_path / "sent")
    assert picture.size == odd.size
    middle = picture.convert("L").getpixel((picture.width // 2, picture.height // 2))
    corner = picture.convert("L").getpixel((3, 3))
    assert isinstance(middle, int)
    assert isinstance(corner, int)
    assert corner - middle > 50, "the plate is not there"
    save_picture(picture, tmp_path / "original")
    cut_out(picture, Image.new("L", picture.size, 255), tmp_path / "result")
    for name in ("original", "result"):
        content = (tmp_path / name).read_bytes()
        assert SECRET.encode() not in content
        assert b"Exif" not in content


async def _check(rest: Rest, odd: Odd, upload_id: str) -> None:
    upload = await final(rest, upload_id, seconds=120)
    wanted = ("done", "failed") if odd.becomes == "either" else (odd.becomes,)
    assert upload["status"] in wanted, f"{odd.name}: {upload}"
    assert upload["attempts"] == 1, f"{odd.name}: {upload}"
    if upload["status"] == "failed":
        assert upload["error"].endswith("."), odd.name
        assert "Traceback" not in upload["error"]
        assert odd.words in upload["error"], f"{odd.name}: {upload}"
        return
    result = (await rest.get(f"/uploads/{upload_id}/result")).must(200)
    original = (await rest.get(f"/uploads/{upload_id}/original")).must(200)
    for answer in (result, original):
        with Image.open(io.BytesIO(answer.body)) as picture:
            picture.load()
            assert picture.size == (upload["width"], upload["height"]), odd.name
            assert set(picture.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
            assert not picture.getexif()
        assert SECRET.encode() not in answer.body, odd.name
        assert b"Exif" not in answer.body, odd.name
    assert result.headers["Content-Type"] == "image/png"
    if odd.size is None:
        return
    assert (upload["width"], upload["height"]) == odd.size, odd.name
    with Image.open(io.BytesIO(result.body)) as picture:
        alpha = picture.getchannel("A")
        seen = sum(alpha.histogram()[128:]) / (picture.width * picture.height)
        assert 0.05 < seen < 0.95, f"{odd.name}: {seen:.0%} was left"
        middle = alpha.getpixel((picture.width // 2, picture.height // 2))
        assert isinstance(middle, int)
        assert middle > 200, f"{odd.name}: the plate is not there"


def _files(folder: Path, *, blobs: bool) -> set[str]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.name for path in paths if ("blobs" in path.parts) is blobs}


async def test_a_file_name_is_never_a_path(data_dir: Path) -> None:
    settings = settings_for(data_dir, photo_workers=0)
    async with running_server(settings) as server, Rest(server.url) as rest:
        await rest.register("ana@example.com")
        before = _files(data_dir, blobs=False)
        ids = [await sent(rest, jpeg(), name=name) for name in NAMES]
        assert _files(data_dir, blobs=True) == {f"{one}.sent" for one in ids}
        assert _files(data_dir, blobs=False) == before
