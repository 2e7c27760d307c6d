"""The progress of an upload, by short polling."""

from aiohttp import web

from server.core.routing import ANY_ROLE, Answer, Router, identity_of
from server.core.services import service
from server.features.shared.schemas import Id
from server.features.uploads.schemas import Upload
from server.features.uploads.service import UploadService
from server.transports.short_polling import progress

router = Router("uploads")


@router.route("GET", "/uploads/{id}", roles=ANY_ROLE)
async def get_upload(request: web.Request, id: Id) -> Answer[Upload]:
    """One of the account's uploads. Until it is final, `Retry-After` says when to ask again."""
    upload, seconds = await service(request, UploadService).upload(identity_of(request), id)
    return progress(upload, seconds)
