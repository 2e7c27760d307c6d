"""The model behind the panel of announcements."""

from datetime import timedelta

import pytest

from server.features.accounts.schemas import Account, Role
from server.features.announcements.schemas import AnnouncementPage, Audience, Severity
from support.news import NOON, an_announcement
from tui.common.announcements.model import AnnouncementStore


def page(*numbers: int, following: str | None = None, **changes: object) -> AnnouncementPage:
    items = [an_announcement(number, **changes) for number in numbers]
    return AnnouncementPage(items=items, next=following, cursor="c")


@pytest.fixture
def store() -> AnnouncementStore:
    found = AnnouncementStore()
    found.set_reader(Account(id="acc_ana", email="a@example.com", name="Ana", role=Role.CUSTOMER))
    return found


def ids(store: AnnouncementStore) -> list[str]:
    return [one.id for one in store]


def test_newest_first_whatever_comes_when(store: AnnouncementStore) -> None:
    store.put_first_page(page(5, 3, following="older"), NOON)
    assert store.add(an_announcement(7), NOON)
    assert store.add(an_announcement(9), NOON)
    assert not store.add(an_announcement(7), NOON)
    store.put_next_page(page(2, 1), NOON)
    assert ids(store) == ["ann_9", "ann_7", "ann_5", "ann_3", "ann_2", "ann_1"]
    assert store.older is None


def test_the_servers_order_counts_and_no_clock(store: AnnouncementStore) -> None:
    store.put_first_page(page(3, 5, following="older"), NOON)
    store.put_next_page(page(5, 9), NOON)
    assert store.add(an_announcement(2), NOON)
    assert ids(store) == ["ann_2", "ann_3", "ann_5", "ann_9"]
    store.withdraw("ann_3")
    assert ids(store) == ["ann_2", "ann_5", "ann_9"]


def test_a_snapshot_begins_anew(store: AnnouncementStore) -> None:
    store.put_first_page(page(5, 3, following="older"), NOON)
    store.put_next_page(page(2), NOON)
    store.put_first_page(page(6, 5, following="older"), NOON)
    assert ids(store) == ["ann_6", "ann_5"]
    assert store.older == "older"


def test_a_page_asked_for_before_brings_nothing_withdrawn_back(store: AnnouncementStore) -> None:
    store.put_first_page(page(5, following="older"), NOON)
    store.withdraw("ann_2")
    store.put_next_page(page(3, 2, 1), NOON)
    assert ids(store) == ["ann_5", "ann_3", "ann_1"]


def test_what_has_expired_goes_and_does_not_come(store: AnnouncementStore) -> None:
    soon = {"expires_at": NOON + timedelta(minutes=1)}
    store.put_first_page(page(3, **soon), NOON)
    later = NOON + timedelta(minutes=2)
    assert ids(store) == ["ann_3"]
    store.drop_expired(later)
    assert not store.add(an_announcement(4, **soon), later)
    store.put_first_page(page(3, **soon), later)
    assert ids(store) == []


def test_only_what_is_for_me_is_unread(store: AnnouncementStore) -> None:
    mine = an_announcement(4).by.model_copy(update={"id": "acc_ana"})
    store.put_first_page(page(1), NOON)
    store.add(an_announcement(2, audience=Audience.EMPLOYEES), NOON)
    store.add(an_announcement(3, severity=Severity.CRITICAL), NOON)
    store.add(an_announcement(4, by=mine), NOON)
    assert [one.id for one in store.unread] == ["ann_3", "ann_1"]
    assert [one.id for one in store.unread_critical] == ["ann_3"]
    assert not store.mark_read("ann_2")


def test_what_was_read_here_stays_read_until_the_server_knows(store: AnnouncementStore) -> None:
    store.put_first_page(page(2, 1), NOON)
    assert store.mark_read("ann_1")
    assert not store.mark_read("ann_1")
    store.put_first_page(page(2, 1), NOON)
    assert [one.id for one in store.unread] == ["ann_2"]
    assert store.sending == 1
    store.reject_read("ann_1")
    assert [one.id for one in store.unread] == ["ann_2", "ann_1"]
    assert store.mark_read("ann_1")
    store.confirm_read("ann_1")
    assert store.sending == 0
    assert [one.id for one in store.unread] == ["ann_2"]


def test_unread_counts_those_too_that_are_not_here_yet(store: AnnouncementStore) -> None:
    first = page(9, 8, following="older").model_copy(update={"unread": 6})
    store.put_first_page(first, NOON)
    assert (len(store.unread), store.unread_count) == (2, 6)
    assert store.mark_read("ann_9")
    assert store.unread_count == 5
    store.add(an_announcement(10), NOON)
    assert store.unread_count == 6
    # the server does not know of the one that is on its way, and knows of the new one
    store.put_next_page(page(7, 6, following="x").model_copy(update={"unread": 7}), NOON)
    assert (len(store.unread), store.unread_count) == (4, 6)
    store.put_next_page(page(5, 4).model_copy(update={"unread": 7}), NOON)
    assert store.unread_count == len(store.unread) == 6
