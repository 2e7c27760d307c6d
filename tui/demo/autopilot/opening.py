"""What the demo's customer has done before anybody looks: an order, and a question about it."""

import logging
import uuid

from server.features.accounts.schemas import Role
from server.features.chat.frame_schemas import NewMessage
from server.features.chat.schemas import NewChat
from server.features.orders.schemas import OrderedItem, PlaceOrder
from server.features.restaurants.schemas import Restaurant
from tui.common.client.api import Api
from tui.common.client.errors import ClientError
from tui.common.client.meter import Wire
from tui.common.client.retry import retry
from tui.common.client.session import Session

DISHES = 2
SUBJECT = "How spicy is it?"
QUESTION = "Hello! When will my order be here? And is it very spicy?"

log = logging.getLogger("autopilot")


async def open_town(server: str, hurried: set[str]) -> None:
    """As the demo's customer, where nothing is under way: order from the first restaurant, and ask
    support about it. The order's id goes into `hurried`, before any kitchen works on it."""
    session = Session(server, Wire())
    api = Api(session)
    try:
        await retry(lambda: session.demo(Role.CUSTOMER))
        if await api.open_orders():
            return
        order_id = await _order(api, hurried)
        if order_id is not None and not (await api.open_chats()).items:
            await _ask(session, api, order_id)
        await session.log_out()
    except ClientError as error:
        log.warning("nobody has ordered yet: %s", error)
    finally:
        await session.close()


async def _order(api: Api, hurried: set[str]) -> str | None:
    me = await api.me()
    [first, *_] = await api.restaurants()
    restaurant: Restaurant = await api.restaurant(first.id)
    dishes = [dish for dish in restaurant.menu if dish.available][:DISHES]
    if me.address is None or not dishes:
        return None
    items = [OrderedItem(menu_item_id=dish.id, quantity=1) for dish in dishes]
    basket = PlaceOrder(restaurant_id=restaurant.id, items=items, address=me.address)
    order = await api.place_order(basket, uuid.uuid4().hex)
    hurried.add(order.id)
    return order.id


async def _ask(session: Session, api: Api, order_id: str) -> None:
    chat = await api.open_chat(NewChat(subject=SUBJECT, order_id=order_id), uuid.uuid4().hex)
    message = NewMessage(client_id=uuid.uuid4().hex, text=QUESTION)
    await session.request("POST", f"/chats/{chat.id}/messages", json=message)
