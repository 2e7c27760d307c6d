"""rembg as it is often put into a server: called in a thread pool of the server's own process."""

import asyncio
import io
import os
import sys
from concurrent.futures import ThreadPoolExecutor

os.environ |= {"NUMBA_DISABLE_JIT": "1", "ORT_DISABLE_TELEMETRY": "1"}

import rembg
import uvloop
from aiohttp import web
from PIL import Image

POOL = ThreadPoolExecutor(2)
SESSION = rembg.new_session("u2netp", providers=["CPUExecutionProvider"])


def cut_out(content: bytes) -> bytes:
    picture = Image.open(io.BytesIO(content))
    file = io.BytesIO()
    rembg.remove(picture, session=SESSION).save(file, "PNG")
    return file.getvalue()


async def upload(request: web.Request) -> web.Response:
    """The picture without its background."""
    content = await request.read()
    result = await asyncio.get_running_loop().run_in_executor(POOL, cut_out, content)
    return web.Response(body=result, content_type="image/png")


async def ping(request: web.Request) -> web.Response:
    """The cheapest request."""
    return web.json_response({"status": "ok"})


def main() -> None:
    """Serve on the given port."""
    app = web.Application(client_max_size=20 * 1024 * 1024)
    app.router.add_post("/photos", upload)
    app.router.add_get("/healthz", ping)
    uvloop.install()
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)


if __name__ == "__main__":
    main()
