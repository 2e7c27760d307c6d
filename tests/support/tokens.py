"""Access tokens as a client sees them, and as a forger would make them."""

import base64
import json
import time
from typing import Any

import jwt

from support.server_process import JWT_SECRET


def claims_of(token: str) -> dict[str, Any]:
    """The token's claims, without verifying it."""
    found: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return found


def signed(claims: dict[str, Any], secret: str = JWT_SECRET, algorithm: str = "HS256") -> str:
    """A token of these claims."""
    return jwt.encode(claims, secret, algorithm=algorithm)


def expiring(token: str) -> str:
    """The same token, which expires in three to four seconds."""
    return signed(claims_of(token) | {"exp": int(time.time()) + 4})


def part(value: object) -> str:
    """A part of a token."""
    data = json.dumps(value, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def forgeries(token: str) -> dict[str, str]:
    """Invalid tokens that resemble this valid one, by what is wrong with them."""
    header, payload, signature = token.split(".")
    claims = claims_of(token)
    flipped = ("A" if signature[0] != "A" else "B") + signature[1:]
    past = int(time.time()) - 3600
    somebody = {"sub": "acc_somebody", "role": "employee"}
    found = {
        "another payload": f"{header}.{part(claims | somebody)}.{signature}",
        "another signature": f"{header}.{payload}.{flipped}",
        "no signature": f"{header}.{payload}.",
        "alg none": f"{part({'alg': 'none', 'typ': 'JWT'})}.{payload}.",
        "alg None, signed": f"{part({'alg': 'None', 'typ': 'JWT'})}.{payload}.{signature}",
        "another secret": signed(claims, "another secret, and also long enough for HS256"),
        "another algorithm": signed(claims, JWT_SECRET * 2, "HS512"),
        "the right secret, another algorithm": signed(claims, JWT_SECRET, "HS384"),
        "an unknown key": jwt.encode(claims, JWT_SECRET, headers={"kid": "nobodys"}),
        "expired": signed(claims | {"iat": past - 900, "exp": past}),
        "wrong audience": signed(claims | {"aud": "somebody-else"}),
        "wrong issuer": signed(claims | {"iss": "somebody-else"}),
        "an unknown session": signed(claims | {"sid": "ses_nobodys"}),
        "the session's account": claims["sub"],
        "a part too few": f"{header}.{payload}",
        "a part too many": f"{token}.{signature}",
        "not base64": "%%%.%%%.%%%",
        "no JSON": "AAAA.AAAA.AAAA",
    }
    for name in ("exp", "aud", "iss", "sub", "sid"):
        without = {key: value for key, value in claims.items() if key != name}
        found[f"no {name}"] = signed(without)
    return found
