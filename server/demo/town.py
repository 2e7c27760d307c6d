"""Builds the demo's restaurants with menus, accounts and past orders, once a database."""

import json
import os
from collections.abc import Mapping
from datetime import datetime, timedelta
from importlib import resources
from pathlib import Path
from typing import Any

from server.core.audit import AuditActor
from server.core.clock import now
from server.core.database import Database, Transaction
from server.core.ids import new_id
from server.core.lifecycle import Component
from server.core.queries import load_queries
from server.features.accounts.passwords import Passwords
from server.features.accounts.schemas import Account, Role
from server.features.accounts.service import add_account, any_account, renew_demo_passwords
from server.features.accounts.store import NewAccount, account_by_email
from server.features.orders import store as orders
from server.features.orders.schemas import (
    STEPS,
    Order,
    OrderCustomer,
    OrderDriver,
    OrderItem,
    OrderRestaurant,
    OrderStatus,
    TimelineEntry,
)
from server.features.restaurants import store as restaurants
from server.features.restaurants.schemas import NewMenuItem, NewRestaurant, Restaurant
from server.features.shared.schemas import Actor, Address
from server.settings import Settings, SettingsError, stored_secret

_queries = load_queries(__file__)

PASSWORD_FILE = "demo-password"  # noqa: S105
ACCOUNTS_FILE = "demo-accounts.json"
FIRST_AUTOPILOT = 1000
"""The autopilots' numbers among the demo's accounts follow those of the demo log-in."""
STEP_MINUTES = (0, 1, 3, 16, 19, 31)
"""From `placed` to each step of a past order."""


class DemoRefusal(Component):
    """Ends the start of a production server whose database is a demo's, before anything changes
    it."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database

    async def open(self) -> None:
        """Raises SettingsError where anyone may log in as an employee."""
        if await self._database.read(lambda tx: _queries.town_claimed(tx)):
            raise SettingsError(
                f"{self._settings.database_path} holds a demo's town, where anyone may log in as"
                " an employee; to run in production point TIFFIN_DATA_DIR at another folder, to"
                " run the demo add --demo"
            )


async def build_town(settings: Settings, database: Database) -> None:
    """Build the town unless this database has it, and write the autopilots' accounts to a file.

    Raises SettingsError where the database holds accounts that are not a demo's.
    """
    plan: Mapping[str, Any] = json.loads(
        resources.files("server.demo").joinpath("town.json").read_text(encoding="utf-8")
    )
    password = stored_secret(settings.data_dir / PASSWORD_FILE)
    passwords = Passwords()
    try:
        email = _autopilot_email(plan, plan["restaurants"][0]["name"])
        known = await database.read(lambda tx: account_by_email(tx, email))
        if known is None or not await passwords.verify(known.password_hash, password):
            password_hash = await passwords.hash(password)

            async def fn(tx: Transaction) -> None:
                if not await _queries.claim_town(tx, at=now().isoformat()):
                    await renew_demo_passwords(tx, password_hash)
                elif await any_account(tx):
                    raise SettingsError(
                        f"{settings.database_path} holds accounts that are not a demo's, and a demo"
                        " lets anyone in as an employee; point TIFFIN_DATA_DIR at another folder"
                    )
                else:
                    await _build(tx, plan, password_hash)

            await database.write(fn)
    finally:
        passwords.close()
    _write_accounts(settings.data_dir / ACCOUNTS_FILE, plan, password)


async def _build(tx: Transaction, plan: Mapping[str, Any], password_hash: str) -> None:
    async def add(role: Role, number: int, **fields: Any) -> Account:
        account = NewAccount(
            id=new_id("acc"), password_hash=password_hash, role=role, demo=number, **fields
        )
        return await add_account(tx, account, AuditActor("demo"))

    town: dict[str, Restaurant] = {}
    staff: dict[str, Account] = {}
    for number, entry in enumerate(plan["restaurants"], start=FIRST_AUTOPILOT):
        new = NewRestaurant(**entry, time_zone=plan["time_zone"])
        restaurant_id = await restaurants.add_restaurant(tx, new)
        for name, description, price, category, tags in entry["menu"]:
            dish = NewMenuItem(
                name=name,
                description=description,
                price_cents=price,
                category=category,
                tags=tags.split(),
            )
            await restaurants.add_menu_item(tx, restaurant_id, dish)
        for name, vehicle, phone in entry["drivers"]:
            await restaurants.add_driver(tx, restaurant_id, name, vehicle, phone)
        restaurant = await restaurants.restaurant(tx, restaurant_id)
        assert restaurant is not None
        town[restaurant.name] = restaurant
        staff[restaurant.name] = await add(
            Role.EMPLOYEE,
            number,
            email=_autopilot_email(plan, restaurant.name),
            name=plan["autopilot"]["name"],
            restaurant_id=restaurant_id,
        )
    employee = plan["employee"]
    await add(
        Role.EMPLOYEE,
        1,
        email=employee["email"],
        name=employee["name"],
        restaurant_id=town[employee["restaurant"]].id,
    )
    customers = [
        await add(
            Role.CUSTOMER,
            number,
            email=person["email"],
            name=person["name"],
            phone=person["phone"],
            address=Address(**person["address"]),
        )
        for number, person in enumerate(plan["customers"], start=1)
    ]
    for customer, name, days, lines, end in sorted(plan["history"], key=lambda order: -order[2]):
        placed_at = now() - timedelta(days=days)
        await _past_order(
            tx, town[name], customers[customer], staff[name], placed_at, lines, OrderStatus(end)
        )


async def _past_order(
    tx: Transaction,
    restaurant: Restaurant,
    customer: Account,
    employee: Account,
    placed_at: datetime,
    lines: list[tuple[str, int]],
    end: OrderStatus,
) -> None:
    menu = {dish.name: dish for dish in restaurant.menu}
    items = [
        OrderItem(
            menu_item_id=menu[name].id,
            name=name,
            price_cents=menu[name].price_cents,
            quantity=quantity,
        )
        for name, quantity in lines
    ]
    buyer = Actor(id=customer.id, name=customer.name, role=customer.role)
    kitchen = Actor(id=employee.id, name=employee.name, role=employee.role)
    steps = STEPS if end is OrderStatus.DELIVERED else (OrderStatus.PLACED, end)
    timeline = [
        TimelineEntry(
            status=step,
            at=placed_at + timedelta(minutes=minutes),
            by=buyer if step in (OrderStatus.PLACED, OrderStatus.CANCELLED) else kitchen,
            reason="Ordered by mistake" if step is OrderStatus.CANCELLED else None,
        )
        for step, minutes in zip(steps, STEP_MINUTES, strict=False)
    ]
    driver = None
    if end is OrderStatus.DELIVERED:
        first = (await restaurants.drivers(tx, restaurant.id))[0]
        driver = OrderDriver(
            id=first.id, name=first.name, vehicle=first.vehicle, assigned_by=kitchen
        )
    address = customer.address
    assert address is not None
    order = Order(
        id=new_id("ord"),
        number=(await restaurants.next_number(tx, restaurant.id))[0],
        restaurant=OrderRestaurant(
            id=restaurant.id, name=restaurant.name, lat=restaurant.lat, lng=restaurant.lng
        ),
        customer=OrderCustomer(id=customer.id, name=customer.name, phone=customer.phone),
        items=items,
        total_cents=sum(item.price_cents * item.quantity for item in items),
        status=end,
        version=len(timeline),
        timeline=timeline,
        driver=driver,
        address=address,
    )
    await orders.insert(tx, orders.row_of(order))


def _autopilot_email(plan: Mapping[str, Any], restaurant: str) -> str:
    domain = restaurant.lower().replace(" ", "-")
    return f"{plan['autopilot']['email']}@{domain}.tiffin.example"


def _write_accounts(path: Path, plan: Mapping[str, Any], password: str) -> None:
    """Write the file atomically: an autopilot may be reading it."""
    accounts = [
        {"email": _autopilot_email(plan, entry["name"]), "password": password}
        for entry in plan["restaurants"]
    ]
    text = json.dumps(accounts, indent=2) + "\n"
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    temporary.touch(mode=0o600)
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
