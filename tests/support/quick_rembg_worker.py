"""A photo worker whose model takes no time: the program of a worker process, for tests.

Only the model's session is a stand-in: what differs from the picture's corner stands out. rembg,
the limits and the replies are real. The model itself takes half a second of CPU time for a photo.
With a path as argument, no photo is done while there is such a file.
"""

import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy
import onnxruntime

from server.features.uploads import rembg_worker

HELD = Path(sys.argv[1]) if len(sys.argv) > 1 else None


class Session:
    """In the place of an `onnxruntime.InferenceSession`."""

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def get_inputs(self) -> list[Any]:
        """The inputs' names."""
        return [SimpleNamespace(name="picture")]

    def run(self, _names: object, inputs: dict[str, Any]) -> list[Any]:
        """1 for each pixel that stands out, 0 for the others."""
        while HELD is not None and HELD.exists():
            time.sleep(0.01)
        pixels = inputs["picture"]
        differences = numpy.abs(pixels - pixels[:, :, :1, :1]).sum(axis=1, keepdims=True)
        return [(differences > 1).astype(numpy.float32)]


if __name__ == "__main__":
    onnxruntime.InferenceSession = Session
    rembg_worker.main()
