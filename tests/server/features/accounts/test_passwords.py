"""Hashing: parameters, and how much of it at once."""

import asyncio

import argon2
import pytest

from server.core.errors import Problem
from server.features.accounts import passwords as module
from server.features.accounts.passwords import Passwords


@pytest.fixture
def passwords():
    made = Passwords()
    yield made
    made.close()


async def test_a_hash_is_argon2id_with_a_salt_of_its_own(passwords: Passwords) -> None:
    one, two = await passwords.hash("secret"), await passwords.hash("secret")
    assert one != two
    parameters = argon2.extract_parameters(one)
    assert parameters.type is argon2.Type.ID
    assert (parameters.memory_cost, parameters.time_cost, parameters.parallelism) == (19_456, 2, 1)
    assert await passwords.verify(one, "secret")
    assert not await passwords.verify(one, "Secret")
    assert not passwords.outdated(one)


@pytest.mark.parametrize("hashed", [None, "", "!", "$argon2id$v=19$m=19456,t=2,p=1$x$y"])
async def test_what_is_no_hash_matches_nothing(passwords: Passwords, hashed: str | None) -> None:
    assert not await passwords.verify(hashed, "")


async def test_other_parameters_are_outdated(passwords: Passwords) -> None:
    old = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("secret")
    assert passwords.outdated(old)
    assert await passwords.verify(old, "secret")


async def test_the_decoy_is_what_a_hash_of_today_looks_like(passwords: Passwords) -> None:
    decoy, real = module._decoy(), await passwords.hash("secret")
    assert argon2.extract_parameters(decoy) == argon2.extract_parameters(real)
    assert len(decoy) == len(real)


async def test_who_waits_for_nothing_is_told_so(
    passwords: Passwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WAITING", 2)
    answers = await asyncio.gather(
        *(passwords.hash("secret") for _ in range(6)), return_exceptions=True
    )
    problems = [answer for answer in answers if isinstance(answer, Problem)]
    assert [problem.status for problem in problems] == [503, 503]
    assert problems[0].headers["Retry-After"]
    assert await passwords.verify(await passwords.hash("secret"), "secret")
