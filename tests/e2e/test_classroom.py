"""A classroom behind one address: the default limits let it in."""

import asyncio
from contextlib import AsyncExitStack

from server.settings import Settings
from support.event_stream import event_stream
from support.rest import Rest
from support.room import open_chat, room
from support.server_process import UNLIMITED, StartServer
from support.town import HOME, PASSWORD, Place, open_restaurant
from support.uploads import COFFEE, send

PEOPLE = 30


DEFAULTS = {
    f"TIFFIN_{name.upper()}": str(Settings.model_fields[name].default) for name in UNLIMITED
}
"""The limits that servers under test usually go without."""


async def take_part(
    rest: Rest, number: int, place: Place, everybody_is_there: asyncio.Barrier
) -> None:
    """What one person does in the first minutes: everything that an app opens, all at once."""
    email = f"person{number}@example.org"
    await rest.register(email, PASSWORD)
    mistyped = await rest.post("/auth/login", {"email": email, "password": PASSWORD + "x"})
    mistyped.must(401)
    await rest.log_in(email, PASSWORD)
    for path in ("/me", "/restaurants", f"/restaurants/{place.id}", "/orders", "/announcements"):
        (await rest.get(path)).must(200)
    order = (await rest.post("/orders", place.basket() | {"address": HOME})).must(201).json
    chat = await open_chat(rest)
    async with AsyncExitStack() as stack:
        news = await stack.enter_async_context(event_stream(rest, "/announcements/stream"))
        assert news.answer.status == 200
        inside = await stack.enter_async_context(room(rest, chat))
        held = asyncio.create_task(
            rest.get(f"/orders/{order['id']}/status", params={"last_status": "placed"})
        )
        for line in range(5):
            await inside.say(f"{line}: where is it?")
            await inside.next("message")
        (await send(rest, COFFEE.read_bytes())).must(202)
        async with asyncio.timeout(60):
            await everybody_is_there.wait()
        (await rest.post(f"/orders/{order['id']}/cancel", {})).must(200)
        assert (await held).must(200).json["status"] == "cancelled"


async def test_thirty_people_behind_one_address_are_let_in(start_server: StartServer) -> None:
    server = start_server(env=DEFAULTS | {"TIFFIN_PHOTO_WORKERS": "0"})
    place = await open_restaurant(server.data_dir, server.url)
    everybody_is_there = asyncio.Barrier(PEOPLE)
    async with Rest(server.url) as first, asyncio.TaskGroup() as group:
        for number in range(PEOPLE):
            group.create_task(take_part(first.another(), number, place, everybody_is_there))


async def watch_the_demo(rest: Rest, everybody_is_there: asyncio.Barrier) -> None:
    """What an app has open, in one session of the demo's shared account."""
    await rest.demo("customer")
    async with AsyncExitStack() as stack:
        for _ in range(4):
            news = await stack.enter_async_context(event_stream(rest, "/announcements/stream"))
            assert news.answer.status == 200
        for _ in range(3):
            (await rest.get("/orders")).must(200)
        place = (await rest.get("/restaurants")).must(200).json["items"][0]
        restaurant = place["id"]
        menu = (await rest.get(f"/restaurants/{restaurant}")).must(200).json["menu"]
        dish = next(item["id"] for item in menu if item["available"])
        items = [{"menu_item_id": dish, "quantity": 1}]
        door = HOME | {"lat": place["lat"], "lng": place["lng"]}
        for _ in range(2):
            order = {"restaurant_id": restaurant, "items": items, "address": door}
            (await rest.post("/orders", order)).must(201)
        async with asyncio.timeout(60):
            await everybody_is_there.wait()


async def test_thirty_people_share_a_demos_account(start_server: StartServer) -> None:
    server = start_server(demo=True, env=DEFAULTS | {"TIFFIN_PHOTO_WORKERS": "0"})
    everybody_is_there = asyncio.Barrier(PEOPLE)
    async with Rest(server.url) as first, asyncio.TaskGroup() as group:
        for _ in range(PEOPLE):
            group.create_task(watch_the_demo(first.another(), everybody_is_there))
