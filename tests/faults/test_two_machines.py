"""Two machines' worth: masters with addresses and data folders of their own share only services."""

import asyncio
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from support.rest import Rest
from support.scene import in_test_all
from support.server_process import ServerProcess
from support.town import PASSWORD, open_restaurant
from support.uploads import done, photo_workers, sent
from support.waiting import PATIENCE
from tools.cluster.azurite import Azurite
from tui.common.client.sse import SSEParser

pytestmark = [
    pytest.mark.fault,
    pytest.mark.timeout(300),
    in_test_all,
]

ADDRESSES = ("127.0.0.2", "127.0.0.3")


@pytest.fixture(scope="module")
def database() -> str:
    """The URL of an empty PostgreSQL database."""
    from support.postgres import url_for

    return url_for(Path(__file__))


@pytest.fixture
def machines(
    tmp_path: Path, database: str, redis_url: str, azurite: Azurite
) -> Iterator[list[ServerProcess]]:
    """Two masters; only the second one has workers for photos."""
    for address in ADDRESSES:
        with socket.socket() as probe:
            try:
                probe.bind((address, 0))
            except OSError:  # macOS has 127.0.0.1 alone
                pytest.skip(f"this machine has no address {address}")
    shared = {
        "TIFFIN_DATABASE_URL": database,
        "TIFFIN_AZURE_STORAGE_CONNECTION_STRING": azurite.connection_string,
        "TIFFIN_BLOB_DIR": "",
    }
    found = [
        ServerProcess(
            tmp_path / address,
            redis_url=redis_url,
            env=shared | {"TIFFIN_PHOTO_WORKERS": str(workers)},
            host=address,
            gunicorn=1,
        )
        for workers, address in enumerate(ADDRESSES)
    ]
    try:
        for server in found:
            server.spawn()
        for server in found:
            server.wait_ready()
        yield found
    finally:
        for server in found:
            server.terminate()
            print(f"--- {server.url} ---\n{server.log_tail()}")


async def test_what_is_sent_to_one_machine_is_seen_and_done_on_the_other(
    machines: list[ServerProcess], database: str
) -> None:
    first, second = machines
    for server, address in zip(machines, ADDRESSES, strict=True):
        listening = {
            one.laddr.ip
            for one in psutil.Process(server.pid).net_connections()
            if one.status == psutil.CONN_LISTEN
        }
        assert listening == {address}
    place = await open_restaurant(database, first.url)
    async with Rest(first.url) as ana, Rest(second.url) as robin:
        await ana.register("ana@example.com")
        await robin.log_in(place.employees[0], PASSWORD)
        cursor = (await robin.get("/orders")).must(200).json["cursor"]
        order = (await ana.post("/orders", place.basket())).must(201).json
        url = robin.url(f"/restaurants/{place.id}/orders/stream")
        headers = robin.headers | {"Last-Event-ID": cursor}
        async with asyncio.timeout(PATIENCE), robin.http.get(url, headers=headers) as answer:
            parser, seen = SSEParser(cursor), []
            while not seen:
                seen = parser.feed(await answer.content.readany())
            assert (seen[0].type, json.loads(seen[0].data)["id"]) == ("order.placed", order["id"])
            # And while it is listened to: by way of Redis, back to where it was placed.
            path = f"/orders/{order['id']}/status"
            held = asyncio.create_task(ana.get(f"{path}?last_status=placed&timeout=60"))
            (await robin.post(path, {"status": "accepted"})).must(200)
            assert (await held).must(200).json["status"] == "accepted"
        upload = await sent(ana)
        photo = await done(ana, upload, seconds=PATIENCE)
        async with ana.http.get(ana.base_url + photo["result_url"], headers=ana.headers) as result:
            assert (result.status, result.content_type) == (200, "image/png")
            assert result.url.port != first.port, "it comes from the store"
        assert not photo_workers(first.pid)
        assert photo_workers(second.pid)
