"""The worker: rembg in a process of its own, which may be killed at any time.

Only here is rembg imported. The server imports this module for the names of its functions alone.
"""

import os
import resource
import threading
from dataclasses import dataclass
from multiprocessing import connection, parent_process
from pathlib import Path
from typing import TYPE_CHECKING, Any

from server.features.uploads.header import Unreadable
from server.features.uploads.models import trouble_with

if TYPE_CHECKING:
    from PIL.Image import Image

OUT_OF_MEMORY = 77
"""The exit code of a worker that needed more memory than it may."""
NICENESS = 10
"""The event loop goes first: a photo may take a little longer, an order may not."""
ENVIRONMENT = {
    # Without this, rembg's first import compiles for a minute what is not used here.
    "NUMBA_DISABLE_JIT": "1",
    # Two workers of one thread are quicker than one of two.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}

_session: Any = None


class ModelTrouble(Exception):
    """The model cannot be used, in words."""


@dataclass(frozen=True, slots=True)
class Cut:
    """What a worker has made, in files of the folder it was given; the size is in pixels."""

    original: str
    original_type: str
    result: str
    width: int
    height: int


def prepare(model: str, home: str, growth: int) -> None:
    """Load the model from that home; from then on the process may grow by `growth` bytes.

    Raises ModelTrouble.
    """
    global _session
    os.environ |= ENVIRONMENT | {"U2NET_HOME": home}
    os.nice(NICENESS)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
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
    except Exception as error:
        raise ModelTrouble(f"the model {model} cannot be loaded: {error}") from None
    # Pillow is loaded too, before there is less memory than it takes.
    import server.features.uploads.picture  # noqa: F401

    size = _size()
    if size is not None:
        # Not RLIMIT_AS, which counts what allocators and threads only reserve: that may double
        # from one moment to the next.
        resource.setrlimit(resource.RLIMIT_DATA, (size + growth, size + growth))


def process(source: str, folder: str) -> Cut:
    """Take the background out of the picture in the file `source`.

    Raises Unreadable, in words for whoever sent it. Ends the process where memory runs out.
    """
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
    original_type = keep_picture(picture, folder / "original")
    cut_out(picture, _mask(on_white(picture)), folder / "result")
    return Cut("original", original_type, "result", *picture.size)


def _mask(picture: "Image") -> "Image":
    import rembg

    assert _session is not None, "prepare comes first"
    mask: Image = rembg.remove(picture, session=_session, only_mask=True).convert("L")
    _, most = mask.getextrema()
    if not isinstance(most, int) or most < 128:
        raise Unreadable(
            "Nothing in the picture stands out from its background. Come closer, or put it in"
            " front of something plain."
        )
    return mask


def _end_with_parent() -> None:
    """A worker whose server was killed would wait for its next job for ever."""
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


def _size() -> int | None:
    """The memory the process has to itself, in bytes; None where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[5])
    except OSError:
        return None
    return pages * resource.getpagesize()
