"""The body of an answer as the type it should be, or words about what else it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from tui.common.client.errors import Unreachable

if TYPE_CHECKING:
    from tui.common.client.exchange import Reply

ModelT = TypeVar("ModelT", bound=BaseModel)


def parse(model: type[ModelT], reply: Reply, what: str = "") -> ModelT:
    """The answer as that model, called `what` in words. Raises `Unreachable`."""
    try:
        return model.model_validate_json(reply.body)
    except ValidationError as fault:
        raise _not_understood(what or model.__name__, fault) from fault


def parse_object(what: str, reply: Reply) -> dict[str, Any]:
    """The answer as some JSON object. Raises `Unreachable`."""
    try:
        return TypeAdapter(dict[str, Any]).validate_json(reply.body)
    except ValidationError as fault:
        raise _not_understood(what, fault) from fault


def _not_understood(what: str, fault: ValidationError) -> Unreachable:
    first = fault.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "the whole"
    return Unreachable(
        f"The server's answer was no {what} that this version understands ({where}: "
        f"{first['msg']}). Are client and server of the same version?",
        "answer not understood",
    )
