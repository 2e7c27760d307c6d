"""The address of a server as somebody typed it."""


def clean_address(typed: str) -> str:
    """A base URL that may be shown and kept: with a scheme, and without a user and password.

    Those are left out wherever they could be meant: a password may have slashes in it.
    """
    scheme, _, rest = typed.strip().rpartition("://")
    return f"{scheme or 'http'}://{rest.rpartition('@')[2].rstrip('/')}"


def names_a_user(typed: str) -> bool:
    """Whether the address has a user in it, or a password."""
    return "@" in typed
