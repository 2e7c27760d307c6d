"""Refresh tokens: made at random or derived, stored only as digests."""

import base64
import hashlib
import hmac
import secrets

_BYTES = 32
_PREFIX = "rt_"
_PURPOSE = b"refresh token successor"


def new_token() -> str:
    """A token nobody can guess (256 bits)."""
    return _PREFIX + _text(secrets.token_bytes(_BYTES))


def successor_of(token: str, key: str, secret: str) -> str:
    """The token that this token and Idempotency-Key are exchanged for, the same each time.

    So a repeated request gets the same answer without the token being stored anywhere; without
    the server's secret it looks like any other.
    """
    parts = (_PURPOSE, token.encode(), key.encode())
    return _PREFIX + _text(hmac.digest(secret.encode(), b"\0".join(parts), "sha256"))


def digest_of(token: str) -> str:
    """What is stored of it: as random as it is, it needs neither salt nor stretching."""
    return hashlib.sha256(token.encode()).hexdigest()


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
