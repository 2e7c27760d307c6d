"""The dialog "Figures": what was ordered, earned and late on a day, or in any span of hours."""

import csv
from collections.abc import Iterable
from datetime import datetime
from io import StringIO
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Input, Label, Sparkline, Static

from server.features.kitchen.schemas import KitchenSummary
from server.features.restaurants.schemas import RestaurantSummary
from tui.common.client.errors import ClientError
from tui.common.dialogs.base import Dialog
from tui.common.dialogs.save import save_text
from tui.common.format import bare_money, fit, message_for, money, time_of_day
from tui.common.language import _, ngettext
from tui.common.sanitize import plain
from tui.common.widgets.status_line import StatusLine
from tui.employee.history.span import DAY, DAY_KEYS, span_name, span_of

NAME_CELLS = 12
DISH_CELLS = 40
FORMULAS = tuple("=+-@\uff1d\uff0b\uff0d\uff20")
"""What a spreadsheet takes for the beginning of a formula."""
HOUR_CELLS, NARROW_HOUR_CELLS = 3, 2
"""Of the sparkline, where there is room for a day, and where not."""
MARKED_HOURS = 6
"""From one hour that is named below it to the next."""


class Figures(VerticalScroll):
    """What scrolls; `left` and `right` change the day."""

    BINDINGS: ClassVar[list[BindingType]] = [*DAY_KEYS]


class FiguresScreen(Dialog[None]):
    """Shows today first; any other span is typed."""

    DEFAULT_CSS = """
    FiguresScreen {
        & > .box { width: 84; height: 90%; }
        & .row { height: 1; margin-bottom: 1; }
        & .row > Label { width: auto; color: $title; padding-right: 1; }
        & .row > Input { width: 19; margin-right: 2; }
        & Figures { height: 1fr; }
        & Figures Static { height: auto; }
        & #by-hour { height: 2; }
        & #hours { color: $wire-ink; margin-bottom: 1; }
        & StatusLine { margin-top: 0; }
    }
    """
    AUTO_FOCUS = "Figures"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "save", _("Save as CSV")),
        Binding("slash", "span", _("From, to"), key_display="/"),
        Binding("r,f5", "read", _("Read again")),
    ]

    def __init__(self, restaurant: RestaurantSummary, now: datetime) -> None:
        """`now` is the server's clock."""
        super().__init__()
        self._restaurant = restaurant
        self._today = self._day = restaurant.there(now).date()
        self.summary: KitchenSummary | None = None
        """Of the span that is shown."""

    def body(self) -> ComposeResult:
        """The span, its figures, the hours, the dishes."""
        with Vertical(classes="box") as box:
            box.border_title = _("Figures")
            box.border_subtitle = _("←→ day · / from, to · s saves as CSV · esc closes")
            with Horizontal(classes="row"):
                yield Label(_("From"))
                yield Input(id="from", compact=True, max_length=25, placeholder=time_of_day(0))
                yield Label(_("to"))
                yield Input(id="to", compact=True, max_length=25, placeholder=time_of_day(24))
            with Figures():
                yield Static("", id="figures", markup=False)
                yield Sparkline(id="by-hour")
                yield Static("", id="hours", markup=False)
                yield Static("", id="dishes", markup=False)
            yield StatusLine()

    def on_mount(self) -> None:
        """Read today."""
        self.action_read()

    def on_resize(self) -> None:
        """Draw the hours for the new width."""
        self.call_after_refresh(self._draw_hours)

    # -- keys

    def action_day(self, days: int) -> None:
        """Go so many days on; none is after today. What was typed stays where it is a time."""
        for field in self.query(Input):
            if "-" in field.value:
                field.value = ""
        try:
            self._day = min(self._today, self._day + days * DAY)
        except OverflowError:
            return
        self.action_read()

    def action_span(self) -> None:
        """Type a span."""
        self.query_one("#from", Input).focus()

    def action_close(self) -> None:
        """From a field back to the figures, then close."""
        if isinstance(self.focused, Input):
            self.query_one(Figures).focus()
        else:
            self.dismiss(None)

    def action_read(self) -> None:
        """Read the figures of what is typed."""
        since, until = (self.query_one(f"#{name}", Input).value for name in ("from", "to"))
        try:
            start, end = span_of(self._day, since, until)
        except ClientError as error:
            self.show_error(error)
            return
        self.show_status(_("Reading…"), "info")
        work = self._read(start, end)
        self.run_worker(work, group="figures", exclusive=True, exit_on_error=True)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        self.action_read()
        if event.input.id == "from":
            self.query_one("#to", Input).focus()
        else:
            self.query_one(Figures).focus()

    def action_save(self) -> None:
        """Save the figures as a table."""
        if (summary := self.summary) is None:
            return
        since = self._restaurant.there(summary.since)
        name = f"orders-{since:%Y-%m-%d}.csv"
        save_text(self, csv_of(summary), name, _("Save the figures"))

    # -- drawing

    async def _read(self, start: datetime, end: datetime) -> None:
        try:
            summary = await self.services.api.summary(
                self._restaurant.id, start.isoformat(), end.isoformat()
            )
        except ClientError as error:
            self.show_status(message_for(error))
            return
        self.summary = summary
        title = _("Figures of {span}").format(span=span_name(start, end))
        self.query_one(".box").border_title = Content(title)
        lines = [
            Content.assemble(
                (fit(name, NAME_CELLS, pad=True), "$title"), (value, "bold"), f"   {more}"
            )
            for name, value, more in figures_of(summary)
        ]
        by_hour = _("Orders by the hour, {zone}").format(zone=summary.time_zone)
        lines += [Content(""), Content.assemble((by_hour, "$title"))]
        self.query_one("#figures", Static).update(Content("\n").join(lines))
        self._draw_hours()
        self.query_one("#dishes", Static).update(Content("\n").join(_dishes(summary)))
        self.show_status("")

    def _draw_hours(self) -> None:
        if (summary := self.summary) is None:
            return
        line, hours = self.query_one(Sparkline), len(summary.hours)
        room = self.query_one(Figures).scrollable_content_region.width
        cells = HOUR_CELLS if room >= hours * HOUR_CELLS else NARROW_HOUR_CELLS
        line.styles.width = hours * cells
        line.data = [hour.orders for hour in summary.hours]
        marks = (time_of_day(hour) for hour in range(0, hours, MARKED_HOURS))
        axis = "".join(f"{mark:<{MARKED_HOURS * cells}}" for mark in marks)
        self.query_one("#hours", Static).update(Content(axis.rstrip()))


def figures_of(summary: KitchenSummary) -> Iterable[tuple[str, str, str]]:
    """What the figures are called, their values, and what is said of them."""
    cancelled = _("{count} cancelled").format(count=summary.cancelled)
    yield _("Orders"), str(summary.orders), cancelled if summary.cancelled else ""
    each = ""
    if summary.orders:
        mean = money(round(summary.revenue_cents / summary.orders), summary.currency)
        each = _("{money} an order, with fees and tips").format(money=mean)
    yield _("Taken"), money(summary.revenue_cents, summary.currency), each
    if (took := summary.preparation_minutes) is None:
        yield _("Preparation"), "–", _("nothing is ready yet")
    else:
        half = _("{minutes} min").format(minutes=f"{took.p50:g}")
        most = _("for half of them, {minutes} min for nine of ten")
        yield _("Preparation"), half, most.format(minutes=f"{took.p90:g}")
    if summary.finished:
        share = _("{late} of the {count} that were ready")
        share = share.format(late=summary.late, count=summary.finished)
        yield _("Late"), f"{summary.late / summary.finished:.0%}", share
    if (busiest := summary.busiest_hour) is not None:
        hour = _("{start} to {end}")
        hour = hour.format(start=time_of_day(busiest), end=time_of_day(busiest + 1))
        count = summary.hours[busiest].orders
        orders = ngettext("{count} order", "{count} orders", count).format(count=count)
        yield _("Busiest"), hour, orders


def _dishes(summary: KitchenSummary) -> Iterable[Content]:
    for dish in summary.dishes:
        name = fit(dish.name, DISH_CELLS, pad=True)
        taken = money(dish.revenue_cents, summary.currency)
        yield Content.assemble((f"{dish.count:>5}× ", "bold"), name, (f"{taken:>14}", "$title"))


def csv_of(summary: KitchenSummary) -> str:
    """A table of the whole span, each hour and each dish, with amounts in the currency's units."""
    text = StringIO()
    table = csv.writer(text)
    table.writerow(["what", "name", "count", "amount", "currency"])

    def row(what: str, name: str, count: object, cents: int | None = None) -> None:
        taken = () if cents is None else (bare_money(cents, summary.currency), summary.currency)
        safe = f"'{name}" if plain(name).startswith(FORMULAS) else name
        table.writerow([what, safe, count, *taken])

    since, until = (f"{at:%Y-%m-%dT%H:%M:%SZ}" for at in (summary.since, summary.until))
    row("orders", f"{since}/{until}", summary.orders, summary.revenue_cents)
    row("cancelled", "", summary.cancelled)
    row("late", "", summary.late)
    row("ready", "", summary.finished)
    if (took := summary.preparation_minutes) is not None:
        row("preparation_minutes", "p50", took.p50)
        row("preparation_minutes", "p90", took.p90)
    for hour in summary.hours:
        row("hour", f"{hour.hour:02d}:00", hour.orders, hour.revenue_cents)
    for dish in summary.dishes:
        row("dish", dish.name, dish.count, dish.revenue_cents)
    return text.getvalue()
