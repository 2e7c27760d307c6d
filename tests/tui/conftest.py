"""Windows that cost less: their styles are parsed once, and few of their frames are painted."""

import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from textual.css.model import RuleSet
from textual.css.stylesheet import Stylesheet
from textual.screen import Screen

FRAME_SECONDS = 1.0


@pytest.fixture(scope="session", autouse=True)
def styles_parsed_once() -> Iterator[None]:
    """Windows in this process share the rules of a style sheet that is the same."""
    parse, known = Stylesheet._parse_rules, dict[object, list[RuleSet]]()

    def parse_once(sheet: Stylesheet, *of: Any, **more: Any) -> list[RuleSet]:
        key = frozenset(sheet._variables.items()), of, tuple(more.items())
        if key not in known:
            known[key] = parse(sheet, *of, **more)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Stylesheet, "_parse_rules", parse_once)
        yield


@pytest.fixture
def few_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    """A window paints all that has changed every `FRAME_SECONDS`, not 60 times a second.

    For tests of whole windows: nobody sees what these paint, and to read a screen renders it anew.
    """
    paint = Screen._compositor_refresh

    def paint_when_due(screen: Screen[Any]) -> None:
        own, now = vars(screen), time.monotonic()
        wait = own.setdefault("next_frame", now + FRAME_SECONDS) - now
        if wait <= 0 or screen is not screen.app.screen:
            own["next_frame"] = now + FRAME_SECONDS
            own["frame_timer"] = None
            paint(screen)
            return
        screen._dirty_widgets.clear()
        screen.app._update_mouse_over(screen)
        if own.get("frame_timer") is None:
            own["frame_timer"] = screen.set_timer(wait, partial(paint_when_due, screen))

    monkeypatch.setattr(Screen, "_compositor_refresh", paint_when_due)
