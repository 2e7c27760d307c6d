import asyncio
from collections.abc import Coroutine
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from order_samples import WAY, an_order

from server.features.orders.schemas import Order, OrderPage, TrackedStatus
from tui.common.client.meter import Pattern, Wire
from tui.customer.orders.feed import OrderFeed
from tui.customer.orders.model import OrderStore


def a_page(*orders: Order, older: str | None = None) -> OrderPage:
    return OrderPage(items=list(orders), next=older, cursor="c")


def tracked(order: Order, status: str, version: int) -> TrackedStatus:
    return TrackedStatus.model_validate(
        {"order_id": order.id, "status": status, "version": version, "terminal": False}
    )


def numbers(store: OrderStore) -> list[int]:
    return [order.number for order in store]


def test_orders_are_newest_first_in_whatever_order_they_come() -> None:
    store = OrderStore()
    store.put_first_page(a_page(an_order(5), an_order(4), older="x"))
    store.put_older_page(a_page(an_order(3), an_order(2)))
    store.put(an_order(9))
    assert numbers(store) == [9, 5, 4, 3, 2]
    assert store.ids[2] == "ord_4"
    assert store.older is None


def test_orders_keep_the_servers_order_when_its_clock_is_set_back() -> None:
    """The clock was put back between each of them and the next."""
    store = OrderStore()
    store.put_first_page(a_page(an_order(4), an_order(5), older="x"))
    store.put_older_page(a_page(an_order(6), an_order(7)))
    store.put(an_order(3))
    store.put(an_order(2))
    assert numbers(store) == [2, 3, 4, 5, 6, 7]
    # 2 was placed while this page came, 8 by another window
    store.put_first_page(a_page(an_order(8), an_order(3), an_order(4), older="x"))
    assert numbers(store) == [2, 8, 3, 4, 5, 6, 7] or numbers(store) == [8, 2, 3, 4, 5, 6, 7]
    assert [order.number for order in store.open()] == numbers(store)
    assert store.ids[6] == "ord_7"


def test_an_older_version_is_ignored() -> None:
    store = OrderStore()
    store.put(an_order(1, "preparing"))
    store.put(an_order(1, "accepted"))
    assert store.at(0).status == "preparing"
    assert not store.apply_status(tracked(an_order(1), "accepted", 2))
    assert store.at(0).status == "preparing"


def test_an_answer_of_the_poll_changes_the_status() -> None:
    store = OrderStore()
    order = an_order(1)
    store.put(order)
    revision = store.revision
    assert not store.apply_status(tracked(order, "placed", 1))
    assert store.revision == revision
    assert store.apply_status(tracked(order, "accepted", 2))
    assert store.at(0).status == "accepted"
    assert store.revision > revision
    assert not store.apply_status(tracked(an_order(7), "accepted", 2))


def test_reading_again_keeps_the_older_pages() -> None:
    store = OrderStore()
    store.put_first_page(a_page(an_order(5), an_order(4), older="x"))
    store.put_older_page(a_page(an_order(3), older="y"))
    store.put_first_page(a_page(an_order(6), an_order(5), older="z"))
    assert numbers(store) == [6, 5, 4, 3]
    assert store.older == "y"


def test_known_orders_are_dropped_where_pages_would_be_missing_in_between() -> None:
    store = OrderStore()
    store.put_first_page(a_page(an_order(2), an_order(1)))
    store.put_first_page(a_page(an_order(9), an_order(8), older="z"))
    assert numbers(store) == [9, 8]
    assert store.older == "z"


def test_finished_orders_are_not_open() -> None:
    store = OrderStore()
    page = a_page(an_order(4, "cancelled"), an_order(3, "delivered"), an_order(2, "ready"))
    store.put_first_page(page)
    assert [order.number for order in store.open()] == [2]


def test_an_open_order_behind_all_pages_is_known_and_gets_its_place_with_its_page() -> None:
    store = OrderStore()
    old, newer = an_order(1, "out_for_delivery"), an_order(9)
    store.put_first_page(a_page(newer, an_order(8, "delivered"), older="x"), [newer, old])
    assert numbers(store) == [9, 8, 1]
    assert [order.number for order in store.open()] == [9, 1]
    store.put(an_order(10))
    store.put_older_page(a_page(an_order(7, "delivered"), an_order(6, "delivered"), older="y"))
    assert numbers(store) == [10, 9, 8, 7, 6, 1]
    store.put_first_page(a_page(an_order(10), newer, older="z"), [an_order(10), newer, old])
    assert numbers(store) == [10, 9, 8, 7, 6, 1]
    store.put_older_page(a_page(an_order(2, "delivered"), old, an_order(0, "delivered")))
    assert numbers(store) == [10, 9, 8, 7, 6, 2, 1, 0]
    store.put_first_page(a_page(an_order(99), an_order(98), older="w"), [an_order(99), old])
    assert numbers(store) == [99, 98, 1]


class Told:
    """What a feed reports; what it has to read waits for its turn."""

    def __init__(self) -> None:
        self.statuses: list[str] = []
        self.reads: list[Coroutine[object, object, None]] = []

    def work(self, doing: Coroutine[object, object, None], group: str) -> None:
        self.reads.append(doing)

    def request_redraw(self) -> None: ...

    def on_loaded(self) -> None: ...

    def on_status_changed(self, order: Order) -> None:
        self.statuses.append(order.status)

    def on_refused(self, order: Order, reason: str) -> None: ...


ANSWERS = st.tuples(
    st.sampled_from(["a page", "a status", "the details", "the reload", "what was read"]),
    st.integers(1, len(WAY)),
)


@given(st.lists(ANSWERS, max_size=20))
def test_the_newest_status_is_told_once_whichever_answer_brings_it(
    answers: list[tuple[str, int]],
) -> None:
    """Answers of several connections come in any order, and each may be older than another."""

    async def play() -> None:
        told, newest = Told(), 1

        async def read(*_: object, **__: object) -> Any:
            return an_order(1, WAY[newest - 1])

        async def page(*_: object) -> OrderPage:
            return a_page(await read())

        async def none() -> list[Order]:
            return []

        api: Any = SimpleNamespace(order=read, orders=page, open_orders=none)
        session: Any = None
        feed = OrderFeed(OrderStore(), api, session, Wire().meter("x", Pattern.LONG_POLL), told)
        await feed._read()
        for kind, version in answers:
            newest = max(newest, version)
            match kind:
                case "a page":
                    feed._take(an_order(1, WAY[version - 1]))
                case "a status":
                    feed._on_status(tracked(an_order(1), WAY[version - 1], version))
                case "the details":
                    await feed.refresh("ord_1")
                case "the reload":
                    await feed._read()
                case _ if told.reads:
                    await told.reads.pop(0)
        for reading in told.reads:
            await reading
        steps = [WAY.index(status) for status in told.statuses]
        assert steps == sorted(set(steps))
        known = feed.store.at(0)
        assert steps[-1:] == ([known.version - 1] if known.version > 1 else [])

    asyncio.run(play())
