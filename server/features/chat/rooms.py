"""The room of a chat as one connection has it, over WebSocket and Socket.IO alike."""

from collections.abc import Callable, Sequence
from functools import partial

from server.core.auth import Identity
from server.core.errors import forbidden
from server.core.limits import RateLimit
from server.core.routing import CUSTOMER_OR_SUPPORT
from server.features.accounts.service import actor
from server.features.chat import frames
from server.features.chat.frame_schemas import ClientFrame, SendMessage, SendRead
from server.features.chat.messages import MessageService, Posted
from server.features.chat.names import CurrentNames
from server.features.chat.presence import Presence
from server.features.chat.room_state import state_topic_of
from server.features.chat.service import ChatService, topic_of
from server.realtime.ephemeral_topic import EPHEMERAL
from server.realtime.event import Event
from server.realtime.hub import Hub
from server.realtime.topic import Subscription
from server.transports.long_polling import first_of
from server.transports.outbox import Frame, Outbox, OutboxSink, Translate, frames_of


def typing_topic_of(chat_id: str) -> str:
    """The ephemeral topic of who is typing."""
    return f"{EPHEMERAL}chat:{chat_id}"


class Participant:
    """A connection in a room, until it is closed."""

    __slots__ = (
        "_chat_id",
        "_events",
        "_identity",
        "_outbox",
        "_present",
        "_reset",
        "_rooms",
        "_sent_state",
        "_subscriptions",
    )

    _events: Subscription

    def __init__(
        self,
        rooms: "Rooms",
        identity: Identity,
        chat_id: str,
        outbox: Outbox,
        reset: Callable[[], None],
    ) -> None:
        self._rooms = rooms
        self._identity = identity
        self._chat_id = chat_id
        self._outbox = outbox
        self._reset = reset
        self._subscriptions: tuple[Subscription, ...] = ()
        self._sent_state: dict[str, str] = {}
        self._present = False

    async def open(self, after: str | None) -> None:
        """Subscribe to the chat's events after that cursor, to the room's state and to who types.

        Raises Problem 503.
        """
        # A long poll's cursor also counts the state, which comes at once here.
        topic, cursor = topic_of(self._chat_id), first_of(after)
        self._events = await self._subscribe(topic, cursor, self._rooms.frames_of)
        await self._subscribe(typing_topic_of(self._chat_id), None, self._typing_of_others)
        # Last, as it sends the state at once: a client that has it misses nothing from then on.
        await self._subscribe(state_topic_of(self._chat_id), None, self._changed_state)
        self._rooms.presence.enter(self._chat_id, self._identity)
        self._present = True

    def close(self) -> None:
        """Leave the room."""
        for subscription in self._subscriptions:
            subscription.close()
        if self._present:
            self._present = False
            self._rooms.presence.leave(self._chat_id, self._identity.account_id)

    async def _subscribe(
        self, topic: str, cursor: str | None, translate: Translate
    ) -> Subscription:
        sink = OutboxSink(self._outbox, translate, self._send_reset)
        subscription = await self._rooms.hub.subscribe(topic, cursor, sink)
        self._subscriptions += (subscription,)
        return subscription

    def _changed_state(self, event: Event) -> Sequence[Frame]:
        """The parts of the room's state that this connection does not have yet."""
        parts = frames.state(self._rooms.hub.log, self._chat_id, event)
        changed = [part for part in parts if self._sent_state.get(part.name) != part.text]
        self._sent_state.update((part.name, part.text) for part in changed)
        return changed

    def _typing_of_others(self, event: Event) -> Sequence[Frame]:
        return frames.typing(event) if event.subject != self._identity.account_id else ()

    def _send_reset(self) -> None:
        self._outbox.send(frames.reset(self._chat_id))
        self._reset()

    @property
    def cursor(self) -> str:
        """The last event of the chat that this connection got."""
        return self._rooms.hub.cursor_of(self._events)

    def count(self, size: int) -> None:
        """Count what the client sends, before it is parsed. Raises Problem 429."""
        self._rooms.messages.count(self._identity, size)

    async def handle(self, frame: ClientFrame) -> str | None:
        """Act on a client's frame; returns its message's cursor, if it is one.

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

    async def _post(self, frame: SendMessage) -> str:
        posted = await self._rooms.post(self._identity, self._chat_id, frame)
        if posted.again and posted.message.seq <= self._events.cursor:
            # The connection has had its event, so without this its sender would wait for ever.
            again = self._rooms.messages.shown(self._chat_id, posted)
            self._outbox.send(Frame("message", again.model_dump_json()))
        return posted.cursor


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
        self.frames_of: Translate = partial(frames_of, hub.log)

    async def post(self, identity: Identity, chat_id: str, frame: SendMessage) -> Posted:
        """Store a message; its sender need not be in the room.

        Raises Problem 403, 404, 409, 429, 503.
        """
        _check(identity)
        self.writes.consume(identity.limit_key)
        return await self.messages.post(self.names.current(identity), chat_id, frame)

    async def enter(
        self,
        identity: Identity,
        chat_id: str,
        after: str | None,
        outbox: Outbox,
        reset: Callable[[], None],
    ) -> Participant:
        """Send the outbox the chat's events after the cursor `after` (without one: from now), the
        room's state, and who types; `reset` is called where the cursor cannot be honoured.

        The caller closes what it gets. Raises Problem 403, 404, 503.
        """
        _check(identity)
        await self.chats.admit(identity, chat_id)
        participant = Participant(self, identity, chat_id, outbox, reset)
        try:
            await participant.open(after)
        except BaseException:
            participant.close()
            raise
        return participant


def _check(identity: Identity) -> None:
    """Raises Problem 403 for roles without chats; Socket.IO is open to every role."""
    if not identity.acts_as(CUSTOMER_OR_SUPPORT):
        raise forbidden("Support chat is for customers and support staff only.")
