"""Schemas of accounts: sessions, profiles, passwords; and the stored form of an e-mail."""

import unicodedata
from enum import StrEnum
from typing import Annotated, Literal

import email_validator
from pydantic import (
    AfterValidator,
    EmailStr,
    Field,
    PlainSerializer,
    Secret,
    StringConstraints,
    WithJsonSchema,
)

from server.features.shared.schemas import (
    Address,
    Name,
    Page,
    Timestamp,
    Whole,
    Wire,
    absent,
    left_alone,
)

# A network may have names of its own, and nothing is ever sent to an address. The list is changed
# as the library's manual says.
for _name in ("local", "test"):
    if _name in email_validator.SPECIAL_USE_DOMAIN_NAMES:
        email_validator.SPECIAL_USE_DOMAIN_NAMES.remove(_name)


class Role(StrEnum):
    """What an account may do."""

    CUSTOMER = "customer"
    EMPLOYEE = "employee"
    SUPPORT = "support"


def _revealed(secret: Secret[str]) -> str:
    return secret.get_secret_value()


# Secret hides the value from repr, and so from logs and tracebacks; on the wire it is plain text.
_on_the_wire = PlainSerializer(_revealed, return_type=str, when_used="json")


def _of_one_script(email: str) -> str:
    """Refuse full-width letters and mixed scripts: two such addresses could look the same.

    IDNA has already normalised the domain.
    """
    local = unicodedata.normalize("NFC", email.rpartition("@")[0])
    latin = [unicodedata.name(char, "").startswith("LATIN ") for char in local if char.isalpha()]
    if unicodedata.normalize("NFKC", local) != local or len(set(latin)) > 1:
        raise ValueError("must use the letters of one script before its @, and no full-width ones")
    return email


Email = Annotated[
    EmailStr, StringConstraints(max_length=254, to_lower=True), AfterValidator(_of_one_script)
]


def fold(email: str) -> str:
    """The stored form of a valid address, the same whatever its case.

    Not `casefold`, to which two different domains (ß, ss) would be one.
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", email).lower())


def stored_form(typed: str) -> str | None:
    """The stored form of what somebody typed; None where no account can have it."""
    try:
        return fold(email_validator.validate_email(typed, check_deliverability=False).normalized)
    except email_validator.EmailNotValidError:
        return None


PASSWORD_LENGTH = (8, 128)


def normal(password: str) -> str:
    """The one form of a password, however a keyboard composes its characters (NIST SP 800-63B)."""
    return unicodedata.normalize("NFC", password)


def _long_enough(password: str) -> str:
    least, most = PASSWORD_LENGTH
    if any("\ud800" <= char <= "\udfff" for char in password):
        raise ValueError("is not text in UTF-8; type it again")
    if len(normal(password)) < least:
        raise ValueError(f"needs at least {least} characters")
    if len(normal(password)) > most:
        raise ValueError(f"needs at most {most} characters")
    return password


Password = Annotated[
    Secret[
        Annotated[
            str,
            AfterValidator(_long_enough),
            WithJsonSchema(
                {
                    "type": "string",
                    "minLength": PASSWORD_LENGTH[0],
                    "maxLength": PASSWORD_LENGTH[1],
                }
            ),
        ]
    ],
    _on_the_wire,
]
GivenPassword = Annotated[Secret[Annotated[str, Field(max_length=1024)]], _on_the_wire]
Phone = Annotated[
    str, StringConstraints(strip_whitespace=True, max_length=32, pattern=r"^[0-9+() ./-]*$")
]


class Registration(Wire):
    """A new customer."""

    email: Email
    password: Password
    name: Name


class Credentials(Wire):
    """E-mail and password. The password's length is not checked: it is right or wrong."""

    email: Annotated[str, StringConstraints(max_length=254, to_lower=True, strip_whitespace=True)]
    password: GivenPassword


class DemoLogin(Wire):
    """The one-button log-in of demo mode, as a customer or an employee."""

    role: Role


class RefreshGrant(Wire):
    """A refresh token, to be exchanged or given up."""

    refresh_token: Annotated[str, Field(min_length=1, max_length=512, repr=False)]


class Account(Wire):
    """An account, as its owner sees it.

    `address` is the home, `work_address` where else the account often has orders delivered.
    `support` is false for an employee who may neither see support chats nor announce; else it is
    left out.
    """

    id: str
    email: str
    name: str
    role: Role
    restaurant_id: str | None = absent()
    phone: str | None = absent()
    address: Address | None = absent()
    work_address: Address | None = absent()
    avatar_url: str | None = absent()
    support: bool | None = absent()


class Session(Wire):
    """The answer to every kind of log-in; `expires_in` is in seconds."""

    access_token: Annotated[str, Field(repr=False)]
    expires_in: Whole
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 the name of the scheme
    refresh_token: Annotated[str, Field(repr=False)]
    account: Account


class ActiveSession(Wire):
    """Where an account is logged in.

    `last_used_at` is the last log-in or refresh, `address` and `client` (its `User-Agent`) are from
    then; null where the session was last used before they were kept. `current` is the one that
    asks.
    """

    id: str
    created_at: Timestamp
    last_used_at: Timestamp
    address: str | None
    client: str | None
    current: bool


class SessionPage(Page[ActiveSession]):
    """An account's sessions, the one used last first."""


class ProfileChange(Wire):
    """The fields to change; a field set to null is emptied, one left out stays."""

    name: Name = left_alone()
    phone: Phone | None = None
    address: Address | None = None
    work_address: Address | None = None


class PasswordChange(Wire):
    """A new password, and the old one to show whose it is."""

    current_password: GivenPassword
    new_password: Password


class AccountDeletion(Wire):
    """The password, to show whose the account is."""

    password: GivenPassword
