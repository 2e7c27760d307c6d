"""What the terminal itself is told."""

from tui.common.config import Config
from tui.common.terminal_news import RESTORE_TITLE, SAVE_TITLE, TerminalNews

HOSTILE = "a\x1b]52;c;x\x07\x9b2J;b\n\u202ec"


def told(config: Config, **environment: str) -> list[str]:
    """All that is written of a title, a notification and a progress."""
    written: list[str] = []
    news = TerminalNews(config, {"TERM": "xterm-256color", **environment}, written.append)
    news.title("On its way")
    news.title("On its way")
    news.notify("t;" + HOSTILE, HOSTILE)
    news.progress(0.5)
    news.leave()
    return written


def test_each_is_sent_where_it_is_known_and_can_be_turned_off() -> None:
    title, notified, end = told(Config())
    assert title == f"{SAVE_TITLE}\x1b]2;On its way\x07"
    assert notified.startswith("\x1b]9;tiffin: ")
    assert end == RESTORE_TITLE
    progressing = told(Config(title=False, notifications="off"), WT_SESSION="1")
    assert progressing == ["\x1b]9;4;1;50\x07", "\x1b]9;4;0\x07"]
    assert told(Config(progress="on"), TERM="linux")[:1] == ["\x1b]9;4;1;50\x07"]
    assert told(Config(title=False, notifications="off", progress="off"), WT_SESSION="1") == []


def test_nothing_of_others_text_controls_the_terminal() -> None:
    for environment in ({}, {"VTE_VERSION": "7000"}):
        (notified,) = told(Config(title=False), **environment)
        kind = "\x1b]777;notify;" if environment else "\x1b]9;"
        assert notified.startswith(kind)
        assert notified.endswith("\x07")
        inside = notified[len(kind) : -1]
        assert all(one.isprintable() for one in inside)
        if environment:
            assert inside.index(";") == inside.index(";a]52") or inside.count(";") >= 1
            assert inside.partition(";")[0].startswith("t,")
