"""People with accounts, for tests."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from support.rest import Rest
from support.waiting import PATIENCE

RESTAURANT = "rst_of_these_tests"
PASSWORD = "a long enough password"

Revoked = Callable[[], Awaitable[list[str]]]
Sql = Callable[..., Awaitable[list[dict[str, Any]]]]


@asynccontextmanager
async def kitchen_stream(employee: Rest) -> AsyncIterator[aiohttp.ClientResponse]:
    """A live stream of the employee's own kitchen, of which the first bytes have come."""
    url = employee.url(f"/restaurants/{RESTAURANT}/orders/stream")
    async with employee.http.get(url, headers=employee.headers) as response:
        assert response.status == 200, await response.text()
        async with asyncio.timeout(PATIENCE):
            await response.content.readuntil(b"\n\n")
        yield response


async def reads_to_the_end(response: aiohttp.ClientResponse, seconds: float = PATIENCE) -> None:
    """Return once the server has ended the stream; TimeoutError where it does not."""
    async with asyncio.timeout(seconds):
        await response.content.read()
