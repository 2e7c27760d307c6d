"""The order's status machine: every pair of status and action, for every caller."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.cast import Cast

T = TypeVar("T")
WAY = ["placed", "accepted", "preparing", "ready", "out_for_delivery", "delivered"]
STATUSES = [*WAY, "cancelled"]
CALLERS = ["customer", "stranger", "employee", "outsider", "nobody"]
ACTIONS = [*STATUSES, "cancel"]


def expected(caller: str, status: str, action: str) -> int:
    """What API.md says of this caller, action and status."""
    if caller == "nobody":
        return 401
    if action == "cancel":
        if caller in ("employee", "outsider"):
            return 403
        if caller == "stranger":
            return 404
        return 200 if status in ("placed", "accepted") else 409
    if caller in ("customer", "stranger"):
        return 403
    if caller == "outsider":
        return 404
    if status in ("delivered", "cancelled"):
        return 409
    if action == "cancelled":
        return 200
    return 200 if WAY.index(action) == WAY.index(status) + 1 else 409


def after(caller: str, status: str, action: str) -> str:
    """The status that follows."""
    if expected(caller, status, action) != 200:
        return status
    return "cancelled" if action == "cancel" else action


async def act(cast: Cast, caller: str, order_id: object, status: str, action: str) -> Any:
    """Have the caller try."""
    rest = getattr(cast, caller)
    if action == "cancel":
        return await rest.post(f"/orders/{order_id}/cancel", {})
    body = {"status": action, "reason": "why not"}
    if action == "out_for_delivery" and status == "ready":
        body["driver_id"] = cast.place.drivers[0]
    return await rest.post(f"/orders/{order_id}/status", body)


async def test_every_status_and_action_for_every_caller(cast: Cast) -> None:
    for status in STATUSES:
        for action in ACTIONS:
            order: dict[str, Any] | None = None
            for caller in CALLERS:
                order = order or await cast.order_at(status)
                answer = await act(cast, caller, order["id"], status, action)
                what = f"{caller} {action} at {status}: {answer.body!r}"
                assert answer.status == expected(caller, status, action), what
                if answer.status == 409:
                    assert answer.json["order"]["status"] == status
                now = (await cast.employee.get(f"/orders/{order['id']}")).must(200).json
                assert now["status"] == after(caller, status, action), what
                assert now["version"] == order["version"] + (answer.status == 200)
                if answer.status == 200:
                    order = None


async def test_any_sequence_of_actions_follows_the_status_machine(cast: Cast) -> None:
    loop = asyncio.get_running_loop()

    def run(work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, loop).result(30)

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.tuples(st.sampled_from(CALLERS), st.sampled_from(ACTIONS)), max_size=12))
    def keeps_to_it(actions: list[tuple[str, str]]) -> None:
        run(follow(cast, actions))

    await asyncio.to_thread(keeps_to_it)


async def follow(cast: Cast, actions: list[tuple[str, str]]) -> None:
    order = await cast.order()
    status, version, way = "placed", 1, ["placed"]
    for caller, action in actions:
        answer = await act(cast, caller, order["id"], status, action)
        assert answer.status == expected(caller, status, action)
        if answer.status == 200:
            status = after(caller, status, action)
            version += 1
            way.append(status)
    now = (await cast.customer.get(f"/orders/{order['id']}")).must(200).json
    assert (now["status"], now["version"]) == (status, version)
    assert [entry["status"] for entry in now["timeline"]] == way
    at = [entry["at"] for entry in now["timeline"]]
    assert at == sorted(at)
