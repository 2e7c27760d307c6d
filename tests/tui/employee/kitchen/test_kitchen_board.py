from datetime import timedelta

import pytest
from kitchen_orders import ANA, MAYA, NOON, an_order, moved

from server.features.orders.schemas import OrderStatus
from tui.employee.kitchen.alarm import Alarm
from tui.employee.kitchen.model import COLUMNS, Cursor, OrderBoard, Urgency, due, short_span

S = OrderStatus


def numbers(board: OrderBoard, status: OrderStatus) -> list[int]:
    return [order.number for order in board.column(status)]


# -- the board


def test_a_snapshot_fills_the_columns_most_urgent_first() -> None:
    board = OrderBoard()
    late = an_order(3, S.PREPARING, ready_by=NOON + timedelta(minutes=5))
    soon = an_order(2, S.PREPARING, ready_by=NOON + timedelta(minutes=9))
    board.replace([soon, late, an_order(5), an_order(1, S.DELIVERED)])
    assert numbers(board, S.PREPARING) == [3, 2]
    assert [board.count(status) for status in COLUMNS] == [1, 0, 2, 0, 0]
    assert board.open_count == 3
    assert board.delivered_today(NOON) == 1
    assert board.delivered_today(NOON + timedelta(days=1)) == 0


def test_an_older_version_is_ignored_and_the_same_version_is_stored() -> None:
    board = OrderBoard()
    placed = an_order(1)
    accepted = moved(placed, S.ACCEPTED)
    assert board.apply(accepted)
    assert not board.apply(placed)
    later = accepted.model_copy(update={"eta": NOON + timedelta(minutes=40)})
    assert board.apply(later), "a new time of arrival keeps the version"
    assert board.order("ord_1") is later


def test_a_finished_order_stays_finished() -> None:
    board = OrderBoard()
    order = an_order(1, S.OUT_FOR_DELIVERY)
    board.apply(order)
    board.apply(moved(order, S.DELIVERED))
    assert not board.apply(order)
    assert board.open_count == 0
    assert board.delivered_today(NOON) == 1


def test_a_new_order_is_unseen_until_it_is_looked_at_or_accepted() -> None:
    board = OrderBoard()
    board.apply(an_order(1))
    board.apply(an_order(2))
    assert board.unseen == {"ord_1", "ord_2"}
    assert board.mark_seen("ord_1")
    assert not board.mark_seen("ord_1")
    board.apply(moved(an_order(2), S.ACCEPTED))
    assert board.unseen == frozenset()


def test_after_a_second_snapshot_only_orders_that_came_meanwhile_are_unseen() -> None:
    board = OrderBoard()
    board.replace([an_order(1)])
    board.mark_seen("ord_1")
    board.replace([an_order(1), an_order(2)])
    assert board.unseen == {"ord_2"}


def test_an_order_the_customer_cancels_stays_until_it_is_dismissed() -> None:
    board = OrderBoard(account_id=MAYA.id)
    accepted = an_order(1, S.ACCEPTED)
    board.apply(accepted)
    board.apply(moved(accepted, S.CANCELLED, by=ANA, reason="changed my mind"))
    assert numbers(board, S.ACCEPTED) == [1]
    assert board.count(S.ACCEPTED) == 0
    assert board.cancelled == {"ord_1"}
    board.replace([moved(accepted, S.CANCELLED, by=ANA)])
    assert board.cancelled == {"ord_1"}, "a snapshot does not hide it"
    board.dismiss("ord_1")
    assert numbers(board, S.ACCEPTED) == []


def test_an_order_the_employee_cancels_goes_at_once() -> None:
    board = OrderBoard(account_id=MAYA.id)
    accepted = an_order(1, S.ACCEPTED)
    board.apply(accepted)
    board.apply(moved(accepted, S.CANCELLED, by=MAYA, reason="sold out"))
    assert board.cancelled == frozenset()
    assert numbers(board, S.ACCEPTED) == []


# -- the cursor


def test_the_cursor_follows_its_order_where_others_move_it() -> None:
    board, cursor = _two_new()
    board.apply(moved(an_order(1), S.ACCEPTED))
    cursor.refresh()
    assert cursor.order_id == "ord_1"
    assert cursor.status is S.ACCEPTED


def test_after_the_employees_own_step_the_cursor_stays_in_the_column() -> None:
    board, cursor = _two_new()
    cursor.advance()
    board.apply(moved(an_order(1), S.ACCEPTED))
    cursor.refresh()
    assert cursor.order_id == "ord_2"
    cursor.advance()
    board.apply(moved(an_order(2), S.ACCEPTED))
    cursor.refresh()
    assert cursor.order_id == "ord_2", "the last of its column is followed"
    assert cursor.status is S.ACCEPTED


def test_the_cursor_moves_by_columns_and_rows_and_stops_at_the_ends() -> None:
    board, cursor = _two_new()
    cursor.move(-1, 0)
    assert cursor.order_id == "ord_1"
    cursor.move(0, 5)
    assert cursor.order_id == "ord_2"
    cursor.move(1, 0)
    assert cursor.order is None
    board.apply(an_order(3))
    cursor.refresh()
    assert cursor.status is S.ACCEPTED, "an empty column chosen is kept"
    cursor.move(9, 0)
    assert cursor.status is S.OUT_FOR_DELIVERY


def test_when_its_order_is_gone_the_cursor_selects_a_neighbour() -> None:
    board, cursor = _two_new()
    board.account_id = ANA.id
    board.apply(moved(an_order(1), S.CANCELLED, by=ANA))
    cursor.refresh()
    assert cursor.order_id == "ord_2"
    board.apply(moved(an_order(2), S.CANCELLED, by=ANA))
    cursor.refresh()
    assert cursor.order is None
    board.apply(an_order(7, S.READY))
    cursor.refresh()
    assert cursor.order_id == "ord_7"


def _two_new() -> tuple[OrderBoard, Cursor]:
    board = OrderBoard()
    cursor = Cursor(board)
    board.apply(an_order(1))
    board.apply(an_order(2, placed=NOON + timedelta(minutes=1)))
    cursor.refresh()
    assert cursor.order_id == "ord_1"
    return board, cursor


# -- the clock


@pytest.mark.parametrize(
    ("left", "words", "urgency"),
    [
        (timedelta(minutes=19), "19m", Urgency.CALM),
        (timedelta(minutes=4, seconds=1), "4m", Urgency.CALM),
        (timedelta(minutes=4), "4m", Urgency.SOON),
        (timedelta(seconds=61), "1:01", Urgency.SOON),
        (timedelta(0), "+0:00", Urgency.LATE),
        (timedelta(seconds=-30), "+0:30", Urgency.LATE),
        (timedelta(minutes=-3), "+3m", Urgency.LATE),
    ],
)
def test_the_clock_turns_amber_in_the_last_fifth_and_counts_on_past_zero(
    left: timedelta, words: str, urgency: Urgency
) -> None:
    accepted = NOON + timedelta(minutes=1)
    order = an_order(1, S.PREPARING, ready_by=accepted + timedelta(minutes=20), eta=NOON)
    clock = due(order, accepted + timedelta(minutes=20) - left)
    assert (clock.text, clock.urgency) == (words, urgency)
    assert (clock.glyph == "!") is (urgency is Urgency.LATE), "told without colour too"


def test_amber_is_five_minutes_at_most_and_one_at_least() -> None:
    accepted = NOON + timedelta(minutes=1)
    hour = an_order(1, S.ACCEPTED, ready_by=accepted + timedelta(minutes=60))
    assert due(hour, accepted + timedelta(minutes=54)).urgency is Urgency.CALM
    assert due(hour, accepted + timedelta(minutes=55)).urgency is Urgency.SOON
    quick = an_order(2, S.ACCEPTED, ready_by=accepted + timedelta(minutes=3))
    assert due(quick, accepted + timedelta(minutes=1, seconds=59)).urgency is Urgency.CALM
    assert due(quick, accepted + timedelta(minutes=2)).urgency is Urgency.SOON


def test_once_cooked_the_clock_counts_to_the_arrival() -> None:
    order = an_order(1, S.READY, ready_by=NOON, eta=NOON + timedelta(minutes=30))
    assert due(order, NOON + timedelta(minutes=10)).text == "20m"


def test_a_new_order_shows_how_long_it_waits() -> None:
    order = an_order(1)
    assert due(order, NOON + timedelta(seconds=50)).text == "0:50"
    assert due(order, NOON + timedelta(minutes=2)).urgency is Urgency.SOON
    assert due(order, NOON + timedelta(minutes=5)).urgency is Urgency.LATE
    assert due(order, NOON - timedelta(minutes=5)).text == "0:00", "a clock that is behind"


def test_long_spans_are_shown_in_hours() -> None:
    assert short_span(timedelta(minutes=119)) == "119m"
    assert short_span(timedelta(minutes=125)) == "2h05"


# -- the bell


def test_the_alarm_repeats_until_nothing_is_unseen() -> None:
    rings: list[float] = []
    now = 0.0
    alarm = Alarm(lambda: rings.append(now), every=4)
    for second in range(10):
        now = float(second)
        alarm.update(frozenset({"a"}), now)
    assert rings == [0, 4, 8]
    alarm.update(frozenset({"a", "b"}), now)
    assert rings == [0, 4, 8, 9], "another one rings at once"
    now = 20
    alarm.update(frozenset(), now)
    assert rings == [0, 4, 8, 9]


def test_a_muted_alarm_is_silent_until_it_is_unmuted() -> None:
    rings: list[int] = []
    alarm = Alarm(lambda: rings.append(1), every=1)
    alarm.muted = True
    alarm.update(frozenset({"a"}), 0)
    assert rings == []
    alarm.muted = False
    alarm.update(frozenset({"a"}), 2)
    assert rings == [1]
