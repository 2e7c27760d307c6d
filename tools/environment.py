"""Installs a lock file into `.venv`, once; needs the standard library alone and works with any pip.

`run` is what the server and the apps need, `dev` also what the tests and checks need. A stamp file
records what was installed, so that the next run takes no time. Concurrent runs wait for each other.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / ".venv"
PYTHON = HOME / "bin" / "python"
STAMP = HOME / "tiffin-stamp.json"
LOCKS = {"run": ROOT / "requirements.lock", "dev": ROOT / "requirements-dev.lock"}


def main() -> int:
    kind = sys.argv[1] if len(sys.argv) == 2 else ""
    if kind not in LOCKS:
        say("usage: tools/setup run|dev")
        return 2
    # A file that always exists, so that the lock leaves nothing behind.
    with (ROOT / "Makefile").open() as makefile:
        try:
            fcntl.flock(makefile, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("Another make is setting up; waiting for it.")
            fcntl.flock(makefile, fcntl.LOCK_EX)
        try:
            renew(kind)
        except subprocess.CalledProcessError as failure:
            say(f"Setting up failed (exit code {failure.returncode}).")
            say("When the network is back, run the same command again. To start over: make clean")
            return 1
        except KeyboardInterrupt:
            return 130
    return 0


def renew(kind: str) -> None:
    """Bring `.venv` to the lock with as little work as possible, and nothing else in it."""
    wanted = {name: digest(path) for name, path in LOCKS.items()}
    project = project_digest()
    stamp = read_stamp()
    if not is_intact(stamp):
        if HOME.exists():
            say("Making .venv again: it was incomplete, broken or not made by make.")
        make_empty()
        stamp = {}
    if stamp.get(kind) != wanted[kind]:
        # The development lock contains all of the other one. After any other change packages may
        # be left that the lock does not name.
        if stamp and not (kind == "dev" and stamp.get("run") == wanted["run"]):
            say("The lock file has changed; making .venv again.")
            make_empty()
        forget_stamp()
        say(f"Installing {LOCKS[kind].name} into .venv (once).")
        install("--require-hashes", "-r", LOCKS[kind].name)
        stamp = {"run": wanted["run"]} | ({"dev": wanted["dev"]} if kind == "dev" else {})
    elif stamp.get("project") == project:
        return
    forget_stamp()
    install("--no-deps", "--editable", ".")
    temporary = STAMP.with_suffix(".tmp")
    temporary.write_text(json.dumps(stamp | {"project": project, "home": str(HOME)}))
    temporary.replace(STAMP)


def read_stamp() -> dict[str, str]:
    try:
        stamp = json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def is_intact(stamp: dict[str, str]) -> bool:
    """Whether `.venv` was completed here and still runs."""
    if not stamp or stamp.get("home") != str(HOME):
        return False
    check = "import sys, pip; sys.exit(sys.version_info < (3, 11))"
    try:
        done = subprocess.run([PYTHON, "-I", "-c", check], stderr=subprocess.DEVNULL)
    except OSError:
        return False
    return done.returncode == 0


def make_empty() -> None:
    if HOME.is_symlink() or HOME.is_file():
        HOME.unlink()
    elif HOME.exists():
        shutil.rmtree(HOME)
    say(f"Making .venv with Python {sys.version.split()[0]}.")
    venv.create(HOME, with_pip=True, symlinks=True)


def forget_stamp() -> None:
    STAMP.unlink(missing_ok=True)


def install(*arguments: str) -> None:
    """Run pip without settings that would install elsewhere."""
    environment = os.environ | {
        "PIP_USER": "0",
        "PIP_REQUIRE_VIRTUALENV": "0",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INPUT": "1",
    }
    for name in ("PYTHONPATH", "PYTHONHOME", "PIP_TARGET", "PIP_PREFIX"):
        environment.pop(name, None)
    command = [PYTHON, "-m", "pip", "install", "--quiet", "--quiet", *arguments]
    subprocess.run(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, check=True)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def project_digest() -> str:
    """A digest of the parts of pyproject.toml that an installation depends on."""
    parts = tomllib.loads((ROOT / "pyproject.toml").read_text())
    kept = {name: parts.get(name) for name in ("build-system", "project")}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
