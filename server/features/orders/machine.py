"""The order's status machine: which step may follow, and for whom."""

from server.core.errors import Problem, conflict
from server.features.accounts.schemas import Role
from server.features.orders.schemas import CANCELLABLE, STEPS, OrderStatus


def following(status: OrderStatus) -> tuple[OrderStatus, ...]:
    """What may follow a status: the next step, or `cancelled`; nothing after the last."""
    if status.terminal:
        return ()
    return (STEPS[STEPS.index(status) + 1], OrderStatus.CANCELLED)


def check_step(role: Role, status: OrderStatus, wanted: OrderStatus) -> None:
    """Raises Problem 409 where that role may not take this step from there."""
    if role is Role.CUSTOMER:
        allowed = wanted is OrderStatus.CANCELLED and status in CANCELLABLE
    else:
        allowed = wanted in following(status)
    if not allowed:
        raise refusal(role, status, wanted)


def refusal(role: Role, status: OrderStatus, wanted: OrderStatus) -> Problem:
    """Why not, in words."""
    if status.terminal:
        return conflict(f"The order is {words(status)} already; nothing can follow.")
    if role is Role.CUSTOMER:
        return conflict(
            f"The order is {words(status)}: it can be cancelled only before the kitchen starts."
            " Write to support."
        )
    options = " or ".join(words(step) for step in following(status))
    return conflict(
        f"The order is {words(status)}, so it cannot become {words(wanted)}; next is {options}."
    )


def words(status: OrderStatus) -> str:
    """The status as one says it."""
    return status.value.replace("_", " ")
