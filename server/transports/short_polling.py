"""Short polling: answers at once how far something is, and says when to ask again."""

from typing import TypeVar

from pydantic import BaseModel

from server.core.routing import Answer

BodyT = TypeVar("BodyT", bound=BaseModel)


def progress(
    body: BodyT, seconds: int, *, status: int | None = None, location: str | None = None
) -> Answer[BodyT]:
    """The state of a task that will probably be final in so many seconds; 0 where it is.

    Until then the answer carries `Retry-After`: a client that keeps to it asks once or twice,
    however long the queue is.
    """
    headers = {}
    if seconds > 0:
        headers["Retry-After"] = str(seconds)
    if location is not None:
        headers["Location"] = location
    return Answer(body, status=status, headers=headers)
