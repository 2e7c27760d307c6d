"""Short polling of uploads: when it asks again, what it hands out, what it survives."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from faulty_server import FaultyServer, problem

from server.features.uploads.schemas import NewUpload, UploadPurpose
from support.live_server import LiveServer
from support.uploads import COFFEE
from support.waiting import wait_until
from tui.common.client.api import Api
from tui.common.client.files import UnfitFile
from tui.common.client.meter import Pattern, State, Wire
from tui.common.client.retry import Backoff
from tui.common.client.session import ApiError, Session, Unreachable
from tui.common.client.short_polling import UploadPoll

PATH = "/uploads/upl_1"
AVATAR = NewUpload(purpose=UploadPurpose.AVATAR)


def upload(status: str, **more: Any) -> dict[str, Any]:
    return {
        "id": "upl_1",
        "status": status,
        "purpose": "avatar",
        "attempts": 1,
        "media_type": "image/jpeg",
        "size": 1,
        "original_url": "/api/v1/uploads/upl_1/original",
        "created_at": "2026-01-31T12:00:00.000Z",
    } | more


class Steps:
    """Answers one after the other, the last for ever; `asked` are the times of the requests."""

    def __init__(self, *steps: tuple[str, str | None]) -> None:
        self.steps = list(steps)
        self.asked: list[float] = []

    async def __call__(self, request: web.Request) -> web.Response:
        self.asked.append(time.monotonic())
        status, retry_after = self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]
        headers = {} if retry_after is None else {"Retry-After": retry_after}
        return web.json_response(upload(status), headers=headers)


def poll(session: Session, wire: Wire, **more: Any) -> UploadPoll:
    meter = wire.meter("photo", Pattern.SHORT_POLL)
    return UploadPoll(session, "upl_1", meter, backoff=Backoff(0.05, 0.1), **more)


async def test_it_hands_out_each_change_and_stops_at_the_final_state(
    faulty: FaultyServer, session: Session, wire: Wire
) -> None:
    steps = Steps(("queued", "1"), ("queued", "1"), ("processing", "1"), ("done", None))
    faulty.on("GET", PATH, steps)
    async with poll(session, wire) as photo:
        seen = [one.status.value async for one in photo]
        assert seen == ["queued", "processing", "done"]
        assert photo.polls == len(steps.asked) == 4
    meter = wire.meters["photo"]
    assert (meter.state, meter.connections, meter.requests) == (State.IDLE, 0, 4)


async def test_it_comes_back_when_the_server_says_and_never_earlier(
    faulty: FaultyServer, session: Session, wire: Wire
) -> None:
    steps = Steps(("queued", "2"), ("done", None))
    faulty.on("GET", PATH, steps)
    async with poll(session, wire, first_wait=1.5) as photo:
        started = time.monotonic()
        reading = asyncio.ensure_future(anext(photo))
        meter = wire.meters["photo"]
        await wait_until(lambda: meter.state is State.WAITING, every=0.005, what="it rests first")
        assert meter.requests == 0
        assert meter.retry_at is not None
        await reading
        assert (await anext(photo)).status.final
    first, second = steps.asked
    assert first - started > 1.45
    assert second - first > 1.95


async def test_it_asks_more_and_more_rarely_while_nothing_changes(
    faulty: FaultyServer, session: Session, wire: Wire
) -> None:
    steps = Steps(("processing", None), ("processing", None), ("processing", None), ("done", None))
    faulty.on("GET", PATH, steps)
    async with poll(session, wire) as photo:
        assert [one.status.value async for one in photo] == ["processing", "done"]
    waits = [later - one for one, later in zip(steps.asked, steps.asked[1:], strict=False)]
    assert waits[0] > 0.95
    assert waits[1] > 1.45
    assert waits[2] > 2.2


async def test_it_survives_a_server_that_is_away(
    faulty: FaultyServer, session: Session, wire: Wire
) -> None:
    steps = Steps(("processing", None), ("done", None))
    faulty.on("GET", PATH, steps)
    async with poll(session, wire) as photo:
        assert (await anext(photo)).status == "processing"
        await faulty.stop()
        reading = asyncio.ensure_future(anext(photo))
        await wait_until(lambda: wire.meters["photo"].state is State.RETRY)
        assert not reading.done()
        await faulty.start()
        assert (await reading).status == "done"
        with pytest.raises(StopAsyncIteration):
            await anext(photo)
    assert wire.meters["photo"].reconnects == 1


@pytest.mark.parametrize("status", [404, 403])
async def test_it_gives_up_what_is_not_there(
    faulty: FaultyServer, session: Session, wire: Wire, status: int
) -> None:
    async def gone(request: web.Request) -> web.Response:
        return problem(status)

    faulty.on("GET", PATH, gone)
    async with poll(session, wire) as photo:
        with pytest.raises(ApiError) as refused:
            await anext(photo)
        assert refused.value.status == status
        assert wire.meters["photo"].state is State.DOWN


async def test_a_photo_sent_and_followed_to_its_end(live_server: LiveServer) -> None:
    """The whole way, at a real server: progress, the poll, the picture, the profile, the end."""
    wire = Wire()
    session = Session(live_server.url, wire)
    await session.register("ana@example.com", "correct horse", "Ana")
    api = Api(session)
    told: list[tuple[int, int]] = []
    accepted, wait = await api.send_photo(COFFEE, AVATAR, "key-1", lambda *one: told.append(one))
    again, _ = await api.send_photo(COFFEE, AVATAR, "key-1")
    assert again == accepted
    assert wait >= 1
    size = COFFEE.stat().st_size
    assert told[0] == (0, size)
    assert told[-1] == (size, size)
    assert told == sorted(told)
    meter = wire.meter("photo", Pattern.SHORT_POLL)
    async with UploadPoll(session, accepted.id, meter, first_wait=wait) as photo:
        async for one in photo:
            last = one
    assert last.status == "done", last
    assert last.result_url is not None
    assert (await api.picture(last.result_url)).startswith(b"\x89PNG")
    assert (await api.picture(last.original_url)).startswith(b"\xff\xd8\xff")
    assert (await api.me()).avatar_url == last.result_url
    assert await api.upload(accepted.id) == last
    assert [one.id for one in (await api.uploads()).items] == [accepted.id]
    await api.delete_upload(accepted.id)
    assert (await api.me()).avatar_url is None
    await session.close()


async def test_a_file_that_cannot_be_sent_is_told_of_before_anything_is(
    faulty: FaultyServer, session: Session, tmp_path: Path
) -> None:
    api = Api(session)
    asked = len(faulty.requests)
    large = tmp_path / "large.jpg"
    with large.open("wb") as file:
        file.truncate(10 * 1024 * 1024 + 1)
    (tmp_path / "empty.jpg").touch()
    for name, words in (
        ("nowhere.jpg", "There is no file"),
        ("", "is a folder"),
        ("large.jpg", "at most 10"),
        ("empty.jpg", "is empty"),
    ):
        with pytest.raises(UnfitFile, match=words):
            await api.send_photo(tmp_path / name, AVATAR, "key")
    assert len(faulty.requests) == asked


async def test_a_cut_between_two_polls_is_of_the_next_one(
    faulty: FaultyServer, session: Session, wire: Wire
) -> None:
    steps = Steps(("queued", "1"), ("processing", "1"), ("done", None))
    faulty.on("GET", PATH, steps)
    async with poll(session, wire) as photo:
        assert (await anext(photo)).status == "queued"
        reading = asyncio.ensure_future(anext(photo))
        meter = wire.meters["photo"]
        await wait_until(lambda: meter.state is State.WAITING, what="it rests")
        photo.drop_connection()
        assert meter.state is State.WAITING, "there is nothing to cut yet"
        assert (await reading).status in ("processing", "done")
        assert meter.reconnects == 1


async def test_a_cut_before_the_first_poll_is_of_that_one(
    faulty: FaultyServer, session: Session, wire: Wire
) -> None:
    faulty.on("GET", PATH, Steps(("done", None)))
    async with poll(session, wire, first_wait=0.2) as photo:
        reading = asyncio.ensure_future(anext(photo))
        meter = wire.meters["photo"]
        await wait_until(lambda: meter.state is State.WAITING, what="it rests")
        photo.drop_connection()
        assert (await reading).status == "done"
        assert meter.reconnects == 1


async def test_a_cut_while_an_answer_comes_is_of_that_one_alone(
    faulty: FaultyServer, session: Session, wire: Wire
) -> None:
    steps = Steps(("done", None))

    async def halfway(request: web.Request) -> web.StreamResponse:
        if faulty.count("GET", PATH) == 1:
            answer = web.StreamResponse(headers={"Content-Type": "application/json"})
            await answer.prepare(request)
            await asyncio.Event().wait()
        return await steps(request)

    faulty.on("GET", PATH, halfway)
    async with poll(session, wire) as photo:
        reading = asyncio.ensure_future(anext(photo))
        meter = wire.meters["photo"]
        await wait_until(lambda: meter.state is State.LIVE, what="the answer has begun")
        photo.drop_connection()
        assert (await reading).status == "done"
        assert (meter.reconnects, faulty.count("GET", PATH)) == (1, 2)


async def test_a_picture_without_end_is_not_read_to_it(
    faulty: FaultyServer, session: Session
) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "image/png"})
        await answer.prepare(request)
        while True:
            await answer.write(bytes(100_000))

    faulty.on("GET", "/uploads/upl_1/result", endless)
    with pytest.raises(Unreachable, match="answer has more than"):
        await Api(session).picture("/api/v1/uploads/upl_1/result")
