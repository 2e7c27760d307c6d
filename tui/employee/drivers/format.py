"""Drivers in words: what each is about, carries, and when they were seen; the card, the edge."""

from datetime import datetime

from textual.content import Content

from tui.common.format import human_minutes
from tui.common.sanitize import plain
from tui.common.tracking import format as words
from tui.common.tracking.tracker import DriverTracker
from tui.employee.drivers.feed import DriversFeed
from tui.employee.drivers.model import DriverList, DriverState, Standing, pressing
from tui.employee.drivers.trips import TripPlanner

READING = "Reading the roster …"
NOBODY = "This restaurant has no drivers. Whoever runs the server adds them."
LOOKS: dict[Standing, tuple[str, str]] = {
    Standing.FREE: ("○", "wire-ink"),
    Standing.BOOKED: ("◐", "warning"),
    Standing.AWAITED: ("◆", "accent"),
    Standing.RIDING: ("▶", "primary"),
    Standing.AT_THE_DOOR: ("⌂", "success"),
}
"""Glyph and ink; the words beside them tell the same."""


def words_for_empty(feed: DriversFeed) -> str:
    """What to say where there is no driver to show."""
    if feed.loaded:
        return NOBODY
    if not feed.error:
        return READING
    return feed.error + (" r tries again." if feed.over else " Trying again by itself.")


def words_for_old(feed: DriversFeed) -> str:
    """What to say above a roster that may be old; "" for one that is not."""
    if not feed.loaded or not feed.error:
        return ""
    return f"◌ The roster could not be read again: {feed.error}"


def about(state: DriverState, now: datetime) -> str:
    """`on the way · 4 min`, `at the door`, `2 at the counter`, `1 being made`, `free`."""
    standing = state.standing(now)
    if standing is Standing.RIDING:
        left = state.track.seconds_left(now) if state.track.target is not None else None
        late = state.track.is_stale(now)
        return "on the way" if left is None or late else f"on the way · {human_minutes(left)}"
    if standing is Standing.AT_THE_DOOR:
        return "at the door"
    if standing is Standing.AWAITED:
        ready = sum(one.status == "ready" for one in state.items)
        return f"{ready} at the counter"
    return f"{len(state.items)} being made" if standing is Standing.BOOKED else "free"


def load(state: DriverState) -> str:
    """The numbers of what is on its way, and of what comes after: `#1042 #1043, then #1050`."""
    out = " ".join(f"#{one.number}" for one in state.out)
    here = " ".join(f"#{one.number}" for one in state.here)
    return f"{out}, then {here}" if out and here else out or here


def seen(state: DriverState, now: datetime) -> tuple[str, str]:
    """How old the position is, and its ink: `2 s ago`, `? stale, 40 s ago`, `never seen`."""
    track = state.track
    if track.newest is None:
        return "? doubtful" if track.doubt else "never seen", "wire-ink"
    ago = words.ago(track, now)
    if track.is_stale(now):
        return f"? stale, {ago}", "warning" if state.out else "wire-ink"
    return (f"? doubtful, {ago}", "warning") if track.doubt else (ago, "title")


def trip(planner: TripPlanner) -> tuple[str, bool]:
    """What a ride that is simulated here is about, and whether it is in trouble."""
    if planner.stopping:
        return "simulated: stopping …", False
    if planner.error:
        return f"simulated, in trouble: {planner.error}", True
    stop = planner.target_stop
    return f"simulated: {stop.words if stop else 'setting out'}", False


def corner(state: DriverState | None, tracker: DriverTracker | None, now: datetime) -> str:
    """What the map's corner says of the driver in view."""
    if state is None:
        return ""
    if tracker is not None and tracker.error:
        return tracker.error
    figures = words.figures(state.track, now)
    return figures or f"{plain(state.driver.name)} was never seen"


def summary(driver_list: DriverList, feed: DriversFeed, now: datetime) -> Content:
    """The card's two lines: the driver to look at first, and how it is with the others."""
    state = pressing(driver_list.states, now)
    if state is None:
        return Content.assemble((plain(words_for_empty(feed)), "$wire-ink"))
    glyph, ink = LOOKS[state.standing(now)]
    first = Content.assemble(
        (f"{glyph} ", f"${ink}"),
        (plain(state.driver.name), "bold"),
        (f"  {about(state, now)}", f"bold ${ink}" if state.items else "$wire-ink"),
    )
    return Content("\n").join([first, _second(driver_list, state, now)])


def note(driver_list: DriverList, state: DriverState | None) -> str:
    """`Ken · 2 of 5 on the way`, at the panel's lower edge."""
    if state is None:
        return ""
    return f"{state.driver.name} · {driver_list.out_count} of {len(driver_list.states)} on the way"


def _second(driver_list: DriverList, state: DriverState, now: datetime) -> Content:
    """What that driver carries, and the others in numbers; or that the driver was lost sight of."""
    carries = f"{load(state)} · " if state.items else ""
    if state.out and state.track.newest is not None and state.track.is_stale(now):
        ago = words.ago(state.track, now)
        return Content.assemble((carries, "$wire-ink"), (f"? last seen {ago}", "bold $warning"))
    counts = (
        (driver_list.out_count, "on the way"),
        (driver_list.count(now, Standing.AWAITED, Standing.BOOKED), "to leave"),
        (driver_list.count(now, Standing.FREE), "free"),
    )
    others = " · ".join(f"{number} {what}" for number, what in counts if number)
    return Content.assemble((carries + others, "$wire-ink"))
