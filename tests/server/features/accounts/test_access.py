"""Invalid access tokens, on every route of the accounts that needs one."""

import pytest

from support.rest import Rest
from support.tokens import forgeries

GUARDED = [
    ("POST", "/auth/logout"),
    ("GET", "/me"),
    ("PATCH", "/me"),
    ("DELETE", "/me"),
    ("PUT", "/me/password"),
]


@pytest.mark.parametrize(("method", "path"), GUARDED)
async def test_an_invalid_token_is_401(ada: Rest, method: str, path: str) -> None:
    stranger = ada.another()
    for what, token in forgeries(ada.grant["access_token"]).items():
        stranger.token = token
        answer = await stranger.request(method, path)
        assert answer.status == 401, what
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert answer.headers["Content-Type"].startswith("application/problem+json")
        assert token not in answer.body.decode()
    (await ada.get("/me")).must(200)


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Basic YTpi", "Bearer a b", "Token x", "\u00ff"]
)
async def test_an_invalid_authorization_header_is_401(ada: Rest, header: str) -> None:
    token = ada.grant["access_token"]
    for value in (header, header.replace("x", token)):
        answer = await ada.another().get("/me", headers={"Authorization": value})
        answer.must(401)


async def test_a_token_in_the_url_is_ignored(ada: Rest) -> None:
    token = ada.grant["access_token"]
    (await ada.another().get("/me", params={"access_token": token, "token": token})).must(401)
