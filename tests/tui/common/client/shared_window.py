"""A window for `test_token_store.py`: a process that renews a session it shares with others."""

import asyncio
import sys
from pathlib import Path

from tui.common.client.meter import Wire
from tui.common.client.session import Session
from tui.common.client.token_store import StoredToken, TokenStore


async def renew(path: Path, url: str, times: int) -> None:
    """Get a 401 and renew, so many times; another window does the same meanwhile."""
    session = Session(url, Wire(), TokenStore(path))
    assert await session.resume(), session.notice
    for _ in range(times):
        await session.request("POST", "/expire")
        await session.request("GET", "/thing")
    await session.close()


async def count(path: Path, times: int) -> None:
    """Add one to a number in the file, so many times."""
    store = TokenStore(path)
    for _ in range(times):
        async with store.locked():
            found = await store.read()
            assert found is not None
            await store.write(StoredToken(str(int(found.refresh_token) + 1), found.account_id))


async def hold(path: Path) -> None:
    """Take the lock, say so, and keep it."""
    async with TokenStore(path).locked():
        print("locked", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    what, path, *more = sys.argv[1:]
    if what == "renew":
        asyncio.run(renew(Path(path), more[0], int(more[1])))
    elif what == "count":
        asyncio.run(count(Path(path), int(more[0])))
    elif what == "resume":
        asyncio.run(renew(Path(path), more[0], 0))
    else:
        asyncio.run(hold(Path(path)))
