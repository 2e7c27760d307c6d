"""Refresh tokens: random or derived, signed, and stored only as digests."""

import base64
import binascii
import hashlib
import hmac
import secrets

_BYTES = 16
"""Of a nonce and of a signature."""
_PREFIX = "rt_"
_SIGNED = b"refresh token"
_DERIVED = b"refresh token successor"


def new_token(session_id: str, secret: str) -> str:
    """A token of that session which nobody can guess (128 bits)."""
    return _token(session_id, secrets.token_bytes(_BYTES), secret)


def successor_of(token: str, key: str, session_id: str, secret: str) -> str:
    """The token that this token and Idempotency-Key are exchanged for, the same each time.

    So a repeated request gets the same answer, and no token is stored. Without the server's secret
    it cannot be told from a random one.
    """
    return _token(session_id, _mac(secret, _DERIVED, token.encode(), key.encode()), secret)


def session_of(token: str, *secrets: str) -> str | None:
    """The session that a server with one of these secrets has made the token for; None for any
    other text.

    So the session of a token is known even when the token is no longer stored.
    """
    try:
        text = token.removeprefix(_PREFIX)
        data = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
        session_id = data[2 * _BYTES :].decode()
    except (binascii.Error, ValueError):
        return None
    made = any(
        hmac.compare_digest(_token(session_id, data[:_BYTES], secret), token) for secret in secrets
    )
    return session_id if made else None


def digest_of(token: str) -> str:
    """What is stored: a token is random, so its digest needs neither salt nor stretching."""
    return hashlib.sha256(token.encode()).hexdigest()


def _token(session_id: str, nonce: bytes, secret: str) -> str:
    data = nonce + _mac(secret, _SIGNED, nonce, session_id.encode()) + session_id.encode()
    return _PREFIX + base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _mac(secret: str, *parts: bytes) -> bytes:
    return hmac.digest(secret.encode(), b"\0".join(parts), "sha256")[:_BYTES]
