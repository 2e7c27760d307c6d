"""Opaque identifiers that nobody can guess."""

import base64
import secrets


def new_id(prefix: str) -> str:
    """`prefix_` and 24 random letters and digits (120 bits)."""
    return f"{prefix}_{base64.b32encode(secrets.token_bytes(15)).decode().lower()}"
