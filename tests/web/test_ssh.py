"""The configuration of docs/ssh.md in a real sshd on loopback."""

import getpass
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.server_process import ROOT, ServerProcess
from support.waiting import wait_until
from tools.ports import free_port

pytestmark = pytest.mark.others

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin") or ""


@pytest.fixture
def ssh(tmp_path: Path, start_server: Callable[..., ServerProcess]) -> Iterator[list[str]]:
    """How to connect to an sshd with the directives of the page, for this user."""
    if not (SSHD and shutil.which("ssh")):
        pytest.skip("sshd is not installed: this test lets visitors in over ssh")
    server = start_server(demo=True)
    block = (ROOT / "docs" / "ssh.md").read_text().split("```")[3]
    command = f"/usr/bin/env PYTHONPATH={ROOT} {sys.executable} -m tui.customer"
    block = re.sub(r"/opt/\S+", command, block).replace("http://127.0.0.1:8080", server.url)
    block = block.replace("Match User visitor", f"Match User {getpass.getuser()}")
    for name in ("host", "visitor"):
        subprocess.run(
            ["ssh-keygen", "-qN", "", "-t", "ed25519", "-f", tmp_path / name], check=True
        )
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    port = free_port()
    config = tmp_path / "sshd_config"
    config.write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {tmp_path}/host\nPidFile none\n"
        f"AuthorizedKeysFile {tmp_path}/visitor.pub\nStrictModes no\nUsePAM no\n"
        f"PermitRootLogin yes\n{block}"
    )
    sshd = subprocess.Popen([SSHD, "-D", "-e", "-f", config], stderr=subprocess.DEVNULL)
    options = ("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "BatchMode=yes",
               "ConnectionAttempts=20", "ExitOnForwardFailure=yes")  # fmt: skip
    yield [
        *("ssh", "-F", "none", "-i", str(tmp_path / "visitor"), "-p", str(port)),
        *(part for option in options for part in ("-o", option)),
        f"{getpass.getuser()}@127.0.0.1",
    ]
    sshd.terminate()
    sshd.wait(10)


async def test_a_visitor_gets_the_app_whatever_is_asked_for(ssh: list[str]) -> None:
    plain = subprocess.run([*ssh, "echo", "a", "shell"], capture_output=True, timeout=60)  # noqa: ASYNC221
    assert plain.returncode == 2
    assert b"needs a terminal" in plain.stderr
    assert b"a shell" not in plain.stdout
    window = subprocess.Popen(  # noqa: ASYNC220
        [ssh[0], "-tt", *ssh[1:], "id"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert window.stdin is not None
    assert window.stdout is not None
    os.set_blocking(window.stdout.fileno(), False)
    shown = b""

    def shows(words: bytes) -> bool:
        nonlocal shown
        assert window.stdout is not None
        shown += window.stdout.read() or b""
        return words in shown

    try:
        await wait_until(lambda: shows(b"Enter the demo as a customer"))
        window.stdin.write(b"\x1a\x1b[13~\r")  # ^Z and F3 do nothing; Enter logs in
        window.stdin.flush()
        await wait_until(lambda: shows(b"New order"))
        assert b"uid=" not in shown
        window.stdin.write(b"\x11")
        window.stdin.flush()
        await wait_until(lambda: window.poll() is not None)
    finally:
        window.kill()
        window.wait(10)


def test_no_port_is_forwarded(ssh: list[str]) -> None:
    asked = [*ssh[:-1], "-N", "-R", f"{free_port()}:127.0.0.1:1", ssh[-1]]
    refused = subprocess.run(asked, capture_output=True, timeout=60)
    assert refused.returncode == 255
    assert b"forwarding failed" in refused.stderr
