"""`add_employee`: the only way to an employee's account."""

import pytest

from server.core.database import Database
from server.core.errors import Problem
from server.features.accounts.administration import add_employee
from support.accounts import PASSWORD, RESTAURANT
from support.rest import Rest


async def test_an_employee_may_log_in(nobody: Rest, database: Database) -> None:
    made = await add_employee(database, "Eve@Example.org", PASSWORD, " Eve ", RESTAURANT)
    account = (await nobody.log_in("eve@example.org", PASSWORD)).grant["account"]
    assert account == {
        "id": made,
        "email": "eve@example.org",
        "name": "Eve",
        "role": "employee",
        "restaurant_id": RESTAURANT,
    }


async def test_an_email_is_taken_once(ada: Rest, database: Database) -> None:
    with pytest.raises(Problem) as caught:
        await add_employee(database, "ADA@example.org", PASSWORD, "Ada", RESTAURANT)
    assert caught.value.status == 409


@pytest.mark.parametrize(
    ("email", "password", "name", "field"),
    [
        ("eve", PASSWORD, "Eve", "email"),
        ("eve@example.org", "short", "Eve", "password"),
        ("eve@example.org", "Password123", "Eve", "password"),
        ("eve@example.org", "eve@example.org", "Eve", "password"),
        ("eve@example.org", "surrogate \udcff", "Eve", "password"),
        ("eve@example.org", PASSWORD, " ", "name"),
    ],
)
async def test_an_invalid_employee_is_refused_with_the_field(
    database: Database, email: str, password: str, name: str, field: str
) -> None:
    with pytest.raises(Problem) as caught:
        await add_employee(database, email, password, name, RESTAURANT)
    assert caught.value.status == 422
    assert field in caught.value.detail
    assert password not in caught.value.detail
