"""The OpenAPI document, from the operations themselves."""

import asyncio
import json
import re
import types
import typing
from collections.abc import Callable, Iterable, Sequence
from http import HTTPStatus
from typing import Any

from aiohttp import web
from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema
from pydantic_core import core_schema

from server.core.routing import (
    ANY_ROLE,
    PREFIX,
    Answer,
    Encoded,
    Header,
    Operation,
    count_anonymous,
)

_REFS = "#/components/schemas/{model}"
_DESCRIPTION = (
    "Food delivery over REST, long polling, server-sent events and WebSocket. Bodies are strict:"
    " text is not a number, and a whole number has neither fraction nor exponent. HEAD is answered"
    " wherever GET is, but for the WebSocket; it never waits. Each answer has an `X-Request-ID`"
    " and, in `Tiffin-Time`, the server's time in milliseconds; events of the log say when they"
    " were logged (`logged_at`: a field of server-sent events, beside the type in long polls)."
)


class _Schemas(GenerateJsonSchema):
    """JSON Schemas that generators of clients understand.

    Several of them treat a field with a `default` as required, so that their clients would have to
    send it: the default is in the description. In an answer, a field with a default is always
    present, unless it is left out while it has no value: then it is never null.
    """

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> dict[str, Any]:
        """The schema of a field with a default."""
        found = self.generate_inner(schema["schema"])
        default = schema.get("default")
        if self.mode == "validation" and default is not None:
            found["description"] = f"`{json.dumps(default)}` where it is left out."
        return found

    def model_field_schema(self, schema: core_schema.ModelField) -> dict[str, Any]:
        """The schema of a model's field."""
        found = super().model_field_schema(schema)
        left_out = self.mode == "serialization" and "serialization_exclude_if" in schema
        return _never_null(found) if left_out else found

    def field_is_required(self, field: Any, total: bool) -> bool:
        """Whether the field is always present."""
        if self.mode == "serialization":
            return "serialization_exclude_if" not in field
        return super().field_is_required(field, total)


def _never_null(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema without null."""
    kinds: list[dict[str, Any]] = [
        one for one in schema.get("anyOf", ()) if one != {"type": "null"}
    ]
    if len(kinds) != 1:
        return schema
    return kinds[0] | {name: value for name, value in schema.items() if name != "anyOf"}


def document(
    operations: Sequence[Operation], problem: type[BaseModel], version: str
) -> dict[str, Any]:
    """OpenAPI 3.1 of these operations; `problem` is the body of every error."""
    sent = {model for one in operations for model in (one.body, one.form) if model}
    returned = {model for operation in operations if (model := _returned(operation))}
    inputs = [(model, "validation") for model in sorted(sent, key=_name)]
    outputs = [(model, "serialization") for model in sorted(returned | {problem}, key=_name)]
    references, definitions = models_json_schema(
        inputs + outputs,  # type: ignore[arg-type]
        ref_template=_REFS,
        schema_generator=_Schemas,
    )
    schemas = definitions.get("$defs", {})
    for name, schema in schemas.items():  # what differs in and out has two schemas of one title
        schema["title"] = name.replace("-", "")
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(
            operation, references, problem
        )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tiffin",
            "version": version,
            "description": _DESCRIPTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/", "description": "This server."}],
        "tags": [{"name": name} for name in sorted({one.tag for one in operations})],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
            },
        },
    }


def _name(model: type[BaseModel]) -> str:
    return model.__name__


def _returned(operation: Operation) -> type[BaseModel] | None:
    """The model in the return annotation: plain, in an Answer, or in a union."""
    pending: list[Any] = [operation.returns]
    while pending:
        hint = pending.pop()
        if isinstance(hint, type) and issubclass(hint, BaseModel):
            return hint
        origin = typing.get_origin(hint)
        if origin in (Answer, Encoded, typing.Union, types.UnionType):
            pending += typing.get_args(hint)
    return None


def statuses(operation: Operation) -> list[int]:
    """Every error the operation may answer with."""
    found = set(operation.problems) | {429, 503}
    if operation.roles:
        found.add(401)
        if set(operation.roles) != set(ANY_ROLE):
            found.add(403)
    if operation.path_model.model_fields:
        found.add(404)
    if operation.query_model.model_fields or operation.header_model.model_fields:
        found.add(422)
    if operation.body or operation.form:
        found |= {400, 413, 415, 422}
    return sorted(found)


def _operation(
    operation: Operation, references: dict[Any, Any], problem: type[BaseModel]
) -> dict[str, Any]:
    model = _returned(operation)
    success: dict[str, Any] = {"description": HTTPStatus(operation.status).phrase}
    if operation.media:
        success["content"] = {kind: {"schema": _schema_of(kind)} for kind in operation.media}
    elif model is not None:
        success["content"] = {"application/json": {"schema": references[(model, "serialization")]}}
    responses: dict[str, Any] = {str(operation.status): success}
    for status in operation.also:
        responses[str(status)] = success | {"description": HTTPStatus(status).phrase}
    for status in operation.empty:
        responses[str(status)] = {"description": HTTPStatus(status).phrase}
    error = {"application/problem+json": {"schema": references[(problem, "serialization")]}}
    for status in statuses(operation):
        responses[str(status)] = {"description": HTTPStatus(status).phrase, "content": error}
    summary, _, description = (operation.handler.__doc__ or "").strip().partition("\n")
    found: dict[str, Any] = {
        "operationId": operation.handler.__name__,
        "tags": [operation.tag],
        "summary": summary,
        "parameters": list(_parameters(operation)),
        "responses": responses,
        "security": [{"bearer": []}] if operation.roles else [],
    }
    if description.strip():
        found["description"] = re.sub(r"\s+", " ", description.strip())
    if operation.body:
        schema = references[(operation.body, "validation")]
        found["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": schema}},
        }
    if operation.form:
        fields = references[(operation.form, "validation")]
        file = {
            "type": "object",
            "properties": {"file": {"type": "string", "format": "binary"}},
            "required": ["file"],
        }
        found["requestBody"] = {
            "required": True,
            "content": {"multipart/form-data": {"schema": {"allOf": [fields, file]}}},
        }
    return found


def _schema_of(media: str) -> dict[str, Any]:
    """The schema of a body without a model."""
    if media.endswith("json"):
        return {"type": "object"}
    return {"type": "string"} | ({"format": "binary"} if media.startswith("image/") else {})


def _parameters(operation: Operation) -> Iterable[dict[str, Any]]:
    places = (
        ("path", operation.path_model),
        ("query", operation.query_model),
        ("header", operation.header_model),
    )
    for place, model in places:
        schema = model.model_json_schema(
            by_alias=False, ref_template=_REFS, schema_generator=_Schemas
        )
        required = schema.get("required", [])
        for name, field in model.model_fields.items():
            wire = field.alias or name
            header = next((m.name for m in field.metadata if isinstance(m, Header)), wire)
            found = _inlined(schema["properties"][name], schema.get("$defs", {}))
            found.pop("description", None)
            if name not in required and field.default is not None:
                found["default"] = field.default
            yield {
                "name": header,
                "in": place,
                "required": name in required or place == "path",
                "schema": _never_null(found),
            }


def _inlined(schema: Any, definitions: dict[str, Any]) -> Any:
    """The schema with its references resolved; parameters' schemas are small."""
    if isinstance(schema, dict):
        if "$ref" in schema:
            return _inlined(definitions[schema["$ref"].rsplit("/", 1)[1]], definitions)
        return {key: _inlined(value, definitions) for key, value in schema.items()}
    if isinstance(schema, list):
        return [_inlined(value, definitions) for value in schema]
    return schema


def add_document(app: web.Application, content: Callable[[], bytes]) -> None:
    """Serve the document as `content` gives it; asked in a thread, as it may have to make it."""
    body: bytes | None = None

    async def serve(request: web.Request) -> web.Response:
        nonlocal body
        count_anonymous(request)
        if body is None:
            body = await asyncio.to_thread(content)
        return web.Response(body=body, content_type="application/json", charset="utf-8")

    app.router.add_get(f"{PREFIX}/openapi.json", serve)
