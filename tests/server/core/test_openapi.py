import json
import re
from pathlib import Path
from typing import Any

import pytest

from server.app import OPERATIONS
from server.core import openapi
from server.features.shared.schemas import ProblemDetails

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    encoded = json.dumps(openapi.document(OPERATIONS, ProblemDetails, "1.0"))
    found: dict[str, Any] = json.loads(encoded)
    return found


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def test_the_document_is_openapi_3_1(document: dict[str, Any]) -> None:
    from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR  # takes 0.1 s

    OPENAPI_31_VALIDATOR.validate(document)
    assert document["openapi"].startswith("3.1")


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    def references(value: Any) -> list[str]:
        if isinstance(value, dict):
            own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
            return own + [one for inner in value.values() for one in references(inner)]
        if isinstance(value, list):
            return [one for inner in value for one in references(inner)]
        return []

    found = set(references(document))
    schemas = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert found <= schemas
    assert found


def test_operations_have_a_unique_name_and_a_description(document: dict[str, Any]) -> None:
    identifiers = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(identifiers)) == len(identifiers)
    summaries = [operation["summary"] for _, _, operation in operations(document)]
    assert not [one for one in summaries if not one.endswith(".")], "a whole sentence"


def test_the_path_names_its_parameters_and_no_others(document: dict[str, Any]) -> None:
    for path, method, operation in operations(document):
        named = {part[1:-1] for part in path.split("/") if part.startswith("{")}
        listed = [one["name"] for one in operation["parameters"] if one["in"] == "path"]
        assert (sorted(named), len(listed)) == (sorted(listed), len(named)), (method, path)
        assert all(one["required"] for one in operation["parameters"] if one["in"] == "path")


def test_every_route_that_a_page_names_exists(document: dict[str, Any]) -> None:
    known = {(method.upper(), path) for path, method, _ in operations(document)}
    known |= {("GET", path) for path in ("/healthz", "/readyz", "/api/v1/openapi.json")}
    for page in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")):
        text = " ".join(page.read_text().split())
        for method, path in re.findall(r"`(GET|POST|PUT|PATCH|DELETE) (/[^`?\s]*)", text):
            assert {(method, path), (method, f"/api/v1{path}")} & known, (page.name, method, path)


def test_each_error_is_problem_json_and_common_errors_are_documented(
    document: dict[str, Any],
) -> None:
    for path, method, operation in operations(document):
        answers = operation["responses"]
        for status, answer in answers.items():
            if int(status) >= 400:
                assert set(answer["content"]) == {"application/problem+json"}, (method, path)
        if operation["security"]:
            assert "401" in answers, (method, path)
        if "requestBody" in operation:
            assert {"400", "413", "415", "422"} <= set(answers), (method, path)
        if "{" in path:
            assert "404" in answers, (method, path)


def test_an_operation_not_counted_by_account_documents_only_its_own_limits(
    document: dict[str, Any],
) -> None:
    found = [
        (path, method)
        for path, method, operation in operations(document)
        if method != "get" and operation["security"] and "429" not in operation["responses"]
    ]
    assert not found
    position = document["paths"]["/api/v1/drivers/{id}/location"]["put"]
    assert {"204", "404", "422", "429"} <= set(position["responses"])
    town_map = document["paths"]["/api/v1/map"]["get"]["responses"]
    assert set(town_map["200"]["content"]) == {"application/geo+json"}
    assert "content" not in town_map["304"]


def test_streams_and_empty_answers_are_documented(document: dict[str, Any]) -> None:
    stream = document["paths"]["/api/v1/restaurants/{id}/orders/stream"]["get"]
    assert set(stream["responses"]["200"]["content"]) == {"text/event-stream"}
    held = document["paths"]["/api/v1/orders/{id}/status"]["get"]
    assert "content" not in held["responses"]["204"]
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"


def test_a_form_is_documented_with_its_file(document: dict[str, Any]) -> None:
    operation = document["paths"]["/api/v1/uploads"]["post"]
    [(kind, body)] = operation["requestBody"]["content"].items()
    assert kind == "multipart/form-data"
    fields, file = body["schema"]["allOf"]
    assert fields == {"$ref": "#/components/schemas/NewUpload"}
    assert file["properties"]["file"]["format"] == "binary"
    assert {"400", "413", "415", "422", "429"} <= set(operation["responses"])


def test_the_document_suits_generators_of_clients(document: dict[str, Any]) -> None:
    """A default counts as a field that is always present, a null as a value that may come."""
    schemas = document["components"]["schemas"]

    def may_be_null(schema: dict[str, Any]) -> bool:
        return {"type": "null"} in schema.get("anyOf", ())

    defaults = [
        (name, field)
        for name, schema in schemas.items()
        for field, one in schema.get("properties", {}).items()
        if "default" in one
    ]
    assert not defaults
    basket, change = schemas["PlaceOrder"], schemas["ProfileChange"]["properties"]
    assert basket["required"] == ["restaurant_id", "items", "address"]
    assert may_be_null(change["phone"])
    assert may_be_null(change["address"])
    assert not may_be_null(change["name"])
    order, location = schemas["Order"], schemas["DriverLocation"]
    assert not any(may_be_null(one) for one in order["properties"].values())
    assert {"note", "driver", "eta", "ready_by"}.isdisjoint(order["required"])
    assert may_be_null(location["properties"]["heading"])
    assert {"heading", "speed_mps"} <= set(location["required"])
    assert "token_type" in schemas["Session"]["required"]
    for path, method, operation in operations(document):
        for one in operation["parameters"]:
            assert not may_be_null(one["schema"]), (method, path, one["name"])
            assert one["schema"].get("default", "") is not None
    assert document["servers"] == [{"url": "/", "description": "This server."}]
    photo = document["paths"]["/api/v1/uploads/{id}/original"]["get"]["responses"]["200"]
    assert set(photo["content"]) == {"image/jpeg", "image/png", "image/webp"}
    assert all(one["schema"]["format"] == "binary" for one in photo["content"].values())
