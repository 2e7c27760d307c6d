"""A town whose database is put back from a backup, or moved, while its clients are away."""

import asyncio
import re
import shlex
import subprocess
from contextlib import AsyncExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from server.core.backup import back_up, restore
from server.core.databases import Where, opened_database
from server.core.migrate import MigrationError
from server.core.move import move
from support.cast import Cast, cast_of
from support.event_stream import event_stream
from support.live_server import LiveServer, running_server, settings_for
from support.news import announce
from support.rest import Rest
from support.room import open_chat, room
from support.server_process import ON_POSTGRES, ROOT, where_for
from support.waiting import PATIENCE

Cursors = dict[str, str]


class Town:
    """Its people, a chat, and where they read."""

    def __init__(self, cast: Cast, chat: str) -> None:
        self.cast, self.chat = cast, chat
        self._said = 0
        kitchen, driver = f"/restaurants/{cast.place.id}/orders", cast.place.drivers[0]
        self.location = f"/drivers/{driver}/location"
        self.streams = {
            "kitchen": (cast.employee, f"{kitchen}/stream"),
            "news": (cast.customer, "/announcements/stream"),
            "desk": (cast.employee, "/chats/stream"),
            "location": (cast.employee, f"{self.location}/stream"),
        }
        self.polls = {
            "kitchen": (cast.employee, f"{kitchen}/events"),
            "news": (cast.customer, "/announcements/events"),
            "desk": (cast.employee, "/chats/events"),
            "room": (cast.customer, f"/chats/{chat}/events"),
            "orders": (cast.customer, "/orders"),
        }

    async def cursors(self) -> Cursors:
        """Everybody's, as of now."""
        cast = self.cast
        async with event_stream(*self.streams["location"]) as stream:
            location = (await stream.next()).cursor
        pages = {
            "kitchen": (cast.employee, "/orders"),
            "news": (cast.customer, "/announcements"),
            "desk": (cast.employee, "/chats"),
            "room": (cast.customer, f"/chats/{self.chat}/messages"),
            "orders": (cast.customer, "/orders"),
        }
        found = {
            name: (await rest.get(path)).must(200).json["cursor"]
            for name, (rest, path) in pages.items()
        }
        return found | {"location": location}

    async def live(self, count: int = 1) -> None:
        """Something happens everywhere, so many times."""
        for _ in range(count):
            self._said += 1
            await self.cast.order()
            await announce(self.cast.employee, title=f"No. {self._said}")
            said = {"client_id": f"{self._said}", "text": f"Message {self._said}"}
            (await self.cast.customer.post(f"/chats/{self.chat}/messages", said)).must(201)
            place = {"lat": 48.8 + self._said / 1000, "lng": 2.3}
            (await self.cast.employee.put(self.location, place)).must(204)

    async def missed(self, cursors: Cursors) -> dict[str, list[Any]]:
        """What each gets by polls from those cursors on."""
        pages = [polled(*poll, cursors[name]) for name, poll in self.polls.items()]
        return dict(zip(self.polls, await asyncio.gather(*pages), strict=True))

    def go_to(self, url: str) -> None:
        """Everybody talks to another server."""
        for rest in vars(self.cast).values():
            if isinstance(rest, Rest):
                rest.base_url = url


async def polled(rest: Rest, path: str, after: str) -> list[Any]:
    """Everything after that cursor but who is in a room, which changes with this."""
    found: list[Any] = []
    async with asyncio.timeout(PATIENCE):
        while True:
            answer = await rest.get(path, params={"after": after, "timeout": "1"})
            if answer.status == 204:
                break
            page = answer.must(200).json
            found += page.get("events") or page.get("items")
            after = page["cursor"]
    return [one for one in found if one.get("type") not in ("presence", "read")]


async def opened_town(stack: AsyncExitStack, server: LiveServer) -> Town:
    """A town whose people outlive the server."""
    cast = await stack.enter_async_context(cast_of(server))
    town = Town(cast, await open_chat(cast.customer))
    await town.live()
    return town


async def backed_up_to(file: Path, where: Where) -> None:
    """Back up that database, which is in use."""
    if isinstance(where, Path):
        await asyncio.to_thread(back_up, where, file)
    else:
        await asyncio.to_thread(run_of_the_page, file, where, ["pg_dump"])


def put_back(file: Path, where: Where) -> str:
    """Put a backup back; the URL of the database."""
    if isinstance(where, Path):
        restore(where, file)
        return f"sqlite:///{where}"
    run_of_the_page(file, where, ["createdb", "pg_restore", "psql"])
    return f"{where}_new"


def run_of_the_page(file: Path, url: str, programs: list[str]) -> None:
    """Run the commands of those PostgreSQL programs in docs/operating.md."""
    from tools.cluster.postgres import BINARIES

    page = (ROOT / "docs" / "operating.md").read_text()
    new = f"{url}_new"
    places = {"NEW_URL": new, "URL": url, "NEW": new.rpartition("/")[2], "FILE": str(file)}
    for program in programs:
        [line] = re.findall(rf"^{program} (.*)", page, re.M)
        line = re.sub(r"\b(?:NEW_URL|URL|NEW|FILE)\b", lambda found: places[found[0]], line)
        command = [str(BINARIES / "bin" / program), *shlex.split(line)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


async def test_after_a_restore_every_reader_is_reset(data_dir: Path, tmp_path: Path) -> None:
    """The numbers of the events that they have seen are those of other events now."""
    where, file = where_for(data_dir / "tiffin.sqlite3"), tmp_path / "backup"
    async with AsyncExitStack() as stack:
        async with running_server(settings_for(data_dir)) as server:
            town = await opened_town(stack, server)
            await backed_up_to(file, where)
            await town.live(2)
            cursors = await town.cursors()
        settings = settings_for(
            data_dir, database_url=await asyncio.to_thread(put_back, file, where)
        )
        async with running_server(settings, copied=False) as server:
            town.go_to(server.url)
            await town.live(3)
            for name, (rest, address) in town.streams.items():
                async with event_stream(rest, address, cursors[name]) as stream:
                    assert (await stream.next()).type == "reset", name
                    await stream.over()
            for name, (rest, address) in town.polls.items():
                answer = await rest.get(address, params={"after": cursors[name]})
                assert answer.must(410).json["type"].endswith(":reset"), name
            async with room(town.cast.customer, town.chat, cursors["room"]) as entered:
                assert (await entered.next())["type"] == "reset"
            # With the cursors that come with a new look they go on.
            cursors = await town.cursors()
            await town.live()
            assert all((await town.missed(cursors)).values())


async def test_who_was_away_during_a_move_misses_nothing(data_dir: Path, tmp_path: Path) -> None:
    """On PostgreSQL the town is moved to SQLite, and from there to another PostgreSQL database."""
    file: Where = tmp_path / "moved.sqlite3"
    way = [where_for(data_dir / "tiffin.sqlite3"), file]
    if ON_POSTGRES:
        way.append(where_for(tmp_path / "other.sqlite3"))
    missed: list[dict[str, list[Any]]] = []
    async with AsyncExitStack() as stack:
        async with running_server(settings_for(data_dir)) as server:
            town = await opened_town(stack, server)
            away = await town.cursors()
            await town.live(2)
            missed.append(await town.missed(away))
        for source, target in pairwise(way):
            await move(source, target, lambda line: None)
            with pytest.raises(MigrationError, match="was moved to"):
                async with opened_database(source):
                    pass
            url = target if isinstance(target, str) else f"sqlite:///{target}"
            settings = settings_for(data_dir, database_url=url)
            async with running_server(settings, copied=False) as server:
                town.go_to(server.url)
                await town.live()
                missed.append(await town.missed(away))
                async with room(town.cast.customer, town.chat, away["room"]) as entered:
                    texts = [(await entered.next("message"))["text"] for _ in missed[-1]["room"]]
                for name, (rest, address) in town.streams.items():
                    async with event_stream(rest, address, away[name]) as stream:
                        events = [
                            (await stream.next()).data
                            for _ in missed[-1].get(name, [{"data": None}])
                        ]
                    if name != "location":
                        assert events == [one["data"] for one in missed[-1][name]], name
            assert texts == [f"Message {number}" for number in range(2, 2 + len(texts))]
    for name in town.polls:
        for before, after in pairwise(page[name] for page in missed):
            assert before, name
            assert after[: len(before)] == before, name
            assert len(after) > len(before), name
