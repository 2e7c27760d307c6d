"""A window with one conversation in it."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import ClassVar

from textual.app import App, ComposeResult

from server.features.chat.frame_schemas import ReadFrame, ReadMark
from server.features.chat.schemas import ChatMessage, MessagePage
from server.features.shared.schemas import Actor
from tui.common.chat.message_view import MessageView
from tui.common.chat.model import Conversation
from tui.common.panel_grid import MainScreen
from tui.common.themes import NIGHT

ANA = Actor(id="ana", name="Ana", role="customer")
MAYA = Actor(id="maya", name="Maya", role="employee")
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def said(number: int, text: str = "", sender: Actor = MAYA, minutes: float = 0.0) -> ChatMessage:
    """A message, a minute after the one before."""
    return ChatMessage(
        chat_id="c",
        cursor=f"c-{number}",
        client_id=f"id-{number}",
        sender=sender,
        text=text or f"message {number}",
        sent_at=NOON + timedelta(minutes=minutes or number),
    )


def page_of(messages: list[ChatMessage], before: str | None = None) -> MessagePage:
    """A page of the history, given from its oldest on."""
    return MessagePage(items=list(reversed(messages)), next=before, cursor=messages[-1].cursor)


def read_to(who: Actor, message: ChatMessage) -> ReadFrame:
    """They have read up to that one."""
    mark = ReadMark(reader=who, cursor=message.cursor, at=NOON)
    return ReadFrame(chat_id="c", reads=[mark])


class ChatWindow(App[None]):
    """Shows one conversation."""

    CSS = "Screen { layers: base; } MessageView { width: 100%; height: 100%; }"
    ENABLE_COMMAND_PALETTE: ClassVar[bool] = False

    def __init__(self, conversation: Conversation) -> None:
        super().__init__()
        self.register_theme(NIGHT)
        self.theme = NIGHT.name
        self.conversation = conversation
        self.view = MessageView()
        self.asked_for_older = 0

    def get_default_screen(self) -> MainScreen:
        return MainScreen(id="_default")

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return NIGHT.variables

    def compose(self) -> ComposeResult:
        yield self.view

    def on_mount(self) -> None:
        self.view.show(self.conversation)
        self.view.focus()

    def on_message_view_near_top(self) -> None:
        self.asked_for_older += 1

    def lines(self) -> list[str]:
        """The screen."""
        return [strip.text for strip in self.screen._compositor.render_strips(self.size)]

    def text(self) -> str:
        return "\n".join(self.lines())

    async def settled(self) -> None:
        """Wait until what was asked for has been painted."""
        await asyncio.sleep(0)
        self.view.redraw()
