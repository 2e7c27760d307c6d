"""What the autopilot announces, and when."""

import asyncio
from contextlib import suppress
from datetime import timedelta

from server.features.accounts.schemas import Credentials
from server.features.announcements.schemas import Audience, NewAnnouncement, Severity
from support.live_server import LiveServer
from support.news import NOON, an_announcement
from support.rest import Rest
from support.town import PASSWORD, open_restaurant
from support.waiting import wait_until
from tui.demo.autopilot.__main__ import work
from tui.demo.autopilot.news import EVERY_SECONDS, LIFETIME, TEXTS, choose, seconds_to_wait

TITLES = [title for _, _, title, _ in TEXTS]


def test_there_are_more_texts_than_can_be_current_at_once() -> None:
    assert len(set(TITLES)) == len(TEXTS)
    assert LIFETIME.total_seconds() / EVERY_SECONDS < len(TEXTS) * 0.8
    for severity, audience, title, body in TEXTS:
        NewAnnouncement(title=title, body=body, severity=severity, audience=audience)
        assert severity is not Severity.CRITICAL
    assert {audience for _, audience, _, _ in TEXTS} == set(Audience)
    infos = [severity for severity, *_ in TEXTS if severity is Severity.INFO]
    assert len(infos) > len(TEXTS) * 0.8


def test_texts_come_in_turn_and_none_twice() -> None:
    standing = [an_announcement(1, title=TITLES[3]), an_announcement(2, title=TITLES[4])]
    standing.append(an_announcement(3, title="A person's"))
    new = choose(standing, [], NOON)
    assert new is not None
    assert (new.title, new.expires_at) == (TITLES[5], NOON + LIFETIME)
    new = choose(standing, [TITLES[5]], NOON)  # which somebody has withdrawn
    assert new is not None
    assert new.title == TITLES[6]
    assert choose([an_announcement(0, title=title) for title in TITLES], [], NOON) is None
    new = choose([an_announcement(1, title=TITLES[-1])], [], NOON)
    assert new is not None
    assert new.title == TITLES[0]


def test_announcements_are_minutes_apart() -> None:
    last = an_announcement(0, title=TITLES[0])
    assert seconds_to_wait([], NOON, 1) == 0
    assert seconds_to_wait([an_announcement(0)], NOON, 1) == 0, "a person's counts for nothing"
    assert seconds_to_wait([last], NOON + timedelta(minutes=1), 1) > 300
    assert seconds_to_wait([last], NOON + timedelta(minutes=30), 1) == 0


async def test_of_several_autopilots_one_announces(live_server: LiveServer, rest: Rest) -> None:
    places = [
        await open_restaurant(live_server.settings.data_dir, live_server.url, name)
        for name in ("Saffron", "Harbour Grill", "Curry Leaf")
    ]
    accounts = [Credentials(email=place.employees[0], password=PASSWORD) for place in places]
    await rest.log_in(places[0].employees[0], PASSWORD)
    driver_bots = asyncio.create_task(work(live_server.url, accounts, pace=0.002))
    seen: dict[str, str] = {}

    async def several() -> bool:
        page = (await rest.get("/announcements?scope=all&limit=200")).must(200).json
        seen.update({one["id"]: one["title"] for one in page["items"]})
        assert len({one["by"]["id"] for one in page["items"]}) <= 1
        assert all(one["expires_at"] for one in page["items"])
        return len(seen) >= 4

    try:
        await wait_until(several, what="four announcements")
    finally:
        driver_bots.cancel()
        with suppress(asyncio.CancelledError):
            await driver_bots
    assert sorted(seen.values()) == sorted(TITLES[: len(seen)]), "in their order, none twice"
