"""Places in a list that is read page by page, newest first."""

import base64
import json

from server.core.errors import invalid


def after(at: str, identifier: str) -> str:
    """The opaque text that names the place behind that entry."""
    return base64.urlsafe_b64encode(json.dumps([at, identifier]).encode()).decode().rstrip("=")


def parse(before: str | None) -> tuple[str, str] | None:
    """The place such a text names. Raises Problem 422 for any other text."""
    if before is None:
        return None
    try:
        match json.loads(base64.urlsafe_b64decode(before + "=" * (-len(before) % 4))):
            case [str(at), str(identifier)]:
                return at, identifier
    except ValueError:
        pass
    raise invalid(["before"], "Send back the `next` of the page before, unchanged.")
