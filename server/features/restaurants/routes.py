"""Restaurants and menus over REST."""

from aiohttp import web

from server.core import pages
from server.core.routing import (
    ANY_ROLE,
    EMPLOYEE,
    PREFIX,
    Answer,
    Before,
    Limit,
    Router,
    identity_of,
)
from server.core.services import service
from server.features.accounts.service import AccountService
from server.features.restaurants.schemas import (
    MenuItem,
    MenuItemChange,
    NewMenuItem,
    Restaurant,
    RestaurantChange,
    RestaurantPage,
    StaffPage,
)
from server.features.restaurants.service import RestaurantService, own_restaurant
from server.features.shared.schemas import Id

router = Router("restaurants")


@router.route("GET", "/restaurants", roles=ANY_ROLE)
async def list_restaurants(
    request: web.Request, before: Before = None, limit: Limit = 50
) -> RestaurantPage:
    """Every restaurant, by name."""
    restaurants = await service(request, RestaurantService).restaurants()
    items, following = pages.cut(restaurants, before, limit, lambda one: (one.name, one.id))
    return RestaurantPage(items=items, next=following)


@router.route("GET", "/restaurants/{id}", roles=ANY_ROLE)
async def get_restaurant(request: web.Request, id: Id) -> Restaurant:
    """One restaurant with its menu."""
    return await service(request, RestaurantService).restaurant(id)


@router.route("PATCH", "/restaurants/{id}", roles=EMPLOYEE)
async def change_restaurant(request: web.Request, id: Id, change: RestaurantChange) -> Restaurant:
    """Change a restaurant's terms; `paused_until` pauses it, `extra_minutes` slows it down."""
    return await service(request, RestaurantService).change(identity_of(request), id, change)


@router.route("GET", "/restaurants/{id}/staff", roles=EMPLOYEE)
async def list_staff(request: web.Request, id: Id) -> StaffPage:
    """The restaurant's employees who are signed in now, by name; all on one page."""
    own_restaurant(identity_of(request), id)
    sessions = service(request, AccountService).sessions
    return StaffPage(items=await sessions.signed_in(id), next=None)


@router.route("POST", "/restaurants/{id}/menu", roles=EMPLOYEE, status=201, problems=(409,))
async def add_menu_item(request: web.Request, id: Id, new: NewMenuItem) -> Answer[MenuItem]:
    """Add a dish to the menu's end."""
    item = await service(request, RestaurantService).add_menu_item(identity_of(request), id, new)
    return Answer(item, headers={"Location": f"{PREFIX}/restaurants/{id}/menu/{item.id}"})


@router.route("PATCH", "/restaurants/{id}/menu/{item_id}", roles=EMPLOYEE)
async def change_menu_item(
    request: web.Request, id: Id, item_id: Id, change: MenuItemChange
) -> MenuItem:
    """Change a dish; sold out is `available: false`."""
    restaurants = service(request, RestaurantService)
    return await restaurants.change_menu_item(identity_of(request), id, item_id, change)


@router.route("DELETE", "/restaurants/{id}/menu/{item_id}", roles=EMPLOYEE)
async def remove_menu_item(request: web.Request, id: Id, item_id: Id) -> None:
    """Remove a dish from the menu; orders that name it keep it."""
    await service(request, RestaurantService).remove_menu_item(identity_of(request), id, item_id)
