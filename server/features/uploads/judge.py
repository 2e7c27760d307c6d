"""Which files are taken as photos, judged by their headers alone, and what is wrong with others."""

from pathlib import Path

from server.core.errors import Problem, invalid
from server.features.uploads.header import Unreadable, media_type_of, read_header
from server.features.uploads.schemas import MAX_PIXELS


def judge_head(head: bytes) -> None:
    """Raises Problem 415, 422 where a file that begins like this is not taken."""
    if not head:
        raise invalid(["file"], "The file is empty. Send another.")
    try:
        media_type_of(head)
    except Unreadable as error:
        raise Problem(415, str(error)) from None


def judge(path: Path) -> str:
    """The file's media type. Raises Problem 413, 422."""
    try:
        header = read_header(path)
    except Unreadable as error:
        raise invalid(["file"], str(error)) from None
    if header.pixels > MAX_PIXELS:
        raise Problem(
            413,
            f"The picture has {header.width} × {header.height} pixels; at most"
            f" {MAX_PIXELS // 1_000_000} megapixels are taken. Make it smaller.",
        )
    return header.media_type
