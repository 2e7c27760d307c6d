import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys
from tui.{role}.app import {name}

class Painted({name}):
    CONTENT_CSS = None

    def on_mount(self):
        self.auth.open = self.exit

Painted("http://127.0.0.1:1").run(headless=True, size=(160, 48))
heavy = ("aiohttp", "pydantic", "redis", "server.features", "tui.common.client.session")
print("loaded:", [name for name in heavy if name in sys.modules])
"""


@pytest.mark.parametrize(
    ("role", "name"), [("customer", "CustomerApp"), ("employee", "EmployeeApp")]
)
def test_nothing_heavy_is_imported_before_the_first_paint(
    role: str, name: str, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(role=role, name=name)],
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path), "TEXTUAL_ANIMATIONS": "none"},
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "loaded: []"
