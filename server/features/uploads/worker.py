"""The worker: rembg in a process of its own, which may be killed at any time.

Only here is rembg imported. The server runs this module as a program, asks on its standard input
and reads the answers from its standard output, a line of JSON each. What decodes strangers' files
may be taken over by one of them, so the process holds no secret and may do little: see `confine`.
"""

import contextlib
import ctypes
import errno
import json
import math
import os
import queue
import resource
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict

from server.features.uploads.header import Unreadable
from server.features.uploads.models import trouble_with

if TYPE_CHECKING:
    from PIL.Image import Image

OUT_OF_MEMORY = 77
"""The exit code of a worker that needed more memory than it may."""
NICENESS = 10
"""The event loop goes first: a photo may take a little longer, an order may not."""
OUT_OF_MEMORY_SCORE = "500"
"""Where the machine has no memory left, the kernel ends this process and not the server."""
ENVIRONMENT = {
    # Without this, rembg's first import compiles for a minute what is not used here.
    "NUMBA_DISABLE_JIT": "1",
    # Two workers of one thread are quicker than one of two.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    # Otherwise onnxruntime makes a device id and a queue of reports in the home's cache.
    "ORT_DISABLE_TELEMETRY": "1",
}
"""Set before the process starts: some of it is read when a library is loaded."""
FILE_BYTES = 64 * 1024 * 1024
"""Of a file that it writes: a result of 1280 by 1280 pixels has 7 MB at most."""
OPEN_FILES = 64
FOREGROUND, BACKGROUND, LEAST_SHARE = 0.8, 0.2, 0.002
"""Of what the model itself says of a pixel, from 0 to 1: from where on it stands out, up to where
it does not, and the share of the picture that has to do either.

Measured with u2netp: of the demo's dishes and the tests' photograph 0.095 to 0.550 of the picture
stand out and 0.440 to 0.899 do not; a quarter as wide, 0.023 stand out. Of plain colours, gradients
and grey noise nothing does, and no pixel is above 0.50. Of coloured noise it may say that all of it
stands out, and nothing does not."""
DISK_TROUBLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
"""What keeps it from writing, whatever the photo."""
ORIGINAL, RESULT = "original", "result"
"""The files that it makes. A name that came from the worker could be that of any other file."""

_NO_NEW_PRIVS = 38
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_WRITE_FILE, _READ_FILE, _READ_DIR, _REMOVE_FILE, _MAKE_REG = 1 << 1, 1 << 2, 1 << 3, 1 << 5, 1 << 8
_TRUNCATE = 1 << 14

_session: Any = None


class ModelTrouble(Exception):
    """The model cannot be used, in words."""


class Cut(BaseModel):
    """What a worker has made: the type of ORIGINAL, and the size of RESULT in pixels."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    original_type: Literal["image/jpeg", "image/png"]
    width: int
    height: int


class Answer(BaseModel):
    """What a worker says to a request: one of these, or nothing where it has prepared itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cut: Cut | None = None
    unreadable: str | None = None
    model_trouble: str | None = None
    disk_trouble: str | None = None
    failed: str | None = None


def main() -> None:
    """Answer requests until the server is gone: the first is `prepare`'s, the others `process`'."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # ctrl+c is for the server, which ends this one
    os.environ |= ENVIRONMENT
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is no answer
    print(_answer(prepare, sys.stdin.readline()), file=answers, flush=True)
    for request in _requests():
        print(_answer(process, request), file=answers, flush=True)


def prepare(model: str, home: str, growth: int, seconds: float, folder: str) -> None:
    """Load the model from that home, then give up all that is not needed from then on.

    The process may grow by `growth` bytes, use `seconds` of the processor in all, and write into
    `folder` alone. Raises ModelTrouble.
    """
    global _session
    os.environ["U2NET_HOME"] = home
    os.nice(NICENESS)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(OUT_OF_MEMORY_SCORE)
    trouble = trouble_with(model, Path(home))
    if trouble is not None:  # rembg would go and download it
        raise ModelTrouble(trouble)
    try:
        import onnxruntime
        import rembg

        options = onnxruntime.SessionOptions()
        options.enable_cpu_mem_arena = False  # it keeps what the largest picture has needed
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        _session = rembg.new_session(model, sess_opts=options, providers=["CPUExecutionProvider"])
        _session.inner_session = _Judging(_session.inner_session)
    except Exception as error:
        raise ModelTrouble(f"the model {model} cannot be loaded: {error}") from None
    # Pillow and its decoders are loaded too, before there is less memory than they take and before
    # their libraries may not be read any more.
    from PIL import JpegImagePlugin, PngImagePlugin, WebPImagePlugin  # noqa: F401

    import server.features.uploads.picture  # noqa: F401

    resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(seconds), math.ceil(seconds)))
    size = _size()
    code = Path(__file__).resolve().parents[2]
    confine(reads=[Path(sys.prefix), Path(sys.base_prefix), code], writes=Path(folder))
    if size is not None:
        # Not RLIMIT_AS, which counts what allocators and threads only reserve: that may double
        # from one moment to the next.
        resource.setrlimit(resource.RLIMIT_DATA, (size + growth, size + growth))


def confine(reads: list[Path], writes: Path) -> None:
    """Keep this process from whatever a photo does not need, as far as the system can.

    No core file, no large file, few open ones, no other process and no new privileges. On Linux
    with Landlock also: no file is read outside of `reads` and `writes` or changed outside of
    `writes`, no program is run, no TCP connection made, no other process signalled. Threads that
    are there already keep their rights; those that are started later do not have them.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES, FILE_BYTES))
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
    if sys.platform != "linux":
        return
    libc, long = ctypes.CDLL(None), ctypes.c_long
    libc.prctl(_NO_NEW_PRIVS, long(1), long(0), long(0), long(0))
    version = libc.syscall(_CREATE_RULESET, None, long(0), 1)
    if version < 1:
        return
    # Each version of Landlock knows more rights; what is named here and not allowed is refused.
    files = (1 << {1: 13, 2: 14, 3: 15, 4: 15}.get(version, 16)) - 1
    attributes = (ctypes.c_uint64 * 3)(files, 3 if version >= 4 else 0, 3 if version >= 6 else 0)
    ruleset = libc.syscall(_CREATE_RULESET, attributes, long(ctypes.sizeof(attributes)), 0)
    if ruleset < 0:
        return
    read = _READ_FILE | _READ_DIR
    write = read | _WRITE_FILE | _REMOVE_FILE | _MAKE_REG | _TRUNCATE
    for path, rights in [*((path, read) for path in reads), (writes, write & files)]:
        opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        rule = rights.to_bytes(8, sys.byteorder) + opened.to_bytes(4, sys.byteorder)
        libc.syscall(_ADD_RULE, ruleset, 1, rule, 0)
        os.close(opened)
    libc.syscall(_RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)


def process(source: str, folder: str, seconds: float) -> Cut:
    """Take the background out of the picture in the file `source`, and write ORIGINAL and RESULT.

    Raises Unreadable, in words for whoever sent it. Ends the process where memory runs out, or
    where it has used more than `seconds` of the processor, to the next whole one.
    """
    used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (min(math.ceil(used + seconds), most), most))
    try:
        return _process(Path(source), Path(folder))
    except MemoryError:
        os._exit(OUT_OF_MEMORY)
    except Unreadable:
        raise
    except Exception as error:
        if "alloc" in str(error):  # onnxruntime has exceptions of its own
            os._exit(OUT_OF_MEMORY)
        raise


def _process(source: Path, folder: Path) -> Cut:
    from server.features.uploads.picture import cut_out, keep_picture, on_white, read_picture

    picture = read_picture(source)
    original_type = keep_picture(picture, folder / ORIGINAL)
    cut_out(picture, _mask(on_white(picture)), folder / RESULT)
    width, height = picture.size
    return Cut(original_type=original_type, width=width, height=height)


class _Judging:
    """A model's session that refuses a picture of nothing.

    rembg stretches each mask so that its least is 0 and its most is 1, which makes a ghost of what
    hardly differs: so it is judged as the model gives it, by all of them between 0 and 1.
    """

    def __init__(self, session: Any) -> None:
        self._session = session
        self.get_inputs = session.get_inputs

    def run(self, names: Any, inputs: Any) -> Any:
        """What the model says of the picture. Raises Unreadable."""
        found = self._session.run(names, inputs)
        mask = found[0][:, 0]
        if min((mask > FOREGROUND).mean(), (mask < BACKGROUND).mean()) < LEAST_SHARE:
            raise Unreadable(
                "Nothing in the picture stands out from its background. Take the photo again, in"
                " good light, with the whole of one dish or person in front of something plain."
            )
        return found


def _mask(picture: "Image") -> "Image":
    import rembg

    assert _session is not None, "prepare comes first"
    mask: Image = rembg.remove(picture, session=_session, only_mask=True).convert("L")
    return mask


def _requests() -> Iterator[str]:
    """The server's requests. When its end of the pipe closes, it is gone: so is this process,
    whatever it does at the moment."""
    arrived: queue.SimpleQueue[str] = queue.SimpleQueue()

    def read() -> None:
        for line in sys.stdin:
            arrived.put(line)
        os._exit(1)

    threading.Thread(target=read, daemon=True).start()
    while True:
        yield arrived.get()


def _answer(do: Any, request: str) -> str:
    if not request:
        os._exit(1)
    try:
        answer = Answer(cut=do(**json.loads(request)))
    except Unreadable as error:
        answer = Answer(unreadable=str(error))
    except ModelTrouble as error:
        answer = Answer(model_trouble=str(error))
    except Exception as error:
        if isinstance(error, OSError) and error.errno in DISK_TROUBLE:
            return Answer(disk_trouble=os.strerror(error.errno).lower()).model_dump_json()
        answer = Answer(failed=traceback.format_exc(limit=-5))
    return answer.model_dump_json()


def _size() -> int | None:
    """The memory the process has to itself, in bytes; None where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[5])
    except OSError:
        return None
    return pages * resource.getpagesize()


if __name__ == "__main__":
    main()
