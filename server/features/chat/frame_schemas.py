"""The frames of a room over WebSocket and Socket.IO: messages, errors, the close reason."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import (
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)

from server.features.chat.schemas import LONGEST_TEXT, ChatMessage
from server.features.shared.schemas import (
    LINE_ENDS,
    LINES,
    SHOWN,
    Actor,
    Id,
    Timestamp,
    Whole,
    Wire,
    absent,
)

Text = Annotated[
    str,
    StringConstraints(min_length=1, max_length=LONGEST_TEXT),
    LINE_ENDS,
    LINES,
    SHOWN,
]
"""A message as written; only its line ends are normalised."""
ClientId = Annotated[str, StringConstraints(min_length=1, max_length=64), LINES]
"""Unique to its sender within a chat: a message sent again with the same one is stored once."""
CursorText = Annotated[str, StringConstraints(min_length=1, max_length=1024)]


class ReadMark(Wire):
    """How far somebody has read: the cursor of the last message they have seen."""

    reader: Actor
    cursor: str
    at: Timestamp


class TypingFrame(Wire):
    """Somebody else is typing; it holds for some seconds and is not stored."""

    type: Literal["typing"] = "typing"
    chat_id: str
    sender: Actor


class ReadFrame(Wire):
    """Everybody's read marks as they are now: on entering, and when one changes."""

    type: Literal["read"] = "read"
    chat_id: str
    reads: list[ReadMark]


class PresenceFrame(Wire):
    """Who is in the room now: on entering, and when somebody comes or goes."""

    type: Literal["presence"] = "presence"
    chat_id: str
    present: list[Actor]


class TakenFrame(Wire):
    """Somebody in support has claimed the chat."""

    type: Literal["taken"] = "taken"
    chat_id: str
    cursor: str
    by: Actor
    at: Timestamp


class ClosedFrame(Wire):
    """The chat was closed: it accepts no messages until it is reopened."""

    type: Literal["closed"] = "closed"
    chat_id: str
    cursor: str
    by: Actor
    at: Timestamp


class ReopenedFrame(Wire):
    """The chat was reopened, and waits in the queue again."""

    type: Literal["reopened"] = "reopened"
    chat_id: str
    cursor: str
    by: Actor
    at: Timestamp


class ResetFrame(Wire):
    """The cursor cannot be honoured: read the history again and reconnect with its cursor."""

    type: Literal["reset"] = "reset"
    chat_id: str


class ErrorCode(StrEnum):
    """What was wrong with a frame. One with `again` was not accepted for now: send it again.

    A later frame may have been accepted meanwhile: to keep an order, send the next message when
    the one before has come back.
    """

    BAD_JSON = "bad_json"
    UNKNOWN_TYPE = "unknown_type"
    INVALID = "invalid"
    BINARY = "binary"
    TOO_LARGE = "too_large"
    RATE_LIMITED = "rate_limited"
    CHAT_CLOSED = "chat_closed"
    TAKEN = "taken"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    UNAVAILABLE = "unavailable"

    @property
    def again(self) -> bool:
        """Whether the same frame may succeed a little later."""
        return self in (ErrorCode.RATE_LIMITED, ErrorCode.UNAVAILABLE)


class ErrorFrame(Wire):
    """A frame was not accepted, and why; `client_id` is the message's, if it had one.

    `code` is an `ErrorCode`, or one that is newer than this client.
    """

    type: Literal["error"] = "error"
    code: str
    detail: str
    chat_id: str | None = absent()
    client_id: str | None = absent()
    retry_after_ms: Whole | None = absent()


class SendMessage(Wire):
    """A client's message."""

    type: Literal["message"] = "message"
    client_id: ClientId
    text: Text


class NewMessage(Wire):
    """`SendMessage` over REST, for a client without a socket."""

    client_id: ClientId
    text: Text


class NewReadMark(Wire):
    """`SendRead` over REST."""

    cursor: CursorText


class SendTyping(Wire):
    """The user is typing: send at most one every two seconds."""

    type: Literal["typing"] = "typing"


class SendRead(Wire):
    """The user has read every message up to this cursor. It never goes back."""

    type: Literal["read"] = "read"
    cursor: CursorText


class JoinRoom(Wire):
    """Socket.IO's `join`: as `GET /chats/{id}/ws?after=`."""

    chat_id: Id
    after: str | None = None


class InRoom(Wire):
    """Socket.IO's `typing` and `leave`."""

    chat_id: Id


class SendMessageTo(SendMessage):
    """Socket.IO's `message`, acknowledged with `Acknowledged` or an `ErrorFrame`."""

    chat_id: Id


class SendReadIn(SendRead):
    """Socket.IO's `read`."""

    chat_id: Id


class Acknowledged(Wire):
    """Socket.IO's acknowledgement.

    `cursor` is the message's, or for a `join` that of the last event already sent.
    """

    cursor: str | None = absent()


class GoodbyeFrame(Wire):
    """Sent over Socket.IO before the server disconnects: the WebSocket's close code."""

    type: Literal["goodbye"] = "goodbye"
    code: Whole
    reason: str
    retry_after_ms: Whole | None = absent()


class CloseReason(Wire):
    """The reason in a WebSocket's close frame, as JSON."""

    reason: str
    retry_after_ms: Whole | None = absent()


ClientFrame = SendMessage | SendTyping | SendRead
"""What a client may send over a WebSocket."""
ServerFrame = (
    ChatMessage
    | TypingFrame
    | ReadFrame
    | PresenceFrame
    | TakenFrame
    | ClosedFrame
    | ReopenedFrame
    | ResetFrame
    | ErrorFrame
)
"""What a room sends."""

_client_frames: TypeAdapter[ClientFrame] = TypeAdapter(
    Annotated[ClientFrame, Field(discriminator="type")]
)
_server_frames: TypeAdapter[ServerFrame] = TypeAdapter(
    Annotated[ServerFrame, Field(discriminator="type")]
)


def read_client_frame(text: str | bytes) -> ClientFrame:
    """The frame in that text. Raises ValidationError."""
    return _client_frames.validate_json(text, strict=True)


def read_server_frame(text: str | bytes) -> ServerFrame | None:
    """The frame in that text; None for a type that is newer than this client.

    Raises ValidationError for a text that is no frame.
    """
    try:
        return _server_frames.validate_json(text)
    except ValidationError as error:
        if any(one["type"] == "union_tag_invalid" for one in error.errors()):
            return None
        raise


class CloseCode:
    """Why the server ended a WebSocket."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL = 1002
    POLICY = 1008
    TOO_LARGE = 1009
    FAILED = 1011
    TRY_AGAIN_LATER = 1013
    UNAUTHORIZED = 4401
    FORBIDDEN = 4403
    NOT_FOUND = 4404
    STALLED = 4408
    INVALID = 4422
