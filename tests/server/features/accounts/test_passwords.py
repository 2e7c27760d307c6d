"""Hashing: parameters, and how much of it at once."""

import asyncio
import os
import sys
import threading
import unicodedata

import argon2
import pytest

from server.core.errors import Problem
from server.features.accounts import passwords as module
from server.features.accounts.passwords import Passwords, fault_of
from support.waiting import PATIENCE

pytestmark = pytest.mark.usefixtures("full_hashes")


@pytest.fixture
def passwords():
    made = Passwords()
    yield made
    made.close()


async def test_a_hash_is_argon2id_with_its_own_salt(passwords: Passwords) -> None:
    one, two = await passwords.hash("secret"), await passwords.hash("secret")
    assert one != two
    parameters = argon2.extract_parameters(one)
    assert parameters.type is argon2.Type.ID
    assert (parameters.memory_cost, parameters.time_cost, parameters.parallelism) == (19_456, 2, 1)
    assert await passwords.verify(one, "secret")
    assert not await passwords.verify(one, "Secret")
    assert await passwords.renewed(one, "secret") is None


@pytest.mark.parametrize("hashed", [None, "", "!", "$argon2id$v=19$m=19456,t=2,p=1$x$y"])
async def test_an_invalid_hash_matches_nothing(passwords: Passwords, hashed: str | None) -> None:
    assert not await passwords.verify(hashed, "")


async def test_a_hash_with_other_parameters_is_outdated(passwords: Passwords) -> None:
    old = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("secret")
    assert await passwords.verify(old, "secret")
    renewed = await passwords.renewed(old, "secret")
    assert renewed is not None
    assert await passwords.renewed(renewed, "secret") is None


async def test_a_password_is_the_same_however_its_characters_are_composed(
    passwords: Passwords,
) -> None:
    composed, apart = "Crème brûlée", unicodedata.normalize("NFD", "Crème brûlée")
    assert await passwords.verify(await passwords.hash(apart), composed)
    assert await passwords.verify(await passwords.hash(composed), apart)
    assert await passwords.renewed(await passwords.hash(apart), apart) is None
    # A hash from before normalisation, of the password as it was typed.
    old = passwords._hasher.hash(apart)
    assert await passwords.verify(old, apart)
    assert not await passwords.verify(old, composed)
    renewed = await passwords.renewed(old, apart)
    assert renewed is not None
    assert await passwords.verify(renewed, composed)


@pytest.mark.parametrize(
    "password",
    [
        *("password", "PASSWORD", "Password1!", "p@ssw0rd", "passw0rd", "trustno1", "12345678"),
        *("0123456789", "qwertyuiop", "QWERTY123", "1q2w3e4r", "1qaz2wsx", "Welcome2026!"),
        *("iloveyou", "I love you!", "sunshine1", "aaaaaaaaaaaa", "abababababab", "11111111"),
        *("ada.lovelace", "Ada.Lovelace@Example.org", "adalovelace99!", "1_ADA_LOVELACE_1"),
        *("tiffin123", "Tiffin2026!", "1tiffin1", "ｐａｓｓword"),
    ],
)
def test_common_passwords_must_not_be_chosen(password: str) -> None:
    fault = fault_of(password, "ada.lovelace@example.org")
    assert fault is not None
    assert "Use several words" in fault


@pytest.mark.parametrize(
    "password",
    [
        *("correct horse battery", "correct horse battery 9", "password 84719362058", "kX9#vq2L"),
        *("a tiffin of lentils", "lovelace was here", "пароль-пароль", "🍛🍜🍣🍛🍜🍣🍛🍜"),
    ],
)
def test_any_other_password_may_be_chosen(password: str) -> None:
    assert fault_of(password, "ada.lovelace@example.org") is None


async def test_the_decoy_has_the_parameters_of_a_current_hash(passwords: Passwords) -> None:
    decoy, real = module._decoy(), await passwords.hash("secret")
    assert argon2.extract_parameters(decoy) == argon2.extract_parameters(real)
    assert len(decoy) == len(real)


async def test_addresses_take_turns_at_hashing(passwords: Passwords) -> None:
    done: list[str] = []

    async def log_in(address: str) -> None:
        await passwords.verify(None, "secret", address)
        done.append(address)

    crowd = ["10.0.0.1"] * (3 * module.AT_ONCE + 6)
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*(log_in(address) for address in [*crowd, "10.0.0.2"]))
    assert done.index("10.0.0.2") <= 2 * module.AT_ONCE + 1


async def test_one_that_leaves_while_it_waits_holds_up_nobody(passwords: Passwords) -> None:
    tasks = [asyncio.create_task(passwords.hash("secret")) for _ in range(module.AT_ONCE + 3)]
    await asyncio.sleep(0)  # all but the first wait
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    async with asyncio.timeout(PATIENCE):
        hashes = await asyncio.gather(*(passwords.hash("secret") for _ in range(3)))
    assert len(set(hashes)) == 3
    assert passwords._free == module.AT_ONCE


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere threads have no priority")
async def test_the_event_loop_has_priority_over_hashing(passwords: Passwords) -> None:
    await passwords.hash("secret")
    (thread,) = (one for one in threading.enumerate() if one.name.startswith("password"))
    assert thread.native_id is not None
    niceness = os.getpriority(os.PRIO_PROCESS, thread.native_id)
    assert niceness > os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


async def test_too_many_waiting_hashes_are_503(
    passwords: Passwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WAITING", 4 - module.AT_ONCE)
    answers = await asyncio.gather(
        *(passwords.hash("secret") for _ in range(6)), return_exceptions=True
    )
    problems = [answer for answer in answers if isinstance(answer, Problem)]
    assert [problem.status for problem in problems] == [503, 503]
    assert problems[0].headers["Retry-After"]
    assert await passwords.verify(await passwords.hash("secret"), "secret")
