"""The room of a chat as one connection has it, over WebSocket and Socket.IO alike."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager
from functools import partial

from server.core.auth import Identity
from server.core.limits import RateLimit
from server.features.accounts.service import actor
from server.features.chat import frames
from server.features.chat.frame_schemas import ClientFrame, SendMessage, SendRead
from server.features.chat.messages import MessageService, Posted
from server.features.chat.names import CurrentNames
from server.features.chat.presence import Presence
from server.features.chat.room_state import state_topic_of
from server.features.chat.schemas import ChatMessage
from server.features.chat.service import ChatService, topic_of
from server.realtime.ephemeral_topic import EPHEMERAL
from server.realtime.event import Event
from server.realtime.hub import Hub
from server.realtime.topic import Subscription
from server.transports.long_polling import first_of
from server.transports.outbox import Frame, Outbox, OutboxSink


def typing_topic_of(chat_id: str) -> str:
    """The ephemeral topic of who is typing."""
    return f"{EPHEMERAL}chat:{chat_id}"


class Participant:
    """A connection in a room."""

    def __init__(
        self,
        rooms: "Rooms",
        identity: Identity,
        chat_id: str,
        outbox: Outbox,
        subscription: Subscription,
    ) -> None:
        self._rooms = rooms
        self._identity = identity
        self._chat_id = chat_id
        self._outbox = outbox
        self._subscription = subscription

    @property
    def cursor(self) -> str:
        """The last event of the chat that this connection got."""
        return self._rooms.hub.cursor_of(self._subscription)

    def count(self, size: int) -> None:
        """Count what the client sends, before it is parsed. Raises Problem 429."""
        self._rooms.messages.count(self._identity, size)

    async def handle(self, frame: ClientFrame) -> ChatMessage | None:
        """Act on a client's frame; returns its message, if it is one.

        Raises Problem 404, 409, 422, 429, 503.
        """
        if isinstance(frame, SendMessage):
            return await self._post(frame)
        who = self._rooms.names.current(self._identity)
        if isinstance(frame, SendRead):
            await self._rooms.messages.read(who, self._chat_id, frame.cursor)
        else:
            sender = actor(who)
            data = frames.typing_data(self._chat_id, sender)
            self._rooms.hub.broadcast(typing_topic_of(self._chat_id), "typing", data, sender.id)
        return None

    async def _post(self, frame: SendMessage) -> ChatMessage:
        posted = await self._rooms.post(self._identity, self._chat_id, frame)
        if posted.again and posted.seq <= self._subscription.cursor:
            # The connection has had its event, so without this its sender would wait for ever.
            again = posted.message.model_copy(update={"again": True})
            self._outbox.send(Frame("message", again.model_dump_json()))
        return posted.message


class Rooms:
    """Lets connections into rooms."""

    def __init__(
        self,
        hub: Hub,
        chats: ChatService,
        messages: MessageService,
        presence: Presence,
        names: CurrentNames,
        writes: RateLimit,
    ) -> None:
        self.hub = hub
        self.chats = chats
        self.messages = messages
        self.presence = presence
        self.names = names
        self.writes = writes

    async def post(self, identity: Identity, chat_id: str, frame: SendMessage) -> Posted:
        """Store a message; its sender need not be in the room.

        Raises Problem 404, 409, 429, 503.
        """
        self.writes.consume(identity.limit_key)
        return await self.messages.post(self.names.current(identity), chat_id, frame)

    @asynccontextmanager
    async def enter(
        self,
        identity: Identity,
        chat_id: str,
        after: str | None,
        outbox: Outbox,
        reset: Callable[[], None],
    ) -> AsyncIterator[Participant]:
        """Send the outbox the chat's events after the cursor `after` (without one: from now), the
        room's state, and who types; `reset` is called where the cursor cannot be honoured.

        Raises Problem 404, 503.
        """
        await self.chats.admit(identity, chat_id)
        log = self.hub.log
        sent_state: dict[str, str] = {}

        def changed_state(event: Event) -> Sequence[Frame]:
            """The parts of the room's state that this connection does not have yet."""
            parts = frames.state(log, chat_id, event)
            changed = [part for part in parts if sent_state.get(part.name) != part.text]
            sent_state.update((part.name, part.text) for part in changed)
            return changed

        def typing_of_others(event: Event) -> Sequence[Frame]:
            return frames.typing(event) if event.subject != identity.account_id else ()

        def send_reset() -> None:
            outbox.send(frames.reset(chat_id))
            reset()

        with ExitStack() as stack:

            async def subscribe(
                topic: str, cursor: str | None, translate: Callable[[Event], Sequence[Frame]]
            ) -> Subscription:
                sink = OutboxSink(outbox, translate, send_reset)
                subscription = await self.hub.subscribe(topic, cursor, sink)
                stack.callback(subscription.close)
                return subscription

            # A long poll's cursor also counts the state, which comes at once here.
            events = await subscribe(
                topic_of(chat_id), first_of(after), partial(frames.of_event, log)
            )
            await subscribe(typing_topic_of(chat_id), None, typing_of_others)
            # Last, as it sends the state at once: a client that has it misses nothing from then on.
            await subscribe(state_topic_of(chat_id), None, changed_state)
            stack.enter_context(self.presence.connected(chat_id, identity))
            yield Participant(self, identity, chat_id, outbox, events)
