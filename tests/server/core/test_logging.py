import io
import json
import logging
import time

import pytest

from server.core.auth import AccessTokens
from server.core.logging import mask, request_id

TOKEN = AccessTokens("x" * 32, 60).issue("acc_1", "ses_1")


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"Authorization: Bearer {TOKEN}", TOKEN),
        (f"token={TOKEN}&x=1", TOKEN),
        (f"an error about {TOKEN!r}.", TOKEN),
        ("authorization: bearer opaque-thing", "opaque-thing"),
        ("refresh with rt_ab12-cd.34", "ab12-cd.34"),
        ('{"password": "correct horse \\" battery", "a": 1}', "battery"),
        ("{'new_password': 'correct horse'}", "horse"),
        ('{"current_password":"hunter2"}', "hunter2"),
        ("TIFFIN_JWT_SECRET=abcdefghijklmnop", "abcdefghijklmnop"),
        ("refresh_token : whatever", "whatever"),
        ("redis://:sesame@localhost:6379/0", "sesame"),
        ("cannot reach rediss://ada:sesame@redis.example/0", "sesame"),
        ("GET /socket.io/?EIO=4&transport=polling&sid=dBjftJeZ4CVP HTTP/1.1", "dBjftJeZ4CVP"),
        ("http://127.0.0.1/socket.io/?sid=dBjftJeZ4CVP#x", "dBjftJeZ4CVP"),
        ("input_value={'email': 'a@b.c', 'password': 'hunter2'}, input_type=dict", "hunter2"),
    ],
)
def test_secrets_are_masked(text: str, secret: str) -> None:
    assert secret not in mask(text)


@pytest.mark.parametrize(
    "text",
    [
        "POST /api/v1/orders 201",
        "the password is too short",
        "http://127.0.0.1:8080/api/v1/me",
        "order ord_Ab12 went from placed to accepted",
    ],
)
def test_masking_leaves_other_text_alone(text: str) -> None:
    assert mask(text) == text


@pytest.mark.parametrize(
    "unit",
    [
        "a",
        "eyJ",
        "eyJ.",
        "password",
        "password ",
        "bearer ",
        "rt_",
        "a://",
        "a://b:",
        "?sid=",
        '\\"',
    ],
)
def test_anybody_may_send_any_path_and_masking_stays_linear(unit: str) -> None:
    text = unit * (32_000 // len(unit))
    started = time.process_time()
    mask(text)
    assert time.process_time() - started < 0.5


def test_a_record_is_one_masked_line_of_json(logged: io.StringIO) -> None:
    token = request_id.set("req_1")
    try:
        raise ValueError(f"password='hunter2'\nBearer {TOKEN}\x85\u200f")
    except ValueError:
        fields = {"path": f"/a\nb/{TOKEN}\x9b2J\u202e", "status": 500, "account": None}
        logging.getLogger("t").exception(
            "it %s", "broke\nhere\u2066\x1b[2J", extra={"fields": fields}
        )
    finally:
        request_id.reset(token)
    (line,) = logged.getvalue().splitlines()
    record = json.loads(line)
    assert record["message"] == "it broke\nhere" r"\u2066\x1b[2J"
    assert record["request_id"] == "req_1"
    assert record["level"] == "ERROR"
    assert record["path"] == "/a\nb/<token>" r"\x9b2J\u202e"
    assert record["status"] == 500
    assert "ValueError" in record["exception"]
    assert r"\x85\u200f" in record["exception"]
    assert "hunter2" not in line
    assert TOKEN not in line
