"""A room's state: who is present, and how far everybody has read."""

from collections.abc import Sequence

from server.core.clock import now
from server.core.database import Transaction
from server.features.chat import store
from server.features.shared.schemas import Actor, Timestamp, Wire
from server.realtime.event import Event
from server.realtime.state_topic import STATE, States

ROOM = "room"


class Lease(Wire):
    """Somebody is present through the process `holder`, which renews this before `until`."""

    who: Actor
    holder: str
    until: Timestamp


class ReadMarker(Wire):
    """How far somebody has read."""

    who: Actor
    seq: int
    at: Timestamp


class RoomState(Wire):
    """The data of a room's state topic."""

    leases: tuple[Lease, ...] = ()
    marks: tuple[ReadMarker, ...] = ()

    @property
    def present(self) -> list[Actor]:
        """Who is present, each once, the customer first."""
        found = {lease.who.id: lease.who for lease in self.leases}
        return sorted(found.values(), key=lambda who: (who.role, who.name, who.id))

    def with_leases_of(self, holder: str, leases: Sequence[Lease]) -> "RoomState":
        """With these as that holder's, and without expired ones of others."""
        moment = now()
        others = [one for one in self.leases if one.holder != holder and one.until > moment]
        return self.model_copy(update={"leases": (*others, *leases)})


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


async def put_state(tx: Transaction, states: States, chat_id: str, state: RoomState) -> None:
    """Make it the room's state, and publish it."""
    await states.put(tx, state_topic_of(chat_id), ROOM, state.model_dump_json(), chat_id)


async def put_markers(tx: Transaction, states: States, chat_id: str, without: str = "") -> None:
    """Put the stored read markers into the room's state; the account `without` leaves the room."""
    rows = await store.read_markers(tx, chat_id)
    markers = tuple(ReadMarker(who=row.reader, seq=row.seq, at=row.at) for row in rows)
    state = await read_state(tx, states, chat_id)
    leases = tuple(lease for lease in state.leases if lease.who.id != without)
    await put_state(tx, states, chat_id, RoomState(leases=leases, marks=markers))
