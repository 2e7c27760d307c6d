"""Tiffin as one of the servers: durable, and every request with a token that is checked."""

import asyncio
import json
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path

from benchmarks.peers.client import Response, ask, frame, get, post, stream, upgrade
from benchmarks.peers.targets import Target
from benchmarks.peers.works import Channel, Member
from server.core.auth import AccessTokens
from server.core.database import Transaction
from server.core.databases import opened_database
from server.settings import Settings
from support.server_process import JWT_SECRET, server_environment

API = "/api/v1"
SETTINGS = {
    "TIFFIN_MAX_CONNECTIONS": "20000",
    "TIFFIN_MAX_STREAMS_PER_ACCOUNT": "20000",
    "TIFFIN_MAX_SOCKETS": "0",
    "TIFFIN_READS_AT_ONCE": "0",
    "TIFFIN_CONTROL_FRAMES_PER_SECOND": "0",
    "TIFFIN_COMMIT_INTERVAL_MS": str(Settings.model_fields["commit_interval_ms"].default),
    "TIFFIN_LOG_LEVEL": "WARNING",
}
STEPS = ("accepted", "preparing", "ready", "out_for_delivery")
"""From `placed` on; the last one that a poll is held after."""
TOKEN_SECONDS = 3600
PEOPLE = """
INSERT INTO restaurants (id, name, cuisine, description, address, lat, lng, preparation_minutes,
    last_number)
SELECT 'rst_' || i, 'Kitchen ' || i, 'Thai', '', '2 Mill Lane', 47.07, 15.43, 10, 0 FROM n;

INSERT INTO menu_items (id, restaurant_id, position, name, description, price_cents, available)
SELECT 'itm_' || i, 'rst_' || i, 1, 'Soup', 'hot', 500, 1 FROM n;

INSERT INTO drivers (id, restaurant_id, name, vehicle)
SELECT 'drv_' || i, 'rst_' || i, 'Ken', 'bike' FROM n;

INSERT INTO accounts (id, email, password_hash, role, name, restaurant_id, created_at)
SELECT 'acc_customer' || i, 'customer' || i || '@example.org', '', 'customer', 'Ana', NULL, '2026'
FROM n UNION ALL
SELECT 'acc_employee' || i, 'employee' || i || '@example.org', '', 'employee', 'Bo', 'rst_' || i,
    '2026' FROM n;

INSERT INTO sessions (id, account_id, created_at, expires_at, last_used_at)
SELECT 'ses_customer' || i, 'acc_customer' || i, '2026', '2999', '2026' FROM n UNION ALL
SELECT 'ses_employee' || i, 'acc_employee' || i, '2026', '2999', '2026' FROM n
"""
"""A kitchen with a dish, a driver, an employee and a customer, for every number: by the routes, a
password would be hashed for each account."""


class Tiffin(Target):
    """This project's server, on an empty database."""

    name = "Tiffin"
    ready = "/readyz"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._tokens = AccessTokens(JWT_SECRET, TOKEN_SECONDS)
        self._people = 0

    @property
    def where(self) -> Path | str:
        """Its database."""
        return self.folder / "tiffin.sqlite3"

    def command(self) -> Sequence[str | Path]:
        return [sys.executable, "-m", "server", "--port", str(self.port)]

    def environment(self) -> dict[str, str]:
        return server_environment(self.folder, more=SETTINGS)

    def news(self) -> Channel:
        self._add_people(1)

        def publish(text: str) -> bytes:
            news = {"title": "Load", "body": text, "severity": "info", "audience": "everyone"}
            return post(f"{API}/announcements", json.dumps(news), self._employee(0))

        return Channel(stream(f"{API}/announcements/stream", self._customer(0)), publish)

    def kitchens(self, number: int) -> Sequence[Channel]:
        self._add_people(number)
        return [
            Channel(
                stream(f"{API}/restaurants/rst_{one}/orders/stream", self._employee(one)),
                partial(self._place, one),
            )
            for one in range(number)
        ]

    def orders(self, number: int, steps: int) -> Sequence[Channel]:
        self._add_people(number)
        # An order has few steps: each is followed by another one of the same kitchen.
        rows = [(one, row) for row in range(-(-steps // len(STEPS))) for one in range(number)]
        answers = ask(self.port, *(self._place(one, str(row)) for one, row in rows))
        placed: list[list[str]] = [[] for _ in range(number)]
        for (one, _), answer in zip(rows, answers, strict=True):
            placed[one].append(json.loads(answer)["id"])
        return [self._followed(one, ids) for one, ids in enumerate(placed)]

    def order(self) -> bytes:
        self._add_people(1)
        (answer,) = ask(self.port, self._place(0, ""))
        return get(f"{API}/orders/{json.loads(answer)['id']}", self._customer(0))

    def members(self, rooms: int) -> Sequence[Member]:
        self._add_people(rooms)
        body = json.dumps({"subject": "Where is it?"})
        opened = ask(
            self.port, *(post(f"{API}/chats", body, self._customer(one)) for one in range(rooms))
        )
        chats = [json.loads(answer)["id"] for answer in opened]
        ask(
            self.port,
            *(
                post(f"{API}/chats/{chat}/take", "", self._employee(one))
                for one, chat in enumerate(chats)
            ),
        )
        return [
            Member(upgrade(f"{API}/chats/{chat}/ws", who(one)), [(b'"presence"', b"")], _said)
            for one, chat in enumerate(chats)
            for who in (self._customer, self._employee)
        ]

    def _followed(self, one: int, ids: Sequence[str]) -> Channel:
        """The orders of a kitchen, each polled and stepped when the last is out for delivery."""
        follow = self._customer(one)
        following = dict(pairwise(ids))

        def poll(order: str, status: str) -> bytes:
            return get(f"{API}/orders/{order}/status?last_status={status}&timeout=60", follow)

        def again(response: Response) -> bytes:
            found = json.loads(response.body)
            if found["status"] == STEPS[-1]:
                return poll(following.get(found["order_id"], ids[-1]), "placed")
            return poll(found["order_id"], found["status"])

        steps = self._steps(one, ids)
        return Channel(poll(ids[0], "placed"), lambda text: next(steps), again)

    def _steps(self, one: int, ids: Sequence[str]) -> Iterator[bytes]:
        for order in ids:
            for status in STEPS:
                step = {"status": status}
                if status == STEPS[-1]:
                    step["driver_id"] = f"drv_{one}"
                path = f"{API}/orders/{order}/status"
                yield post(path, json.dumps(step), self._employee(one))

    def _place(self, one: int, note: str) -> bytes:
        order = {
            "restaurant_id": f"rst_{one}",
            "items": [{"menu_item_id": f"itm_{one}", "quantity": 1}],
            "address": {"text": "1 Quay Street", "lat": 47.07, "lng": 15.43},
            "note": note,
        }
        return post(f"{API}/orders", json.dumps(order), self._customer(one))

    def _customer(self, one: int) -> str:
        return self._authorization(f"customer{one}")

    def _employee(self, one: int) -> str:
        return self._authorization(f"employee{one}")

    def _authorization(self, who: str) -> str:
        return f"Authorization: Bearer {self._tokens.issue(f'acc_{who}', f'ses_{who}')}"

    def _add_people(self, number: int) -> None:
        """Let there be so many kitchens, with their people."""
        if number <= self._people:
            return
        numbers = f"WITH RECURSIVE n(i) AS (SELECT {self._people} UNION ALL SELECT i + 1 FROM n"
        numbers += f" WHERE i + 1 < {number})"

        async def add(tx: Transaction) -> None:
            for statement in PEOPLE.split(";"):
                into, _, rows = statement.partition("SELECT")
                await tx.execute(f"{into} {numbers} SELECT {rows}", {})

        async def run() -> None:
            async with opened_database(self.where) as database:
                await database.write(add)

        asyncio.run(run())
        self._people = number


def _said(text: str) -> bytes:
    message = {"type": "message", "client_id": text.strip("@"), "text": f"hello there {text}"}
    return frame(json.dumps(message))
