"""The cursor on the board: an order, not a place, so that nobody acts on another one by mistake."""

from server.features.orders.schemas import Order, OrderStatus
from tui.employee.kitchen.board import COLUMNS, Board


class Cursor:
    """Stands on an order and follows it wherever others move it.

    Only after one's own step does it stay in its column, on the next order there. Without an order
    it remembers its column.
    """

    def __init__(self, board: Board) -> None:
        self._board = board
        self.status: OrderStatus = OrderStatus.PLACED
        """The column it is in."""
        self.order_id: str | None = None
        self._row = 0
        self._rests = False
        """Put into an empty column on purpose: it stays there."""

    @property
    def order(self) -> Order | None:
        """The order it stands on, as it is now."""
        return None if self.order_id is None else self._board.order(self.order_id)

    @property
    def column(self) -> int:
        """Its column, counted from 0."""
        return COLUMNS.index(self.status)

    @property
    def row(self) -> int:
        """Its place in the column, counted from 0."""
        return self._row

    def settle(self) -> None:
        """The board has changed: stand on the same order, or the one that took its place."""
        place = None if self.order_id is None else self._board.place_of(self.order_id)
        if place is not None:
            self.status = place
            self._rests = False
            ids = [order.id for order in self._board.column(place)]
            self._row = ids.index(str(self.order_id))
            return
        if not self._rests and not self._board.column(self.status):
            self._to_any_column()
        self._stand(self._row)

    def step_on(self) -> None:
        """Its order moves on by one's own doing: stay here, on the next one, if there is one."""
        if len(self._board.column(self.status)) > 1:
            here = self._board.column(self.status)
            after = self._row + 1 if self._row + 1 < len(here) else self._row - 1
            self.order_id = here[after].id

    def go(self, order_id: str) -> None:
        """Stand on that order, if it is on the board."""
        if self._board.place_of(order_id) is not None:
            self.order_id = order_id
            self.settle()

    def move(self, across: int, down: int) -> None:
        """By columns, empty ones included, and by orders within a column."""
        if across:
            at = min(max(self.column + across, 0), len(COLUMNS) - 1)
            if at == self.column:
                return
            self.status = COLUMNS[at]
            self._stand(self._row)
            self._rests = self.order_id is None
        if down:
            self._stand(self._row + down)

    def _stand(self, row: int) -> None:
        here = self._board.column(self.status)
        self._row = min(max(row, 0), max(len(here) - 1, 0))
        self.order_id = here[self._row].id if here else None

    def _to_any_column(self) -> None:
        """The nearest column with something in it; the present one if there is none."""
        near = sorted(COLUMNS, key=lambda status: abs(COLUMNS.index(status) - self.column))
        self.status = next((s for s in near if self._board.column(s)), self.status)
