"""The application's services: one of each type, opened together and closed in reverse order."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar

from aiohttp import web

from server.core.lifecycle import Component

ServiceT = TypeVar("ServiceT")


class Services:
    """Finds a service by its type, and opens the components among them in the order in which they
    were added: what one needs is added before it."""

    def __init__(self, *services: object) -> None:
        self._by_type: dict[type, Any] = {}
        self._components: list[Component] = []
        for service in services:
            self.add(service)

    def add(self, service: ServiceT, kind: type[ServiceT] | None = None) -> ServiceT:
        """Register it under its own type, or under `kind`, a base of it."""
        kind = kind or type(service)
        assert kind not in self._by_type, kind
        self._by_type[kind] = service
        if isinstance(service, Component):
            self._components.append(service)
        return service

    def __getitem__(self, kind: type[ServiceT]) -> ServiceT:
        found: ServiceT = self._by_type[kind]
        return found

    def get(self, kind: type[ServiceT]) -> ServiceT | None:
        """The service of that type, if there is one."""
        return self._by_type.get(kind)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """While inside, every component is open."""
        async with AsyncExitStack() as stack:
            for component in self._components:
                await component.open()
                stack.push_async_callback(component.close)
            yield

    def begin_close(self) -> None:
        """The server stops, and every component is closed soon."""
        for component in reversed(self._components):
            component.begin_close()

    async def tasks_state(self) -> str:
        """`ok`, or which tasks are not running."""
        tasks = [task for component in self._components for task in component.tasks]
        stopped = [task.name for task in tasks if not task.running]
        return f"not running: {', '.join(stopped)}" if stopped else "ok"


SERVICES = web.AppKey("services", Services)
_SERVICES = web.RequestKey("services", Services)
"""The same beside the request: a request asks for a dozen services, and for its application three
functions of aiohttp are called."""


def service(request: web.Request, kind: type[ServiceT]) -> ServiceT:
    """The application's service of that type."""
    try:
        services = request[_SERVICES]
    except KeyError:
        services = request[_SERVICES] = request.app[SERVICES]
    found: ServiceT = services._by_type[kind]
    return found
