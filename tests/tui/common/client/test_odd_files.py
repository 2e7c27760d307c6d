"""Anything may stand in the place of a file: nothing is waited for, or read without end."""

import json
import os
from pathlib import Path

import pytest

from tui.common.client.files import UnfitFile, home, read_file, read_regular
from tui.common.client.outbox import OutboxStore, UnsentMessage
from tui.common.client.token_store import BrokenTokenFile, TokenStore, TokenStoreError


def odd(kind: str, path: Path) -> Path:
    """Put something at `path` that is no file to read."""
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "device":
            path.symlink_to("/dev/zero")
        case "terminal":
            path.symlink_to("/dev/ptmx")
        case "folder":
            path.mkdir()
        case "loop":
            path.symlink_to(path)
        case "nowhere":
            path.symlink_to(path.with_name("gone"))
        case "under a file":
            path.parent.joinpath("file").write_text("")
            return path.parent / "file" / path.name
        case "long name":
            return path.with_name("n" * 300)
        case "null byte":
            return path.with_name("a\0b")
    return path


ODD = ["pipe", "device", "terminal", "folder", "loop", "nowhere", "under a file", "long name"]


@pytest.mark.parametrize("kind", [*ODD, "null byte"])
async def test_a_photo_that_is_no_file_is_refused_in_words(kind: str, tmp_path: Path) -> None:
    with pytest.raises(UnfitFile):
        await read_file(odd(kind, tmp_path / "photo.png"), 1000)


@pytest.mark.parametrize("name", ["~nobodyofthatname/photo.png", "/proc/self/mem", "/proc/1/mem"])
async def test_a_path_that_leads_nowhere_is_refused_in_words(name: str) -> None:
    with pytest.raises(UnfitFile):
        await read_file(Path(name), 1000)


async def test_a_file_is_read_no_further_than_allowed(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    with path.open("wb") as file:
        file.truncate(10**12)  # a hole of a terabyte
    with pytest.raises(UnfitFile, match="MiB"):
        await read_file(path, 1000)
    assert len(read_regular(path, 1000)) == 1000
    path.write_bytes(b"x" * 1000)
    assert await read_file(path, 1000) == b"x" * 1000


@pytest.mark.parametrize("kind", ODD)
async def test_a_sign_in_that_is_no_file_is_told(kind: str, tmp_path: Path) -> None:
    store = TokenStore(odd(kind, tmp_path / "tokens.json"))
    if kind == "nowhere":
        assert await store.read() is None
        return
    with pytest.raises(TokenStoreError, match="session"):
        await store.read()


async def test_a_token_of_half_characters_is_none(tmp_path: Path) -> None:
    store = TokenStore(tmp_path / "tokens.json")
    store.path.write_text(json.dumps({"refresh_token": "\ud800", "account_id": "1"}))
    with pytest.raises(BrokenTokenFile):
        await store.read()


@pytest.mark.parametrize("kind", [kind for kind in ODD if kind != "under a file"])
def test_what_lies_beside_unsent_messages_is_left_alone(kind: str, tmp_path: Path) -> None:
    store = OutboxStore(tmp_path, "acc-1")
    store.write("cht-1", UnsentMessage("hello"))
    (folder,) = tmp_path.iterdir()
    if kind != "long name":
        odd(kind, folder / "00000000000000000000.json")
    again = OutboxStore(tmp_path, "acc-1")
    assert [message.text for message in again.read("cht-1")] == ["hello"]
    again.write("cht-1", UnsentMessage("more"))
    again.clear()


def test_without_a_home_there_is_a_place_to_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME")
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setattr("pwd.getpwuid", _unknown)
    assert home() == Path("/")
    assert TokenStore.for_app("http://localhost", "customer").path.is_relative_to("/.local/state")


def _unknown(_: int) -> None:
    raise KeyError
