"""What the panels of both sides of a chat share: talks that run, one of them in view."""

from functools import partial
from typing import TYPE_CHECKING

from textual import on

from server.features.chat.schemas import Chat, ChatMessage
from tui.common.chat.session import Talk
from tui.common.chat.view import ChatPane
from tui.common.client.errors import ClientError, SignedOut
from tui.common.client.meter import Pattern, State
from tui.common.client.outbox import Outbox
from tui.common.client.retry import retry
from tui.common.dialogs.confirm import ConfirmScreen
from tui.common.format import fit, message_for
from tui.common.panel import Panel

if TYPE_CHECKING:
    from tui.common.client.outbox import OutboxStore

MOST_TALKS = 8
"""Rooms one is in at once; beyond that the one longest not looked at is left."""
CLOCK_SECONDS = 1.0
"""How often ages are drawn again, and who has stopped typing."""
TALK = "talk-"
"""The worker group of a talk is this and the chat's id."""
TOAST_CELLS = 120


class TalkPanel(Panel):
    """One chat in view, others running. A new message rings where nobody looks at it."""

    PATTERN = Pattern.WEBSOCKET
    VERB = "msgs"

    pane: ChatPane

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.talks: dict[str, Talk] = {}
        """By chat, the one looked at last is the last."""
        self._store: OutboxStore | None = None

    @property
    def talk(self) -> Talk | None:
        """The one in view."""
        return self.pane.talk

    @property
    def store(self) -> "OutboxStore":
        """What was written and has not come back, also before this window was opened."""
        if self._store is None:
            self._store = self.services.outbox
        return self._store

    def unsent(self) -> str:
        """Messages that are neither sent nor on the disk."""
        count = 0 if self._store is None else len(self._store.unkept)
        if not count:
            return ""
        messages = f"{count} chat messages are" if count > 1 else "A chat message is"
        return f"{messages} not sent yet, and could not be kept on the disk."

    def talk_of(self, chat: Chat) -> Talk:
        """The talk of that chat, which runs."""
        talk = self.talks.pop(chat.id, None)
        if talk is None or talk.over:
            talk = Talk(
                self.session,
                self.api,
                chat,
                outbox=Outbox(self.store, chat.id),
                on_change=self.changed,
                on_message=self.message_came,
            )
            self.run_worker(
                talk.run(), group=f"{TALK}{chat.id}", exclusive=True, exit_on_error=False
            )
        self.talks[chat.id] = talk
        for other in list(self.talks.values())[:-1]:
            if len(self.talks) > MOST_TALKS and not other.outbox and other is not self.talk:
                self.leave(other)
        return talk

    def look_into(self, chat: Chat) -> None:
        """Have that chat in view."""
        self.view(self.talk_of(chat))

    async def take_up_unsent(self) -> None:
        """Enter the rooms that something written in an earlier window is for."""
        for chat_id in self.store.chats():
            try:
                chat = await retry(partial(self.api.chat, chat_id))
            except ClientError:
                continue
            if self.pane.composer.has_focus:
                self.talk_of(chat)
            else:
                self.look_into(chat)

    def leave(self, talk: Talk) -> None:
        """Out of that room."""
        del self.talks[talk.id]
        self.workers.cancel_group(self, f"{TALK}{talk.id}")

    def view(self, talk: Talk | None) -> None:
        """Have this one in view; the wire line shows its room."""
        self.pane.show(talk)
        if talk is not None:
            self.talks[talk.id] = self.talks.pop(talk.id, talk)
            self.meter = talk.meter
        self.changed()
        self.refresh_bindings()

    def changed(self) -> None:
        """Paint with the next redraw."""
        self.needs_redraw = True

    def message_came(self, talk: Talk, message: ChatMessage) -> None:
        """Somebody else has written."""

    def ring(self, who: str, words: str) -> None:
        """Bell and toast."""
        self.app.bell()
        self.notify(fit(words, TOAST_CELLS), title=who, timeout=8)

    def is_seen(self, chat_id: str) -> bool:
        """Whether the newest message of that chat is being looked at."""
        talk = self.talk
        return self.in_view and talk is not None and talk.id == chat_id and self.pane.view.at_end

    def drop_connection(self) -> None:
        """Cut the room in view; what was missed is replayed when it is back."""
        if self.talk is None or not self.talk.drop_connection():
            self.notify("There is no connection to cut just now.", title=self.TITLE)

    def enter(self) -> None:
        """To where one writes, where there is something to write."""
        self.pane.enter()

    def what_closes(self, talk: Talk) -> str:
        """The words under the question whether to close it."""
        raise NotImplementedError

    def action_close(self) -> None:
        """Close the chat in view, once asked."""
        talk = self.talk
        if talk is None:
            return

        def answered(yes: bool | None) -> None:
            if yes:
                self.run_worker(self.close_talk(talk), group="step", exit_on_error=False)

        asked = ConfirmScreen("Close this chat?", self.what_closes(talk), yes="Close it")
        self.app.push_screen(asked, answered)

    def action_reopen(self) -> None:
        """Go on with a closed chat; at the desk it goes back into the queue."""
        if self.talk is not None:
            self.run_worker(self.reopen_talk(self.talk), group="step", exit_on_error=False)

    async def close_talk(self, talk: Talk) -> None:
        """Close its chat."""
        try:
            talk.learn(await self.api.close_chat(talk.id))
        except SignedOut:
            return
        except ClientError as error:
            self.notify(message_for(error), title="Not closed", severity="warning")

    async def reopen_talk(self, talk: Talk) -> None:
        """Go on with its chat."""
        try:
            talk.learn(await self.api.reopen_chat(talk.id))
        except SignedOut:
            return
        except ClientError as error:
            self.notify(message_for(error), title="Not opened again", severity="warning")
            return
        self.pane.renew(in_view=self.in_view)
        self.refresh_bindings()
        if self.in_view:
            self.enter()

    @on(ChatPane.Refused)
    def _refused(self, event: ChatPane.Refused) -> None:
        self.notify(event.words, title=self.TITLE, severity="warning")

    def worker_failed(self, group: str, message: str) -> None:
        """Where it was a chat, say it in the chat, too."""
        super().worker_failed(group, message)
        talk = self.talks.get(group.removeprefix(TALK)) if group.startswith(TALK) else None
        if talk is not None:
            talk.over = True
            talk.error = message
            talk.meter.set_state(State.DOWN, "stopped by an error")
            self.changed()
