"""Adds the photos of the town's dishes and customers as uploads that are done.

The files in the folder `photos` are results of a server's own workers; `python -m
tools.demo_assets.dishes` makes them again.
"""

import asyncio
import json
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from server.core.clock import now, to_text
from server.core.database import Database, Transaction
from server.core.ids import new_id
from server.core.queries import load_queries
from server.features.accounts import store as accounts
from server.features.restaurants import store as restaurants
from server.features.uploads import store as uploads
from server.features.uploads.blobs import BlobError, Blobs
from server.features.uploads.image_header import read_header
from server.features.uploads.schemas import UploadPurpose
from server.features.uploads.service import result_path

logger = logging.getLogger(__name__)

_queries = load_queries(__file__)

FOLDER = Path(__file__).with_name("photos")
PARALLEL = 8
WRITE_TIME = timedelta(hours=1)
"""When blobs are removed that were written and then not used."""


async def add_photos(database: Database, blobs: Blobs) -> None:
    """Give the town's dishes and customers their photos, unless this database has had them.

    As with any upload, the blobs' names are recorded for removal before the blobs are written.
    """
    if await database.read(lambda tx: _queries.photos_claimed(tx)):
        return
    town = json.loads(FOLDER.with_name("town.json").read_text("utf-8"))
    plan: Sequence[Mapping[str, str]] = [
        *json.loads((FOLDER / "photos.json").read_text("utf-8")),
        *({"email": one["email"], "file": one["photo"]} for one in town["customers"]),
    ]
    ids = [new_id("upl") for _ in plan]
    names = [name for upload_id in ids for name in _blob_names(upload_id)]
    await database.write(lambda tx: uploads.schedule_removal(tx, names, now() + WRITE_TIME))
    semaphore = asyncio.Semaphore(PARALLEL)

    async def put(upload_id: str, file: str) -> None:
        original, result = _blob_names(upload_id)
        async with semaphore:
            await blobs.put(original, FOLDER / f"{file}.jpg", "image/jpeg")
            await blobs.put(result, FOLDER / f"{file}.png", "image/png")

    try:
        await asyncio.gather(
            *(put(upload_id, entry["file"]) for upload_id, entry in zip(ids, plan, strict=True))
        )
    except BlobError as error:
        logger.warning("the demo has no photos until the next start: %s", error)
        return

    async def fn(tx: Transaction) -> None:
        if not await _queries.claim_photos(tx, at=to_text(now())):
            await uploads.schedule_removal(tx, names, now())
            return
        # In reverse, so that lists, which show the newest first, begin with the first dish.
        for upload_id, entry in reversed(list(zip(ids, plan, strict=True))):
            await _add_photo(tx, upload_id, entry, now())

    await database.write(fn)


async def _add_photo(
    tx: Transaction, upload_id: str, entry: Mapping[str, str], at: datetime
) -> None:
    original, result = _blob_names(upload_id)
    owner = await _owner(tx, entry)
    if owner is None:
        await uploads.schedule_removal(tx, [original, result], now())
        return
    await uploads.cancel_removal(tx, [original, result])
    header = read_header(FOLDER / f"{entry['file']}.png")
    await _queries.add_photo(
        tx,
        id=upload_id,
        **owner,
        size=(FOLDER / f"{entry['file']}.jpg").stat().st_size,
        original_blob=original,
        result_blob=result,
        width=header.width,
        height=header.height,
        at=to_text(at),
        arrival=await uploads.next_arrival(tx),
    )
    if owner["purpose"] == UploadPurpose.AVATAR:
        await accounts.set_avatar(tx, owner["account_id"], result_path(upload_id))
    else:
        url = result_path(upload_id)
        await restaurants.set_photo(tx, owner["restaurant_id"], owner["menu_item_id"], url)


async def _owner(tx: Transaction, entry: Mapping[str, str]) -> dict[str, Any] | None:
    """Whose photo it is, and of what; None where people have changed that meanwhile."""
    if "email" in entry:
        stored = await accounts.account_by_email(tx, entry["email"])
        if stored is None or stored.account.avatar_url:
            return None
        nowhere = dict.fromkeys(("restaurant_id", "menu_item_id"))
        return {"account_id": stored.account.id, "purpose": UploadPurpose.AVATAR, **nowhere}
    dish: Mapping[str, Any] | None = await _queries.dish(
        tx, restaurant=entry["restaurant"], name=entry["dish"]
    )
    if dish is None or dish["photo_url"]:
        return None
    fields = {name: dish[name] for name in ("account_id", "restaurant_id", "menu_item_id")}
    return fields | {"purpose": UploadPurpose.MENU_ITEM}


def _blob_names(upload_id: str) -> tuple[str, str]:
    """The names of the original and of the result."""
    return f"{upload_id}.1.original", f"{upload_id}.1.result"
