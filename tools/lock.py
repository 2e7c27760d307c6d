"""Renews the lock files from pyproject.toml: `make lock`; arguments go to uv, such as `--upgrade`.

What photos alone need is most of an installation, so it has a lock file of its own, which
`make demo` installs while the app already runs. Each lock says how large it is once installed.
"""

import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BASE, PHOTOS, DEV = "requirements.lock", "requirements-photos.lock", "requirements-dev.lock"
PEERS = "benchmarks/peers/servers/fastapi"
ONLY_FOR_PHOTOS = ("onnxruntime", "rembg")
UV = (sys.executable, "-m", "uv", "--quiet", "pip")
HOW = (
    *("--universal", "--python-version", "3.11", "--generate-hashes"),
    *("--no-emit-index-url", "--no-emit-find-links", "--custom-compile-command", "make lock"),
)
PRODUCTION = ("--extra", "production", "--extra", "web")


def main() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    base = [one for one in project["dependencies"] if not one.startswith(ONLY_FOR_PHOTOS)]
    base += [
        one for extra in ("production", "web") for one in project["optional-dependencies"][extra]
    ]
    compile_lock(BASE, "-", text="\n".join(base))
    left_out = [f"--no-emit-package={name}" for name in pinned(BASE)]
    compile_lock(PHOTOS, "pyproject.toml", *PRODUCTION, "-c", BASE, *left_out)
    both = ("-c", BASE, "-c", PHOTOS)
    compile_lock(DEV, "pyproject.toml", *PRODUCTION, "--extra", "dev", *both)
    compile_lock(f"{PEERS}.lock", f"{PEERS}.in")
    for lock in (BASE, PHOTOS):
        add_size(ROOT / lock)


def compile_lock(lock: str, *arguments: str, text: str | None = None) -> None:
    command = [*UV, "compile", *HOW, *sys.argv[1:], *arguments, "-o", lock]
    subprocess.run(command, cwd=ROOT, check=True, text=True, input=text, stdout=subprocess.DEVNULL)


def pinned(lock: str) -> list[str]:
    return re.findall(r"^([\w.-]+).*==", (ROOT / lock).read_text(), re.MULTILINE)


def add_size(lock: Path) -> None:
    """Install it somewhere, and write the size into its head."""
    with tempfile.TemporaryDirectory() as folder:
        command = [*UV, "install", "--no-deps", "--link-mode", "copy", "--target", folder]
        subprocess.run([*command, "-r", str(lock)], check=True)
        size = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
    head = f"# Installed on {sys.platform}: {round(size / 1e6)} MB.\n"
    text = lock.read_text()
    begin = re.search(r"^[^#]", text, re.MULTILINE)
    assert begin is not None
    lock.write_text(text[: begin.start()] + head + text[begin.start() :])


if __name__ == "__main__":
    main()
