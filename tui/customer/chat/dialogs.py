"""The customer's chats, to choose one, and the question that opens a new one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input, Label, OptionList
from textual.widgets.option_list import Option

from server.features.chat.schemas import Chat, ChatStatus, NewChat
from server.features.orders.schemas import Order
from server.text import shows
from tui.common.chat.session import ChatSession
from tui.common.client.errors import ClientError
from tui.common.dialogs.base import Dialog
from tui.common.format import STATUS_LOOKS, clock_time, fit, message_for
from tui.common.language import _, without_isolates
from tui.common.sanitize import in_one_line
from tui.common.widgets.filter import FilterField
from tui.common.widgets.row_list import RowList
from tui.common.widgets.status_line import StatusLine

PAGES = 10


class ChatsScreen(Dialog[Chat]):
    """Answers with the chat that was chosen."""

    DEFAULT_CSS = """
    ChatsScreen {
        & > .box { width: 72; }
        & ChatRows { max-height: 16; }
        & StatusLine { margin-top: 0; }
        & StatusLine.-empty { display: none; }
    }
    """
    AUTO_FOCUS = "ChatRows"

    def __init__(self, chat_sessions: Mapping[str, ChatSession]) -> None:
        """`chat_sessions` are by chat id, and newer than the list that is loaded."""
        super().__init__()
        self._rows = ChatRows(chat_sessions)

    def body(self) -> ComposeResult:
        """The list, and a line for what is wrong with it."""
        with Vertical(classes="box") as box:
            box.border_title = _("Your chats")
            box.border_subtitle = _("enter opens it · / filters · esc closes")
            yield self._rows
            yield FilterField()
            yield StatusLine(_("Loading your chats…"))

    def on_mount(self) -> None:
        """Load the chats."""
        self.run_worker(self._read(), exit_on_error=False)

    async def _read(self) -> None:
        api, rows, before = self.services.api, self._rows, None
        for _page in range(PAGES):
            try:
                page = await api.chats(before=before)
            except ClientError as error:
                self.show_status(message_for(error))
                return
            rows.chats += page.items
            rows.redraw()
            before = page.next
            if before is None:
                break
        self.show_status("" if rows.chats else _("No chats yet."), "info")

    @on(RowList.OptionSelected)
    def _chosen(self) -> None:
        if (at := self._rows.highlighted_index) is not None:
            self.dismiss(self._rows.chats[at])


class ChatRows(RowList):
    """Chats, the one opened last first."""

    DEFAULT_CSS = "ChatRows { height: auto; }"

    def __init__(self, chat_sessions: Mapping[str, ChatSession]) -> None:
        super().__init__()
        self.chats: list[Chat] = []
        self._chat_sessions = chat_sessions

    def row_ids(self) -> Sequence[str]:
        """The chats' ids."""
        return [chat.id for chat in self.chats]

    def filter_key(self, index: int) -> str:
        """Subject and last message."""
        chat = self.chats[index]
        return f"{chat.subject} {chat.last_message.text if chat.last_message else ''}"

    def draw(self, index: int, width: int, focused: bool) -> list[Content]:
        """Whether it is open, its subject, its last message's time, what is new."""
        chat = self.chats[index]
        chat_session = self._chat_sessions.get(chat.id)
        unread = chat.unread.customer if chat_session is None else chat_session.unread
        chat = chat if chat_session is None else chat_session.chat
        is_open = chat.status is ChatStatus.OPEN
        when = chat.last_message.sent_at if chat.last_message else chat.opened_at
        new = _("{count} new").format(count=unread) if unread else ""
        return [
            Content.assemble(
                (" ● " if is_open else " ✓ ", "$success" if is_open else "$wire-ink"),
                (fit(chat.subject, 38, pad=True), "bold" if unread else ""),
                (f" {clock_time(when):>12}  ", "$wire-ink"),
                (new, "bold $primary"),
            )
        ]


ORDERS = 20
SUBJECT_MOST = 80


@dataclass
class NewChatDraft:
    """A question that is not sent yet."""

    subject: str = ""
    order_id: str | None = None


class NewChatScreen(Dialog[NewChat]):
    """Answers with the subject, and the order if it is about one.

    Every change is in the draft at once: closed or refused, nothing of it is lost.
    """

    DEFAULT_CSS = """
    NewChatScreen {
        & > .box { width: 64; }
        & Label { color: $title; margin-top: 1; }
        & Label.first { margin-top: 0; }
        & OptionList { max-height: 7; }
        & StatusLine { margin-top: 0; }
        & StatusLine.-empty { display: none; }
    }
    """
    AUTO_FOCUS = "Input"

    def __init__(self, order_id: str | None, draft: NewChatDraft) -> None:
        """`order_id` is the order it is probably about, where the draft is empty."""
        super().__init__()
        self._draft = draft
        self._order_id = draft.order_id if draft.subject else order_id
        self._orders: list[Order] = []

    def body(self) -> ComposeResult:
        """A subject, and the orders."""
        with Vertical(classes="box") as box:
            box.border_title = _("Ask support")
            box.border_subtitle = _("enter opens the chat · ↓ chooses the order · esc keeps it")
            yield Label(_("What is it about?"), classes="first")
            yield Input(
                self._draft.subject,
                placeholder=_("in a few words"),
                compact=True,
                max_length=SUBJECT_MOST,
                select_on_focus=False,
            )
            yield Label(_("Which order?"))
            orders = OptionList(Option(_("None")), id="orders")
            orders.styles.height = "auto"
            yield orders
            yield StatusLine()

    def on_mount(self) -> None:
        """Load the orders in the background."""
        self.query_one(OptionList).highlighted = 0
        self.run_worker(self._read(), exit_on_error=False)

    async def _read(self) -> None:
        try:
            self._orders = (await self.services.api.orders(limit=ORDERS)).items
        except ClientError as error:
            self.show_status(
                _("Your orders cannot be read just now: {error}").format(error=message_for(error)),
                "warning",
            )
            return
        found = self.query_one(OptionList)
        found.add_options([Option(_in_short(order)) for order in self._orders])
        for at, order in enumerate(self._orders, start=1):
            if order.id == self._order_id:
                found.highlighted = at

    @on(Input.Changed)
    def _subject_changed(self, event: Input.Changed) -> None:
        self._draft.subject = event.value

    @on(OptionList.OptionHighlighted)
    def _order_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        at = event.option_index
        self._draft.order_id = self._orders[at - 1].id if 0 < at <= len(self._orders) else None

    @on(Input.Submitted)
    @on(OptionList.OptionSelected)
    def _done(self) -> None:
        found = self.query_one(OptionList)
        at = found.highlighted or 0
        order = self._orders[at - 1] if 0 < at <= len(self._orders) else None
        subject = in_one_line(self.query_one(Input).value).strip()
        if not shows(subject) and order is not None:
            subject = subject_of(order)
        if not shows(subject):
            self.show_status(
                _("Say in a few words what it is about, or choose an order."), "warning"
            )
            self.query_one(Input).focus()
            return
        self._draft.subject = subject
        self.dismiss(NewChat(subject=subject, order_id=None if order is None else order.id))


def subject_of(order: Order) -> str:
    """What a chat about an order is called: its number and its restaurant."""
    subject = _("Order #{number:04d}, {restaurant}").format(
        number=order.number, restaurant=order.restaurant.name
    )
    return fit(without_isolates(subject), SUBJECT_MOST)


def _in_short(order: Order) -> Content:
    status = STATUS_LOOKS[order.status][1].lower()
    return Content.assemble(
        (f"#{order.number:04d} ", "bold"),
        fit(order.restaurant.name, 28),
        (f"  {status}", "$wire-ink"),
    )
