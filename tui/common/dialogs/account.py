"""The account dialog: profile, password, sessions, data export, log out, delete."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Button, Input, Label, Static

from tui.common.client.errors import ClientError
from tui.common.dialogs.base import Dialog
from tui.common.dialogs.save import save_or_deliver
from tui.common.dialogs.sessions import SessionsScreen
from tui.common.format import ROLES
from tui.common.language import _
from tui.common.sanitize import in_one_line, plain
from tui.common.services import services_of
from tui.common.uploads.bitmap import NotDrawable
from tui.common.widgets.picture import PictureView
from tui.common.widgets.status_line import StatusLine
from tui.common.widgets.too_small import LEAST_ROWS

if TYPE_CHECKING:
    from collections.abc import Callable

    from server.features.accounts.schemas import Account, ProfileChange
    from tui.common.uploads.panel import PhotoPanel

FIELDS = (
    ("name", _("Name"), 80),
    ("phone", _("Phone"), 32),
    ("address", _("Address"), 200),
    ("place", _("Lat, lng"), 40),
)


class AccountScreen(Dialog[None]):
    """Changes are sent when their button is pressed; the result is shown here."""

    DEFAULT_CSS = """
    AccountScreen {
        & > .box { width: 76; }
        &.-short > .box { padding: 0 2; }
        & #profile, & #fields { height: auto; }
        &.-short Avatar { width: 12; height: 5; }
        & .row { height: 1; margin-bottom: 1; }
        &.-short .row { margin-bottom: 0; }
        & .row > Label { width: 14; color: $title; }
        & .row > Input { width: 1fr; }
        & .heading { text-style: bold; margin: 1 0; }
        &.-short .heading { margin: 1 0 0 0; }
        & .buttons { height: auto; }
        & .buttons > Button { margin-right: 2; }
    }
    """
    AUTO_FOCUS = "#name"
    VERTICAL_BREAKPOINTS = [(0, "-flat"), (LEAST_ROWS, "-short"), (27, "-tall")]  # noqa: RUF012

    def body(self) -> ComposeResult:
        """Three parts and a line for results."""
        with Vertical(classes="box") as box:
            box.border_title = _("Account")
            box.border_subtitle = _("esc closes")
            with Horizontal(id="profile"):
                with Vertical(id="fields"):
                    yield Static("", id="who", classes="row", markup=False)
                    for field, label, longest in FIELDS:
                        with Horizontal(classes="row"):
                            yield Label(label, markup=False)
                            yield Input(id=field, compact=True, max_length=longest)
                yield Avatar()
            with Horizontal(classes="buttons"):
                yield Button(_("Save"), id="save", variant="primary", compact=True)
                if self._photos() is not None:
                    yield Button(_("Photo…"), id="photo", compact=True)
                yield Button(_("Sessions…"), id="sessions", compact=True)
                yield Button(_("Save my data…"), id="export", compact=True)
            yield Static(_("Password"), classes="heading", markup=False)
            for field, label in (("current_password", _("Current")), ("new_password", _("New"))):
                with Horizontal(classes="row"):
                    yield Label(label, markup=False)
                    yield Input(id=field, password=True, compact=True, max_length=1024)
            with Horizontal(classes="buttons"):
                yield Button(_("Change password"), id="change", compact=True)
                yield Button(_("Log out"), id="log-out", compact=True)
                yield Button(_("Delete account…"), id="delete", variant="error", compact=True)
            yield StatusLine()

    def on_mount(self) -> None:
        """Show what is known, then ask the server."""
        account = self.services.session.account
        if account is not None:
            self._fill(account)
        self._run(self._load)

    def _fill(self, account: "Account") -> None:
        self.query_one("#who", Static).update(
            Content.assemble(
                (plain(account.email), "$foreground"), (f"  {ROLES[account.role]}", "$wire-ink")
            )
        )
        address = account.address
        values = {
            "name": account.name,
            "phone": account.phone or "",
            "address": address.text if address else "",
            "place": f"{address.lat}, {address.lng}" if address else "",
        }
        for field, value in values.items():
            self.query_one(f"#{field}", Input).value = in_one_line(value)
        self.redraw()

    def redraw(self) -> None:
        """A photo sent from here becomes the avatar a little later."""
        account = self.services.session.account
        self.query_one(Avatar).show_url(account.avatar_url if account is not None else None)

    def _run(self, action: Callable[[], Awaitable[None]]) -> None:
        self.run_worker(self._report(action), group="account", exit_on_error=True)

    async def _report(self, action: Callable[[], Awaitable[None]]) -> None:
        try:
            await action()
        except Exception as error:
            self.show_error(error)

    async def _load(self) -> None:
        known = self.services.session.account
        account = await self.services.api.me()
        if account != known and self.is_attached:
            self._fill(account)

    @on(Button.Pressed, "#save")
    def _save_pressed(self) -> None:
        self._run(self._save)

    @on(Button.Pressed, "#photo")
    def _photo_pressed(self) -> None:
        photos = self._photos()
        if photos is not None:
            words = _("Your photo is being uploaded; see panel {number}.").format(
                number=photos.number
            )
            photos.offer_avatar(lambda: self.show_status(words, "done"))

    def _photos(self) -> "PhotoPanel | None":
        from tui.common.uploads.panel import PhotoPanel

        return self.services.find_panel(PhotoPanel)

    @on(Button.Pressed, "#change")
    def _change_pressed(self) -> None:
        self._run(self._change)

    @on(Button.Pressed, "#log-out")
    def _log_out_pressed(self) -> None:
        self.services.log_out()

    @on(Button.Pressed, "#delete")
    def _delete_pressed(self) -> None:
        unsent = self.services.outbox

        def answered(deleted: bool | None) -> None:
            if deleted:
                unsent.clear()
                self.services.on_session_ended(_("Your account is deleted."))

        self.app.push_screen(DeleteAccountScreen(), answered)

    @on(Button.Pressed, "#sessions")
    def _sessions_pressed(self) -> None:
        self.app.push_screen(SessionsScreen())

    @on(Button.Pressed, "#export")
    def _export_pressed(self) -> None:
        fetch, name = self.services.api.export, "tiffin-my-data.json"
        title = _("Save my data")
        save_or_deliver(self.app, fetch, name, self.show_status, title, private=True)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        if event.input.id == "place":
            self._run(self._save)
        elif event.input.id == "new_password":
            self._run(self._change)
        else:
            self.focus_next()

    async def _save(self) -> None:
        account = await self.services.api.change_profile(self._profile())
        self.services.show_account(account)
        self._fill(account)
        self.show_status(_("Saved."), "done")

    def _profile(self) -> "ProfileChange":
        from server.features.accounts.schemas import ProfileChange
        from server.features.shared.schemas import Address
        from tui.common.client.errors import ClientError

        typed = {field: self.query_one(f"#{field}", Input).value.strip() for field, *_ in FIELDS}
        address = None
        if typed["address"]:
            try:
                lat, lng = (float(part) for part in typed["place"].split(","))
            except ValueError:
                self.focus_field("place")
                raise ClientError(_("Enter the position as two numbers: 52.52, 13.40.")) from None
            address = Address(text=typed["address"], lat=lat, lng=lng)
        return ProfileChange(name=typed["name"], phone=typed["phone"] or None, address=address)

    async def _change(self) -> None:
        from pydantic import Secret

        fields = [self.query_one(f"#{name}_password", Input) for name in ("current", "new")]
        await self.services.api.change_password(*(Secret(field.value) for field in fields))
        for field in fields:
            field.value = ""
        self.show_status(_("Password changed."), "done")


LONGEST = 240
"""Pixels; the avatar is small."""
RETRY_SECONDS = 1.0


class Avatar(PictureView, can_focus=False):
    """There is room for it only if it can be shown."""

    DEFAULT_CSS = """
    Avatar { width: 20; height: 9; margin-left: 2; display: none; }
    Avatar.-there { display: block; }
    """

    def __init__(self) -> None:
        super().__init__(id="avatar", chequered=False)
        self._url: str | None = None

    def show_url(self, url: str | None) -> None:
        """Show the picture at that path on the server; None where there is none."""
        if url == self._url or not self.can_draw:
            return
        self._url = url
        self.workers.cancel_group(self, "avatar")
        if url is None:
            self.set_class(False, "-there")
            self.show(None, None)
        else:
            self.run_worker(self._fetch(url), group="avatar", exit_on_error=False)

    async def _fetch(self, url: str) -> None:
        cache = services_of(self).picture_cache
        while True:
            try:
                picture = await cache.picture(url, longest=LONGEST, trim=True)
                break
            except NotDrawable:
                return
            except ClientError:
                await asyncio.sleep(RETRY_SECONDS)
        self.set_class(True, "-there")
        self.show(None, picture)


class DeleteAccountScreen(Dialog[bool]):
    """Returns True once the account is deleted."""

    DEFAULT_CSS = """
    DeleteAccountScreen {
        & > .box { width: 62; border: round $error; border-title-color: $error; }
        & .row { height: 1; margin-top: 1; }
        & .row > Label { width: 11; color: $title; }
        & .row > Input { width: 1fr; }
        & StatusLine { min-height: 0; margin-top: 0; padding-left: 11; }
        & .buttons { height: auto; margin-top: 1; align-horizontal: right; }
        & Button { margin-left: 2; }
    }
    """
    AUTO_FOCUS = "#no"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "app.focus_previous", show=False),
        Binding("right", "app.focus_next", show=False),
    ]

    def body(self) -> ComposeResult:
        """The question, the password, two buttons."""
        with Vertical(classes="box") as box:
            box.border_title = _("Delete account")
            box.border_subtitle = _("esc keeps it")
            yield Static(
                _(
                    "Your profile is erased, and your name and address with it from your "
                    "orders. This can't be undone."
                ),
                markup=False,
            )
            with Horizontal(classes="row"):
                yield Label(_("Password"), markup=False)
                yield Input(id="password", password=True, compact=True, max_length=1024)
            yield StatusLine()
            with Horizontal(classes="buttons"):
                yield Button(_("Keep it"), id="no", compact=True)
                yield Button(_("Delete it"), id="yes", variant="error", compact=True)

    @on(Input.Submitted)
    def _submitted(self) -> None:
        self.query_one("#yes", Button).focus()

    @on(Button.Pressed)
    def _report(self, event: Button.Pressed) -> None:
        if event.button.id == "no":
            self.dismiss(False)
        else:
            self.run_worker(self._delete(), group="delete", exclusive=True, exit_on_error=True)

    async def _delete(self) -> None:
        from pydantic import Secret

        password = self.query_one("#password", Input).value
        try:
            await self.services.api.delete_account(Secret(password))
        except Exception as error:
            self.show_error(error)
        else:
            if self.is_attached:
                self.dismiss(True)
