"""Third-party tools on the served document: generated clients place an order, linters accept it.

They come from PyPI and npm, into a cache folder outside of the tree; where that fails, the tests
are skipped.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.server_process import StartServer
from tools import azurite

pytestmark = [pytest.mark.others, pytest.mark.timeout(600)]

HERE = Path(__file__).parent / "clients"
PYTHON_TOOL = "openapi-python-client==0.29.1"
NPM_TOOLS = (
    *("openapi-typescript@7.13.0", "openapi-fetch@0.17.0", "typescript@5.9.3"),
    *("@redocly/cli@2.77.0", "@stoplight/spectral-cli@6.16.3"),
)
INSTALL_SECONDS = 300


@pytest.fixture(scope="module")
def npm_tools() -> Path:
    """The folder of npm's packages."""
    digest = hashlib.sha256(" ".join(NPM_TOOLS).encode()).hexdigest()[:12]
    target = azurite.folder() / f"clients-{digest}"
    try:
        if not target.exists():
            azurite.install(target, *NPM_TOOLS)
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"npm cannot get them: {error}")
    return target / "node_modules"


@pytest.fixture(scope="module")
def python_tool() -> Path:
    """The bin folder of a virtual environment with the generator and its clients' dependencies."""
    target = azurite.folder() / PYTHON_TOOL.replace("==", "-")
    draft = target.with_name(f"{target.name}.{os.getpid()}")
    uv = [sys.executable, "-m", "uv", "--quiet"]
    try:
        if not target.exists():
            run([*uv, "venv", "--relocatable", str(draft)], draft.parent)
            python = str(draft / "bin" / "python")
            run([*uv, "pip", "install", "--python", python, PYTHON_TOOL], draft.parent)
            draft.rename(target)
    except (AssertionError, OSError, subprocess.SubprocessError) as error:
        shutil.rmtree(draft, ignore_errors=True)
        pytest.skip(f"{PYTHON_TOOL} cannot be had: {error}")
    return target / "bin"


def run(command: list[str], folder: Path) -> str:
    """Run the command, which has to succeed; returns its output."""
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=INSTALL_SECONDS,
    )
    assert done.returncode == 0, f"{command[0]}: {done.stdout[-4000:]}{done.stderr[-4000:]}"
    return done.stdout + done.stderr


def node_tool(npm_tools: Path, script: str, *arguments: str) -> list[str]:
    """The command of an npm package's script."""
    node = shutil.which("node") or azurite.fetched_node()
    return [str(node), str(npm_tools / script), *arguments]


def was_placed(told: str) -> None:
    """An order of two of a dish, as the client has read the answers."""
    order: dict[str, Any] = json.loads(told.strip().splitlines()[-1])
    assert order["status"] == "placed"
    assert order["total"] == 2 * order["dish"]
    assert order["name"]
    assert "note" not in order


def test_a_client_generated_for_python_places_an_order(
    start_server: StartServer, python_tool: Path, tmp_path: Path
) -> None:
    server = start_server(demo=True, env={"TIFFIN_PHOTO_WORKERS": "0"})
    told = run(
        [
            *(str(python_tool / "openapi-python-client"), "generate", "--meta", "none"),
            *("--url", f"{server.url}/api/v1/openapi.json"),
            *("--output-path", str(tmp_path / "tiffin_client")),
        ],
        tmp_path,
    )
    # It cannot parse binary bodies, and those are all that it may leave out.
    assert told.count("Cannot parse") == told.count("Unsupported content_type image/"), told
    shutil.copy(HERE / "place_order.py", tmp_path)
    was_placed(run([str(python_tool / "python"), "place_order.py", server.url], tmp_path))


def test_a_client_generated_for_typescript_places_an_order(
    start_server: StartServer, npm_tools: Path, tmp_path: Path
) -> None:
    server = start_server(demo=True, env={"TIFFIN_PHOTO_WORKERS": "0"})
    for name in ("place_order.ts", "tsconfig.json"):
        shutil.copy(HERE / name, tmp_path)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "node_modules").symlink_to(npm_tools)
    document = f"{server.url}/api/v1/openapi.json"
    script = "openapi-typescript/bin/cli.js"
    run(node_tool(npm_tools, script, document, "-o", "api.d.ts"), tmp_path)
    run(node_tool(npm_tools, "typescript/bin/tsc"), tmp_path)
    was_placed(run(node_tool(tmp_path, "made/place_order.js", server.url), tmp_path))


def test_linters_find_only_what_is_decided(
    start_server: StartServer, npm_tools: Path, tmp_path: Path
) -> None:
    server = start_server(env={"TIFFIN_PHOTO_WORKERS": "0"})
    document = f"{server.url}/api/v1/openapi.json"
    told = run(
        node_tool(
            *(npm_tools, "@redocly/cli/bin/cli.js", "lint", document),
            *("--config", str(HERE / "redocly.yaml"), "--format", "json"),
        ),
        tmp_path,
    )
    assert '"problems": []' in told, told
    run(
        node_tool(
            *(npm_tools, "@stoplight/spectral-cli/dist/index.js", "lint", document),
            *("--ruleset", str(HERE / "spectral.yaml"), "--fail-severity", "hint"),
        ),
        tmp_path,
    )
