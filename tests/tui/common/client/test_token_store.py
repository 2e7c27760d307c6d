"""The remembered session, shared by real processes."""

import asyncio
import os
import sys
import time
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from faulty_server import FaultyServer, problem

from support.waiting import PATIENCE, wait_until
from tui.common.client.meter import Wire
from tui.common.client.session import Session, SignedOut, Unreachable
from tui.common.client.token_store import (
    BrokenTokenFile,
    StoreBusy,
    StoredToken,
    TokenStore,
    TokenStoreError,
)

WINDOW = Path(__file__).with_name("shared_window.py")
ROOT = Path(__file__).parents[4]


async def window(*words: object) -> Process:
    """A process of its own that uses the store."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        str(WINDOW),
        *(str(word) for word in words),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=PIPE,
        stderr=PIPE,
    )


async def finished(process: Process) -> None:
    """It ends well, within half a minute."""
    async with asyncio.timeout(PATIENCE):
        _, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "tiffin" / "customer.json"


@pytest.fixture
def store(path: Path) -> TokenStore:
    return TokenStore(path)


def expiring(faulty: FaultyServer) -> None:
    """Any client may make its own token expire."""

    async def expire(request: web.Request) -> web.Response:
        faulty.access.discard(request.headers["Authorization"].removeprefix("Bearer "))
        return web.Response(status=204)

    async def thing(_: web.Request) -> web.Response:
        return web.json_response({})

    faulty.on("POST", "/expire", expire)
    faulty.on("GET", "/thing", thing)


async def test_nothing_is_remembered_at_first(store: TokenStore) -> None:
    assert await store.read() is None


async def test_what_is_written_is_read_and_private(store: TokenStore) -> None:
    stored = StoredToken("token", "acc-1", "key")
    await store.write(stored)
    assert await store.read() == stored
    assert store.path.stat().st_mode & 0o777 == 0o600
    assert store.path.parent.stat().st_mode & 0o777 == 0o700
    await store.delete()
    assert await store.read() is None
    assert list(store.path.parent.iterdir()) == []


async def test_a_file_that_others_could_read_is_closed_to_them(store: TokenStore) -> None:
    await store.write(StoredToken("token", "acc-1"))
    store.path.chmod(0o644)
    await store.read()
    assert store.path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"refresh_token": 5, "account_id": "a"}',
        b'{"refresh_token": "", "account_id": "a"}',
        b'{"refresh_token": "t"}',
        b'{"refresh_token": "t", "account_id": "a", "idempotency_key": "a\\nb"}',
        b"[" * 60_000,
    ],
)
async def test_a_broken_file_is_being_signed_out_in_words(
    store: TokenStore, faulty: FaultyServer, content: bytes
) -> None:
    store.path.parent.mkdir(parents=True)
    store.path.write_bytes(content)
    with pytest.raises(BrokenTokenFile):
        await store.read()
    session = Session(faulty.url, Wire(), store)
    assert not await session.resume()
    assert "Log in again" in session.notice
    await session.log_in("ana@example.com", "correct horse")
    assert (await store.read()) is not None
    await session.close()


def test_each_app_and_server_has_its_own_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    stores = [
        TokenStore.for_app(url, app)
        for url in ("http://localhost:8080", "http://localhost:8081", "https://localhost:8080")
        for app in ("customer", "employee")
    ]
    assert len({store.path for store in stores}) == 6
    assert all(store.path.is_relative_to(tmp_path) for store in stores)
    same = TokenStore.for_app("http://LOCALHOST:8080/", "customer")
    assert same.path == stores[0].path


async def test_two_processes_never_write_over_each_other(store: TokenStore) -> None:
    await store.write(StoredToken("0", "acc-1"))
    windows = [await window("count", store.path, 60) for _ in range(2)]
    for process in windows:
        await finished(process)
    found = await store.read()
    assert found is not None
    assert found.refresh_token == "120"


async def test_the_lock_is_waited_for_and_not_for_ever(path: Path) -> None:
    holder = await window("hold", path)
    assert holder.stdout is not None
    async with asyncio.timeout(PATIENCE):
        assert await holder.stdout.readline() == b"locked\n"
    impatient = TokenStore(path, lock_seconds=0.3)
    began = time.monotonic()
    with pytest.raises(StoreBusy, match="Close it"):
        async with impatient.locked():
            pass
    assert 0.25 < time.monotonic() - began < PATIENCE

    async def take() -> None:
        async with TokenStore(path).locked():
            pass

    waiting = asyncio.create_task(take())
    holder.kill()
    await holder.wait()
    await asyncio.wait_for(waiting, PATIENCE)


async def test_a_cancelled_wait_leaves_no_lock_behind(path: Path) -> None:
    store = TokenStore(path)
    async with store.locked():
        waiting = asyncio.create_task(store.locked().__aenter__())
        await asyncio.sleep(0.1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    async with asyncio.timeout(PATIENCE), store.locked():
        pass


async def test_two_windows_that_share_a_sign_in_never_use_a_token_twice(
    store: TokenStore, faulty: FaultyServer
) -> None:
    expiring(faulty)
    first = Session(faulty.url, Wire(), store)
    await first.log_in("ana@example.com", "correct horse")
    await first.close()
    windows = [await window("renew", store.path, faulty.url, 15) for _ in range(2)]
    for process in windows:
        await finished(process)
    assert faulty.used_twice == 0
    assert faulty.refreshes >= 32
    found = await store.read()
    assert found is not None
    assert found.refresh_token in faulty.refreshable
    assert found.idempotency_key is None


async def test_a_window_killed_before_the_answer_came_costs_nobody_the_sign_in(
    store: TokenStore, faulty: FaultyServer
) -> None:
    session = Session(faulty.url, Wire(), store)
    await session.log_in("ana@example.com", "correct horse")
    await session.close()
    exchanged = asyncio.Event()

    async def never_answer() -> None:
        exchanged.set()
        await asyncio.Event().wait()

    faulty.after_refresh = never_answer
    victim = await window("resume", store.path, faulty.url)
    await asyncio.wait_for(exchanged.wait(), PATIENCE)
    saved = await store.read()
    assert saved is not None
    assert saved.idempotency_key is not None
    victim.kill()
    await victim.wait()

    faulty.after_refresh = None
    survivor = Session(faulty.url, Wire(), store)
    assert await survivor.resume()
    assert (faulty.refreshes, faulty.used_twice) == (1, 0)
    await survivor.close()


async def test_signing_out_in_one_window_is_noticed_in_the_other(
    store: TokenStore, faulty: FaultyServer
) -> None:
    expiring(faulty)

    async def log_out(_: web.Request) -> web.Response:
        return web.Response(status=204)

    faulty.on("POST", "/auth/logout", log_out)
    one, two = (Session(faulty.url, Wire(), TokenStore(store.path)) for _ in range(2))
    words: list[str] = []
    two.on_signed_out = words.append
    await one.log_in("ana@example.com", "correct horse")
    assert await two.resume()
    assert await one.log_out() == ""
    assert not store.path.exists()
    faulty.revoke_access()
    with pytest.raises(SignedOut, match="another window"):
        await two.request("GET", "/thing")
    await wait_until(lambda: words)
    assert len(words) == 1
    assert faulty.used_twice == 0
    for session in (one, two):
        await session.close()


async def test_a_file_of_another_account_is_left_alone(
    store: TokenStore, faulty: FaultyServer
) -> None:
    expiring(faulty)
    ana, ben = (Session(faulty.url, Wire(), TokenStore(store.path)) for _ in range(2))
    await ana.log_in("ana@example.com", "correct horse")
    faulty.account_id = "acc-2"
    await ben.log_in("ben@example.com", "correct horse")
    faulty.account_id = "acc-1"
    bens = await store.read()
    faulty.revoke_access()
    await ana.request("GET", "/thing")
    assert await store.read() == bens
    assert ana.account is not None
    assert ana.account.id == "acc-1"
    await ana.forget()
    assert await store.read() == bens
    for session in (ana, ben):
        await session.close()


async def test_a_place_that_cannot_be_written_costs_only_the_memory(
    tmp_path: Path, faulty: FaultyServer
) -> None:
    expiring(faulty)
    (tmp_path / "file").write_text("")
    session = Session(faulty.url, Wire(), TokenStore(tmp_path / "file" / "customer.json"))
    await session.log_in("ana@example.com", "correct horse")
    assert "not saved" in session.notice
    faulty.revoke_access()
    assert (await session.request("GET", "/thing")).status == 200
    await session.close()


async def test_a_full_disk_does_not_leave_a_used_token_behind(
    store: TokenStore, faulty: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    expiring(faulty)
    session = Session(faulty.url, Wire(), store)
    await session.log_in("ana@example.com", "correct horse")

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        faulty.revoke_access()
        await session.request("GET", "/thing")
        assert "No space left" in session.notice
    assert not store.path.exists()
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(TokenStoreError, match="No space left"):
            await store.write(StoredToken("x", "y"))
    faulty.revoke_access()
    await session.request("GET", "/thing")
    assert faulty.used_twice == 0
    await session.close()


async def test_an_unreachable_server_keeps_what_is_remembered(
    store: TokenStore, faulty: FaultyServer
) -> None:
    session = Session(faulty.url, Wire(), store)
    await session.log_in("ana@example.com", "correct horse")
    await session.close()
    await faulty.stop()
    later = Session(faulty.url, Wire(), store)
    with pytest.raises(Unreachable, match="connection refused"):
        await later.resume()
    await faulty.start()
    assert await later.resume()
    assert faulty.used_twice == 0
    await later.close()


async def test_only_the_server_itself_can_end_a_remembered_sign_in(
    store: TokenStore, faulty: FaultyServer
) -> None:
    """A proxy's error page to the renewal is no verdict, whatever its status."""
    session = Session(faulty.url, Wire(), store)
    await session.log_in("ana@example.com", "correct horse")
    remembered = await store.read()
    await session.close()

    ours = '{"type": "about:blank", "title": "no", "status": 403, "detail": "", "request_id": "r"}'
    answers = [
        web.Response(status=status, text="<h1>Blocked</h1>", content_type="text/html")
        for status in (400, 401, 403, 422)
    ]
    answers.append(web.Response(status=403, text='{"error": 1}', content_type="application/json"))
    answers.append(web.Response(status=403, text=ours, content_type="text/html"))
    for answer in answers:
        faulty.refresh_answer = answer
        later = Session(faulty.url, Wire(), TokenStore(store.path))
        with pytest.raises(Unreachable, match="could not be renewed"):
            await later.resume()
        kept = await store.read()
        assert kept is not None
        assert remembered is not None
        assert kept.refresh_token == remembered.refresh_token, answer.status
        await later.close()

    faulty.refresh_answer = problem(403)
    refused = Session(faulty.url, Wire(), TokenStore(store.path))
    assert not await refused.resume()
    assert "has ended" in refused.notice
    assert await store.read() is None
    await refused.close()
