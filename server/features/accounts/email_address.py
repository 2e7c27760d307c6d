"""E-mail addresses: the one form in which they are stored and compared."""

import unicodedata

from email_validator import EmailNotValidError, validate_email


def fold(email: str) -> str:
    """The stored form of a valid address, the same whatever its case.

    Not `casefold`, to which two different domains (ß, ss) would be one.
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", email).lower())


def known_form(typed: str) -> str | None:
    """The stored form of what somebody typed; None where no account can have it."""
    try:
        return fold(validate_email(typed, check_deliverability=False).normalized)
    except EmailNotValidError:
        return None
