"""Short polling: an answer at once, which says when to ask again."""

from typing import TypeVar

from pydantic import BaseModel

from server.core.routing import Answer

BodyT = TypeVar("BodyT", bound=BaseModel)


def progress(
    body: BodyT, seconds: int, *, status: int | None = None, location: str | None = None
) -> Answer[BodyT]:
    """The state of a job that should be finished in `seconds`; 0 where it is finished.

    Until then the answer carries `Retry-After`: a client that follows it asks once or twice,
    however long the queue is.
    """
    headers = {}
    if seconds > 0:
        headers["Retry-After"] = str(seconds)
    if location is not None:
        headers["Location"] = location
    return Answer(body, status=status, headers=headers)
