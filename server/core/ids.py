"""Opaque identifiers."""

import random
import secrets


def new_id(prefix: str) -> str:
    """`prefix_` and 30 random hexadecimal digits (120 bits) that nobody can guess."""
    return f"{prefix}_{secrets.token_hex(15)}"


def new_request_id() -> str:
    """The same form for a request: unique, but no secret, so the kernel is not asked for it."""
    return f"req_{random.getrandbits(120):030x}"
