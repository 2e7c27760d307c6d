"""Both apps in terminals of 80 by 24, used only by keyboard."""

import re
import shlex
from collections.abc import Iterator

import pytest

from support.server_process import ServerProcess
from support.tmux import Tmux, Window, signed_in
from tui.common.format import fit
from tui.common.sanitize import anchored

RESTAURANT = "Curry Leaf"
"""The restaurant of the demo's employee."""


@pytest.fixture(scope="module")
def apps(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Window, Window]]:
    """The customer's and the employee's window, logged in, for all tests here: leave them on the
    first panel. At the end they are left by a key."""
    folder = tmp_path_factory.mktemp("apps")
    terminals, server = Tmux(folder), ServerProcess(folder / "data", demo=True)
    try:
        server.start()
        windows = [terminals.open(app, server.url) for app in ("customer", "employee")]
        signed_in(windows[0], "1 Orders", "n New order")
        signed_in(windows[1], "1 Kitchen", "No open orders")
        yield windows[0], windows[1]
        for window in windows:
            window.press("C-q")
            assert window.ends() == 0
    finally:
        terminals.close()
        server.terminate(seconds=5)
        print(server.log_tail())


def place_an_order(customer: Window) -> str:
    """Place an order by keys; returns its number."""
    customer.press("n")
    customer.sees_line(RESTAURANT, "about")
    names = re.findall(r"^\W*(\w.*?)  .*about \d+ min", customer.text, re.M)
    customer.press(*["Down"] * names.index(RESTAURANT), "Enter")
    customer.sees("Idli", "basket empty")
    customer.press("Down", "Enter")
    customer.sees("1 [+] Idli", "1 dish")
    customer.press("b")
    customer.sees("Place the order", "Address")
    customer.press("Enter")
    row = customer.sees_line(RESTAURANT, "○ Placed")
    found = re.search(r"#(\d+)", row)
    assert found is not None, row
    return found[0]


def test_an_order_goes_to_the_other_terminal_and_its_steps_come_back(
    apps: tuple[Window, Window],
) -> None:
    customer, employee = apps
    number = place_an_order(customer)

    employee.sees(number, "Placed 1", "1× Idli")
    employee.press("Enter")
    employee.sees(f"Accept {number}", "minutes")
    employee.press("Enter")
    employee.sees("Placed 0", "Accepted 1")
    customer.sees_line(number, "accepted")
    employee.press("Enter")
    employee.sees("Accepted 0", "Cooking 1")
    customer.sees_line(number, "cooking")
    employee.press("Enter")
    employee.sees("Cooking 0", "Ready 1")
    customer.sees_line(number, "ready")
    employee.press("Enter")
    employee.sees(f"Assign a driver to {number}", "free")
    employee.press("Down", "Enter")
    employee.sees("Ready 0", "On its way 1", "▸ Greta")
    customer.sees_line(number, "on its way")
    employee.press("Enter")
    employee.sees("On its way 0", "No open orders", " done today")
    customer.sees_line("1× Idli", "delivered")


def test_the_apps_survive_any_sizes_in_any_order(apps: tuple[Window, Window]) -> None:
    customer, employee = apps
    number = place_an_order(customer)
    employee.sees(number)
    panels = {customer: "1 Orders", employee: "1 Kitchen"}
    shapes = {(160, 48): "6 Wire", (100, 30): "6 Wire", (80, 24): "6 Wire"}
    for window, title in panels.items():
        for round_ in range(2):
            for columns, rows in [(160, 48), (100, 30), (80, 24), (50, 12), (1, 1), (200, 60)]:
                window.resize(columns, rows)
                if round_ == 0 and (columns, rows) in shapes:
                    window.sees(title, number, shapes[columns, rows])
                elif round_ == 0 and columns == 50:
                    window.sees("too small")
        window.resize(80, 24)
        window.sees(title, number, " Wire")
        window.press("?")
        window.sees("─ Help ─")
        for columns, rows in [(50, 12), (160, 48), (80, 24)]:
            window.resize(columns, rows)
        window.sees("─ Help ─")
        window.press("Escape")
        window.sees(title, number)
        assert window.exit_code is None


def test_pictures_are_drawn_and_compared(apps: tuple[Window, Window]) -> None:
    _, window = apps
    window.press("5", "z")  # alone, as there is a ◆ on the map as well
    for columns, rows in [(80, 24), (160, 48), (100, 30)]:
        window.resize(columns, rows)
        window.sees("before", "after", "Masala dosa", "on the menu")
        divided = window.sees_line("◆")
        assert set(divided) & set("▘▝▀▖▌▞▛▗▚▐▜▄▙▟"), "there are no blocks beside the divider"
        window.press("S-Left")
        window.misses("◆")
        window.press("Right", "Right", "Right", "Right", "Right")
    window.press("z", "1")
    window.resize(80, 24)
    window.sees("1 Kitchen")


SCRIPTS = (
    *("किताब हिन्दी", "நிலா தமிழ்", "กำลัง ไทย", "می‌خواهم", "שלום", "한글 漢字", "क्‍ष"),
    *(
        "☁️ 1️⃣ ❤️ ☰☰",
        "👨‍👩‍👧 👍🏽 🇩🇪 🏳️‍🌈",
        "\U0001fadb \U0001fa77 \U0001fae9 \U0002ebf0",
        "e\u0301\u20e3",
        "a\tb",
    ),
    "Z" + "\u0335" * 40 + "algo",
)


def test_text_of_every_script_keeps_rows_aligned(tmux: Tmux) -> None:
    # The mark in the last column of each 40-cell row would be overwritten if widths differed.
    rows = [f"│{anchored(fit(text, 38, pad=True))}│\x1b[40G#" for text in SCRIPTS]
    drawn = tmux.folder / "rows"
    drawn.write_text("".join(f"{row}\n" for row in rows))
    window = tmux.run_in("rows", f"cat {shlex.quote(str(drawn))}; exec cat", (80, 24))
    lines = window.sees("Z", "#").split("\n")[: len(rows)]
    assert [(line[0], line.count("│"), line.rstrip()[-1]) for line in lines] == [
        ("│", 1, "#")
    ] * len(rows)
