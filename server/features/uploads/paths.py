"""Where uploads are found on this server."""

from server.core.routing import PREFIX


def upload_path(upload_id: str) -> str:
    """The upload itself."""
    return f"{PREFIX}/uploads/{upload_id}"


def original_path(upload_id: str) -> str:
    """The picture as it was before."""
    return f"{PREFIX}/uploads/{upload_id}/original"


def result_path(upload_id: str) -> str:
    """The picture without its background."""
    return f"{PREFIX}/uploads/{upload_id}/result"
