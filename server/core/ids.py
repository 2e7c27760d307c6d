"""Opaque identifiers that nobody can guess."""

import secrets
import string

_ALPHABET = string.ascii_letters + string.digits


def new_id(prefix: str) -> str:
    """`prefix_` and 20 random letters and digits (119 bits)."""
    return prefix + "_" + "".join(secrets.choice(_ALPHABET) for _ in range(20))
