"""Drivers as text: rows of the list, the map's corner, the panel's card and lower edge."""

from datetime import datetime

from textual.content import Content

from tui.common.format import human_minutes
from tui.common.language import _
from tui.common.sanitize import plain
from tui.common.tracking import format as tracking_format
from tui.common.tracking.planner import TripPlanner
from tui.common.tracking.tracker import DriverTracker
from tui.employee.drivers.feed import DriversFeed
from tui.employee.drivers.model import Activity, DriverList, DriverState, most_urgent

LOADING = _("Loading drivers…")
EMPTY = _("This restaurant has no drivers. The server's administrator adds them.")
ACTIVITY_LOOKS: dict[Activity, tuple[str, str]] = {
    Activity.FREE: ("○", "wire-ink"),
    Activity.ASSIGNED: ("◐", "warning"),
    Activity.EXPECTED: ("◆", "accent"),
    Activity.ON_THE_WAY: ("▶", "primary"),
    Activity.AT_THE_DOOR: ("⌂", "success"),
}
"""Glyph and colour; the text beside them says the same."""


def empty_message(feed: DriversFeed) -> str:
    """What an empty list says."""
    if feed.loaded:
        return EMPTY
    if not feed.error:
        return LOADING
    return feed.error + (_(" r retries.") if feed.over else _(" Retrying."))


def stale_message(feed: DriversFeed) -> str:
    """The warning above a list that may be out of date; "" for one that is not."""
    if not feed.loaded or not feed.error:
        return ""
    return _("◌ The drivers could not be refreshed: {error}").format(error=feed.error)


def no_location(state: DriverState) -> str:
    """For a driver who was never seen."""
    return _("No location from {driver} yet").format(driver=plain(state.driver.name))


def activity_text(state: DriverState, now: datetime) -> str:
    """`on the way · 4 min`, `at the door`, `2 at the counter`, `1 being made`, `free`."""
    activity = state.activity(now)
    if activity is Activity.ON_THE_WAY:
        left = state.track.seconds_left(now) if state.track.target is not None else None
        if left is None or state.track.is_stale(now):
            return _("on the way")
        return _("on the way · {left}").format(left=human_minutes(left))
    if activity is Activity.AT_THE_DOOR:
        return _("at the door")
    if activity is Activity.EXPECTED:
        ready = sum(one.status == "ready" for one in state.orders)
        return _("{ready} at the counter").format(ready=ready)
    return (
        _("{orders} being made").format(orders=len(state.orders))
        if activity is Activity.ASSIGNED
        else _("free")
    )


def order_numbers(state: DriverState) -> str:
    """The orders on their way and those that leave later: `#1042 #1043, then #1050`."""
    out = " ".join(f"#{one.number}" for one in state.out)
    waiting = " ".join(f"#{one.number}" for one in state.waiting)
    return (
        _("{out}, then {waiting}").format(out=out, waiting=waiting)
        if out and waiting
        else out or waiting
    )


def location_age(state: DriverState, now: datetime) -> tuple[str, str]:
    """Age of the location and its colour: `2 s ago`, `? stale, 40 s ago`, `no location yet`."""
    track = state.track
    if track.newest is None:
        return _("? doubtful") if track.suspect else _("no location yet"), "wire-ink"
    ago = tracking_format.ago(track, now)
    if track.is_stale(now):
        return _("? stale, {ago}").format(ago=ago), "warning" if state.out else "wire-ink"
    return (_("? doubtful, {ago}").format(ago=ago), "warning") if track.suspect else (ago, "title")


def trip_status(planner: TripPlanner) -> tuple[str, bool]:
    """What a simulated trip is doing, and whether it is failing."""
    if planner.stopping:
        return _("simulated: stopping…"), False
    if planner.error is not None:
        return _("simulated, failing: {message}").format(message=plain(planner.error.message)), True
    stop = planner.destination
    return _("simulated: {label}").format(label=stop.label if stop else _("starting")), False


def map_corner(state: DriverState | None, tracker: DriverTracker | None, now: datetime) -> str:
    """What the map's corner says about the selected driver."""
    if state is None:
        return ""
    if tracker is not None and tracker.error:
        return tracker.error
    return tracking_format.trip_line(state.track, now) or no_location(state)


def summary(driver_list: DriverList, feed: DriversFeed, now: datetime) -> Content:
    """The card's two lines: the most urgent driver, and how many others do what."""
    state = most_urgent(driver_list.states, now)
    if state is None:
        return Content.assemble((plain(empty_message(feed)), "$wire-ink"))
    glyph, ink = ACTIVITY_LOOKS[state.activity(now)]
    first = Content.assemble(
        (f"{glyph} ", f"${ink}"),
        (plain(state.driver.name), "bold"),
        (f"  {activity_text(state, now)}", f"bold ${ink}" if state.orders else "$wire-ink"),
    )
    return Content("\n").join([first, _second_line(driver_list, state, now)])


def footer(driver_list: DriverList, state: DriverState | None) -> str:
    """`Ken · 2 of 5 on the way`, at the panel's lower edge."""
    if state is None:
        return ""
    return _("{driver} · {out_count} of {states} on the way").format(
        driver=state.driver.name, out_count=driver_list.out_count, states=len(driver_list.states)
    )


def _second_line(driver_list: DriverList, state: DriverState, now: datetime) -> Content:
    """The driver's orders, then the others in numbers, or that the location is stale."""
    orders = f"{order_numbers(state)} · " if state.orders else ""
    if state.out and state.track.newest is not None and state.track.is_stale(now):
        ago = tracking_format.ago(state.track, now)
        return Content.assemble(
            (orders, "$wire-ink"), (_("? last seen {ago}").format(ago=ago), "bold $warning")
        )
    counts = (
        (driver_list.out_count, _("on the way")),
        (driver_list.count(now, Activity.EXPECTED, Activity.ASSIGNED), _("to leave")),
        (driver_list.count(now, Activity.FREE), _("free")),
    )
    others = " · ".join(f"{number} {what}" for number, what in counts if number)
    return Content.assemble((orders + others, "$wire-ink"))
