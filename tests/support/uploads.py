"""Photos sent to a server under test, and their results."""

from pathlib import Path
from typing import Any

import aiohttp
import psutil

from support.processes import children_with
from support.rest import Answer, Rest
from support.waiting import wait_until

COFFEE = Path(__file__).resolve().parents[1] / "pictures" / "coffee.jpg"
FINAL = ("done", "failed")
QUICK_WORKER = ("-P", str(Path(__file__).with_name("quick_rembg_worker.py")))
"""Python's arguments for a worker process without the model. With the path of a file behind them,
no photo is done while there is such a file."""


def form_of(
    content: bytes, fields: dict[str, str], *, name: str = "photo.jpg", kind: str = "image/jpeg"
) -> aiohttp.MultipartWriter:
    """A form with those fields and that file."""
    form = aiohttp.MultipartWriter("form-data")
    for field, value in fields.items():
        form.append(value).set_content_disposition("form-data", name=field)
    part = form.append(content, {"Content-Type": kind})  # type: ignore[arg-type]
    part.set_content_disposition("form-data", name="file", filename=name)
    return form


def photo_workers(server: int | None = None) -> list[psutil.Process]:
    """The live photo workers of that process, or of this one."""
    return children_with("rembg_worker", server)


async def send(
    rest: Rest,
    content: bytes | None = None,
    *,
    dish: str | None = None,
    key: str | None = None,
    name: str = "photo.jpg",
    kind: str = "image/jpeg",
) -> Answer:
    """Send a photo, by default the coffee: as an avatar, or for that dish."""
    content = COFFEE.read_bytes() if content is None else content
    fields = {"purpose": "avatar"} if dish is None else {"purpose": "menu_item"}
    if dish is not None:
        fields["menu_item_id"] = dish
    headers = rest.headers | ({"Idempotency-Key": key} if key else {})
    form = form_of(content, fields, name=name, kind=kind)
    async with rest.http.post(rest.url("/uploads"), data=form, headers=headers) as answer:
        return Answer(answer.status, answer.headers, await answer.read())


async def sent(rest: Rest, content: bytes | None = None, **more: Any) -> str:
    """Send a photo that must be accepted; returns its id."""
    return str((await send(rest, content, **more)).must(202).json["id"])


async def final(rest: Rest, upload_id: str, seconds: float = 60) -> dict[str, Any]:
    """The upload once it is done or failed."""

    async def found() -> dict[str, Any] | None:
        upload: dict[str, Any] = (await rest.get(f"/uploads/{upload_id}")).must(200).json
        return upload if upload["status"] in FINAL else None

    upload = await wait_until(found, seconds, every=0.1, what=f"{upload_id} is final")
    assert upload is not None
    return upload


async def done(rest: Rest, upload_id: str, seconds: float = 60) -> dict[str, Any]:
    """The upload, which must be done."""
    upload = await final(rest, upload_id, seconds)
    assert upload["status"] == "done", upload
    return upload
