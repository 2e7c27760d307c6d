"""Where to deliver: an address that is kept, or a new one, pointed at on the map."""

from collections.abc import Sequence
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Label

from server.features.accounts.schemas import Account, ProfileChange
from server.features.restaurants.schemas import RestaurantSummary
from server.features.shared.schemas import Address
from tui.common.client.errors import ClientError
from tui.common.dialogs.base import Dialog
from tui.common.format import fit, message_for
from tui.common.language import _
from tui.common.map.basemap import Basemap, load_basemap
from tui.common.map.geometry import LatLng, Marker, Overlay
from tui.common.map.streets import Streets, StreetSuggester
from tui.common.map.widget import TownMap
from tui.common.sanitize import in_one_line, plain
from tui.common.widgets.key_bar import KeyBar
from tui.common.widgets.row_list import RowList
from tui.common.widgets.status_line import StatusLine

EDGE_CELLS = 3
"""As near to the map's edge as the crosshair comes before the map moves."""
KEPT = (_("Home"), _("Work"))


class AimMap(TownMap):
    """A town's map with a crosshair, and the address where the nearest street is."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "take", _("Deliver there")),
        Binding("left", "aim(-1, 0)", _("Move"), key_display="←↑↓→"),
        Binding("right", "aim(1, 0)", show=False),
        Binding("up", "aim(0, -1)", show=False),
        Binding("down", "aim(0, 1)", show=False),
        Binding("shift+left", "aim(-8, 0)", show=False),
        Binding("shift+right", "aim(8, 0)", show=False),
        Binding("shift+up", "aim(0, -4)", show=False),
        Binding("shift+down", "aim(0, 4)", show=False),
    ]

    class Moved(Message):
        """The crosshair is somewhere else."""

    class Taken(Message):
        """Deliver there."""

    def __init__(self, restaurant: RestaurantSummary, start: LatLng) -> None:
        super().__init__(id="aim")
        self.streets: Streets | None = None
        self.only = ""
        """The street to stay on; "" for the nearest."""
        self._restaurant = Marker(
            "restaurant", restaurant.name, LatLng(restaurant.lat, restaurant.lng)
        )
        self.aim = start
        self.at, self.street = start, ""
        """Where to deliver, and the name of the street there."""
        self._show()

    def read(self, basemap: Basemap) -> None:
        """The map has come."""
        self.basemap, self.streets = basemap, Streets.of(basemap)
        self._aim(self.aim)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """There is no driver to follow."""
        return action != "follow"

    def show_kept(self, at: LatLng) -> None:
        """Put the crosshair at an address, and show it together with the restaurant."""
        self._camera.whole()
        self._aim(at)

    def go_to(self, at: LatLng) -> None:
        """Put the crosshair there, and show it from close by."""
        self._camera.centre(at, close=True)
        self._aim(at)

    def _aim(self, at: LatLng) -> None:
        self.aim = at
        near = self.streets.nearest(at, self.only) if self.streets else None
        self.at, self.street = near or (at, "")
        self._show()
        self.post_message(self.Moved())

    def _show(self) -> None:
        home = Marker("home", self.street, self.at)
        self.show(Overlay(markers=(self._restaurant, home), aim=self.aim))

    def action_aim(self, right: int, down: int) -> None:
        """Move the crosshair by so many cells."""
        column, row = self._view.cell(self.aim)
        column, row = column + right, row + down
        at, columns, rows = self._view.lat_lng(column, row), self._view.columns, self._view.rows
        edge = min(EDGE_CELLS, rows // 3)
        if not (edge <= column < columns - edge and edge <= row < rows - edge):
            self._camera.centre(at)
        self._aim(at)

    def action_take(self) -> None:
        """Enter."""
        self.post_message(self.Taken())

    def on_click(self, event: events.Click) -> None:
        """Aim at what is clicked."""
        self._aim(self._view.lat_lng(event.x, event.y))


class KeptList(RowList):
    """Home, work, and where the last orders went."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "select", _("Deliver there")),
        Binding("h", "keep(0)", _("Is home")),
        Binding("w", "keep(1)", _("Is work")),
        Binding("delete,backspace", "forget", _("Forget")),
    ]

    class Keep(Message):
        """Keep an address, or none, as home (0) or as work (1)."""

        def __init__(self, place: int, address: Address | None) -> None:
            super().__init__()
            self.place, self.address = place, address

    def __init__(self) -> None:
        super().__init__(id="kept")
        self.rows: list[tuple[str, Address]] = []
        self.message = Content(_("No address is kept yet. Tab, and type one."))

    def show(
        self, account: Account | None, recent: Sequence[Address], selected: Address | None
    ) -> None:
        """List the account's addresses, and those of earlier orders that are none of them, with the
        highlight on `selected`."""
        kept = (account.address, account.work_address) if account else (None, None)
        self.rows = [(name, one) for name, one in zip(KEPT, kept, strict=True) if one]
        known = {one.text.casefold() for _, one in self.rows}
        for one in recent:
            if one.text.casefold() not in known:
                known.add(one.text.casefold())
                self.rows.append(("", one))
        self.styles.height = max(1, len(self.rows))
        text = selected.text.casefold() if selected else ""
        rows = zip(self.row_ids(), self.rows, strict=True)
        self.highlight(next((id_ for id_, (_, one) in rows if one.text.casefold() == text), ""))

    def row_ids(self) -> Sequence[str]:
        """By their texts, which differ."""
        return [f"{name} {address.text}" for name, address in self.rows]

    def draw(self, index: int, width: int, focused: bool) -> list[Content]:
        """One address."""
        name, address = self.rows[index]
        return [
            Content.assemble((f" {name:<6} ", "$title"), (fit(address.text, max(0, width - 9)), ""))
        ]

    @property
    def address(self) -> Address | None:
        """The selected one."""
        return None if self.highlighted_index is None else self.rows[self.highlighted_index][1]

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Forget only what is kept by name."""
        at = self.highlighted_index
        if action == "forget":
            return at is not None and self.rows[at][0] in KEPT
        return super().check_action(action, parameters)

    def action_keep(self, place: int) -> None:
        """Keep the selected address as home or work."""
        if self.address is not None:
            self.post_message(self.Keep(place, self.address))

    def action_forget(self) -> None:
        """Keep it by that name no longer."""
        if self.highlighted_index is not None:
            self.post_message(self.Keep(KEPT.index(self.rows[self.highlighted_index][0]), None))


class AddressScreen(Dialog[Address]):
    """Answers the address that was chosen."""

    SCOPED_CSS: ClassVar[bool] = False  # else rules by breakpoint would not hold
    DEFAULT_CSS = """
    AddressScreen {
        & > .box { width: 100; height: 90%; max-height: 40; margin-bottom: 1; }
        &.-short > .box { padding: 0 1; height: 100%; max-height: 100%; margin: 0; }
        & .row { height: 1; margin: 1 0; }
        &.-short .row { margin: 0; }
        & .row > Label { width: 8; color: $title; padding-left: 1; }
        & .row > Input { width: 1fr; }
        & StatusLine { min-height: 1; max-height: 2; margin-top: 0; }
    }
    """
    AUTO_FOCUS = "#kept"

    def __init__(
        self, restaurant: RestaurantSummary, start: Address | None, recent: Sequence[Address]
    ) -> None:
        """`start` is where the crosshair is at first, if not at the restaurant; `recent` are the
        addresses of earlier orders, newest first."""
        super().__init__()
        self._recent, self._start = recent, start
        at = LatLng(start.lat, start.lng) if start else LatLng(restaurant.lat, restaurant.lng)
        self._map = AimMap(restaurant, at)
        self._suggester = StreetSuggester()

    def body(self) -> ComposeResult:
        """What is kept, a field for another one, the map."""
        with Vertical(classes="box") as box:
            box.border_title = _("Deliver to")
            yield KeptList()
            with Horizontal(classes="row"):
                yield Label(_("New"), markup=False)
                yield Input(
                    id="street",
                    compact=True,
                    max_length=200,
                    suggester=self._suggester,
                    select_on_focus=False,  # the number is added to the street of the map
                    placeholder=_("street and number; → completes a street of the town"),
                )
            yield self._map
            yield StatusLine()
        yield KeyBar()

    def on_mount(self) -> None:
        """List the addresses, and load the map."""
        kept = self.query_one(KeptList)
        kept.show(self.services.session.account, self._recent, self._start)
        if not kept.rows:
            self.query_one("#street", Input).focus()
        self.run_worker(load_basemap(self.services.api, self._read_map), exit_on_error=False)

    def _read_map(self, basemap: Basemap) -> None:
        self._map.read(basemap)
        self._suggester.streets = self._map.streets

    @on(RowList.OptionSelected, "#kept")
    def _chosen(self) -> None:
        self.dismiss(self.query_one(KeptList).address)

    @on(RowList.OptionHighlighted, "#kept")
    def _highlighted(self) -> None:
        if (address := self.query_one(KeptList).address) is not None:
            self._map.show_kept(LatLng(address.lat, address.lng))

    @on(AimMap.Moved)
    def _moved(self) -> None:
        typed = self.query_one("#street", Input).value.strip()
        if self._map.has_focus and self._map.street:
            words = _("On {street}. Enter delivers there.")
            if typed:
                words = _("On {street}. Enter delivers to “{address}” there.")
            told = words.format(street=self._map.street, address=plain(typed))
            self.show_status(told, "info")

    @on(Input.Changed, "#street")
    def _typed(self, event: Input.Changed) -> None:
        """An address of a street of the town is on that street."""
        if streets := self._map.streets:
            self._map.only = streets.named_in(event.value)
            self._map.show_kept(self._map.aim)

    @on(Input.Submitted, "#street")
    def _submitted(self) -> None:
        """Go to the street that is named, to point at the door."""
        if self._map.only:
            self._map.go_to(self._map.at)
        self._map.focus()
        self._moved()

    @on(AimMap.Taken)
    def _taken(self) -> None:
        field = self.query_one("#street", Input)
        text = in_one_line(field.value).strip()
        if not text:
            field.value = plain(self._map.street)
            field.cursor_position = 0
            field.focus()
            self.show_status(_("Add the number, then enter twice."), "info")
            return
        try:
            address = Address(text=text, lat=self._map.at.lat, lng=self._map.at.lng)
        except ValueError as error:
            field.focus()
            self.show_status(message_for(error))
            return
        self.dismiss(address)

    @on(KeptList.Keep)
    def _keep(self, event: KeptList.Keep) -> None:
        name = ("address", "work_address")[event.place]
        change = ProfileChange.model_validate({name: event.address})
        self.run_worker(self._change(change), group="keep", exclusive=True, exit_on_error=False)

    async def _change(self, change: ProfileChange) -> None:
        try:
            account = await self.services.api.change_profile(change)
        except ClientError as error:
            self.show_status(message_for(error))
            return
        self.services.show_account(account)
        if self.is_attached:
            kept = self.query_one(KeptList)
            kept.show(account, self._recent, kept.address)
            self.show_status(_("Saved."), "done")
