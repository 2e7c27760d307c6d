"""Makes the photos of the demo town's dishes: paints each and sends it through a server.

The server processes them as it does any photo. The results are shrunk to what a menu needs and
stored in server/demo/photos, with a list. `recipes` paints the pictures, always the same ones;
they are under this repository's licence.

`python -m tools.demo_assets.dishes` makes all of them, with NAME... only some.
"""

import asyncio
import io
import json
import os
import re
import sys
import tempfile
import unicodedata
import uuid
from pathlib import Path
from typing import Any

from PIL import Image

from server.features.uploads.fetch_model import home
from server.features.uploads.schemas import NewUpload, Upload, UploadPurpose, UploadStatus
from tools.demo_assets.recipes import RECIPES, painted
from tui.common.client.api import Api
from tui.common.client.meter import Pattern, Wire
from tui.common.client.session import Session
from tui.common.client.short_polling import UploadPoll
from tui.common.processes import Child, free_port, wait_ready

OUT = Path(__file__).resolve().parents[2] / "server" / "demo" / "photos"
LIST = "photos.json"
SIZE = (360, 270)
COLOURS = 224
TRANSPARENT = (0.2, 0.93)
"""The share of a result that may be transparent. Outside of it the model has failed."""


def main() -> int:
    names = sys.argv[1:] or list(RECIPES)
    if unknown := set(names) - set(RECIPES):
        print(f"no recipe for {', '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    OUT.mkdir(exist_ok=True)
    model = home()  # before the data folder changes
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        os.environ |= {
            "TIFFIN_DATA_DIR": folder,
            "TIFFIN_RATE_PER_MINUTE": "0",
            "TIFFIN_LOGIN_PER_MINUTE": "0",
            "U2NET_HOME": str(model),
        }
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        server = Child(data / "server.log", "server", "--demo", "--port", str(port))
        try:
            wait_ready(server, url)
            return asyncio.run(make(url, data, names))
        finally:
            server.end()


async def make(url: str, data: Path, names: list[str]) -> int:
    accounts = json.loads((data / "demo-accounts.json").read_text())
    results = await asyncio.gather(
        *(
            of_restaurant(url, data, number, account, names)
            for number, account in enumerate(accounts)
        )
    )
    known = json.loads((OUT / LIST).read_text()) if (OUT / LIST).exists() else []
    made = {one["dish"]: one for one in known} | {
        one["dish"]: one for result in results for one in result
    }
    order = list(RECIPES)
    found = sorted(made.values(), key=lambda one: order.index(one["dish"]))
    (OUT / LIST).write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    size = sum(path.stat().st_size for path in OUT.iterdir())
    print(f"{len(found)} photos, {size / 1e6:.2f} MB")
    bad = set(names) - {one["dish"] for result in results for one in result}
    if bad:
        print(f"not stored, as the model removed the wrong part: {', '.join(sorted(bad))}")
    return 1 if bad else 0


async def of_restaurant(
    url: str, data: Path, number: int, account: dict[str, str], names: list[str]
) -> list[dict[str, Any]]:
    """The photos of one restaurant's dishes, all on the same table."""
    wire = Wire()
    session = Session(url, wire)
    api = Api(session)
    made = []
    try:
        me = await session.log_in(account["email"], account["password"])
        assert me.restaurant_id is not None
        restaurant = await api.restaurant(me.restaurant_id)
        for dish in restaurant.menu:
            if dish.name not in names:
                continue
            photo = data / f"{slug(dish.name)}.jpg"
            picture = await asyncio.to_thread(lambda name: painted(name, number).image(), dish.name)
            picture.save(photo, quality=92)
            new = NewUpload(purpose=UploadPurpose.MENU_ITEM, menu_item_id=dish.id)
            accepted, seconds = await api.send_photo(photo, new, str(uuid.uuid4()))
            meter = wire.meter("photos", Pattern.SHORT_POLL)
            async with UploadPoll(session, accepted.id, meter, first_wait=seconds) as poll:
                upload = [news async for news in poll][-1]
            if await store(api, dish.name, upload):
                made.append(
                    {"restaurant": restaurant.name, "dish": dish.name, "file": slug(dish.name)}
                )
    finally:
        await session.close()
    return made


async def store(api: Api, dish: str, upload: Upload) -> bool:
    """Store the photo and its result, unless the model failed; returns whether it was stored."""
    if upload.status is not UploadStatus.DONE or upload.result_url is None:
        raise SystemExit(f"{dish}: {upload.error}")
    before = Image.open(io.BytesIO(await api.picture(upload.original_url))).convert("RGB")
    after = Image.open(io.BytesIO(await api.picture(upload.result_url))).convert("RGBA")
    histogram = after.getchannel("A").histogram()
    transparent = sum(histogram[:16]) / (after.width * after.height)
    print(f"{dish}: {transparent:.0%} transparent")
    if not TRANSPARENT[0] < transparent < TRANSPARENT[1]:
        return False
    name = slug(dish)
    before.resize(SIZE, Image.Resampling.LANCZOS).save(OUT / f"{name}.jpg", quality=82)
    small = after.resize(SIZE, Image.Resampling.LANCZOS)
    small.quantize(COLOURS, Image.Quantize.FASTOCTREE).save(OUT / f"{name}.png", optimize=True)
    return True


def slug(name: str) -> str:
    """The dish's name as a file name."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")


if __name__ == "__main__":
    sys.exit(main())
