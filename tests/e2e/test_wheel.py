"""The wheel, in a fresh environment and an empty folder: nothing is missing."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import urllib.request
import zipfile
from pathlib import Path
from typing import Any

import pytest

from support.server_process import ROOT
from support.tmux import Tmux
from support.waiting import PATIENCE, wait_for
from tools.ports import free_port

pytestmark = [pytest.mark.others, pytest.mark.timeout(300)]

VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
SOURCES = ("server", "tui", "web", "pyproject.toml", "README.md", "LICENSE")
MADE = shutil.ignore_patterns("__pycache__", "*.pyc")


def uv(*arguments: str, folder: Path) -> None:
    """Run uv, which has to succeed."""
    command = [sys.executable, "-m", "uv", "--quiet", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy, as a build leaves folders in the tree."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / "source" / name, ignore=MADE)
        else:
            shutil.copy(ROOT / name, folder / "source")
    uv("build", "--wheel", "--out-dir", str(folder), "source", folder=folder)
    [found] = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def commands(wheel: Path) -> Path:
    """The bin folder of a fresh environment with the wheel; its dependencies are this one's."""
    home = wheel.parent / "environment"
    uv("venv", "--python", sys.executable, str(home), folder=wheel.parent)
    python = str(home / "bin" / "python")
    uv("pip", "install", "--no-deps", "--python", python, str(wheel), folder=wheel.parent)
    [packages] = home.glob("lib/python*/site-packages")
    # .pth files are not searched in a path that a .pth file names, and one leads to this tree.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return home / "bin"


@pytest.fixture
def nowhere(tmp_path: Path) -> Path:
    """An empty folder."""
    folder = tmp_path / "nowhere"
    folder.mkdir()
    return folder


def environment(tmp_path: Path, **more: str) -> dict[str, str]:
    """The environment without what would lead to this tree or to settings of this machine."""
    ours = ("TIFFIN_", "PYTHON", "VIRTUAL_ENV")
    ours += ("XDG_", "MAKE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return kept | {"HOME": str(tmp_path), "PORT": ""} | more


def test_the_wheel_holds_every_file_of_the_packages(wheel: Path) -> None:
    here = {
        path.relative_to(ROOT).as_posix()
        for package in ("server", "tui", "web")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(wheel) as file:
        held = set(file.namelist())
    assert here <= held, here - held
    packages = {"server", "tui", "web"}
    assert {name.split("/")[0] for name in held} == packages | {f"tiffin-{VERSION}.dist-info"}


@pytest.mark.parametrize(
    "command", ["tiffin-server", "tiffin-customer", "tiffin-employee", "tiffin-demo", "tiffin-lab"]
)
def test_each_command_prints_its_version_anywhere(
    commands: Path, nowhere: Path, tmp_path: Path, command: str
) -> None:
    for argument, words in (
        ("--version", f"{command} {VERSION}\n"),
        ("--help", f"usage: {command}"),
    ):
        done = subprocess.run(
            [commands / command, argument],
            cwd=nowhere,
            env=environment(tmp_path),
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(words)
    assert not [*nowhere.iterdir()]


def test_server_and_apps_work_from_an_empty_folder(
    commands: Path, nowhere: Path, tmp_path: Path, tmux: Tmux
) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    more = {"TIFFIN_PHOTO_WORKERS": "0"}
    server = subprocess.Popen(
        [commands / "tiffin-server", "--demo", "--port", str(port)],
        cwd=nowhere,
        env=environment(tmp_path, **more),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        assert server.stdout.readline() == f"Tiffin listens on {url}\n"
        session = asked(url, "/auth/demo", body=b'{"role": "customer"}')
        token = str(session["access_token"])
        assert asked(url, "/map", token)["features"]
        [first, *_] = asked(url, "/restaurants", token)["items"]
        menu = asked(url, f"/restaurants/{first['id']}", token)["menu"]
        photo = next(dish["photo_url"] for dish in menu if "photo_url" in dish)
        assert fetched(url + photo, token).startswith(b"\x89PNG")
        for app, panel in (("customer", "1 Orders"), ("employee", "1 Kitchen")):
            command = f"cd {nowhere} && {commands / f'tiffin-{app}'} --server {url}"
            window = tmux.run_in(app, command, (80, 24), PYTHONPATH="")
            window.sees("Enter the demo")
            window.press("Enter")
            window.sees(panel)
            window.press("C-q")
            assert window.ends() == 0
    finally:
        server.terminate()
        assert server.wait(timeout=PATIENCE) == 0
    assert not [*nowhere.iterdir()]
    kept = tmp_path / (
        "Library/Application Support" if sys.platform == "darwin" else ".local/share"
    )
    assert (kept / "tiffin" / "demo" / "tiffin.sqlite3").exists()


def test_the_installed_demo_begins_alive(
    commands: Path, nowhere: Path, tmp_path: Path, tmux: Tmux
) -> None:
    """An order is on its way, its question answered, a photo done, and the model is fetched for
    others, without anybody having done anything."""
    port = free_port()
    command = f"cd {nowhere} && {commands / 'tiffin-demo'} --port {port} --pace 0.5"
    more = {"PYTHONPATH": "", "MAKELEVEL": "", "U2NET_HOME": str(tmp_path / "model")}
    window = tmux.run_in("demo", command, (160, 48), **more)
    window.sees("Enter the demo", "online")
    window.press("Enter")
    window.sees("Curry Leaf", "On its way")
    window.sees("automatic assistant")
    window.sees("done: your avatar")
    model = tmp_path / "model" / "models" / "u2netp" / "u2netp.onnx"
    wait_for(model.exists, what="the model")
    window.press("C-q")
    assert window.ends() == 0
    assert not [*nowhere.iterdir()]


def asked(url: str, path: str, token: str = "", body: bytes | None = None) -> Any:
    """The JSON that the server answers."""
    return json.loads(fetched(f"{url}/api/v1{path}", token, body))


def fetched(url: str, token: str, body: bytes | None = None) -> bytes:
    """The response's body, which may take a moment after the start."""
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(url, data=body, headers=headers)

    def content() -> bytes:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return bytes(answer.read())

    return wait_for(content)
