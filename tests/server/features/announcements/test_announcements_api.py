"""Announcements over REST."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from newsroom import NEWS, announce, history, stream, titles

from server.features.announcements import service as service_module
from server.features.announcements.service import AnnouncementService
from support.cast import Cast
from support.live_server import LiveServer
from support.town import database_in

UNFIT = [
    ("title", "  "),
    ("title", "x" * 121),
    ("title", "two\nlines"),
    ("body", ""),
    ("body", "x" * 4001),
    ("body", "a bell: \x07"),
    ("severity", "loud"),
    ("audience", "drivers"),
    ("expires_at", "2020-01-01T00:00:00Z"),
    ("expires_at", "9999-12-31T23:59:59-23:59"),
    ("expires_at", 1790000000),
    ("expires_at", "tomorrow"),
    ("expires_at", "2030-01-01T00:00:00"),
]


def ahead(**delta: float) -> str:
    return (datetime.now(UTC) + timedelta(**delta)).isoformat()


async def test_an_announcement_is_made_and_read(cast: Cast) -> None:
    made = await announce(cast.employee, body="Slow down,\nplease.", severity="warning")
    assert list(made) == ["id", "title", "body", "severity", "audience", "by", "published_at"]
    assert made["by"] == {
        "id": cast.employee.grant["account"]["id"],
        "name": cast.employee.grant["account"]["name"],
        "role": "employee",
    }
    for who in (cast.customer, cast.employee, cast.outsider):
        page = await history(who)
        assert page["items"] == [made | {"acknowledged": False}]
        assert page["next"] is None


async def test_nobody_reads_what_is_for_others(cast: Cast) -> None:
    for audience in ("everyone", "customers", "employees"):
        await announce(cast.employee, title=audience, audience=audience)
    assert await titles(cast.customer) == ["customers", "everyone"]
    assert await titles(cast.employee) == ["employees", "everyone"]
    assert await titles(cast.outsider, "?scope=all") == ["employees", "customers", "everyone"]
    (await cast.customer.get("/announcements?scope=all")).must(403)
    (await cast.customer.get("/announcements?scope=theirs")).must(422)


async def test_pages_contain_every_announcement_once(cast: Cast) -> None:
    made = [(await announce(cast.employee))["id"] for _ in range(7)]
    found: list[str] = []
    query = "?limit=3"
    while True:
        page = await history(cast.customer, query)
        found += [item["id"] for item in page["items"]]
        if page["next"] is None:
            break
        query = f"?limit=3&before={page['next']}"
    assert sorted(found) == sorted(made)
    (await cast.customer.get("/announcements?before=garbage")).must(422)


async def test_a_page_counts_what_is_unread_beyond_it(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [await announce(cast.employee, title=f"No. {number}") for number in range(5)]
    await announce(cast.employee, title="Not for guests", audience="employees")
    past = await announce(cast.employee, title="Withdrawn")
    (await cast.employee.delete(f"/announcements/{past['id']}")).must(204)
    (await cast.customer.post(f"/announcements/{made[0]['id']}/ack")).must(204)
    first = await history(cast.customer, "?limit=2")
    assert first["unread"] == 4
    assert (await history(cast.customer, f"?limit=2&before={first['next']}"))["unread"] == 4
    assert (await history(cast.outsider, "?limit=2"))["unread"] == 6
    assert (await history(cast.outsider, "?limit=2&scope=all"))["unread"] == 6
    assert (await history(cast.employee))["unread"] == 0, "one's own are nothing to read"
    monkeypatch.setattr(service_module, "MOST_COUNTED", 3)
    assert (await history(cast.customer))["unread"] == 3


async def test_invalid_announcements_are_refused(cast: Cast) -> None:
    for field, value in UNFIT:
        answer = (await cast.employee.post("/announcements", NEWS | {field: value})).must(422)
        assert answer.json["errors"][0]["loc"][0] == field, value
    assert await titles(cast.employee) == []


async def test_the_same_key_is_the_same_announcement(cast: Cast) -> None:
    key = {"Idempotency-Key": "rain"}
    answers = await asyncio.gather(
        *(cast.employee.post("/announcements", NEWS, headers=key) for _ in range(10))
    )
    assert {answer.must(201).body for answer in answers} == {answers[0].body}
    assert len(await titles(cast.customer)) == 1
    other = NEWS | {"title": "Snow"}
    (await cast.employee.post("/announcements", other, headers=key)).must(422)


async def test_withdrawn_announcements_disappear_for_everybody(cast: Cast) -> None:
    kept, gone = await announce(cast.employee), await announce(cast.employee)
    path = f"/announcements/{gone['id']}"
    (await cast.customer.delete(path)).must(403)
    (await cast.outsider.delete(path)).must(204)
    (await cast.employee.delete(path)).must(204)
    (await cast.employee.delete("/announcements/ann_none")).must(404)
    for who in (cast.customer, cast.employee):
        assert [item["id"] for item in (await history(who))["items"]] == [kept["id"]]
    (await cast.customer.post(f"{path}/ack")).must(404)
    (await cast.employee.get(f"{path}/acks")).must(200)


async def test_expired_announcements_disappear(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    made = await announce(cast.employee, expires_at=ahead(minutes=5))
    assert made["expires_at"].endswith("Z")
    assert len(await titles(cast.customer)) == 1
    end = datetime.fromisoformat(made["expires_at"])
    monkeypatch.setattr(service_module, "now", lambda: end - timedelta(milliseconds=1))
    assert len(await titles(cast.customer)) == 1
    monkeypatch.setattr(service_module, "now", lambda: end)
    assert await titles(cast.customer) == []
    (await cast.customer.post(f"/announcements/{made['id']}/ack")).must(404)
    later = await announce(cast.employee, expires_at=ahead(days=365))
    assert [item["id"] for item in (await history(cast.customer))["items"]] == [later["id"]]


async def test_old_announcements_are_deleted(cast: Cast, live_server: LiveServer) -> None:

    service = live_server.services[AnnouncementService]
    kept, gone = await announce(cast.employee), await announce(cast.employee)
    (await cast.customer.post(f"/announcements/{gone['id']}/ack")).must(204)
    (await cast.employee.delete(f"/announcements/{gone['id']}")).must(204)
    assert await service.drop_gone(datetime.now(UTC) - timedelta(minutes=1)) == 0
    assert await service.drop_gone(datetime.now(UTC) + timedelta(minutes=1)) == 1
    (await cast.employee.get(f"/announcements/{gone['id']}/acks")).must(404)
    (await cast.employee.get(f"/announcements/{kept['id']}/acks")).must(200)
    async with database_in(live_server.settings.data_dir) as database:
        acks = "states WHERE topic LIKE 'state/acks:%'"
        for what, left in (("announcements", 1), ("announcement_acks", 0), (acks, 1)):
            rows = await database.read(lambda tx, t=what: tx.fetch(f"SELECT * FROM {t}", {}))  # type: ignore[misc]
            assert len(rows) == left, what


async def test_a_deleted_account_leaves_no_name_and_no_acknowledgement(cast: Cast) -> None:
    cursor = (await history(cast.customer))["cursor"]
    made = await announce(cast.employee)
    path = f"/announcements/{made['id']}"
    for who in (cast.customer, cast.stranger):
        (await who.post(f"{path}/ack")).must(204)
    before = (await cast.outsider.get(f"{path}/acks")).must(200).json
    (await cast.employee.delete_account()).must(204)
    (await cast.stranger.delete_account()).must(204)
    after = (await cast.outsider.get(f"{path}/acks")).must(200).json
    assert (before["acknowledged"], after["acknowledged"]) == (2, 1)
    assert after["audience_size"] == before["audience_size"] - 2
    name = cast.employee.grant["account"]["name"]
    page = (await cast.customer.get("/announcements")).must(200)
    assert page.json["items"][0]["by"]["name"] == "Deleted account"
    assert name.encode() not in page.body
    async with stream(cast.customer, cursor) as events:
        assert (await events.next()).type == "announcement.acknowledged"
        assert (await events.next()).data["by"]["name"] == "Deleted account"
