"""E-mail addresses: people can log in with the one they registered, however it is written."""

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from server.features.accounts.schemas import Credentials, Registration, fold, stored_form

letters = st.text(st.characters(categories=("L", "M", "N"), include_characters="._+-"), min_size=1)


def registered(email: str) -> str | None:
    try:
        return fold(Registration(email=email, password="long enough", name="A").email)
    except ValidationError:
        return None


def typed(email: str) -> str | None:
    return stored_form(Credentials(email=email, password="").email)


@settings(deadline=None)
@given(local=letters, domain=letters)
@example(local="ΣΑΣ", domain="ΣΑΣ")
@example(local="İI", domain="istanbul")
@example(local="E\u0301", domain="e\u0301")
def test_a_registered_email_is_found_again(local: str, domain: str) -> None:
    email = f"{local}@{domain}.example"
    stored = registered(email)
    assume(stored is not None)
    assert stored is not None
    for written in (email, email.upper(), email.lower(), f" {email} ", stored):
        if registered(written) == stored:
            assert typed(written) == stored
    assert typed(email) == stored


@pytest.mark.parametrize("domain", ["kitchen.local", "shop.test", "corp.lan", "mail.internal"])
def test_local_domains_are_accepted(domain: str) -> None:
    assert registered(f"Ada@{domain}") == typed(f"ada@{domain}") == f"ada@{domain}"


@pytest.mark.parametrize("text", ["", "ada", "ada@", "\0@example.org", "a@b@example.org"])
def test_an_invalid_email_has_no_stored_form(text: str) -> None:
    assert stored_form(text) is None


@pytest.mark.parametrize("email", ["ｍaya@example.com", "mаya@example.com", "ﬁn@example.com"])
def test_an_address_that_looks_like_another_is_not_registered_but_logs_in(email: str) -> None:
    assert registered(email) is None
    assert typed(email) == email


def test_an_address_of_one_script_is_registered() -> None:
    for email in ("jörg@example.com", "почта@example.com", "山田1@example.com"):
        assert registered(email) == typed(email) == email


def test_a_domain_has_one_form() -> None:
    assert registered("maya@ｅxample.com") == typed("maya@EXAMPLE。com") == "maya@example.com"
