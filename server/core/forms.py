"""Forms with a file: a multipart body read piece by piece, the file straight to the disk."""

import asyncio
import hashlib
import logging
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Generic, TypeVar

from aiohttp import BodyPartReader, MultipartReader, http_exceptions, web
from pydantic import BaseModel, ValidationError

from server.core.arrivals import ARRIVALS
from server.core.errors import Problem, invalid, malformed, unavailable, unfit

logger = logging.getLogger(__name__)

FormT = TypeVar("FormT", bound=BaseModel)

FORM_SECONDS = 120.0
"""How long a client may take to send its form: 10 MiB at some 700 kbit/s."""
SILENCE_SECONDS = 20.0
"""How long it may stop in between."""
PIECE = 256 * 1024
"""Bytes kept in memory before they are written."""
HEAD = 64
"""Bytes of a file that `judge` sees before the rest is read."""
FIELD_BYTES = 4096
PARTS = 20
AROUND = 64 * 1024
"""What a body may hold beside its file."""


@dataclass(frozen=True, slots=True)
class Form(Generic[FormT]):
    """The fields, and the file: where it lies while the form is open, its size and its digest."""

    fields: FormT
    path: Path
    size: int
    sha256: str


@asynccontextmanager
async def received_form(
    request: web.Request,
    model: type[FormT],
    *,
    folder: Path,
    most: int,
    judge: Callable[[bytes], None],
) -> AsyncIterator[Form[FormT]]:
    """The request's form, with one file in the part `file`, in `folder` until the block ends.

    A file larger than `most` bytes is refused with the byte that is too much, and one whose first
    bytes `judge` raises for before the rest is read. Raises Problem 400, 413, 415, 422, and 503
    where the folder is full or gone.
    """
    if request.content_type != "multipart/form-data":
        raise Problem(415, "Send a form (`Content-Type: multipart/form-data`) with a `file`.")
    if (request.content_length or 0) > most + AROUND:
        raise too_large(most)
    with _trouble_told(folder):
        # Without a buffer: one that a full disk has left behind would fail once more at the end.
        arriving = tempfile.NamedTemporaryFile(  # noqa: SIM115 it is closed below
            buffering=0, dir=folder, prefix="form-", suffix=".part"
        )
    with arriving as file:
        try:
            async with request.app[ARRIVALS].within(FORM_SECONDS):
                sent, size, digest = await _read(request, file, most, judge)
        except TimeoutError:
            raise malformed(
                f"The form did not arrive: at most {FORM_SECONDS:g} s for all of it, and"
                f" {SILENCE_SECONDS:g} s without a byte. Send it again."
            ) from None
        except (
            web.RequestPayloadError,
            http_exceptions.BadHttpMessage,
            ValueError,
            RuntimeError,
            LookupError,
        ):  # what aiohttp's reader raises for bodies that are no forms
            raise malformed("The body is not the form that its headers announce.") from None
        try:
            fields = model.model_validate(sent)
        except ValidationError as error:
            raise unfit(error) from None
        if size is None:
            raise invalid(["file"], "Send the file in a part named `file`.")
        yield Form(fields, Path(file.name), size, digest)


def too_large(most: int) -> Problem:
    """413 for a file of more than `most` bytes."""
    return Problem(413, f"The file is too large: at most {most / 1024 / 1024:g} MiB are taken.")


@contextmanager
def _trouble_told(place: object) -> Iterator[None]:
    """503 for what the disk does not do; where that is, is for the log alone."""
    try:
        yield
    except OSError as error:
        logger.warning("forms: %s: %s", place, error.strerror)
        words = (error.strerror or "the disk cannot be used").lower()
        raise unavailable(
            f"No file can be taken at the moment: {words}. Send it again.", 5
        ) from None


async def _read(
    request: web.Request, file: IO[bytes], most: int, judge: Callable[[bytes], None]
) -> tuple[dict[str, str], int | None, str]:
    """Every field as text, and the size and digest of the file."""
    fields: dict[str, str] = {}
    size: int | None = None
    digest = ""
    reader = await request.multipart()
    for _ in range(PARTS):
        async with asyncio.timeout(SILENCE_SECONDS):
            part = await reader.next()
        if part is None:
            return fields, size, digest
        if isinstance(part, MultipartReader):
            raise malformed("A form within a form is not taken.")
        if part.name == "file":
            if size is not None:
                raise invalid(["file"], "One form takes one file. Send the others by themselves.")
            size, digest = await _store(part, file, most, judge)
        else:
            text = await _field(part)
            if part.name is not None:
                fields[part.name] = text
    raise malformed(f"A form has at most {PARTS} parts.")


async def _store(
    part: BodyPartReader, file: IO[bytes], most: int, judge: Callable[[bytes], None]
) -> tuple[int, str]:
    hashed = hashlib.sha256()
    size = 0
    judged = False
    pending = bytearray()

    def write(piece: bytes) -> None:
        hashed.update(piece)
        left = memoryview(piece)
        while left:
            left = left[file.write(left) :]

    while True:
        async with asyncio.timeout(SILENCE_SECONDS):
            chunk = await part.read_chunk(PIECE)
        size += len(chunk)
        pending += chunk
        if size > most:
            raise too_large(most)
        if not judged and (len(pending) >= HEAD or not chunk):
            judge(bytes(pending[:HEAD]))
            judged = True
        if len(pending) >= PIECE or not chunk:
            with _trouble_told(file.name):
                await asyncio.to_thread(write, bytes(pending))
            pending.clear()
        if not chunk:
            return size, hashed.hexdigest()


async def _field(part: BodyPartReader) -> str:
    value = bytearray()
    while True:
        async with asyncio.timeout(SILENCE_SECONDS):
            chunk = await part.read_chunk(FIELD_BYTES)
        if not chunk:
            break
        value += chunk
        if len(value) > FIELD_BYTES:
            raise Problem(413, f"The field {part.name!r} is too long.")
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise malformed(f"The field {part.name!r} is not UTF-8.") from None
