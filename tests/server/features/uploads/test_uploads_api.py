"""Uploads over REST: permissions, idempotency, results and removal."""

import asyncio
import io
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from server.core import forms
from server.features.uploads import janitor, processor, worker_process
from support.cast import Cast, cast_of
from support.live_server import running_server, settings_for
from support.rest import Answer, Rest
from support.uploads import COFFEE, QUICK_WORKER, done, final, form_of, send, sent
from support.waiting import PATIENCE, wait_until


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Poll more often than in production."""
    monkeypatch.setattr(janitor, "CLEAN_SECONDS", 0.1)
    monkeypatch.setattr(processor, "POLL_SECONDS", 0.1)


@pytest.fixture
async def idle(data_dir: Path) -> AsyncIterator[Cast]:
    """A server that accepts photos and leaves them in the queue."""
    settings = settings_for(data_dir, photo_workers=0, photos_arriving_per_account=10)
    async with running_server(settings) as server, cast_of(server) as cast:
        yield cast


@pytest.fixture
async def cast(data_dir: Path) -> AsyncIterator[Cast]:
    """A server with one worker, which is enough for single photos."""
    settings = settings_for(data_dir, photo_workers=1)
    async with running_server(settings) as server, cast_of(server) as found:
        yield found


async def test_a_photo_is_put_back_while_connections_end(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a stopping server gives to photos and to connections runs out at the same time."""
    held = data_dir.with_name("held")
    held.touch()
    monkeypatch.setattr(worker_process, "PROGRAM", (*QUICK_WORKER, str(held)))
    monkeypatch.setattr(processor, "SHUTDOWN_SECONDS", 0.05)
    settings = settings_for(data_dir, photo_workers=1)
    async with running_server(settings) as server, cast_of(server) as cast:
        path = f"/uploads/{await sent(cast.customer)}"

        async def is_now(status: str) -> bool:
            return bool((await cast.customer.get(path)).must(200).json["status"] == status)

        await wait_until(lambda: is_now("processing"), what="it is at work")
        await server.app.shutdown()
        await wait_until(lambda: is_now("queued"), what="it is put back")
        held.unlink()


async def dish_of(cast: Cast, number: int = 0) -> dict[str, Any]:
    """A dish as the public sees it."""
    menu = (await cast.stranger.get(f"/restaurants/{cast.place.id}")).must(200).json["menu"]
    found: dict[str, Any] = menu[number]
    return found


@pytest.mark.usefixtures("true_model")
async def test_a_photo_of_food_loses_its_background(cast: Cast, data_dir: Path) -> None:
    """A real photograph, a cup on a wooden table, from the upload to its deletion."""
    accepted = await send(cast.customer)
    answer = accepted.must(202).json
    assert answer["status"] == "queued"
    path = f"/uploads/{answer['id']}"
    assert accepted.headers["Location"] == f"/api/v1{path}"
    assert 1 <= int(accepted.headers["Retry-After"]) <= 60
    await strangers_see_nothing(cast, path)
    upload = await done(cast.customer, answer["id"])
    assert (upload["width"], upload["height"], upload["attempts"]) == (600, 400, 1)
    assert upload["shown"]
    result = (await cast.customer.get(f"{path}/result")).must(200)
    assert result.headers["Content-Type"] == "image/png"
    assert result.headers["X-Content-Type-Options"] == "nosniff"
    known = {"If-None-Match": result.headers["ETag"]}
    assert (await cast.customer.get(f"{path}/result", headers=known)).must(304).body == b""
    with Image.open(io.BytesIO(result.body)) as picture:
        assert picture.mode == "RGBA"
        alpha = picture.getchannel("A")
    counts = alpha.histogram()
    transparent, opaque = sum(counts[:16]) / 240_000, sum(counts[240:]) / 240_000
    assert 0.40 < transparent < 0.65, f"{transparent:.0%} of it is transparent"
    assert 0.35 < opaque < 0.60, f"{opaque:.0%} of it is opaque"
    cup = alpha.crop((250, 150, 350, 250))
    assert cup.getextrema()[0] > 200, "the cup has a hole"
    corners = [alpha.getpixel(at) for at in ((2, 2), (597, 2), (2, 397), (597, 397))]
    assert max(corners) < 16, "the table is still there"

    # An avatar is for everybody who is logged in; the upload is not.
    (await cast.stranger.get(f"{path}/result")).must(200)
    (await cast.stranger.get(f"{path}/original")).must(200)
    (await cast.nobody.get(f"{path}/result")).must(401)
    (await cast.stranger.get(path)).must(404)
    (await cast.stranger.delete(path)).must(404)

    assert "avatar_url" in (await cast.customer.get("/me")).json
    (await cast.customer.delete(path)).must(204)
    (await cast.customer.delete(path)).must(404)
    assert "avatar_url" not in (await cast.customer.get("/me")).json
    await blobs_gone(data_dir)


async def strangers_see_nothing(cast: Cast, path: str) -> None:
    """Nobody else sees an upload of the customer's that is not done yet."""
    for nosy in (cast.stranger, cast.employee):
        for method, of_it in (
            ("GET", ""),
            ("DELETE", ""),
            ("GET", "/original"),
            ("GET", "/result"),
        ):
            answer = await nosy.request(method, f"{path}{of_it}")
            assert answer.must(404).json["detail"] == (
                "There is no such upload, or it is not yours."
            )
        assert (await nosy.get("/uploads")).json["items"] == []


async def test_an_upload_says_its_progress_and_when_to_ask_again(idle: Cast) -> None:
    ids = [await sent(idle.customer) for _ in range(4)]
    waits = []
    for number, upload_id in enumerate(ids):
        answer = (await idle.customer.get(f"/uploads/{upload_id}")).must(200)
        assert answer.json["status"] == "queued"
        assert answer.json["ahead"] == number
        assert answer.headers["Cache-Control"] == "no-store"
        waits.append(int(answer.headers["Retry-After"]))
    assert waits == sorted(waits)
    assert waits[-1] == 4 * waits[0]


async def test_the_same_key_and_content_is_one_upload(idle: Cast) -> None:
    first = (await send(idle.customer, key="k-1")).must(202)
    again = (await send(idle.customer, key="k-1", name="other.png")).must(202)
    assert again.json == first.json
    assert again.headers["Location"] == first.headers["Location"]
    other = await send(idle.customer, COFFEE.read_bytes() + b"\0", key="k-1")
    assert other.must(422).json["errors"][0]["loc"] == ["Idempotency-Key"]
    assert (await send(idle.stranger, key="k-1")).must(202).json["id"] != first.json["id"]
    assert len((await idle.customer.get("/uploads")).json["items"]) == 1


async def test_concurrent_requests_with_one_key_are_one_upload(idle: Cast, data_dir: Path) -> None:
    answers = await asyncio.gather(*(send(idle.customer, key="k-1") for _ in range(8)))
    assert {answer.status for answer in answers} == {202}
    assert len({answer.json["id"] for answer in answers}) == 1
    await wait_until(lambda: len(blobs_in(data_dir)) == 1, what="the others' files are gone")


async def test_a_dish_gets_its_photo(cast: Cast) -> None:
    dish = cast.place.dishes[0]
    assert "photo_url" not in await dish_of(cast)
    upload = await done(cast.employee, await sent(cast.employee, dish=dish))
    photo = (await dish_of(cast))["photo_url"]
    assert photo == upload["result_url"]
    assert (await cast.stranger.get(photo.removeprefix("/api/v1"))).must(200).body[1:4] == b"PNG"
    # Changing the dish leaves it its photo.
    path = f"/restaurants/{cast.place.id}/menu/{dish}"
    (await cast.employee.patch(path, {"price_cents": 1})).must(200)
    assert (await dish_of(cast))["photo_url"] == photo
    newer = await done(cast.employee, await sent(cast.employee, dish=dish))
    assert (await dish_of(cast))["photo_url"] == newer["result_url"]
    assert not (await cast.employee.get(f"/uploads/{upload['id']}")).json["shown"]
    (await cast.stranger.get(photo.removeprefix("/api/v1"))).must(404)
    (await cast.employee.delete(f"/uploads/{newer['id']}")).must(204)
    assert "photo_url" not in await dish_of(cast)


async def test_only_employees_may_send_photos_of_their_restaurants_dishes(idle: Cast) -> None:
    dish = idle.place.dishes[0]
    (await send(idle.customer, dish=dish)).must(403)
    assert (await send(idle.outsider, dish=dish)).must(422).json["errors"][0]["loc"] == [
        "menu_item_id"
    ]
    (await send(idle.employee, dish="dish_none")).must(422)
    (await send(idle.employee, dish=dish)).must(202)
    (await send(idle.employee)).must(202)
    (await send(idle.nobody)).must(401)


FIELDS: list[tuple[dict[str, str], int]] = [
    ({}, 422),
    ({"purpose": "logo"}, 422),
    ({"purpose": "menu_item"}, 422),
    ({"purpose": "avatar", "menu_item_id": "dish_1"}, 422),
    ({"purpose": "avatar", "note": "x" * 5000}, 413),
    ({"purpose": "avatar", **{f"more{n}": "x" for n in range(20)}}, 400),
    ({"purpose": "avatar", "more": "x"}, 202),
]


async def test_invalid_form_fields_are_refused(idle: Cast) -> None:
    for fields, status in FIELDS:
        form = form_of(COFFEE.read_bytes(), fields)
        url = idle.customer.url("/uploads")
        async with idle.customer.http.post(url, data=form, headers=idle.customer.headers) as answer:
            assert answer.status == status, f"{fields}: {await answer.text()}"


BODIES = [
    (b"{}", "application/json", 415),
    (b"", "multipart/form-data; boundary=x", 400),
    (b"--x\r\n", "multipart/form-data; boundary=x", 400),
    (b"--x--\r\n", "multipart/form-data; boundary=x", 422),
    (b"hello", "multipart/form-data; boundary=x", 400),
    (b"hello", "multipart/form-data", 400),
    (b"--x\r\nno header\r\n\r\n--x--\r\n", "multipart/form-data; boundary=x", 400),
    (b"file=x&purpose=avatar", "application/x-www-form-urlencoded", 415),
    (
        b'--x\r\nContent-Disposition: form-data; name="purpose"\r\n\r\n\xff\r\n--x--\r\n',
        "multipart/form-data; boundary=x",
        400,
    ),
    (
        b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\n\xff\xd8\xff',
        "multipart/form-data; boundary=x",
        400,
    ),
]


async def test_bodies_that_are_not_forms_are_refused(idle: Cast) -> None:
    for body, kind, status in BODIES:
        headers = {"Content-Type": kind}
        answer = await idle.customer.post("/uploads", data=body, headers=headers)
        assert answer.status == status, f"{body!r} as {kind}: {answer.body!r}"
        assert answer.headers["Content-Type"].startswith("application/problem+json")


async def test_too_large_a_body_is_refused_by_its_head(idle: Cast) -> None:
    """No byte of the body is waited for."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", int(idle.customer.base_url.rpartition(":")[2])
    )
    writer.write(
        b"POST /api/v1/uploads HTTP/1.1\r\nHost: x\r\nContent-Length: 52428800\r\n"
        b"Content-Type: multipart/form-data; boundary=x\r\n"
        + f"Authorization: Bearer {idle.customer.token}\r\n\r\n".encode()
    )
    head = await asyncio.wait_for(reader.readline(), PATIENCE)
    assert head.split()[1] == b"413"
    writer.close()


async def test_a_disk_error_is_reported_without_its_path(idle: Cast, data_dir: Path) -> None:
    """First of the folder that receives files, then of the store."""
    for folder in (data_dir / "arriving", data_dir / "blobs"):
        shutil.rmtree(folder, ignore_errors=True)
        folder.write_text("no folder")
        answer = (await send(idle.customer)).must(503)
        assert int(answer.headers["Retry-After"]) >= 1
        assert "Send it again." in answer.json["detail"]
        assert str(data_dir) not in answer.json["detail"]
        folder.unlink()
        folder.mkdir()
    (await send(idle.customer)).must(202)


async def test_one_account_cannot_occupy_all_uploads(idle: Cast) -> None:
    """Of eleven stalled forms of one account one is too many."""
    head = (
        "POST /api/v1/uploads HTTP/1.1\r\nHost: x\r\nContent-Length: 99999\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\n"
        f"Authorization: Bearer {idle.customer.token}\r\n\r\n--x\r\n"
    )
    port = int(idle.customer.base_url.rpartition(":")[2])
    forms = [await asyncio.open_connection("127.0.0.1", port) for _ in range(11)]
    for _, writer in forms:
        writer.write(head.encode())
    answers = [asyncio.create_task(reader.readuntil(b"\r\n\r\n")) for reader, _ in forms]
    answered, open_ones = await asyncio.wait(
        answers, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED
    )
    (refused,) = answered
    assert refused.result().startswith(b"HTTP/1.1 429 ")
    assert b"\r\nRetry-After: " in refused.result()
    assert len(open_ones) == 10
    (await send(idle.customer)).must(429)
    (await send(idle.stranger)).must(202)
    for one in open_ones:
        one.cancel()
    for _, writer in forms:
        writer.close()

    async def taken() -> bool:
        return (await send(idle.customer)).status == 202

    # Sooner than a silent form times out.
    await wait_until(taken, every=0.1, what="their places are free again")


async def test_uploads_are_listed_in_pages(idle: Cast) -> None:
    ids = [await sent(idle.customer) for _ in range(5)]
    await sent(idle.stranger)
    first = (await idle.customer.get("/uploads?limit=2")).must(200).json
    second = (await idle.customer.get(f"/uploads?limit=4&before={first['next']}")).json
    assert [one["id"] for one in first["items"] + second["items"]] == ids[::-1]
    assert second["next"] is None
    (await idle.customer.get("/uploads?before=nonsense")).must(422)


async def test_deleting_an_account_removes_its_files_but_not_dishes_photos(
    cast: Cast, data_dir: Path
) -> None:
    await done(cast.customer, await sent(cast.customer))
    photo = await done(cast.employee, await sent(cast.employee, dish=cast.place.dishes[0]))
    await sent(cast.customer)
    (await cast.customer.delete_account()).must(204)
    (await cast.employee.delete_account()).must(204)
    assert (await dish_of(cast))["photo_url"] == photo["result_url"]
    (await cast.stranger.get(f"/uploads/{photo['id']}/result")).must(200)
    (await cast.stranger.get(f"/uploads/{photo['id']}")).must(404)
    await blobs_gone(data_dir, left=2)
    # A colleague's photo takes its place, and then nothing of it is left.
    colleague = await cast.nobody.another().log_in(cast.place.employees[1], "correct horse battery")
    newer = await done(colleague, await sent(colleague, dish=cast.place.dishes[0]))
    assert (await dish_of(cast))["photo_url"] == newer["result_url"]
    (await cast.stranger.get(f"/uploads/{photo['id']}/result")).must(404)
    await blobs_gone(data_dir, left=2)


async def test_originals_are_removed_after_their_time(data_dir: Path) -> None:
    settings = settings_for(data_dir, photo_workers=1, original_days=0.1 / 86_400)
    async with running_server(settings) as server, Rest(server.url) as ana:
        await ana.register("ana@example.com")
        upload_id = await sent(ana)
        await done(ana, upload_id)

        async def removed() -> Answer | None:
            answer = await ana.get(f"/uploads/{upload_id}")
            return answer if "original_removed_at" in answer.json else None

        await wait_until(removed)
        (await ana.get(f"/uploads/{upload_id}/original")).must(404)
        (await ana.get(f"/uploads/{upload_id}/result")).must(200)
        await blobs_gone(data_dir, left=1)


async def test_the_original_of_a_failed_photo_is_removed_soon(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Long before the original of a photo that is done."""
    monkeypatch.setenv("U2NET_HOME", str(tmp_path))  # without a model they all fail
    settings = settings_for(
        data_dir, photo_workers=1, photo_lease_seconds=0.2, failed_photo_hours=0.1 / 3600
    )
    async with running_server(settings) as server, Rest(server.url) as ana:
        await ana.register("ana@example.com")
        upload_id = await sent(ana)
        assert (await final(ana, upload_id))["status"] == "failed"
        await blobs_gone(data_dir)
        assert "original_removed_at" in (await ana.get(f"/uploads/{upload_id}")).json
        (await ana.get(f"/uploads/{upload_id}/original")).must(404)


async def test_an_account_can_store_a_limited_number_of_bytes(data_dir: Path) -> None:
    settings = settings_for(data_dir, photo_workers=0, photo_mb_per_account=1)
    async with running_server(settings) as server, cast_of(server) as cast:
        content = COFFEE.read_bytes() + bytes(600 * 1024)
        first = await sent(cast.customer, content)
        refused = (await send(cast.customer, content)).must(409)
        assert "1 MB" in refused.json["detail"]
        await sent(cast.customer)
        await sent(cast.stranger, content)
        (await cast.customer.delete(f"/uploads/{first}")).must(204)
        await sent(cast.customer, content)


async def test_a_nearly_full_disk_takes_no_photo(data_dir: Path) -> None:
    """Everything else goes on: the rest of the disk is for the database."""
    settings = settings_for(data_dir, photo_workers=0, disk_reserve_mb=1 << 40)
    async with running_server(settings) as server, Rest(server.url) as ana:
        await ana.register("ana@example.com")
        answer = (await send(ana)).must(503)
        assert "nearly full" in answer.json["detail"]
        assert int(answer.headers["Retry-After"]) >= 30
        assert [path for path in (data_dir / "arriving").rglob("*") if path.is_file()] == []
        assert (await ana.get("//readyz")).must(200).json["status"] == "degraded"
        assert "no room" in (await server.parts())["blobs"]
        (await ana.patch("/me", {"name": "Ana"})).must(200)


async def test_a_nearly_full_store_takes_no_photo(
    idle: Cast, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store is on another disk than the folder that receives files."""
    usage = shutil.disk_usage

    def full(path: Path) -> Any:
        return usage(path)._replace(free=1) if path.name == "blobs" else usage(path)

    monkeypatch.setattr(shutil, "disk_usage", full)
    assert "nearly full" in (await send(idle.customer)).must(503).json["detail"]
    assert blobs_in(data_dir) == []
    assert (await idle.customer.get("/uploads")).json["items"] == []


async def test_too_slow_a_sender_is_disconnected(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A byte now and then is not enough."""
    monkeypatch.setattr(forms, "SILENCE_SECONDS", 0.5)
    settings = settings_for(
        data_dir, photo_workers=0, photos_arriving_per_account=1, photo_bytes_per_second=100_000
    )
    async with running_server(settings) as server, Rest(server.url) as ana:
        await ana.register("ana@example.com")
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(
            b"POST /api/v1/uploads HTTP/1.1\r\nHost: x\r\nContent-Length: 999999\r\n"
            b"Content-Type: multipart/form-data; boundary=x\r\n"
            + f"Authorization: Bearer {ana.token}\r\n\r\n".encode()
            + b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\n\xff\xd8\xff'
        )
        answer = asyncio.create_task(reader.readuntil(b"\r\n\r\n"))

        async def answered() -> bool:
            writer.write(b"\0" * 100)
            return answer.done()

        await wait_until(answered, every=0.1, what="the sender is told to go")
        assert answer.result().startswith(b"HTTP/1.1 400 ")
        (await send(ana)).must(202)
        writer.close()


async def test_without_a_model_photos_fail_and_the_rest_is_served(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("U2NET_HOME", str(tmp_path))
    model = tmp_path / "models" / "u2netp" / "u2netp.onnx"
    settings = settings_for(data_dir, photo_lease_seconds=0.5)
    async with running_server(settings) as server, Rest(server.url) as ana:
        await ana.register("ana@example.com")
        for content in (None, b"not a model"):
            if content is not None:
                model.parent.mkdir(parents=True)
                model.write_bytes(content)
            state = (await ana.get("//readyz")).must(200).json
            assert state["status"] == "degraded"
            assert state["parts"]["worker"] == "not ok"
            assert str(model) in (await server.parts())["worker"]
            upload = await final(ana, await sent(ana))
            assert (upload["status"], upload["attempts"]) == ("failed", 1)
            assert "model" in upload["error"]
            assert str(tmp_path) not in upload["error"], "a customer sees no paths"
            (await ana.get(f"/uploads/{upload['id']}/result")).must(404)
        (await ana.get("/restaurants")).must(200)


def blobs_in(data_dir: Path) -> list[Path]:
    """Every file of the store, unfinished ones included."""
    return [path for path in (data_dir / "blobs").rglob("*") if path.is_file()]


async def blobs_gone(data_dir: Path, left: int = 0) -> None:
    """Wait until that many files are left in the store."""
    await wait_until(lambda: len(blobs_in(data_dir)) == left, what=f"{left} blobs are left")


async def test_a_process_without_a_model_leaves_photos_to_one_that_has_it(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process without the model never claims a job while another has it."""
    settings = settings_for(data_dir, photo_workers=1)
    async with AsyncExitStack() as stack:
        with monkeypatch.context() as without:
            without.setenv("U2NET_HOME", str(tmp_path))
            lacking = await stack.enter_async_context(running_server(settings))
        able = await stack.enter_async_context(running_server(settings))
        states = [(await server.parts())["worker"] for server in (lacking, able)]
        assert "is missing" in states[0]
        assert states[1] == "ok"
        ana = await stack.enter_async_context(Rest(lacking.url))
        await ana.register("ana@example.com")
        for upload_id in [await sent(ana) for _ in range(5)]:
            assert (await done(ana, upload_id))["attempts"] == 1
