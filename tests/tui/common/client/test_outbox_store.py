"""What is unsent, on disk: in its order, by chat and account, whatever else lies there."""

import json
import resource
import signal
from pathlib import Path

import pytest

from tui.common.client.outbox import Outbox, OutboxStore, UnsentMessage


@pytest.fixture
def store(tmp_path: Path) -> OutboxStore:
    return OutboxStore(tmp_path / "unsent", "acc-1")


def again(tmp_path: Path, account: str = "acc-1") -> OutboxStore:
    """The same one, as the next window has it."""
    return OutboxStore(tmp_path / "unsent", account)


def files(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "unsent").rglob("*.json"))


def test_the_next_window_finds_what_is_unsent_in_its_order(
    store: OutboxStore, tmp_path: Path
) -> None:
    box = Outbox(store, "cht-1")
    written = [UnsentMessage(f"{number}\n\U0001f35c") for number in range(20)]
    for message in written:
        box.put(message)
    assert box.remove(written[3].client_id)
    assert list(Outbox(again(tmp_path), "cht-1")) == written[:3] + written[4:]
    assert len(files(tmp_path)) == 19
    assert {path.stat().st_mode & 0o777 for path in files(tmp_path)} == {0o600}


def test_what_is_written_later_stays_behind_though_the_clock_went_back(
    store: OutboxStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Outbox(store, "cht-1").put(UnsentMessage("first"))
    monkeypatch.setattr("time.time_ns", lambda: 1)
    Outbox(again(tmp_path), "cht-1").put(UnsentMessage("second"))
    assert [one.text for one in Outbox(again(tmp_path), "cht-1")] == ["first", "second"]


def test_chats_and_accounts_are_kept_apart(store: OutboxStore, tmp_path: Path) -> None:
    for chat, text in (("cht-1", "a"), ("../cht-2", "b"), ("cht-1", "c")):
        store.write(chat, UnsentMessage(text))
    assert again(tmp_path).chats() == ["../cht-2", "cht-1"]
    assert [one.text for one in again(tmp_path).read("../cht-2")] == ["b"]
    other = again(tmp_path, "../../acc-2")
    other.write("cht-1", UnsentMessage("theirs"))
    assert [one.text for one in again(tmp_path).read("cht-1")] == ["a", "c"]
    store.clear()
    assert again(tmp_path).chats() == []
    assert again(tmp_path, "../../acc-2").chats() == ["cht-1"]
    assert all(path.is_relative_to(tmp_path / "unsent") for path in files(tmp_path))


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "null", "[" * 9999, '{"chat_id": "cht-1"}', '{"chat_id": "\\ud800"}'],
)
def test_what_cannot_be_read_is_in_nobodys_way(
    store: OutboxStore, tmp_path: Path, content: str
) -> None:
    store.write("cht-1", UnsentMessage("good"))
    fields = json.loads(files(tmp_path)[0].read_text())
    folder = files(tmp_path)[0].parent
    (folder / "0.json").write_text(content)
    changes = ({"text": 1}, {"text": "\ud800"}, {"written_at": "x"}, {"client_id": None})
    for number, change in enumerate(changes, 1):
        (folder / f"{number}.json").write_text(json.dumps(fields | change))
    assert [one.text for one in again(tmp_path).read("cht-1")] == ["good"]


def test_without_a_disk_it_lives_as_long_as_its_window(tmp_path: Path) -> None:
    (tmp_path / "unsent").write_text("a file where the folder should be")
    box = Outbox(again(tmp_path), "cht-1")
    box.put(message := UnsentMessage("all the same"))
    assert list(box) == [message]
    assert box.remove(message.client_id)
    assert again(tmp_path).chats() == []


def test_what_cannot_be_kept_is_known_until_it_is_sent(tmp_path: Path) -> None:
    (tmp_path / "unsent").write_text("no folder")
    store = OutboxStore(tmp_path / "unsent", "acc-1")
    message = UnsentMessage("hello")
    box = Outbox(store, "cht-1")
    box.put(message)
    assert store.unkept == {message.client_id}
    assert list(box) == [message]
    assert box.remove(message.client_id)
    assert not store.unkept


def test_a_full_disk_keeps_no_half_of_a_message(store: OutboxStore, tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        store.write("cht-1", UnsentMessage("x" * 1000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert len(store.unkept) == 1
    assert not files(tmp_path)


def test_a_draft_is_kept_by_chat_and_account_until_it_is_empty(
    store: OutboxStore, tmp_path: Path
) -> None:
    for box, text in ((Outbox(store, "cht-1"), "h漢lf"), (Outbox(store, "../cht-2"), "b")):
        box.draft = text
        box.save_draft()
    again(tmp_path, "acc-2").write_draft("cht-1", "theirs")
    found = list((tmp_path / "unsent").rglob("*"))
    assert all(path.is_relative_to(tmp_path / "unsent") for path in found)
    assert {path.stat().st_mode & 0o777 for path in found if path.is_file()} == {0o600}
    box = Outbox(again(tmp_path), "cht-1")
    assert box.draft == "h漢lf"
    assert (again(tmp_path).drafts(), again(tmp_path).chats()) == ({"cht-1", "../cht-2"}, [])
    box.draft = ""
    box.save_draft()
    assert again(tmp_path).drafts() == {"../cht-2"}
    store.clear_drafts()
    assert again(tmp_path).drafts() == set()
    assert again(tmp_path, "acc-2").read_draft("cht-1") == "theirs"


def test_a_draft_that_cannot_be_kept_or_read_is_none_and_that_is_known(
    store: OutboxStore, tmp_path: Path
) -> None:
    store.write_draft("cht-1", "kept")
    for text in ("x" * 2_000_000, "half a character: \ud83c"):
        store.write_draft("cht-1", text)
        assert store.unkept_drafts == {"cht-1"}
    assert store.read_draft("cht-1") == "kept"
    store.write_draft("cht-1", "")
    assert store.unkept_drafts == set()
    for content in (b"", b"{}", b"[1]", b"\xff", b'{"chat_id": "cht-1", "text": 4}', b"[" * 9999):
        store.write_draft("cht-1", "kept")
        (path,) = (tmp_path / "unsent").rglob("*.draft")
        path.write_bytes(content)
        assert store.read_draft("cht-1") == ""
