"""The dialog "Today": what was ordered, earned and late on a day, or in any span of hours."""

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
from tui.common.format import bare_money, day_name, fit, message_for, money
from tui.common.language import _, listed, ngettext
from tui.common.sanitize import plain
from tui.common.widgets.status_line import StatusLine
from tui.employee.history.span import DAY, span_of

NAME_CELLS = 12
DISH_CELLS = 40
FORMULAS = tuple("=+-@\uff1d\uff0b\uff0d\uff20")
"""What a spreadsheet takes for the beginning of a formula."""
HOUR_CELLS = 3
"""Of the sparkline."""


class Figures(VerticalScroll):
    """What scrolls; `left` and `right` change the day."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "screen.day(-1)", _("Day before")),
        Binding("right", "screen.day(1)", _("Day after")),
    ]


class TodayScreen(Dialog[None]):
    """Shows today first; any other span is typed."""

    DEFAULT_CSS = """
    TodayScreen {
        & > .box { width: 84; height: 90%; }
        & #span { height: 1; color: $title; text-style: bold; }
        & .row { height: 1; margin-bottom: 1; }
        & .row > Label { width: auto; color: $title; padding-right: 1; }
        & .row > Input { width: 19; margin-right: 2; }
        & Figures { height: 1fr; }
        & Figures Static { height: auto; }
        & #by-hour { height: 2; width: 72; }
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
            box.border_title = _("Today")
            box.border_subtitle = _("←→ day · / from, to · s saves as CSV · esc closes")
            yield Static("", id="span", markup=False)
            with Horizontal(classes="row"):
                yield Label(_("From"))
                yield Input(id="from", compact=True, max_length=25, placeholder="00:00")
                yield Label(_("to"))
                yield Input(id="to", compact=True, max_length=25, placeholder="24:00")
            with Figures():
                yield Static("", id="figures", markup=False)
                yield Sparkline(id="by-hour")
                yield Static("", id="hours", markup=False)
                yield Static("", id="dishes", markup=False)
            yield StatusLine()

    def on_mount(self) -> None:
        """Read today."""
        self.action_read()

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
        self.run_worker(work, group="today", exclusive=True, exit_on_error=True)

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
        whole = end - start == DAY and start.hour == start.minute == 0
        shown = day_name(start.date())
        if not whole:
            last = end.date() if end.hour or end.minute else (end - DAY).date()
            other = f"{day_name(last)} " if last != start.date() else ""
            until = f"{end:%H:%M}" if end.hour or end.minute else "24:00"
            shown = _("{start} to {end}").format(
                start=f"{shown} {start:%H:%M}", end=f"{other}{until}"
            )
        self.query_one("#span", Static).update(Content(listed((shown, summary.time_zone))))
        lines = [
            Content.assemble(
                (fit(name, NAME_CELLS, pad=True), "$title"), (value, "bold"), f"   {more}"
            )
            for name, value, more in figures_of(summary)
        ]
        lines += [Content(""), Content.assemble((_("Orders by the hour"), "$title"))]
        self.query_one("#figures", Static).update(Content("\n").join(lines))
        self.query_one(Sparkline).data = [hour.orders for hour in summary.hours]
        axis = "".join(f"{hour:<{HOUR_CELLS * 3}}" for hour in range(0, 24, 3))
        self.query_one("#hours", Static).update(Content(axis.rstrip()))
        self.query_one("#dishes", Static).update(Content("\n").join(_dishes(summary)))
        self.show_status("")


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
        hour = _("{start} to {end}").format(start=f"{busiest:02d}:00", end=f"{busiest + 1:02d}:00")
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
