"""Forms with a file: a multipart body, read in chunks, its file written straight to disk."""

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

from server.core.bodies import BodyDeadlines
from server.core.errors import Problem, invalid, malformed, unavailable, validation_problem
from server.core.services import service
from server.core.temp_files import check_free_space, lock

logger = logging.getLogger(__name__)

FormT = TypeVar("FormT", bound=BaseModel)

FORM_SECONDS = 120.0
"""How long a client may take to send its form: 10 MiB at some 700 kbit/s."""
SILENCE_SECONDS = 20.0
"""How long it may pause, or stay behind the slowest rate that is accepted."""
FULL_SECONDS = 60.0
"""`Retry-After` where the disk is full."""
CHUNK_BYTES = 256 * 1024
"""Bytes that are collected in memory before they are written."""
HEAD_BYTES = 64
"""Bytes of a file that `check_head` gets before the rest is read."""
FIELD_BYTES = 4096
PARTS = 20
OVERHEAD_BYTES = 64 * 1024
"""Bytes of a body beside its file."""


@dataclass(frozen=True, slots=True)
class Form(Generic[FormT]):
    """The fields, and the file: its path until the block ends, its size and its digest."""

    fields: FormT
    path: Path
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class FormLimits:
    """The folder that files are written to, the bytes that have to stay free on its disk, and the
    slowest rate that is accepted, in bytes a second. 0 is no limit."""

    folder: Path
    reserve: int = 0
    slowest: int = 0


class _Progress:
    """How much a client has sent, and until when it has to send more."""

    def __init__(self, slowest: int) -> None:
        self.sent = 0
        self._slowest = slowest
        self._began = asyncio.get_running_loop().time()

    def deadline(self) -> asyncio.Timeout:
        """The time limit for the next chunk."""
        until = asyncio.get_running_loop().time() + SILENCE_SECONDS
        if self._slowest:
            until = min(until, self._began + SILENCE_SECONDS + self.sent / self._slowest)
        return asyncio.timeout_at(until)


@asynccontextmanager
async def received_form(
    request: web.Request,
    model: type[FormT],
    *,
    limits: FormLimits,
    max_bytes: int,
    check_head: Callable[[bytes], None],
) -> AsyncIterator[Form[FormT]]:
    """The request's form; its file, in the part `file`, is on disk until the block ends.

    A file is refused as soon as it exceeds `max_bytes`, or where `check_head` raises for its first
    bytes. Raises Problem 400, 413, 415, 422, and 503 where the disk is nearly full or fails.
    """
    folder = limits.folder
    if request.content_type != "multipart/form-data":
        raise Problem(415, "Send a form (`Content-Type: multipart/form-data`) with a `file`.")
    if (request.content_length or 0) > max_bytes + OVERHEAD_BYTES:
        raise too_large(max_bytes)
    with _disk_errors_as_problems(folder):
        check_free_space(folder, limits.reserve)
        # Unbuffered: a buffer that a full disk left unwritten would fail again on close.
        arriving = tempfile.NamedTemporaryFile(  # noqa: SIM115 it is closed below
            buffering=0, dir=folder, prefix="form-", suffix=".part", delete=False
        )
    with arriving as file, ExitStack() as before_closing:
        before_closing.callback(Path(file.name).unlink, missing_ok=True)
        lock(file.fileno())
        try:
            async with service(request, BodyDeadlines).within(FORM_SECONDS):
                sent, size, digest = await _read(request, file, limits, max_bytes, check_head)
        except TimeoutError:
            raise malformed(
                f"The form did not arrive: at most {FORM_SECONDS:g} s for all of it, and"
                f" {SILENCE_SECONDS:g} s without a byte or too slow"
                f" ({limits.slowest / 1024:g} KiB/s are the least). Send it again."
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
            raise validation_problem(error) from None
        if size is None:
            raise invalid(["file"], "Send the file in a part named `file`.")
        yield Form(fields, Path(file.name), size, digest)


def too_large(max_bytes: int) -> Problem:
    """413 for a file of more than `max_bytes` bytes."""
    return Problem(
        413, f"The file is too large: at most {max_bytes / 1024 / 1024:g} MiB are accepted."
    )


@contextmanager
def _disk_errors_as_problems(path: object) -> Iterator[None]:
    """Problem 503 where the disk fails; the path is only logged."""
    try:
        yield
    except OSError as error:
        logger.warning("forms: %s: %s", path, error.strerror)
        words = (error.strerror or "the disk cannot be used").lower()
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise unavailable(
            f"No file can be accepted at the moment: {words}. Send it again.",
            FULL_SECONDS if full else 5,
        ) from None


async def _read(
    request: web.Request,
    file: IO[bytes],
    limits: FormLimits,
    max_bytes: int,
    check_head: Callable[[bytes], None],
) -> tuple[dict[str, str], int | None, str]:
    """Every field as text, and the size and digest of the file."""
    fields: dict[str, str] = {}
    size: int | None = None
    digest = ""
    progress = _Progress(limits.slowest)
    reader = await request.multipart()
    for _ in range(PARTS):
        async with progress.deadline():
            part = await reader.next()
        if part is None:
            return fields, size, digest
        if isinstance(part, MultipartReader):
            raise malformed("A form within a form is not accepted.")
        if part.name == "file":
            if size is not None:
                raise invalid(["file"], "A form may hold one file. Send the others by themselves.")
            size, digest = await _store(part, file, limits, progress, max_bytes, check_head)
        else:
            text = await _field(part, progress)
            if part.name in fields:
                raise invalid([part.name], "Send each field once.")
            if part.name is not None:
                fields[part.name] = text
    raise malformed(f"A form has at most {PARTS} parts.")


async def _store(
    part: BodyPartReader,
    file: IO[bytes],
    limits: FormLimits,
    progress: _Progress,
    max_bytes: int,
    check_head: Callable[[bytes], None],
) -> tuple[int, str]:
    hashed = hashlib.sha256()
    size = 0
    checked = False
    pending = bytearray()

    def write(piece: bytes) -> None:
        check_free_space(limits.folder, limits.reserve)
        hashed.update(piece)
        left = memoryview(piece)
        while left:
            left = left[file.write(left) :]

    while True:
        async with progress.deadline():
            chunk = await part.read_chunk(CHUNK_BYTES)
        progress.sent += len(chunk)
        size += len(chunk)
        pending += chunk
        if size > max_bytes:
            raise too_large(max_bytes)
        if not checked and (len(pending) >= HEAD_BYTES or not chunk):
            check_head(bytes(pending[:HEAD_BYTES]))
            checked = True
        if len(pending) >= CHUNK_BYTES or not chunk:
            with _disk_errors_as_problems(file.name):
                await asyncio.to_thread(write, bytes(pending))
            pending.clear()
        if not chunk:
            return size, hashed.hexdigest()


async def _field(part: BodyPartReader, progress: _Progress) -> str:
    value = bytearray()
    while True:
        async with progress.deadline():
            chunk = await part.read_chunk(FIELD_BYTES)
        progress.sent += len(chunk)
        if not chunk:
            break
        value += chunk
        if len(value) > FIELD_BYTES:
            raise Problem(413, f"The field {part.name!r} is too long.")
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise malformed(f"The field {part.name!r} is not UTF-8.") from None
