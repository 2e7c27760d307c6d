"""The frames that a room's events become, over WebSocket, Socket.IO and long polling alike."""

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
from server.realtime.event import Event, cursor_text
from server.realtime.log import EventLog
from server.transports.outbox import Frame, error

_KINDS = {"chat-closed": ErrorCode.CHAT_CLOSED, "chat-taken": ErrorCode.TAKEN}
_STATUSES = {
    403: ErrorCode.FORBIDDEN,
    404: ErrorCode.NOT_FOUND,
    429: ErrorCode.RATE_LIMITED,
    503: ErrorCode.UNAVAILABLE,
}


def state(log: EventLog, chat_id: str, event: Event) -> Sequence[Frame]:
    """The state of the room: who is present, and the read markers; made once."""
    found: tuple[Frame, Frame] | None = event.encoded.get("frames")
    if found is None:
        room = state_in(event)
        presence = PresenceFrame(chat_id=chat_id, present=list(room.present))
        topic = topic_of(chat_id)
        reads = [
            ReadMark(
                reader=marker.who,
                cursor=cursor_text(log.epoch, topic, marker.seq, marker.check),
                at=marker.at,
            )
            for marker in room.marks
        ]
        found = event.encoded["frames"] = (
            Frame("presence", presence.model_dump_json()),
            Frame("read", ReadFrame(chat_id=chat_id, reads=reads).model_dump_json()),
        )
    return found


def typing(event: Event) -> Sequence[Frame]:
    """Somebody is typing; made once."""
    found: tuple[Frame] | None = event.encoded.get("frames")
    if found is None:
        found = event.encoded["frames"] = (Frame("typing", event.data),)
    return found


def typing_data(chat_id: str, sender: Actor) -> str:
    """The data of a typing event, which is the frame."""
    return TypingFrame(chat_id=chat_id, sender=sender).model_dump_json()


def reset(chat_id: str) -> Frame:
    """The cursor cannot be honoured."""
    return Frame("reset", ResetFrame(chat_id=chat_id).model_dump_json())


def unreadable(problem: ValidationError, client_id: str | None) -> Frame:
    """What was sent is no valid frame, and why."""
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


def refused(problem: Problem, chat_id: str | None, client_id: str | None) -> Frame:
    """What was sent was refused, and why."""
    code = _KINDS.get(problem.kind or "") or _STATUSES.get(problem.status, ErrorCode.INVALID)
    again = problem.headers.get("Retry-After")
    return _error(code, problem.detail, client_id, chat_id, int(again) * 1000 if again else None)


def _error(
    code: ErrorCode,
    detail: str,
    client_id: str | None,
    chat_id: str | None = None,
    retry_after_ms: int | None = None,
) -> Frame:
    more = {"chat_id": chat_id, "client_id": client_id, "retry_after_ms": retry_after_ms}
    return error(code.value, detail, **{key: value for key, value in more.items() if value})


def _where(problem: Problem) -> str:
    """The detail, without the frame's type before the field's name."""
    first = next(iter(problem.errors or ()), None)
    if first is None:
        return problem.detail
    if not first["loc"]:  # pydantic would name our classes
        return "frame: Input should be an object."
    path = [str(part) for part in first["loc"] if part not in ("message", "typing", "read")]
    return f"{'.'.join(path) or 'frame'}: {first['msg']}."
