"""Places an order with the client that openapi-python-client makes; run by its own Python."""

import json
import sys

from tiffin_client import AuthenticatedClient, Client
from tiffin_client.api.accounts import change_profile, demo
from tiffin_client.api.orders import place_order
from tiffin_client.api.restaurants import get_restaurant, list_restaurants
from tiffin_client.models import Address, DemoLogin, OrderedItem, PlaceOrder, ProfileChange, Role

base_url = sys.argv[1]
session = demo.sync(client=Client(base_url), body=DemoLogin(role=Role.CUSTOMER))
client = AuthenticatedClient(base_url, token=session.access_token)
identifier = list_restaurants.sync(client=client, limit=1).items[0].id
menu = get_restaurant.sync(identifier, client=client).menu
dish = next(one for one in menu if one.available)
basket = PlaceOrder(
    restaurant_id=identifier,
    items=[OrderedItem(menu_item_id=dish.id, quantity=2)],
    address=Address(text="1 Test Lane", lat=47.07, lng=15.44),
)
order = place_order.sync(client=client, body=basket)
me = change_profile.sync(client=client, body=ProfileChange(phone=None))
print(
    json.dumps(
        {
            "status": str(order.status),
            "total": order.total_cents,
            "dish": dish.price_cents,
            "name": me.name,
        }
    )
)
