"""The models that may be used, and where their files are: nothing is downloaded at run time."""

import hashlib
import os
from functools import lru_cache
from pathlib import Path

MODELS = {
    "u2netp": "8e83ca70e441ab06c318d82300c84806",
    "u2net": "60024c5c889badc19c04ad937298a77b",
    "silueta": "55e59e0d8062d2f5d013f4725ee84782",
    "isnet-general-use": "fc16ebd8b0c10d971d3513d564d01e29",
}
"""A fixed list, by the MD5 sums that rembg itself pins. Its own default is a gigabyte under a paid
licence, and one of its names sends pictures to a service."""

_HOW = "`python tools/model.py` puts u2netp there, and `rembg d <name>` others"


def home_of(name: str, data_dir: Path) -> Path:
    """rembg's home, where `models/<name>/<name>.onnx` has to be: `U2NET_HOME` if set, else
    `rembg` in the data folder where the model is there, else rembg's own."""
    if told := os.environ.get("U2NET_HOME"):
        return Path(told).expanduser()
    ours = data_dir / "rembg"
    if _file(name, ours).exists():
        return ours.resolve()
    if told := os.environ.get("REMBG_HOME"):
        return Path(told).expanduser()
    xdg = os.environ.get("XDG_DATA_HOME")
    return (Path(xdg) / "rembg" if xdg else Path("~/.rembg")).expanduser()


def trouble_with(name: str, home: Path) -> str | None:
    """Why the model in that home cannot be used, in words for who runs the server; None if it
    can."""
    path = _file(name, home)
    try:
        stat = path.stat()
    except OSError:
        return f"the model {name} is missing: {path} is not there; {_HOW}"
    try:
        digest = _md5(path, stat.st_mtime_ns, stat.st_size)
    except OSError as error:
        return f"the model {name} cannot be read: {path}: {error.strerror}"
    if digest != MODELS[name]:
        return f"the model {name} is broken: {path} is not the file that it should be; {_HOW}"
    return None


def _file(name: str, home: Path) -> Path:
    return home / "models" / name / f"{name}.onnx"


@lru_cache(maxsize=8)
def _md5(path: Path, changed: int, size: int) -> str:
    """Read once for as long as the file stays as it is."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
