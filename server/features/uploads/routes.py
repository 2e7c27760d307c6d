"""Uploads over REST: sending, listing, deleting, and the pictures themselves."""

import asyncio

from aiohttp import web

from server.core.errors import not_found
from server.core.forms import FormLimits, received_form
from server.core.routing import (
    ANY_ROLE,
    Answer,
    Before,
    IdempotencyKey,
    Limit,
    Router,
    identity_of,
)
from server.core.services import service
from server.features.shared.schemas import Id
from server.features.uploads.judge import judge_head
from server.features.uploads.paths import upload_path
from server.features.uploads.schemas import MAX_BYTES, AcceptedUpload, NewUpload, UploadPage
from server.features.uploads.service import Picture, ReceivedFile, UploadService
from server.transports.short_polling import progress

router = Router("uploads")

RESULT_SECONDS = 3600
PIECE = 64 * 1024
"""Bytes of a picture that are in memory at once."""
PHOTOS = ("image/jpeg", "image/png", "image/webp")
EMPTY = (302, 304)
"""What is answered where the store is elsewhere, and where the client has it already."""


@router.route("POST", "/uploads", roles=ANY_ROLE, status=202, form=NewUpload, problems=(403, 409))
async def send_upload(
    request: web.Request, idempotency_key: IdempotencyKey = None
) -> Answer[AcceptedUpload]:
    """Send a photo: JPEG, PNG or WebP, at most 10 MiB and 25 megapixels.

    It gets its background removed, and is then the dish's photo or the avatar. The same key and
    content again gives the same upload.
    """
    uploads = service(request, UploadService)
    who = identity_of(request)
    with uploads.arriving(who):
        async with received_form(
            request,
            NewUpload,
            limits=service(request, FormLimits),
            max_bytes=MAX_BYTES,
            check_head=judge_head,
        ) as form:
            file = ReceivedFile(form.path, form.size, form.sha256)
            accepted, seconds = await uploads.accept(who, form.fields, file, idempotency_key)
    return progress(accepted, seconds, status=202, location=upload_path(accepted.id))


@router.route("GET", "/uploads", roles=ANY_ROLE)
async def list_uploads(
    request: web.Request, before: Before = None, limit: Limit = 50
) -> UploadPage:
    """One's own uploads, newest first."""
    return await service(request, UploadService).uploads(identity_of(request), before, limit)


@router.route("DELETE", "/uploads/{id}", roles=ANY_ROLE)
async def delete_upload(request: web.Request, id: Id) -> None:
    """Delete an upload and its pictures; where it was shown, the dish or avatar has none then."""
    await service(request, UploadService).delete(identity_of(request), id)


@router.route("GET", "/uploads/{id}/original", roles=ANY_ROLE, media=PHOTOS, empty=EMPTY)
async def get_original(request: web.Request, id: Id) -> web.StreamResponse:
    """The photo: to its owner, and to anyone signed in once it is a dish's photo or an avatar.

    As it was sent until it is done; from then on upright, smaller and without its metadata.
    """
    picture = await service(request, UploadService).original(identity_of(request), id)
    return await _given_out(request, picture)


@router.route("GET", "/uploads/{id}/result", roles=ANY_ROLE, media=("image/png",), empty=EMPTY)
async def get_result(request: web.Request, id: Id) -> web.StreamResponse:
    """The photo without its background, as a PNG: to whom the original is given."""
    picture = await service(request, UploadService).result(identity_of(request), id)
    return await _given_out(request, picture)


async def _given_out(request: web.Request, picture: Picture) -> web.StreamResponse:
    blobs = service(request, UploadService).blobs
    link = blobs.link(picture.blob, picture.media_type)
    if link is not None:
        return web.Response(status=302, headers={"Location": link})
    kept = f"max-age={RESULT_SECONDS}" if picture.final else "no-cache"
    headers = {
        "Cache-Control": f"private, {kept}",
        "Content-Type": picture.media_type,
        # Whatever a stranger has sent, it is a picture or nothing.
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }
    file = blobs.file(picture.blob)
    assert file is not None
    if not await asyncio.to_thread(file.is_file):  # it was removed while we looked it up
        raise not_found("picture")
    return web.FileResponse(file, chunk_size=PIECE, headers=headers)
