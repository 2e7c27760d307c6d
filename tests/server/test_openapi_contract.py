"""The served document is complete: schemathesis finds no answer that it does not name."""

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.rest import Rest
from support.server_process import StartServer

UNUSED_CHECKS = "positive_data_acceptance,object_level_authorization,allow_header_conformance"
"""A rule may refuse what a schema cannot, with a documented 422; who may do what to whose, and with
which method, is in `test_route_table`."""
# Acknowledgements can be read after an announcement was withdrawn, a run after it was stopped.
CONFIGURATION = """
[[operations]]
include-path-regex = "/acks$|/lab/runs/"
checks.use_after_free.enabled = false
"""
EVERY = "examples,coverage,fuzzing,stateful"
others = pytest.mark.others


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("role", "phases", "examples"),
    [
        # An employee may do most. `support.rest` checks the answers to what all tests send.
        pytest.param("employee", "fuzzing", 1, id="employee-short"),
        pytest.param("customer", EVERY, 5, marks=others, id="customer-every phase"),
        pytest.param("employee", EVERY, 5, marks=others, id="employee-every phase"),
        pytest.param("customer", "stateful", 100, marks=others, id="customer-made and removed"),
        pytest.param("employee", "stateful", 100, marks=others, id="employee-made and removed"),
    ],
)
async def test_no_undocumented_answer(
    start_server: StartServer, tmp_path: Path, role: str, phases: str, examples: int
) -> None:
    server = start_server(demo=True, env={"TIFFIN_LONG_POLL_SECONDS": "1"})
    async with Rest(server.url) as rest:
        await rest.demo(role)
        token = rest.token
    tool = shutil.which("st", path=str(Path(sys.executable).parent))
    assert tool, "schemathesis is not installed beside this Python"
    (tmp_path / "schemathesis.toml").write_text(CONFIGURATION)
    run = await asyncio.to_thread(
        subprocess.run,
        [
            tool,
            "run",
            f"{server.url}/api/v1/openapi.json",
            *("-H", f"Authorization: Bearer {token}"),
            *("--exclude-checks", UNUSED_CHECKS),
            # A stream does not end, and after the account is deleted everything would be 401.
            *("--exclude-path-regex", "/stream$", "--exclude-operation-id", "delete_account"),
            *("--phases", phases, "--max-examples", str(examples)),
            *("--seed", "1", "--request-timeout", "10"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert run.returncode == 0, run.stdout[-8000:] + run.stderr[-2000:]
    assert "generated" in run.stdout
