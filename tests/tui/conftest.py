"""Windows in tests: the pilot waits until one has nothing to do, and few frames are painted."""

import asyncio
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from textual import app, pilot
from textual.app import ScreenStackError
from textual.css.model import RuleSet
from textual.css.styles import RulesMap
from textual.css.stylesheet import Stylesheet
from textual.dom import DOMNode
from textual.message_pump import MessagePump
from textual.screen import Screen

WINDOW_SECONDS = 0.02
CALM_SECONDS = 0.001
"""Of processor time in a window, in which an app may be taken to rest."""
FRAME_SECONDS = 10.0
NOTICED = frozenset({"display", "overflow_x", "overflow_y", "pointer"})
"""Styles whose change is noticed at once, also by widgets that are not shown yet."""


@pytest.fixture(scope="session", autouse=True)
def patient_pilot() -> Iterator[None]:
    """The pilot waits also where a busy machine leaves the app no time to do anything.

    Textual looks at the processor time alone: an app that has much to do and does not get to it
    seems to rest, and what it has not done yet is missing from the screen.
    """
    with pytest.MonkeyPatch.context() as patch:
        for module in (app, pilot):
            patch.setattr(module, "wait_for_idle", wait_for_idle)
        patch.setattr(pilot.Pilot, "_wait_for_screen", wait_for_screen)
        yield


async def wait_for_idle(min_sleep: float = WINDOW_SECONDS, max_sleep: float = 1) -> None:
    """Return after a window without work, neither done nor ready. At most as many windows as fit
    into `max_sleep`, however long they last: an app may be busy with what comes again and again."""
    loop, began_at = asyncio.get_running_loop(), time.monotonic()
    for _ in range(round(max_sleep / WINDOW_SECONDS)):
        worked = time.process_time()
        await asyncio.sleep(WINDOW_SECONDS)
        rests = time.process_time() - worked < CALM_SECONDS and not loop._ready  # type: ignore[attr-defined]
        if rests and time.monotonic() - began_at > min_sleep:
            return


async def wait_for_screen(driver: pilot.Pilot[Any], timeout: float = 30.0) -> bool:
    """Return once the app and what is on its screen have handled the messages that they have now;
    False if the app has failed meanwhile.

    The pilot's own sends a message to each widget, also to those that have none: half the work of a
    key.
    """
    running = driver.app
    try:
        pumps: list[MessagePump] = [running, *running.screen.walk_children(with_self=True)]
    except ScreenStackError:  # it has ended
        return False
    left = asyncio.Semaphore(0)
    busy = sum(pump.call_later(left.release) for pump in pumps if not _rests(pump))
    handled = asyncio.gather(*(left.acquire() for _ in range(busy)))
    failed = asyncio.ensure_future(running._exception_event.wait())
    try:
        await asyncio.wait((handled, failed), timeout=timeout, return_when="FIRST_COMPLETED")
        if not handled.done() and not failed.done():
            raise pilot.WaitForScreenTimeout(f"{busy} widgets have not handled their messages")
        return handled.done()
    finally:
        handled.cancel()
        failed.cancel()


def _rests(pump: MessagePump) -> bool:
    """Whether it waits for a message: it has none, and is not handling one."""
    queue = pump._message_queue
    return queue.empty() and bool(queue.ready_event._waiters) and not pump._next_callbacks  # type: ignore[attr-defined]


@pytest.fixture(scope="session", autouse=True)
def styles_parsed_once() -> Iterator[None]:
    """Windows in this process share the rules of a style sheet that is the same.

    Sets of rules, which every widget's styles are taken from, compare them by identity, without a
    call of Python's for each.
    """
    parse_source, parse_sheet = Stylesheet._parse_rules, Stylesheet.parse
    sources = dict[object, list[RuleSet]]()
    sheets = dict[object, tuple[list[RuleSet], dict[str, list[RuleSet]]]]()

    def theme_of(sheet: Stylesheet) -> object:
        variables, theme = vars(sheet).get("theme", (None, None))
        if variables is not sheet._variables:
            theme = frozenset(sheet._variables.items())
            vars(sheet)["theme"] = sheet._variables, theme
        return theme

    def parse_source_once(sheet: Stylesheet, *of: Any, **more: Any) -> list[RuleSet]:
        key = theme_of(sheet), of, tuple(more.items())
        if key not in sources:
            sources[key] = parse_source(sheet, *of, **more)
        return sources[key]

    def parse_sheet_once(sheet: Stylesheet) -> None:
        key = theme_of(sheet), tuple(sheet.source.items())
        if key not in sheets:
            parse_sheet(sheet)
            sheets[key] = sheet.rules, sheet.rules_map
        sheet._rules, sheet._rules_map = sheets[key]
        sheet._require_parse = False

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Stylesheet, "_parse_rules", parse_source_once)
        patch.setattr(Stylesheet, "parse", parse_sheet_once)
        patch.setattr(RuleSet, "__hash__", object.__hash__)
        yield


@pytest.fixture(scope="session", autouse=True)
def styles_found_once(styles_parsed_once: None) -> Iterator[None]:
    """Windows in this process share what Textual finds for a node of the same place and state.

    What a rule can ask of a node are its type, id, classes and pseudo-classes, and those of the
    nodes above it.
    """
    apply = Stylesheet.apply
    asked = dict[object, tuple[list[RuleSet], tuple[str, ...]]]()
    found = dict[object, tuple[RulesMap, tuple[bool, ...]]]()
    flags = ("_has_hover_style", "_has_focus_within", "_has_order_style", "_has_odd_or_even")

    def apply_found(
        sheet: Stylesheet, node: DOMNode, *, animate: bool = False, cache: Any = None
    ) -> None:
        if animate:
            apply(sheet, node, animate=True, cache=cache)
            return
        path, rules_map = node.css_path_nodes, sheet.rules_map
        # Sheets that are the same share their list of rules; kept here, its id stays its own.
        place = id(sheet.rules), *((one.__class__, one._id, one.classes) for one in path)
        if place not in asked:
            own = rules_map.keys() & node._selector_names
            classes = {
                one for name in own for rule in rules_map[name] for one in rule.pseudo_classes
            }
            asked[place] = sheet.rules, tuple(classes)
        names = asked[place][1]
        key = place, *(one.has_pseudo_class(name) for one in path for name in names)
        base = node.styles.base
        if (known := found.get(key)) is None:
            apply(sheet, node)
            found[key] = base._rules.copy(), tuple(getattr(node, flag) for flag in flags)
            return
        rules, values = known
        for flag, value in zip(flags, values, strict=True):
            setattr(node, flag, value)
        now = base._rules
        for name in [one for one in now.keys() | rules.keys() if now.get(one) != rules.get(one)]:
            if node._is_mounted or name in NOTICED:
                setattr(base, name, rules.get(name))
            else:  # there is nothing to draw anew yet
                base.set_rule(name, rules.get(name))
        node.notify_style_update()
        sheet._process_component_classes(node)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Stylesheet, "apply", apply_found)
        yield


@pytest.fixture
def few_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    """A window paints all that has changed every `FRAME_SECONDS`, not 60 times a second.

    For tests of whole windows: nobody sees what these paint, and to read a screen renders it anew.
    What would have been painted is counted as the screen's `paintings`.
    """
    paint = Screen._compositor_refresh

    def paint_when_due(screen: Screen[Any]) -> None:
        own, now = vars(screen), time.monotonic()
        own["paintings"] = own.get("paintings", 0) + 1
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
