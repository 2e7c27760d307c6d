"""What accounts say on the wire: sessions, profiles, passwords."""

import unicodedata
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator, EmailStr, Field, PlainSerializer, Secret, StringConstraints

from server.features.shared.schemas import Address, Name, Whole, Wire, absent, left_alone


class Role(StrEnum):
    """What an account may do."""

    CUSTOMER = "customer"
    EMPLOYEE = "employee"


def _revealed(secret: Secret[str]) -> str:
    return secret.get_secret_value()


# Secret hides the value from repr, and so from logs and tracebacks; on the wire it is plain text.
_on_the_wire = PlainSerializer(_revealed, return_type=str, when_used="json")


def _of_one_script(email: str) -> str:
    """Letters of full width, or of another script among Latin ones, make two addresses that read
    the same. A domain has one form already, by IDNA."""
    local = unicodedata.normalize("NFC", email.rpartition("@")[0])
    latin = [unicodedata.name(char, "").startswith("LATIN ") for char in local if char.isalpha()]
    if unicodedata.normalize("NFKC", local) != local or len(set(latin)) > 1:
        raise ValueError("must have letters of one script before its @, and none of another width")
    return email


Email = Annotated[
    EmailStr, StringConstraints(max_length=254, to_lower=True), AfterValidator(_of_one_script)
]
Password = Annotated[Secret[Annotated[str, Field(min_length=8, max_length=128)]], _on_the_wire]
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
    """What a log-in asks for. The password's length is not judged here: it is right or wrong."""

    email: Annotated[str, StringConstraints(max_length=254, to_lower=True, strip_whitespace=True)]
    password: GivenPassword


class DemoLogin(Wire):
    """The one-button log-in of demo mode."""

    role: Role


class RefreshGrant(Wire):
    """A refresh token, to be exchanged or given up."""

    refresh_token: Annotated[str, Field(min_length=1, max_length=512, repr=False)]


class Account(Wire):
    """An account, as its owner sees it."""

    id: str
    email: str
    name: str
    role: Role
    restaurant_id: str | None = absent()
    phone: str | None = absent()
    address: Address | None = absent()
    avatar_url: str | None = absent()


class Session(Wire):
    """The answer to every kind of log-in; `expires_in` is in seconds."""

    access_token: Annotated[str, Field(repr=False)]
    expires_in: Whole
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 the name of the scheme
    refresh_token: Annotated[str, Field(repr=False)]
    account: Account


class ProfileChange(Wire):
    """The fields to change; a field set to null is emptied, one left out stays."""

    name: Name = left_alone()
    phone: Phone | None = None
    address: Address | None = None


class PasswordChange(Wire):
    """A new password, and the old one to show whose it is."""

    current_password: GivenPassword
    new_password: Password
