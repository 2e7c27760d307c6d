import os
import re
import stat
import sys
from pathlib import Path

import crashing_app
import pytest

from support.processes import Terminal
from support.server_process import ROOT
from support.waiting import PATIENCE
from tui.common.crash import FILES_KEPT, CrashReport


def played(folder: Path, *command: str) -> tuple[int, str]:
    """Run it in a terminal of its own; its exit code, and all that it wrote there."""
    terminal = Terminal(
        [sys.executable, *command],
        os.environ
        | {
            "XDG_STATE_HOME": str(folder),
            "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}",
            "TERM": "xterm-256color",
        },
    )
    try:
        return terminal.ends(2 * PATIENCE), terminal.text
    finally:
        terminal.close()


CRASHES = (
    "customer:handler",
    "employee:worker",
    "employee:quiet worker",
    "customer:task",
    "employee:compose",
    "customer:render",
    "employee:start",
    "customer:unmount",
)


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, tuple[str, int]]]:
    """The state folder of each, in one folder, and what each wrote and ended with."""
    folder = tmp_path_factory.mktemp("crashes")
    _, written = played(folder, crashing_app.__file__, str(folder), *CRASHES)
    parts = re.split(r"--- (.+) (-?\d+)\n", written)
    ends = zip(parts[1::3], parts[::3], parts[2::3], strict=False)
    return folder, {crash: (text, int(code)) for crash, text, code in ends}


@pytest.mark.parametrize("crash", CRASHES)
def test_a_crash_is_one_sentence_and_a_file_without_the_password(
    crashed: tuple[Path, dict[str, tuple[str, int]]], crash: str
) -> None:
    folder, (written, code) = crashed[0], crashed[1][crash]
    files = list((folder / crash / "tiffin").glob("crash-*.txt"))
    assert len(files) == 1, written
    assert written.endswith(
        f"Tiffin had an internal error; please report it together with the file {files[0]}.\n"
    )
    assert written.count("internal error") == 1
    drawn = not crash.endswith(":start")
    assert (written.count("\x1b[8l"), written.count("\x1b[8h")) == (drawn, drawn), "BDSM"
    assert code == 1
    assert stat.S_IMODE(files[0].stat().st_mode) == 0o600
    report = files[0].read_text()
    assert "LookupError: a mistake of ours" in report
    assert "in fail" in report
    for text in (written, report):
        assert crashing_app.PASSWORD not in text
        assert "Traceback" not in text or text is report


def test_the_demo_tells_of_a_crash_in_the_same_way(tmp_path: Path) -> None:
    code, written = played(
        tmp_path,
        "-c",
        "import os, runpy; os.isatty = None;"
        "runpy.run_module('tui.demo.run', run_name='__main__', alter_sys=True)",
    )
    files = list((tmp_path / "tiffin").glob("crash-*.txt"))
    assert len(files) == 1, written
    assert f"together with the file {files[0]}." in written
    assert "Traceback" not in written
    assert code == 1


def test_a_crash_is_told_where_no_file_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tiffin").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    report = CrashReport()
    try:
        raise ValueError("hunter2")
    except ValueError as error:
        report.record(error)
    assert report.print_message()
    told = capsys.readouterr().err
    assert "internal error, ValueError at " in told
    assert "could not write the details to a file (FileExistsError" in told
    assert "hunter2" not in told


def test_old_crash_files_go_and_their_text_steers_no_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    folder = tmp_path / "tiffin"
    folder.mkdir()
    for number in range(FILES_KEPT + 3):
        (folder / f"crash-20200101-0000{number:02d}-x.txt").write_text("")
    report = CrashReport()
    report.record(ValueError("\x1b]0;owned\x07 \u202e \udcff"))
    files = sorted(folder.glob("crash-*.txt"))
    assert len(files) == FILES_KEPT
    assert r"\x1b]0;owned\x07 \u202e \udcff" in files[-1].read_text()
