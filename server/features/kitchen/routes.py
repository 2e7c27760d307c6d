"""The kitchen's summary over REST."""

from typing import Annotated

from aiohttp import web
from pydantic import Field

from server.core.routing import EMPLOYEE, Router, identity_of
from server.core.services import service
from server.features.kitchen.schemas import KitchenSummary
from server.features.kitchen.service import KitchenService
from server.features.shared.schemas import Id

router = Router("kitchen")


@router.route("GET", "/restaurants/{id}/summary", roles=EMPLOYEE, cost=10)
async def summarize(
    request: web.Request,
    id: Id,
    since: Annotated[str | None, Field(alias="from", max_length=40)] = None,
    until: Annotated[str | None, Field(alias="to", max_length=40)] = None,
) -> KitchenSummary:
    """Orders, revenue, minutes and dishes of the orders placed from `from` on and before `to`.

    Both are a day or a time, by the restaurant's clock unless they name a zone. By default `from`
    is the beginning of today, and `to` a day later.
    """
    kitchen = service(request, KitchenService)
    return await kitchen.summary(identity_of(request), id, since, until)
