"""What of a room only the newest matters: who is there, and how far everybody has read."""

from collections.abc import Sequence

from server.core.clock import now
from server.core.database import Transaction
from server.features.chat import store
from server.features.shared.schemas import Actor, Timestamp, Wire
from server.realtime.event import Event
from server.realtime.state_topic import STATE, States

ROOM = "room"


class Lease(Wire):
    """Somebody is there, says the process `holder`, and will say so again before `until`."""

    who: Actor
    holder: str
    until: Timestamp


class Mark(Wire):
    """How far somebody has read."""

    who: Actor
    seq: int
    at: Timestamp


class RoomState(Wire):
    """The state topic of a room."""

    leases: tuple[Lease, ...] = ()
    marks: tuple[Mark, ...] = ()

    @property
    def present(self) -> list[Actor]:
        """Who is there, each once, the customer first."""
        found = {lease.who.id: lease.who for lease in self.leases}
        return sorted(found.values(), key=lambda who: (who.role, who.name, who.id))

    def with_leases_of(self, holder: str, leases: Sequence[Lease]) -> "RoomState":
        """With these for that holder's, and of all others' only what has not run out."""
        moment = now()
        others = [one for one in self.leases if one.holder != holder and one.until > moment]
        return self.model_copy(update={"leases": (*others, *leases)})


def state_topic_of(chat_id: str) -> str:
    """The state topic of a room."""
    return f"{STATE}chat:{chat_id}"


def state_in(event: Event | None) -> RoomState:
    """The state an event tells of; made once for all who listen."""
    if event is None:
        return RoomState()
    found: RoomState | None = event.encoded.get("room")
    if found is None:
        found = event.encoded["room"] = RoomState.model_validate_json(event.data)
    return found


async def read_state(tx: Transaction, states: States, chat_id: str) -> RoomState:
    """The room as it is."""
    return state_in(await states.newest(tx, state_topic_of(chat_id)))


async def put_state(tx: Transaction, states: States, chat_id: str, state: RoomState) -> None:
    """Make it the room's state, and tell who listens."""
    await states.put(tx, state_topic_of(chat_id), ROOM, state.model_dump_json(), chat_id)


async def marks_moved(tx: Transaction, states: States, chat_id: str, without: str = "") -> None:
    """Put the marks that the rows have now into the room's state; an account that goes leaves."""
    rows = await store.marks(tx, chat_id)
    marks = tuple(Mark(who=row.reader, seq=row.seq, at=row.at) for row in rows)
    state = await read_state(tx, states, chat_id)
    leases = tuple(lease for lease in state.leases if lease.who.id != without)
    await put_state(tx, states, chat_id, RoomState(leases=leases, marks=marks))
