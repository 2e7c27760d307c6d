"""What `test_versions_two_processes.py` runs on the client library of another version of Tiffin.

`python … URL CUSTOMER EMPLOYEE PASSWORD RESTAURANT DISH`, in that version's folder, prints what has
been seen as a line of JSON. It uses what the last version with a tag has, and no more.
"""

import asyncio
import json
import sys

from server.features.chat.schemas import NewChat
from server.features.orders.schemas import PlaceOrder, StatusChange
from tui.common.client.api import Api
from tui.common.client.chat_room import Room
from tui.common.client.fallback import LogStream
from tui.common.client.long_polling import StatusPoll
from tui.common.client.meter import Pattern, Wire
from tui.common.client.session import Session


async def main(
    url: str, customer: str, employee: str, password: str, restaurant: str, dish: str
) -> None:
    """Place an order and ask for help, by all of a customer's and an employee's connections."""
    ana, robin = Session(url, Wire()), Session(url, Wire())
    await ana.log_in(customer, password)
    await robin.log_in(employee, password)
    kitchen = f"/restaurants/{restaurant}/orders"
    cursor = (await Api(robin).orders()).cursor
    basket = {
        "restaurant_id": restaurant,
        "items": [{"menu_item_id": dish, "quantity": 1}],
        "address": {"text": "2 Mill Lane", "lat": 48.86, "lng": 2.36},
    }
    seen: dict[str, object] = {}
    stream = LogStream(robin, f"{kitchen}/stream", f"{kitchen}/events", "kitchen", cursor)
    async with stream:
        order = await Api(ana).place_order(PlaceOrder.model_validate(basket), "key")
        async for event in stream:
            seen["kitchen"] = [event.type, json.loads(event.data)["id"] == order.id]
            break
    poll = StatusPoll(ana, order.id, ana.wire.meter("order", Pattern.LONG_POLL), order.status)
    async with poll:
        change = StatusChange.model_validate({"status": "accepted"})
        await Api(robin).set_status(order.id, change)
        async for status in poll:
            seen["status"] = status.status
            break
    chat = await Api(ana).open_chat(NewChat(subject="Where is it?"), "key")
    async with Room(ana, chat.id, ana.wire.meter("chat", Pattern.WEBSOCKET)) as room:
        room.send("Hello?")
        async for frame in room:
            if frame.type == "message":
                seen["chat"] = frame.text
                break
    await ana.close()
    await robin.close()
    print(json.dumps(seen))


asyncio.run(main(*sys.argv[1:]))
