"""The model behind the panel of announcements."""

from datetime import timedelta

import pytest

from server.features.accounts.schemas import Account, Role
from server.features.announcements.schemas import AnnouncementPage, Audience, Severity
from support.news import NOON, an_announcement
from tui.common.announcements.model import AnnouncementBook


def page(*numbers: int, following: str | None = None, **changes: object) -> AnnouncementPage:
    items = [an_announcement(number, **changes) for number in numbers]
    return AnnouncementPage(items=items, next=following, cursor="c")


@pytest.fixture
def book() -> AnnouncementBook:
    found = AnnouncementBook()
    found.belong_to(Account(id="acc_ana", email="a@example.com", name="Ana", role=Role.CUSTOMER))
    return found


def ids(book: AnnouncementBook) -> list[str]:
    return [one.id for one in book]


def test_newest_first_whatever_comes_when(book: AnnouncementBook) -> None:
    book.put_newest(page(5, 3, following="older"), NOON)
    assert book.announce(an_announcement(7), NOON)
    assert book.announce(an_announcement(9), NOON)
    assert not book.announce(an_announcement(7), NOON)
    book.put_older(page(2, 1), NOON)
    assert ids(book) == ["ann_9", "ann_7", "ann_5", "ann_3", "ann_2", "ann_1"]
    assert book.older is None


def test_the_servers_order_counts_and_no_clock(book: AnnouncementBook) -> None:
    book.put_newest(page(3, 5, following="older"), NOON)
    book.put_older(page(5, 9), NOON)
    assert book.announce(an_announcement(2), NOON)
    assert ids(book) == ["ann_2", "ann_3", "ann_5", "ann_9"]
    book.withdraw("ann_3")
    assert ids(book) == ["ann_2", "ann_5", "ann_9"]


def test_a_snapshot_begins_anew(book: AnnouncementBook) -> None:
    book.put_newest(page(5, 3, following="older"), NOON)
    book.put_older(page(2), NOON)
    book.put_newest(page(6, 5, following="older"), NOON)
    assert ids(book) == ["ann_6", "ann_5"]
    assert book.older == "older"


def test_a_page_asked_for_before_brings_nothing_withdrawn_back(book: AnnouncementBook) -> None:
    book.put_newest(page(5, following="older"), NOON)
    book.withdraw("ann_2")
    book.put_older(page(3, 2, 1), NOON)
    assert ids(book) == ["ann_5", "ann_3", "ann_1"]


def test_what_has_expired_goes_and_does_not_come(book: AnnouncementBook) -> None:
    soon = {"expires_at": NOON + timedelta(minutes=1)}
    book.put_newest(page(3, **soon), NOON)
    later = NOON + timedelta(minutes=2)
    assert ids(book) == ["ann_3"]
    book.drop_expired(later)
    assert not book.announce(an_announcement(4, **soon), later)
    book.put_newest(page(3, **soon), later)
    assert ids(book) == []


def test_only_what_is_for_me_is_unread(book: AnnouncementBook) -> None:
    mine = an_announcement(4).by.model_copy(update={"id": "acc_ana"})
    book.put_newest(page(1), NOON)
    book.announce(an_announcement(2, audience=Audience.EMPLOYEES), NOON)
    book.announce(an_announcement(3, severity=Severity.CRITICAL), NOON)
    book.announce(an_announcement(4, by=mine), NOON)
    assert [one.id for one in book.unread] == ["ann_3", "ann_1"]
    assert [one.id for one in book.pressing] == ["ann_3"]
    assert not book.read("ann_2")


def test_what_was_read_here_stays_read_until_the_server_knows(book: AnnouncementBook) -> None:
    book.put_newest(page(2, 1), NOON)
    assert book.read("ann_1")
    assert not book.read("ann_1")
    book.put_newest(page(2, 1), NOON)
    assert [one.id for one in book.unread] == ["ann_2"]
    assert book.sending == 1
    book.refused("ann_1")
    assert [one.id for one in book.unread] == ["ann_2", "ann_1"]
    assert book.read("ann_1")
    book.told("ann_1")
    assert book.sending == 0
    assert [one.id for one in book.unread] == ["ann_2"]
