from order_samples import an_order

from server.features.orders.schemas import Order, OrderPage, TrackedStatus
from tui.customer.orders.model import OrderBook


def a_page(*orders: Order, older: str | None = None) -> OrderPage:
    return OrderPage(items=list(orders), next=older, cursor="c")


def tracked(order: Order, status: str, version: int) -> TrackedStatus:
    return TrackedStatus.model_validate(
        {"order_id": order.id, "status": status, "version": version, "terminal": False}
    )


def numbers(book: OrderBook) -> list[int]:
    return [order.number for order in book]


def test_newest_first_however_they_come() -> None:
    book = OrderBook()
    book.put_newest(a_page(an_order(5), an_order(4), older="x"))
    book.put_older(a_page(an_order(3), an_order(2)))
    book.put(an_order(9))
    assert numbers(book) == [9, 5, 4, 3, 2]
    assert book.index("ord_4") == 2
    assert book.older is None


def test_the_servers_order_counts_and_no_clock() -> None:
    """The clock was put back between each of them and the next."""
    book = OrderBook()
    book.put_newest(a_page(an_order(4), an_order(5), older="x"))
    book.put_older(a_page(an_order(6), an_order(7)))
    book.put(an_order(3))
    book.put(an_order(2))
    assert numbers(book) == [2, 3, 4, 5, 6, 7]
    # 2 was placed while this page came, 8 by another window
    book.put_newest(a_page(an_order(8), an_order(3), an_order(4), older="x"))
    assert numbers(book) == [2, 8, 3, 4, 5, 6, 7] or numbers(book) == [8, 2, 3, 4, 5, 6, 7]
    assert [order.number for order in book.open()] == numbers(book)
    assert book.index("ord_7") == 6


def test_what_comes_late_undoes_nothing() -> None:
    book = OrderBook()
    book.put(an_order(1, "preparing"))
    book.put(an_order(1, "accepted"))
    assert book.at(0).status == "preparing"
    assert not book.track(tracked(an_order(1), "accepted", 2))
    assert book.at(0).status == "preparing"


def test_an_answer_of_the_poll_moves_the_order() -> None:
    book = OrderBook()
    order = an_order(1)
    book.put(order)
    revision = book.revision
    assert not book.track(tracked(order, "placed", 1))
    assert book.revision == revision
    assert book.track(tracked(order, "accepted", 2))
    assert book.at(0).status == "accepted"
    assert book.revision > revision
    assert not book.track(tracked(an_order(7), "accepted", 2))


def test_reading_again_keeps_the_older_pages() -> None:
    book = OrderBook()
    book.put_newest(a_page(an_order(5), an_order(4), older="x"))
    book.put_older(a_page(an_order(3), older="y"))
    book.put_newest(a_page(an_order(6), an_order(5), older="z"))
    assert numbers(book) == [6, 5, 4, 3]
    assert book.older == "y"


def test_a_hole_between_old_and_new_is_never_shown() -> None:
    book = OrderBook()
    book.put_newest(a_page(an_order(2), an_order(1)))
    book.put_newest(a_page(an_order(9), an_order(8), older="z"))
    assert numbers(book) == [9, 8]
    assert book.older == "z"


def test_open_orders_are_those_that_something_can_follow() -> None:
    book = OrderBook()
    page = a_page(an_order(4, "cancelled"), an_order(3, "delivered"), an_order(2, "ready"))
    book.put_newest(page)
    assert [order.number for order in book.open()] == [2]
