"""Input that no client of ours would send is answered with a 4xx problem, by every route."""

import json
from typing import Any

import pytest

from support.accounts import PASSWORD
from support.rest import Rest

BODIES: dict[tuple[str, str], dict[str, Any]] = {
    ("POST", "/auth/register"): {"email": "a@example.org", "password": PASSWORD, "name": "A"},
    ("POST", "/auth/login"): {"email": "ada@example.org", "password": PASSWORD},
    ("POST", "/auth/demo"): {"role": "customer"},
    ("POST", "/auth/refresh"): {"refresh_token": "rt_x"},
    ("POST", "/auth/logout"): {"refresh_token": "rt_x"},
    ("PATCH", "/me"): {
        "name": "A",
        "phone": "1",
        "address": {"text": "there", "lat": 1.0, "lng": 1.0},
    },
    ("DELETE", "/me"): {"password": "a guess"},
    ("PUT", "/me/password"): {"current_password": "a guess", "new_password": "long enough"},
}
STRANGE = {
    "null": "null",
    "true": "true",
    "a number": "1e999",
    "a list": "[]",
    "an object": '{"$ne": null}',
    "a lone surrogate": '"\\ud800"',
    "the other surrogate": '"\\udfff-"',
    "huge": json.dumps("x" * 100_000),
    "deep": "[" * 5000,
    "NUL": '"\\u0000"',
    "a raw NUL": '"\0"',
    "bytes that are no UTF-8": '"\udcff"',
}
JSON = {"Content-Type": "application/json"}
HARMLESS = {("PATCH", "/me"): {"null"}}


@pytest.mark.parametrize(("method", "path"), BODIES)
async def test_strange_values_in_every_field(ada: Rest, method: str, path: str) -> None:
    body = BODIES[(method, path)]
    for field in body:
        for what, value in STRANGE.items():
            parts = [
                f'"{name}": {value if name == field else json.dumps(good)}'
                for name, good in body.items()
            ]
            data = ("{" + ", ".join(parts) + "}").encode("utf-8", "surrogateescape")
            answer = await ada.request(method, path, data=data, headers=JSON)
            if what in HARMLESS.get((method, path), ()) and field != "name":
                answer.must(200)
                continue
            assert 400 <= answer.status < 500, (field, what, answer)
            assert answer.json["status"] == answer.status


@pytest.mark.parametrize(("method", "path"), BODIES)
async def test_unreadable_bodies_are_refused(ada: Rest, method: str, path: str) -> None:
    for data, status in (
        (b"", 422 if method == "DELETE" else 400),
        (b"{", 400),
        (b"\xff\xfe{}", 400),
        (b'"a string"', 422),
        (b"[1]", 422),
        (b"[" * 10_000, 400),
        (b'{"x": "' + b"x" * 200_000 + b'"}', 413),
    ):
        answer = await ada.request(method, path, data=data, headers=JSON)
        assert answer.status == status, data[:20]
        assert answer.json["status"] == status
    other = await ada.request(method, path, data=b"a=b", headers={"Content-Type": "text/plain"})
    other.must(415)


@pytest.mark.parametrize(
    "email",
    [
        "",
        "ada",
        "ada@",
        "@example.org",
        "a b@example.org",
        "ada@example.org\0",
        "ada@exa\nmple.org",
        "a@" + "b" * 300 + ".org",
        "\u202eada@example.org",
        "ada@-.org",
    ],
)
async def test_an_invalid_email_is_422(nobody: Rest, email: str) -> None:
    body = {"email": email, "password": PASSWORD, "name": "A"}
    answer = (await nobody.post("/auth/register", body)).must(422)
    assert answer.json["errors"][0]["loc"] == ["email"]


@pytest.mark.parametrize("password", ["", "seven77", "x" * 129])
async def test_a_password_has_its_length(nobody: Rest, password: str) -> None:
    body = {"email": "a@example.org", "password": password, "name": "A"}
    answer = (await nobody.post("/auth/register", body)).must(422)
    assert answer.json["errors"][0]["loc"] == ["password"]
    if password:
        assert password not in answer.body.decode()


@pytest.mark.parametrize(
    "password", ["пароль-пароль", "🍛🍜🍣🍛🍜🍣🍛🍜", "with\0nul inside", " spaces  "]
)
async def test_a_password_may_be_any_text(nobody: Rest, password: str) -> None:
    await nobody.register("a@example.org", password)
    await nobody.another().log_in("a@example.org", password)
    body = {"email": "a@example.org", "password": password[:-1]}
    (await nobody.another().post("/auth/login", body)).must(401)


@pytest.mark.parametrize("key", ["x" * 256, "a b", "\u00e9"])
async def test_an_invalid_idempotency_key_is_422(ada: Rest, key: str) -> None:
    grant = {"refresh_token": ada.grant["refresh_token"]}
    headers = {"Idempotency-Key": key}
    answer = (await ada.post("/auth/refresh", grant, headers=headers)).must(422)
    assert "dempotency" in answer.json["detail"]
    (await ada.post("/auth/refresh", grant)).must(200)
