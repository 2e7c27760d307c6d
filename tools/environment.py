"""Installs a lock file into `.venv`, once; needs the standard library alone and works with any pip.

`run` is what the server and the apps need but for photos, `photos` also what those need, with their
model, and `dev` also what the tests and checks need. A stamp file records what was installed, so
that the next run takes no time. Concurrent runs wait for each other.

`make demo` installs what photos need while a server and an app run from `.venv`, and may end at any
moment: it is installed into a folder of its own, and moved to the rest once it is complete.
"""

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / ".venv"
PYTHON = HOME / "bin" / "python"
STAMP = HOME / "tiffin-stamp.json"
GUARD = ROOT / "tui" / "common" / "parent_guard.py"
LOCKS = {
    "run": ROOT / "requirements.lock",
    "photos": ROOT / "requirements-photos.lock",
    "dev": ROOT / "requirements-dev.lock",
}
STAGING = "photos-"
LAST = ("onnxruntime", "rembg")
"""What the server looks for, to know that everything has come."""
NICENESS = 10


def main() -> int:
    kind = sys.argv[1] if len(sys.argv) == 2 else ""
    if kind not in LOCKS:
        say("usage: tools/setup run|photos|dev")
        return 2
    # Before the lock: `make employee` does not wait until `make demo` has installed the rest.
    if is_current(kind):
        return 0
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


def is_current(kind: str) -> bool:
    """Whether everything of that kind is there, as the lock files and pyproject.toml say."""
    stamp = read_stamp()
    kinds = ("run", "photos") if kind == "photos" else (kind,)
    current = all(stamp.get(one) == digest(LOCKS[one]) for one in kinds)
    return current and stamp.get("project") == project_digest() and is_intact(stamp)


def renew(kind: str) -> None:
    """Bring `.venv` to the lock with as little work as possible, and nothing else in it."""
    wanted = {name: digest(path) for name, path in LOCKS.items()}
    stamp = read_stamp()
    if not is_intact(stamp):
        if HOME.exists():
            say("Making .venv again: it was incomplete, broken or not made by make.")
        make_empty()
        stamp = {}
    # The development lock contains all of the other ones. After any other change packages may be
    # left that the lock does not name.
    if any(stamp.get(name) not in (None, wanted[name]) for name in ("run", "photos")):
        say("The lock file has changed; making .venv again.")
        make_empty()
        stamp = {}
    first = "dev" if kind == "dev" else "run"
    if stamp.get(first) != wanted[first]:
        forget_stamp()
        install_lock(first)
        stamp |= wanted if first == "dev" else {first: wanted[first]}
        stamp.pop("project", None)
    if stamp.get("project") != project_digest():
        forget_stamp()
        install("--no-deps", "--editable", ".")
        stamp |= {"project": project_digest(), "home": str(HOME)}
        write_stamp(stamp)
    if kind == "photos" and stamp.get("photos") != wanted["photos"]:
        install_photos()
        write_stamp(stamp | {"photos": wanted["photos"]})


def install_lock(kind: str) -> None:
    lock = LOCKS[kind]
    size = "; ".join(re.findall(r"^# Installed.*?: (.*)\.$", lock.read_text(), re.MULTILINE))
    say(f"Installing {lock.name} into .venv (once{f'; {size}' if size else ''}).")
    pinned = len(re.findall(r"^[^#\s].*==", lock.read_text(), re.MULTILINE))
    install(
        "--no-compile",
        "--require-hashes",
        "-r",
        lock.name,
        packages=pinned if sys.stderr.isatty() else 0,
    )


def install_photos() -> None:
    """Install what only photos need. Whatever ends it, the next run makes it complete.

    Each entry is moved in one step, and those that the server looks for are the last.
    """
    os.nice(NICENESS)  # somebody uses the app meanwhile
    for left in HOME.glob(f"{STAGING}*"):
        shutil.rmtree(left)
    fetch_model = [PYTHON, "-m", "server.features.uploads.fetch_model"]
    subprocess.run(fetch_model, cwd=ROOT, stdin=subprocess.DEVNULL, check=False)
    with tempfile.TemporaryDirectory(prefix=STAGING, dir=HOME) as staging:
        packages = Path(staging, "packages")
        os.environ["TMPDIR"] = staging  # so that a killed pip leaves nothing elsewhere
        lock = ("--require-hashes", "-r", LOCKS["photos"].name)
        say(f"Installing {LOCKS['photos'].name} (once), while the demo runs.")
        install("--no-deps", "--no-compile", "--target", str(packages), *lock)
        site = Path(sysconfig.get_path("purelib", "venv", {"base": str(HOME)}))
        for entry in sorted(packages.iterdir(), key=lambda path: path.name in LAST):
            if entry.name == "bin":
                continue
            target = site / entry.name
            if target.is_dir():  # of a run that was ended between two steps
                shutil.rmtree(target)
            entry.rename(target)
    say("Photos can be processed now.")


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


def write_stamp(stamp: dict[str, str]) -> None:
    temporary = STAMP.with_suffix(".tmp")
    temporary.write_text(json.dumps(stamp))
    temporary.replace(STAMP)


def install(*arguments: str, packages: int = 0) -> None:
    """Run pip without settings that would install elsewhere. It ends with this process.

    With a number of `packages` it says on one line of the terminal how many of them it has.
    """
    environment = os.environ | {
        "PIP_USER": "0",
        "PIP_REQUIRE_VIRTUALENV": "0",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INPUT": "1",
        "PIP_PROGRESS_BAR": "off",
        "PIP_ROOT_USER_ACTION": "ignore",
    }
    for name in ("PYTHONPATH", "PYTHONHOME", "PIP_TARGET", "PIP_PREFIX"):
        environment.pop(name, None)
    command = [PYTHON, "-P", GUARD, "pip", "install", *arguments]
    with tempfile.TemporaryFile("w+") as errors:  # which also hold warnings: shown if it fails
        pip = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        assert pip.stdout is not None
        found = 0
        for line in pip.stdout:
            word, _, rest = line.partition(" ")
            if not packages:
                continue
            packages -= word == "Ignoring"  # it is for another system
            found += word == "Collecting"
            if word in ("Collecting", "Installing"):
                name = rest.partition("=")[0] if word == "Collecting" else "installing them all"
                progress(f"  {min(found, packages)} of {packages}: {name.strip()}")
        if packages:
            progress("")
        if code := pip.wait():
            errors.seek(0)
            say(errors.read().rstrip())
            raise subprocess.CalledProcessError(code, command)


def progress(words: str) -> None:
    """Show these on the terminal's line, in place of those before."""
    print(f"\r\x1b[K{words}", end="", file=sys.stderr, flush=True)


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
