"""The OpenAPI document, from the operations themselves."""

import re
import types
import typing
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any

from aiohttp import web
from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from server.core.routing import Answer, Header, Operation, count_anonymous

_REFS = "#/components/schemas/{model}"


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
        schema_generator=GenerateJsonSchema,
    )
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
            "description": (
                "Food delivery over REST, long polling, server-sent events and WebSocket."
            ),
        },
        "paths": paths,
        "components": {
            "schemas": definitions.get("$defs", {}),
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
        if origin in (Answer, typing.Union, types.UnionType):
            pending += typing.get_args(hint)
    return None


def statuses(operation: Operation) -> list[int]:
    """Every error the operation may answer with."""
    found = set(operation.problems) | {429, 503}
    if operation.roles:
        found.add(401)
        if len(operation.roles) == 1:
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
    if operation.media != "application/json":
        kind = "object" if operation.media.endswith("+json") else "string"
        success["content"] = {operation.media: {"schema": {"type": kind}}}
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


def _parameters(operation: Operation) -> Iterable[dict[str, Any]]:
    places = (
        ("path", operation.path_model),
        ("query", operation.query_model),
        ("header", operation.header_model),
    )
    for place, model in places:
        schema = model.model_json_schema(by_alias=False, ref_template=_REFS)
        required = schema.get("required", [])
        for name, field in model.model_fields.items():
            header = next((m.name for m in field.metadata if isinstance(m, Header)), name)
            yield {
                "name": header,
                "in": place,
                "required": name in required or place == "path",
                "schema": _inlined(schema["properties"][name], schema.get("$defs", {})),
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


DOCUMENT = web.AppKey("openapi", bytes)
"""As JSON, the same bytes for everybody."""


async def serve_document(request: web.Request) -> web.Response:
    """The document of this application."""
    count_anonymous(request)
    return web.Response(
        body=request.app[DOCUMENT], content_type="application/json", charset="utf-8"
    )
