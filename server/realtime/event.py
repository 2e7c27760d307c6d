"""An event, and the cursor that marks a position in its topic."""

import base64
import binascii
import json
import sys
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import from_json

OVERHEAD = 600
"""Bytes of an event besides its data: the object, its dictionary and its short strings."""


CHECK_LENGTH = 8
"""Characters of a check."""


def check_of(at: str) -> str:
    """What tells an event of that time from another one of the same number, in a copy of the
    database: minute, second and millisecond."""
    return at[14:19] + at[20:23]


@dataclass(slots=True, eq=False)
class Event:
    """One change. `data` is JSON text; `subject` is what in the topic it is about.

    `encoded` keeps what a transport made of it, so that it is encoded once for all its readers. The
    hub's next sweep drops that, as it takes several times the memory of the data.
    """

    topic: str
    seq: int
    type: str
    subject: str
    data: str
    at: str
    encoded: dict[str, Any] = field(default_factory=dict)
    _size: int = field(default=0, init=False, repr=False)

    @property
    def size(self) -> int:
        """Bytes it takes in memory at most, without `encoded`: always the same."""
        if not self._size:
            text = sys.getsizeof(self.data)
            # Python also keeps the UTF-8 of a string that is not ASCII, once it was encoded.
            self._size = OVERHEAD + (text if self.data.isascii() else 2 * text)
        return self._size

    def to_message(self) -> str:
        """The message a broker carries."""
        return json.dumps(
            [self.topic, self.seq, self.type, self.subject, self.data, self.at],
            ensure_ascii=False,
            separators=(",", ":"),
        )

    @classmethod
    def from_message(cls, text: str | bytes) -> "Event":
        """The event in such a message. Raises ValueError for anything else."""
        match from_json(text):
            case [str(topic), int(seq), str(kind), str(subject), str(data), str(at)]:
                return cls(topic, seq, kind, subject, data, at)
        raise ValueError("not an event")


def cursor_text(epoch: str, topic: str, seq: int, check: str) -> str:
    """The text of a Cursor, without the object: making that takes longer."""
    place = f"{seq}-{check}" if check else seq
    plain = f"{epoch}.{place}.{topic}".encode()
    return base64.urlsafe_b64encode(plain).decode().rstrip("=")


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last event seen: the log's epoch, the topic, the `seq`, and the event's `check_of`.

    The check is empty where there is no event, and in cursors of earlier versions.
    """

    epoch: str
    topic: str
    seq: int
    check: str = ""

    def __str__(self) -> str:
        return cursor_text(self.epoch, self.topic, self.seq, self.check)

    def fits(self, check: str | None) -> bool:
        """Whether it names the event of that check; None: there is no such event."""
        return check is not None and self.check in ("", check)

    @classmethod
    def parse(cls, text: str) -> "Cursor | None":
        """The cursor in that text, or None where it is no cursor."""
        try:
            plain = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
            epoch, place, topic = plain.split(".", 2)
            seq, _, check = place.partition("-")
            number = int(seq)
        except (ValueError, binascii.Error):
            return None
        if not 0 <= number < 2**63 or len(check) > CHECK_LENGTH:
            return None
        return cls(epoch, topic, number, check)
