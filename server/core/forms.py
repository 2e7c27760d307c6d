"""Forms with a file: a multipart body read piece by piece, the file straight to the disk."""

import asyncio
import errno
import hashlib
import logging
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Generic, TypeVar

from aiohttp import BodyPartReader, MultipartReader, http_exceptions, web
from pydantic import BaseModel, ValidationError

from server.core.arrivals import Arrivals
from server.core.drafts import check_room, hold
from server.core.errors import Problem, invalid, malformed, unavailable, unfit
from server.core.services import service

logger = logging.getLogger(__name__)

FormT = TypeVar("FormT", bound=BaseModel)

FORM_SECONDS = 120.0
"""How long a client may take to send its form: 10 MiB at some 700 kbit/s."""
SILENCE_SECONDS = 20.0
"""How long it may stop in between, or be behind the slowest that is taken."""
FULL_SECONDS = 60.0
"""After which a client may come back where the disk is full."""
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


@dataclass(frozen=True, slots=True)
class Reception:
    """Where files arrive, what has to stay free there (bytes), and the slowest that is taken
    (bytes a second). What is 0 is no limit."""

    folder: Path
    reserve: int = 0
    slowest: int = 0


class _Sender:
    """What a client has sent so far, and until when more of it has to come."""

    def __init__(self, slowest: int) -> None:
        self.sent = 0
        self._slowest = slowest
        self._began = asyncio.get_running_loop().time()

    def patience(self) -> asyncio.Timeout:
        """For the next piece."""
        until = asyncio.get_running_loop().time() + SILENCE_SECONDS
        if self._slowest:
            until = min(until, self._began + SILENCE_SECONDS + self.sent / self._slowest)
        return asyncio.timeout_at(until)


@asynccontextmanager
async def received_form(
    request: web.Request,
    model: type[FormT],
    *,
    reception: Reception,
    most: int,
    judge: Callable[[bytes], None],
) -> AsyncIterator[Form[FormT]]:
    """The request's form, with one file in the part `file`, in a folder until the block ends.

    A file larger than `most` bytes is refused with the byte that is too much, and one whose first
    bytes `judge` raises for before the rest is read. Raises Problem 400, 413, 415, 422, and 503
    where the folder is nearly full or gone.
    """
    folder = reception.folder
    if request.content_type != "multipart/form-data":
        raise Problem(415, "Send a form (`Content-Type: multipart/form-data`) with a `file`.")
    if (request.content_length or 0) > most + AROUND:
        raise too_large(most)
    with _trouble_told(folder):
        check_room(folder, reception.reserve)
        # Without a buffer: one that a full disk has left behind would fail once more at the end.
        arriving = tempfile.NamedTemporaryFile(  # noqa: SIM115 it is closed below
            buffering=0, dir=folder, prefix="form-", suffix=".part", delete=False
        )
    with arriving as file, ExitStack() as before_closing:
        before_closing.callback(Path(file.name).unlink, missing_ok=True)
        hold(file.fileno())
        try:
            async with service(request, Arrivals).within(FORM_SECONDS):
                sent, size, digest = await _read(request, file, reception, most, judge)
        except TimeoutError:
            raise malformed(
                f"The form did not arrive: at most {FORM_SECONDS:g} s for all of it, and"
                f" {SILENCE_SECONDS:g} s without a byte or too slow"
                f" ({reception.slowest / 1024:g} KiB/s are the least). Send it again."
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
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise unavailable(
            f"No file can be taken at the moment: {words}. Send it again.",
            FULL_SECONDS if full else 5,
        ) from None


async def _read(
    request: web.Request,
    file: IO[bytes],
    reception: Reception,
    most: int,
    judge: Callable[[bytes], None],
) -> tuple[dict[str, str], int | None, str]:
    """Every field as text, and the size and digest of the file."""
    fields: dict[str, str] = {}
    size: int | None = None
    digest = ""
    sender = _Sender(reception.slowest)
    reader = await request.multipart()
    for _ in range(PARTS):
        async with sender.patience():
            part = await reader.next()
        if part is None:
            return fields, size, digest
        if isinstance(part, MultipartReader):
            raise malformed("A form within a form is not taken.")
        if part.name == "file":
            if size is not None:
                raise invalid(["file"], "One form takes one file. Send the others by themselves.")
            size, digest = await _store(part, file, reception, sender, most, judge)
        else:
            text = await _field(part, sender)
            if part.name in fields:
                raise invalid([part.name], "Send each field once.")
            if part.name is not None:
                fields[part.name] = text
    raise malformed(f"A form has at most {PARTS} parts.")


async def _store(
    part: BodyPartReader,
    file: IO[bytes],
    reception: Reception,
    sender: _Sender,
    most: int,
    judge: Callable[[bytes], None],
) -> tuple[int, str]:
    hashed = hashlib.sha256()
    size = 0
    judged = False
    pending = bytearray()

    def write(piece: bytes) -> None:
        check_room(reception.folder, reception.reserve)
        hashed.update(piece)
        left = memoryview(piece)
        while left:
            left = left[file.write(left) :]

    while True:
        async with sender.patience():
            chunk = await part.read_chunk(PIECE)
        sender.sent += len(chunk)
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


async def _field(part: BodyPartReader, sender: _Sender) -> str:
    value = bytearray()
    while True:
        async with sender.patience():
            chunk = await part.read_chunk(FIELD_BYTES)
        sender.sent += len(chunk)
        if not chunk:
            break
        value += chunk
        if len(value) > FIELD_BYTES:
            raise Problem(413, f"The field {part.name!r} is too long.")
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise malformed(f"The field {part.name!r} is not UTF-8.") from None
