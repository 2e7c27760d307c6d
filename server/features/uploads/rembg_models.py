"""The models that may be used and where their files are; a server downloads nothing."""

import hashlib
import importlib.util
import os
from functools import lru_cache
from pathlib import Path

MODELS = {
    "u2netp": "8e83ca70e441ab06c318d82300c84806",
    "u2net": "60024c5c889badc19c04ad937298a77b",
    "silueta": "55e59e0d8062d2f5d013f4725ee84782",
    "isnet-general-use": "fc16ebd8b0c10d971d3513d564d01e29",
}
"""With the MD5 sums that rembg itself pins. The list is fixed: rembg's default model is a gigabyte
under a paid licence, and one of its models sends pictures to a service."""

_HOW_TO_GET = "`tiffin-server fetch-model` puts u2netp there, and `rembg d <name>` others"


def model_home(name: str, data_dir: Path) -> Path:
    """The folder that has to hold `models/<name>/<name>.onnx`: `U2NET_HOME` if it is set, else
    rembg's own if the model is there, else `rembg` in the data folder, where it may still come."""
    if configured := os.environ.get("U2NET_HOME"):
        return Path(configured).expanduser()
    own = data_dir / "rembg"
    if configured := os.environ.get("REMBG_HOME"):
        others = Path(configured).expanduser()
    else:
        xdg = os.environ.get("XDG_DATA_HOME")
        others = (Path(xdg) / "rembg" if xdg else Path("~/.rembg")).expanduser()
    only_there = _model_file(name, others).exists() and not _model_file(name, own).exists()
    return others if only_there else own.resolve()


def packages_missing() -> bool:
    """Whether what the worker imports is not installed, or not yet: `make demo` installs it while
    the server runs, and these two as the last."""
    importlib.invalidate_caches()
    return any(importlib.util.find_spec(name) is None for name in ("onnxruntime", "rembg"))


def model_error(name: str, home: Path) -> str | None:
    """Why the model cannot be used, for the operator; None if it can."""
    path = _model_file(name, home)
    try:
        stat = path.stat()
    except OSError:
        return f"the model {name} is missing: {path} does not exist; {_HOW_TO_GET}"
    try:
        digest = _md5(path, stat.st_mtime_ns, stat.st_size)
    except OSError as error:
        return f"the model {name} cannot be read: {path}: {error.strerror}"
    if digest != MODELS[name]:
        return f"the model {name} is broken: {path} is not the right file; {_HOW_TO_GET}"
    return None


def _model_file(name: str, home: Path) -> Path:
    return home / "models" / name / f"{name}.onnx"


@lru_cache(maxsize=8)
def _md5(path: Path, modified_ns: int, size: int) -> str:
    """Cached until the file changes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
