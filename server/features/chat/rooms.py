"""The room of a chat as one connection has it, whichever door it came through."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager
from functools import partial

from server.core.auth import Identity
from server.core.limits import RateLimit
from server.features.accounts.service import actor
from server.features.chat import frames
from server.features.chat.frame_schemas import ClientFrame, SendMessage, SendRead
from server.features.chat.messages import MessageService, Posted
from server.features.chat.names import Names
from server.features.chat.presence import Presence
from server.features.chat.room_state import state_topic_of
from server.features.chat.schemas import ChatMessage
from server.features.chat.service import ChatService, topic_of
from server.realtime.event import Event
from server.realtime.hub import Hub
from server.realtime.passing_topic import PASSING
from server.realtime.topic import Subscription
from server.transports.duplex import Lane, Said
from server.transports.long_polling import first_of


def typing_topic_of(chat_id: str) -> str:
    """The passing topic of who is typing."""
    return f"{PASSING}chat:{chat_id}"


class Seat:
    """A connection in a room."""

    def __init__(
        self, rooms: "Rooms", identity: Identity, chat_id: str, lane: Lane, place: Subscription
    ) -> None:
        self._rooms = rooms
        self._identity = identity
        self._chat_id = chat_id
        self._lane = lane
        self._place = place

    @property
    def cursor(self) -> str:
        """How far this connection has been told what happened."""
        return self._rooms.hub.cursor_of(self._place)

    @property
    def _who(self) -> Identity:
        return self._rooms.names.now(self._identity)

    def count(self, size: int) -> None:
        """Count what the client sends, before it is read. Raises Problem 429."""
        self._rooms.messages.count(self._identity, size)

    async def take(self, frame: ClientFrame) -> ChatMessage | None:
        """Act on what the client sent; gives its message, if it is one.

        Raises Problem 404, 409, 422, 429, 503.
        """
        if isinstance(frame, SendMessage):
            return await self._post(frame)
        if isinstance(frame, SendRead):
            await self._rooms.messages.read(self._who, self._chat_id, frame.cursor)
        else:
            who = actor(self._who)
            data = frames.typing_data(self._chat_id, who)
            self._rooms.hub.pass_on(typing_topic_of(self._chat_id), "typing", data, who.id)
        return None

    async def _post(self, frame: SendMessage) -> ChatMessage:
        posted = await self._rooms.post(self._identity, self._chat_id, frame)
        if posted.again and posted.seq <= self._place.cursor:
            # Its event lies behind this connection: without a word its sender would wait for ever.
            again = posted.message.model_copy(update={"again": True})
            self._lane.say(Said("message", again.model_dump_json()))
        return posted.message


class _Changes:
    """What of a room's state this connection has not been told yet."""

    def __init__(self) -> None:
        self._told: dict[str, str] = {}

    def of(self, saids: Sequence[Said]) -> list[Said]:
        """Those that say something new."""
        news = [said for said in saids if self._told.get(said.name) != said.text]
        self._told |= {said.name: said.text for said in news}
        return news


class Rooms:
    """Lets connections into rooms."""

    def __init__(
        self,
        hub: Hub,
        chats: ChatService,
        messages: MessageService,
        presence: Presence,
        names: Names,
        writes: RateLimit,
    ) -> None:
        self.hub = hub
        self.chats = chats
        self.messages = messages
        self.presence = presence
        self.names = names
        self.writes = writes

    async def post(self, identity: Identity, chat_id: str, frame: SendMessage) -> Posted:
        """A message, also of one who is not in the room. Raises Problem 404, 409, 429, 503."""
        self.writes.consume(identity.limit_key)
        return await self.messages.post(self.names.now(identity), chat_id, frame)

    @asynccontextmanager
    async def enter(
        self,
        identity: Identity,
        chat_id: str,
        after: str | None,
        lane: Lane,
        reset: Callable[[], None],
    ) -> AsyncIterator[Seat]:
        """Everything that happens after the cursor `after` (without one: from now) goes to the
        lane, and the room's state and who types; `reset` is called for a cursor that is no good.

        Raises Problem 404, 503.
        """
        await self.chats.admit(identity, chat_id)
        log, changes = self.hub.log, _Changes()

        def standing(event: Event) -> Sequence[Said]:
            return changes.of(frames.standing(log, chat_id, event))

        def typing(event: Event) -> Sequence[Said]:
            return frames.typing(event) if event.subject != identity.account_id else ()

        def cannot_go_on() -> None:
            lane.say(frames.reset(chat_id))
            reset()

        with ExitStack() as stack:
            happened = lane.sink(partial(frames.happened, log), cannot_go_on)
            # A cursor of a poll also tells of the state, which comes at once here.
            place = await self.hub.subscribe(topic_of(chat_id), first_of(after), happened)
            stack.callback(place.close)
            # The state comes at once: whoever has been told it misses nothing from then on.
            for topic, translate in (
                (typing_topic_of(chat_id), typing),
                (state_topic_of(chat_id), standing),
            ):
                sink = lane.sink(translate, cannot_go_on)
                stack.callback((await self.hub.subscribe(topic, None, sink)).close)
            stack.enter_context(self.presence.being_in(chat_id, identity))
            yield Seat(self, identity, chat_id, lane, place)
