"""Uploads over REST: sending, listing, deleting, and the pictures themselves."""

import asyncio

from aiohttp import web

from server.core.errors import not_found
from server.core.forms import FormLimits, received_form
from server.core.routing import (
    ANY_ROLE,
    PREFIX,
    Answer,
    Before,
    IdempotencyKey,
    Limit,
    Router,
    identity_of,
)
from server.core.services import service
from server.features.shared.schemas import Id
from server.features.uploads.image_header import check_head
from server.features.uploads.schemas import MAX_BYTES, AcceptedUpload, NewUpload, UploadPage
from server.features.uploads.service import ReceivedFile, StoredPicture, UploadService
from server.transports.short_polling import progress

router = Router("uploads")

RESULT_SECONDS = 3600
CHUNK_BYTES = 64 * 1024
"""Of a picture, in memory at a time."""
PHOTO_TYPES = ("image/jpeg", "image/png", "image/webp")
EMPTY = (302, 304)
"""The answers where the store is elsewhere, and where the client has the picture already."""


@router.route("POST", "/uploads", roles=ANY_ROLE, status=202, form=NewUpload, problems=(403, 409))
async def send_upload(
    request: web.Request, idempotency_key: IdempotencyKey = None
) -> Answer[AcceptedUpload]:
    """Send a photo: JPEG, PNG or WebP, at most 10 MiB and 25 megapixels.

    Its background is removed, and then it becomes the dish's photo or the avatar. The same key with
    the same content gives the same upload.
    """
    uploads = service(request, UploadService)
    identity = identity_of(request)
    with uploads.receiving(identity):
        async with received_form(
            request,
            NewUpload,
            limits=service(request, FormLimits),
            max_bytes=MAX_BYTES,
            check_head=check_head,
        ) as form:
            file = ReceivedFile(form.path, form.size, form.sha256)
            accepted, seconds = await uploads.accept(identity, form.fields, file, idempotency_key)
    return progress(accepted, seconds, status=202, location=f"{PREFIX}/uploads/{accepted.id}")


@router.route("GET", "/uploads", roles=ANY_ROLE)
async def list_uploads(
    request: web.Request, before: Before = None, limit: Limit = 50
) -> UploadPage:
    """The account's uploads, newest first."""
    return await service(request, UploadService).uploads(identity_of(request), before, limit)


@router.route("DELETE", "/uploads/{id}", roles=ANY_ROLE)
async def delete_upload(request: web.Request, id: Id) -> None:
    """Delete an upload and its pictures. Where it was shown, the dish or account loses it."""
    await service(request, UploadService).delete(identity_of(request), id)


@router.route("GET", "/uploads/{id}/original", roles=ANY_ROLE, media=PHOTO_TYPES, empty=EMPTY)
async def get_original(request: web.Request, id: Id) -> web.StreamResponse:
    """The photo, for its owner, and for anyone logged in while it is a dish's photo or an avatar.

    As it was sent until it is done; after that upright, smaller and without its metadata.
    """
    picture = await service(request, UploadService).original(identity_of(request), id)
    return await _serve(request, picture)


@router.route("GET", "/uploads/{id}/result", roles=ANY_ROLE, media=("image/png",), empty=EMPTY)
async def get_result(request: web.Request, id: Id) -> web.StreamResponse:
    """The photo without its background, as a PNG, for the same readers as the original."""
    picture = await service(request, UploadService).result(identity_of(request), id)
    return await _serve(request, picture)


async def _serve(request: web.Request, picture: StoredPicture) -> web.StreamResponse:
    blobs = service(request, UploadService).blobs
    url = blobs.signed_url(picture.blob, picture.media_type)
    if url is not None:
        return web.Response(status=302, headers={"Location": url})
    caching = f"max-age={RESULT_SECONDS}" if picture.final else "no-cache"
    headers = {
        "Cache-Control": f"private, {caching}",
        "Content-Type": picture.media_type,
        # A stranger has sent it: a browser may show it as a picture and do nothing else.
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }
    path = blobs.local_path(picture.blob)
    assert path is not None
    if not await asyncio.to_thread(path.is_file):  # it was removed meanwhile
        raise not_found("picture")
    return web.FileResponse(path, chunk_size=CHUNK_BYTES, headers=headers)
