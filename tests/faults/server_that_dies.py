"""A server that dies between the commit of an order and its publication."""

import os
import sys
from collections.abc import Sequence
from typing import Any

from aiohttp import web

import server.app
from server.__main__ import main
from server.core.database import Database
from server.core.services import SERVICES
from server.settings import Settings

EXIT = 86
_create_app = server.app.create_app


def create_app(settings: Settings) -> web.Application:
    app = _create_app(settings)
    database = app[SERVICES][Database]
    publish = database.publish

    def die_or_publish(events: Sequence[Any]) -> None:
        if any(event.type == "order.placed" for event in events):
            os._exit(EXIT)
        publish(events)

    database.publish = die_or_publish
    return app


if __name__ == "__main__":
    server.app.create_app = create_app
    sys.exit(main())
