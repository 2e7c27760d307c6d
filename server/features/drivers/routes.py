"""Drivers, their positions and the map over REST."""

from typing import Annotated

from aiohttp import web
from pydantic import Field

from server.core import pages
from server.core.errors import Problem
from server.core.routing import (
    ANY_ROLE,
    EMPLOYEE,
    Before,
    Header,
    Limit,
    Router,
    identity_of,
)
from server.core.services import SERVICES, service
from server.features.drivers.schemas import DriverOnDutyPage, DriverPosition, Point, Route
from server.features.drivers.service import DriverService
from server.features.shared.schemas import Id, Latitude, Longitude
from server.geo.route_finder import RouteFinder
from server.geo.town_map import TownMap
from server.settings import Settings

router = Router("drivers")

Tags = Annotated[Annotated[str, Field(max_length=4096)] | None, Header("If-None-Match")]
Lat = Annotated[Latitude, Field(allow_inf_nan=False)]
Lng = Annotated[Longitude, Field(allow_inf_nan=False)]


@router.route("GET", "/drivers", roles=EMPLOYEE)
async def list_drivers(
    request: web.Request, before: Before = None, limit: Limit = 50
) -> DriverOnDutyPage:
    """The restaurant's drivers, by name, with the open orders each carries and where they are."""
    drivers = await service(request, DriverService).drivers(identity_of(request))
    items, following = pages.cut(drivers, before, limit, lambda one: (one.name, one.id))
    interval = service(request, Settings).driver_interval_seconds
    return DriverOnDutyPage(items=items, next=following, interval_seconds=interval)


@router.route("PUT", "/drivers/{id}/location", roles=EMPLOYEE, counted=False)
async def put_location(request: web.Request, id: Id, position: DriverPosition) -> None:
    """Report where the driver is. Limited per driver, apart from the account's other writes.

    An unchanged position is stored but not sent to readers; one older than the last is ignored.
    `at` may be at most a minute ahead of the server's clock.
    """
    await service(request, DriverService).locate(identity_of(request), id, position)


@router.route(
    "GET",
    "/map",
    roles=ANY_ROLE,
    media=("application/geo+json",),
    empty=(304,),
    problems=(404,),
)
async def get_map(request: web.Request, if_none_match: Tags = None) -> web.Response:
    """The town's streets, waters and parks as GeoJSON; 404 where this server has no map."""
    town_map = request.app[SERVICES].get(TownMap)
    if town_map is None:
        raise Problem(404, "This server has no map; its operator may set TIFFIN_MAP.")
    headers = {"ETag": town_map.etag, "Cache-Control": "private, no-cache"}
    tags = [tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(",")]
    if "*" in tags or town_map.etag in tags:
        return web.Response(status=304, headers=headers)
    return web.Response(body=town_map.content, content_type="application/geo+json", headers=headers)


@router.route("GET", "/map/route", roles=ANY_ROLE, cost=20)
async def find_route(
    request: web.Request, from_lat: Lat, from_lng: Lng, to_lat: Lat, to_lng: Lng
) -> Route:
    """The shortest route along the map's streets from one point to another, both included.

    The straight line where there is no map, no street within 300 m or no connection, and while too
    many routes are being searched for.
    """
    path = await service(request, RouteFinder).find((from_lat, from_lng), (to_lat, to_lng))
    return Route(
        metres=round(path.metres, 1),
        along_streets=path.along_streets,
        points=[Point(lat=lat, lng=lng) for lat, lng in path.points],
    )
