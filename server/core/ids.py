"""Opaque identifiers that nobody can guess."""

import secrets


def new_id(prefix: str) -> str:
    """`prefix_` and 30 random hexadecimal digits (120 bits)."""
    return f"{prefix}_{secrets.token_hex(15)}"
