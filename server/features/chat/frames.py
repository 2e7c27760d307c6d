"""What a room's events tell a client: the frames both doors send."""

from collections.abc import Sequence

from pydantic import ValidationError

from server.core.errors import Problem, validation_problem
from server.features.chat.frame_schemas import (
    ErrorCode,
    PresenceFrame,
    ReadFrame,
    ReadMark,
    ResetFrame,
    TypingFrame,
)
from server.features.chat.room_state import state_in
from server.features.chat.service import topic_of
from server.features.shared.schemas import Actor
from server.realtime.event import Cursor, Event
from server.realtime.log import EventLog
from server.transports.duplex import Said, error

_KINDS = {"chat-closed": ErrorCode.CHAT_CLOSED, "chat-taken": ErrorCode.TAKEN}
_STATUSES = {
    404: ErrorCode.NOT_FOUND,
    429: ErrorCode.RATE_LIMITED,
    503: ErrorCode.UNAVAILABLE,
}


def happened(log: EventLog, event: Event) -> Sequence[Said]:
    """An event of the log: its data with its type and its cursor; made once."""
    found: tuple[Said] | None = event.encoded.get("frames")
    if found is None:
        text = f'{{"type":"{event.type}","cursor":"{log.cursor_of(event)}",{event.data[1:]}'
        found = event.encoded["frames"] = (Said(event.type, text),)
    return found


def standing(log: EventLog, chat_id: str, event: Event) -> Sequence[Said]:
    """The state of the room: who is there, and the read marks; made once."""
    found: tuple[Said, Said] | None = event.encoded.get("frames")
    if found is None:
        state = state_in(event)
        presence = PresenceFrame(chat_id=chat_id, present=state.present)
        topic = topic_of(chat_id)
        reads = [
            ReadMark(reader=mark.who, cursor=str(Cursor(log.epoch, topic, mark.seq)), at=mark.at)
            for mark in state.marks
        ]
        found = event.encoded["frames"] = (
            Said("presence", presence.model_dump_json()),
            Said("read", ReadFrame(chat_id=chat_id, reads=reads).model_dump_json()),
        )
    return found


def typing(event: Event) -> Sequence[Said]:
    """Somebody types; made once."""
    found: tuple[Said] | None = event.encoded.get("frames")
    if found is None:
        found = event.encoded["frames"] = (Said("typing", event.data),)
    return found


def typing_data(chat_id: str, sender: Actor) -> str:
    """The data of a typing event, which is the frame."""
    return TypingFrame(chat_id=chat_id, sender=sender).model_dump_json()


def reset(chat_id: str) -> Said:
    """The cursor cannot be honoured."""
    return Said("reset", ResetFrame(chat_id=chat_id).model_dump_json())


def unreadable(problem: ValidationError, client_id: str | None) -> Said:
    """What was sent is no frame: what is wrong with it, in words."""
    kind = problem.errors(include_url=False, include_input=False, include_context=False)[0]["type"]
    if kind == "json_invalid":
        return _error(
            ErrorCode.BAD_JSON,
            validation_problem(problem).detail.replace("body", "frame"),
            client_id,
        )
    if kind.startswith("union_tag"):
        return _error(
            ErrorCode.UNKNOWN_TYPE, "`type` must be `message`, `typing` or `read`.", client_id
        )
    return _error(ErrorCode.INVALID, _where(validation_problem(problem)), client_id)


def refused(problem: Problem, chat_id: str | None, client_id: str | None) -> Said:
    """What was sent was not taken, and why."""
    code = _KINDS.get(problem.kind or "") or _STATUSES.get(problem.status, ErrorCode.INVALID)
    again = problem.headers.get("Retry-After")
    return _error(code, problem.detail, client_id, chat_id, int(again) * 1000 if again else None)


def _error(
    code: ErrorCode,
    detail: str,
    client_id: str | None,
    chat_id: str | None = None,
    retry_after_ms: int | None = None,
) -> Said:
    more = {"chat_id": chat_id, "client_id": client_id, "retry_after_ms": retry_after_ms}
    return error(code.value, detail, **{key: value for key, value in more.items() if value})


def _where(problem: Problem) -> str:
    """The detail, without the frame's type before the field's name."""
    first = next(iter(problem.errors or ()), None)
    if first is None:
        return problem.detail
    if not first["loc"]:  # Socket.IO's are no JSON text, and pydantic speaks of our classes there
        return "frame: Input should be an object."
    place = [str(part) for part in first["loc"] if part not in ("message", "typing", "read")]
    return f"{'.'.join(place) or 'frame'}: {first['msg']}."
