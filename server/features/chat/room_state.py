"""A room's state: who is present, and how far everybody has read."""

from server.core.clock import now
from server.core.database import Transaction
from server.features.chat import presence_store, store
from server.features.shared.schemas import Actor, Timestamp, Wire
from server.realtime.event import Event
from server.realtime.state_topic import STATE, States

ROOM = "room"


class ReadMarker(Wire):
    """How far somebody has read."""

    who: Actor
    seq: int
    check: str = ""
    """That of the event of that `seq`; empty in states of earlier versions."""
    at: Timestamp


class RoomState(Wire):
    """The data of a room's state topic."""

    present: tuple[Actor, ...] = ()
    """Each once, the customer first."""
    marks: tuple[ReadMarker, ...] = ()


def state_topic_of(chat_id: str) -> str:
    """The state topic of a room."""
    return f"{STATE}chat:{chat_id}"


def state_in(event: Event | None) -> RoomState:
    """The state in an event; parsed once for all subscribers."""
    if event is None:
        return RoomState()
    found: RoomState | None = event.encoded.get("room")
    if found is None:
        found = event.encoded["room"] = RoomState.model_validate_json(event.data)
    return found


async def read_state(tx: Transaction, states: States, chat_id: str) -> RoomState:
    """The room's present state."""
    return state_in(await states.newest(tx, state_topic_of(chat_id)))


async def put_present(tx: Transaction, states: States, chat_id: str) -> None:
    """Publish who is in the room, if it has changed."""
    present = tuple(await presence_store.present(tx, chat_id, now()))  # locks the room
    state = await read_state(tx, states, chat_id)
    if present != state.present:
        await _put(tx, states, chat_id, state.model_copy(update={"present": present}))


async def put_markers(tx: Transaction, states: States, chat_id: str) -> None:
    """Publish the stored read markers, with who is in the room."""
    rows = await store.read_markers(tx, chat_id)
    markers = tuple(
        ReadMarker(who=row.reader, seq=row.seq, check=row.check, at=row.at) for row in rows
    )
    present = tuple(await presence_store.present(tx, chat_id, now()))
    await _put(tx, states, chat_id, RoomState(present=present, marks=markers))


async def _put(tx: Transaction, states: States, chat_id: str, state: RoomState) -> None:
    await states.put(tx, state_topic_of(chat_id), ROOM, state.model_dump_json(), chat_id)
