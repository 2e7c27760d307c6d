"""The program of a worker process: removes backgrounds with rembg, and may be killed at any time.

Only this module imports rembg. The server runs it as a program, writes requests to its standard
input and reads replies from its standard output, one line of JSON each. A malicious photo may take
over the process that decodes it, so the process holds no secret and may do little: see `confine`.
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
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict

from server.features.uploads.image_header import Unreadable
from server.features.uploads.rembg_models import model_error

if TYPE_CHECKING:
    from PIL.Image import Image

OUT_OF_MEMORY = 77
"""The exit code of a worker that reached its memory limit."""
NICENESS = 10
"""The event loop has priority: a photo may take a little longer, an order may not."""
OOM_SCORE = "500"
"""Where the machine runs out of memory, the kernel ends this process and not the server."""
ENVIRONMENT = {
    # Should rembg import more of pymatting than UNUSED, that would be compiled for a minute.
    "NUMBA_DISABLE_JIT": "1",
    # Two workers with one thread each are faster than one with two.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    # Otherwise onnxruntime stores a device id and a queue of reports in the home directory.
    "ORT_DISABLE_TELEMETRY": "1",
}
"""Set before the process starts, since some are read when a library is loaded."""
MAX_FILE_BYTES = 64 * 1024 * 1024
"""Of a file that it writes; a result of 1280 by 1280 pixels has at most 7 MB."""
MAX_OPEN_FILES = 64
FOREGROUND, BACKGROUND, MIN_SHARE = 0.8, 0.2, 0.002
"""The model rates each pixel from 0 to 1. From FOREGROUND on a pixel stands out, up to
BACKGROUND it does not, and MIN_SHARE of the picture has to do either.

Measured with u2netp: of the demo's dishes and the tests' photograph 0.095 to 0.550 of the picture
stand out and 0.440 to 0.899 do not; at a quarter of the width, 0.023 stand out. Of plain colours,
gradients and grey noise nothing does, and no pixel is above 0.50. Of coloured noise the model may
rate every pixel as foreground."""
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
"""Errors of the disk, not of the photo."""
ORIGINAL, RESULT = "original", "result"
"""The files that it writes. The names are fixed, since a worker that was taken over might name any
other file."""

UNUSED = (
    "pymatting.alpha.estimate_alpha_cf",
    "pymatting.foreground.estimate_foreground_ml",
    "pymatting.util.util",
    "scipy.ndimage",
    "skimage.morphology",
    "jsonschema",
)
"""What rembg imports for alpha matting, smoothing and models that are not used here: half a second
of CPU time and 100 MB for pymatting, a quarter of a second and 33 MB for the others."""
_NO_NEW_PRIVS = 38
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_WRITE_FILE, _READ_FILE, _READ_DIR, _REMOVE_FILE, _MAKE_REG = 1 << 1, 1 << 2, 1 << 3, 1 << 5, 1 << 8
_TRUNCATE = 1 << 14

_session: Any = None


class ModelError(Exception):
    """The model cannot be used; the message says why."""


class Cutout(BaseModel):
    """What a worker has written: the type of ORIGINAL, and the size of RESULT in pixels."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    original_type: Literal["image/jpeg", "image/png"]
    width: int
    height: int


class Reply(BaseModel):
    """The worker's reply to a request: one of these, or none of them after `prepare`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cutout: Cutout | None = None
    unreadable: str | None = None
    model_error: str | None = None
    disk_error: str | None = None
    crash: str | None = None


def main() -> None:
    """Reply to requests until the server is gone: `prepare` first, then `process`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # ctrl+c ends the server, which ends this
    os.environ |= ENVIRONMENT
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is not a reply
    print(_reply(prepare, sys.stdin.readline()), file=replies, flush=True)
    for request in _requests():
        print(_reply(process, request), file=replies, flush=True)


def prepare(model: str, home: str, growth: int, seconds: float, folder: str) -> None:
    """Load the model from `home`, then drop every right that is not needed any more.

    The process may grow by `growth` bytes, use `seconds` of CPU time in all, and write into
    `folder` alone. Raises ModelError.
    """
    global _session
    os.environ["U2NET_HOME"] = home
    os.nice(NICENESS)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(OOM_SCORE)
    error = model_error(model, Path(home))
    if error is not None:  # rembg would download the model
        raise ModelError(error)
    try:
        _leave_out_unused()
        import onnxruntime
        import rembg

        options = onnxruntime.SessionOptions()
        options.enable_cpu_mem_arena = False  # it keeps the memory that the largest picture needed
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        _session = rembg.new_session(model, sess_opts=options, providers=["CPUExecutionProvider"])
        _session.inner_session = _ForegroundCheck(_session.inner_session)
    except Exception as error:
        raise ModelError(f"the model {model} cannot be loaded: {error}") from None
    # Load Pillow and its decoders while there is memory for them and their files may be read.
    from PIL import JpegImagePlugin, PngImagePlugin, WebPImagePlugin  # noqa: F401

    import server.features.uploads.picture  # noqa: F401

    resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(seconds), math.ceil(seconds)))
    size = _data_size()
    code = Path(__file__).resolve().parents[2]
    confine(reads=[Path(sys.prefix), Path(sys.base_prefix), code], writes=Path(folder))
    if size is not None:
        # Not RLIMIT_AS, which counts what allocators and threads only reserve: that may double at
        # any moment.
        resource.setrlimit(resource.RLIMIT_DATA, (size + growth, size + growth))


class _Unused(ModuleType):
    """A module whose functions do nothing."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *_: None


def _leave_out_unused() -> None:
    """Let rembg be imported without what only work that is not done here needs."""
    for name in UNUSED:
        sys.modules.setdefault(name, _Unused(name))


def confine(reads: list[Path], writes: Path) -> None:
    """Deny this process whatever a photo does not need, as far as the system can.

    No core file, no large file, few open files, and no new privileges. On Linux with Landlock also:
    no reading outside of `reads` and `writes`, no changes outside of `writes`, no program, no TCP
    connection, no signal to another process. Threads that exist already keep their rights; later
    ones do not have them.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (MAX_FILE_BYTES, MAX_FILE_BYTES))
    resource.setrlimit(resource.RLIMIT_NOFILE, (MAX_OPEN_FILES, MAX_OPEN_FILES))
    if sys.platform != "linux":
        return
    libc, long = ctypes.CDLL(None), ctypes.c_long
    libc.prctl(_NO_NEW_PRIVS, long(1), long(0), long(0), long(0))
    version = libc.syscall(_CREATE_RULESET, None, long(0), 1)
    if version < 1:
        return
    # Each version of Landlock knows more rights. Those named here and not allowed are denied.
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


def process(source: str, folder: str, seconds: float) -> Cutout:
    """Remove the background of the picture in the file `source`; writes ORIGINAL and RESULT.

    Raises Unreadable, whose message is for the sender. Ends the process where memory runs out, or
    where it has used more than `seconds` of CPU time, rounded up.
    """
    used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    _, maximum = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (min(math.ceil(used + seconds), maximum), maximum))
    try:
        return _process(Path(source), Path(folder))
    except MemoryError:
        os._exit(OUT_OF_MEMORY)
    except Unreadable:
        raise
    except Exception as error:
        if "alloc" in str(error):  # onnxruntime has its own exceptions
            os._exit(OUT_OF_MEMORY)
        raise


def _process(source: Path, folder: Path) -> Cutout:
    from server.features.uploads.picture import cut_out, on_white, read_picture, save_picture

    picture = read_picture(source)
    original_type = save_picture(picture, folder / ORIGINAL)
    cut_out(picture, _mask(on_white(picture)), folder / RESULT)
    width, height = picture.size
    return Cutout(original_type=original_type, width=width, height=height)


class _ForegroundCheck:
    """A model's session that refuses a picture in which nothing stands out.

    rembg stretches each mask to the range from 0 to 1, so that even a faint difference becomes a
    foreground. Therefore the check is of the model's own output.
    """

    def __init__(self, session: Any) -> None:
        self._session = session
        self.get_inputs = session.get_inputs

    def run(self, names: Any, inputs: Any) -> Any:
        """The model's output for the picture. Raises Unreadable."""
        outputs = self._session.run(names, inputs)
        mask = outputs[0][:, 0]
        if min((mask > FOREGROUND).mean(), (mask < BACKGROUND).mean()) < MIN_SHARE:
            raise Unreadable(
                "Nothing in the picture stands out from its background. Take the photo again, in"
                " good light, with the whole of one dish or person in front of something plain."
            )
        return outputs


def _mask(picture: "Image") -> "Image":
    import rembg

    assert _session is not None, "prepare comes first"
    mask: Image = rembg.remove(picture, session=_session, only_mask=True).convert("L")
    return mask


def _requests() -> Iterator[str]:
    """The server's requests. When the pipe closes the server is gone, and this process ends at
    once, whatever it is doing."""
    requests: queue.SimpleQueue[str] = queue.SimpleQueue()

    def read() -> None:
        for line in sys.stdin:
            requests.put(line)
        os._exit(1)

    threading.Thread(target=read, daemon=True).start()
    while True:
        yield requests.get()


def _reply(handler: Any, request: str) -> str:
    if not request:
        os._exit(1)
    try:
        reply = Reply(cutout=handler(**json.loads(request)))
    except Unreadable as error:
        reply = Reply(unreadable=str(error))
    except ModelError as error:
        reply = Reply(model_error=str(error))
    except Exception as error:
        if isinstance(error, OSError) and error.errno in DISK_ERRORS:
            return Reply(disk_error=os.strerror(error.errno).lower()).model_dump_json()
        reply = Reply(crash=traceback.format_exc(limit=-5))
    return reply.model_dump_json()


def _data_size() -> int | None:
    """The process's own memory in bytes; None where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[5])
    except OSError:
        return None
    return pages * resource.getpagesize()


if __name__ == "__main__":
    main()
