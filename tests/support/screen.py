"""What an app shows, as text, and waiting for it."""

import time
from collections.abc import Callable

from textual.app import App
from textual.pilot import Pilot

from server.text import fault
from support.waiting import LONGEST, PATIENCE, wait_until


def shown(app: App[None]) -> str:
    """The screen's lines."""
    return "\n".join(strip.text for strip in app.screen._compositor.render_strips(app.size))


def steering(text: str) -> set[str]:
    """The characters in it that control a terminal."""
    return {char for char in text if fault(char) is not None}


async def sees(app: App[None], *texts: str, seconds: float = PATIENCE) -> None:
    """Wait until all `texts` are on the screen at once."""

    await _until(app, lambda screen: all(text in screen for text in texts), seconds, f"{texts}")


async def misses(app: App[None], *texts: str, seconds: float = PATIENCE) -> None:
    """Wait until none of `texts` is on the screen."""

    none = f"no {texts}"
    await _until(app, lambda screen: not any(text in screen for text in texts), seconds, none)


async def _until(app: App[None], true_of: Callable[[str], bool], seconds: float, what: str) -> None:
    """Wait until that is true of the screen's lines."""
    try:
        await wait_until(lambda: true_of(_read(app)), seconds, what=what)
    except AssertionError as late:
        raise AssertionError(f"{late}\n{shown(app)}") from None


def _read(app: App[None]) -> str:
    """The screen's lines.

    To read them costs as much as to draw them: where paintings are counted (`few_frames`), they are
    not read again before the next, or for `LONGEST` seconds.
    """
    own, now = vars(app.screen), time.monotonic()
    paintings = own.get("paintings")
    lines, of, due = own.get("read", ("", None, 0.0))
    if paintings is None or paintings != of or now >= due:
        lines = shown(app)
        own["read"] = lines, paintings, now + LONGEST
    return str(lines)


async def told(app: App[None], text: str, seconds: float = PATIENCE) -> None:
    """Wait until a toast says `text`; it may be wrapped on the screen."""
    await wait_until(
        lambda: any(text in f"{toast.title} {toast.message}" for toast in app._notifications),
        seconds,
        what=f"a toast: {text}",
    )


class Window:
    """A running app, its keys and its screen; `rings` counts the bell."""

    def __init__(self, app: App[None], pilot: Pilot[None]) -> None:
        self.app = app
        self.pilot = pilot
        self.rings = 0
        app.bell = self._rung  # type: ignore[method-assign]

    def _rung(self) -> None:
        self.rings += 1

    @property
    def text(self) -> str:
        """The screen's lines."""
        return shown(self.app)

    async def press(self, *keys: str) -> None:
        """Press them one by one."""
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def sees(self, *texts: str, seconds: float = PATIENCE) -> None:
        """Wait until all `texts` are on the screen at once."""
        await sees(self.app, *texts, seconds=seconds)

    async def misses(self, *texts: str, seconds: float = PATIENCE) -> None:
        """Wait until none of `texts` is on the screen."""
        await misses(self.app, *texts, seconds=seconds)

    async def told(self, text: str, seconds: float = PATIENCE) -> None:
        """Wait until a toast says `text`."""
        await told(self.app, text, seconds)
