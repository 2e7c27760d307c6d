"""Accounts as the command line administers them."""

from collections.abc import AsyncIterator, Sequence

from pydantic import Secret, TypeAdapter, ValidationError

from server.core import audit
from server.core.audit import Action, AuditActor
from server.core.clock import now
from server.core.database import Database, Transaction
from server.core.errors import Problem, invalid, validation_problem
from server.core.ids import new_id
from server.core.queries import Row
from server.features.accounts import store
from server.features.accounts.passwords import Passwords, check_password
from server.features.accounts.schemas import (
    Account,
    Password,
    Registration,
    Role,
    fold,
    stored_form,
)
from server.features.accounts.service import AccountService, add_account
from server.features.accounts.sessions import Cause
from server.features.accounts.store import NewAccount

PAGE = 500
"""Accounts that are read at a time."""
OPERATOR = AuditActor("operator")


class Administration:
    """What `by`, an operator, does to accounts, which are named by their e-mails.

    Everything but `accounts` raises Problem 404 where no account has that e-mail. Running servers
    learn of it from the database: live streams of ended sessions end within two seconds.
    """

    def __init__(self, database: Database, accounts: AccountService, by: AuditActor) -> None:
        self.database = database
        self.by = by
        self._accounts = accounts

    async def accounts(self, role: Role | None = None) -> AsyncIterator[Sequence[Row]]:
        """Pages of all accounts, or those of that role, by e-mail."""
        after = ""
        while True:

            async def fn(tx: Transaction, after: str = after) -> Sequence[Row]:
                return await store.accounts(tx, role, after, now(), PAGE)

            page = await self.database.read(fn)
            if page:
                yield page
            if len(page) < PAGE:
                return
            after = page[-1]["email"]

    async def id_of(self, email: str) -> str:
        """The account's id."""
        return (await self.database.read(lambda tx: _account(tx, email))).id

    async def remove(self, email: str) -> None:
        """Delete the account and its data. Raises Problem 409 while it has an order under way."""

        async def fn(tx: Transaction) -> None:
            await self._accounts.remove(tx, await _account(tx, email), self.by)

        await self.database.write(fn)

    async def set_password(self, email: str, password: str) -> int:
        """Replace its password and end its sessions; returns how many. Raises Problem 422."""
        try:
            TypeAdapter[object](Password).validate_python(password)
        except ValidationError as error:
            words = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
            raise invalid(["password"], f"The password {words}.") from None
        check_password(["password"], password, email)
        replacement = await self._accounts.passwords.hash(password)

        async def fn(tx: Transaction) -> int:
            account = await _account(tx, email)
            await store.set_password(tx, account.id, replacement)
            await audit.record(tx, Action.PASSWORD_CHANGED, account.id, self.by)
            return await self._end_all(tx, account, "the password was changed")

        return await self.database.write(fn)

    async def set_role(self, email: str, role: Role, restaurant_id: str | None) -> int:
        """Change its role, and where an employee works; ends its sessions, and returns how many.

        Where it has that role already, nothing is changed.
        """

        async def fn(tx: Transaction) -> int:
            account = await _account(tx, email)
            before = {"role": account.role.value, "restaurant": account.restaurant_id}
            after = {"role": role.value, "restaurant": restaurant_id}
            if before == after:
                return 0
            for change in self._accounts.on_role_change:
                await change(tx, account.id, role)
            await store.set_role(tx, account, role, restaurant_id)
            await audit.record(
                tx, Action.ROLE_CHANGED, account.id, self.by, before=before, after=after
            )
            return await self._end_all(tx, account, "the role was changed")

        return await self.database.write(fn)

    async def end_sessions(self, email: str) -> int:
        """End its sessions; returns how many."""

        async def fn(tx: Transaction) -> int:
            return await self._end_all(tx, await _account(tx, email), "ended by an operator")

        return await self.database.write(fn)

    async def _end_all(self, tx: Transaction, account: Account, why: str) -> int:
        return await self._accounts.sessions.end_all(tx, account.id, Cause(why, self.by))


async def _account(tx: Transaction, email: str) -> Account:
    """The account of that e-mail, in a write locked until its end. Raises Problem 404."""
    folded = stored_form(email)
    found = await store.account_by_email(tx, folded) if folded else None
    locked = await store.lock_account(tx, found.account.id) if found else None
    if locked is None:
        raise Problem(404, f"No account has the e-mail {email}.")
    return locked.account


async def add_employee(
    database: Database,
    email: str,
    password: str,
    name: str,
    restaurant_id: str | None,
    *,
    role: Role = Role.EMPLOYEE,
    by: AuditActor = OPERATOR,
) -> str:
    """Make an account of an employee, or of support; returns its id. Raises Problem 422, 409."""
    try:
        given = Registration(email=email, password=Secret(password), name=name)
    except ValidationError as error:
        raise validation_problem(error) from None
    check_password(["password"], password, given.email)
    passwords = Passwords()
    try:
        password_hash = await passwords.hash(given.password.get_secret_value())
    finally:
        passwords.close()
    new = NewAccount(
        id=new_id("acc"),
        email=fold(given.email),
        password_hash=password_hash,
        role=role,
        name=given.name,
        restaurant_id=restaurant_id,
    )
    return (await database.write(lambda tx: add_account(tx, new, by))).id
