"""A customer and an employee chat in real terminals, each at its own server process."""

import re

from support.server_process import StartServer
from support.tmux import Tmux, Window, signed_in
from support.waiting import wait_for


def panel_key(window: Window, name: str) -> str:
    """The number of the panel with that title."""
    screen = window.sees(name)
    found = re.search(rf"(\d) {name}", screen)
    assert found is not None, screen
    return found[1]


def write(window: Window, text: str) -> None:
    window.press(text, "Enter")


def test_two_apps_chat_across_two_processes(
    start_server: StartServer, tmux: Tmux, redis_url: str
) -> None:
    left = start_server(demo=True, redis_url=redis_url)
    right = start_server(demo=True, redis_url=redis_url)
    customer = signed_in(tmux.open("customer", left.url), "1 Orders", "n New order")
    employee = signed_in(tmux.open("employee", right.url), "1 Kitchen", "No open orders")

    customer.press(panel_key(customer, "Chat"))
    customer.sees("No chat yet")
    customer.press("n")
    customer.sees("What is it about?", "#")
    write(customer, "Where is my order?")
    customer.sees("Write to support")
    write(customer, "Hello, is anybody there?")
    customer.sees("you  ", "✓")

    employee.press(panel_key(employee, "Support"))
    employee.sees_line("Where is my order?", "1")
    employee.press("Enter")
    employee.sees("▌ Hello, is anybody there?", "Write to the customer", "● Ana")
    customer.sees("✓✓", "● Maya")
    typed = 0

    def typing_is_seen() -> bool:
        # It is told once in a while, and only while keys are pressed: what is lost is not repeated.
        nonlocal typed
        employee.press("x")
        typed += 1
        return "Maya is typing" in customer.text

    wait_for(typing_is_seen, every=0.5, what="Maya is typing")
    employee.press("Enter")
    customer.sees(f"▌ {'x' * typed}")

    # One of the two processes dies; messages written meanwhile wait, and arrive once.
    left.kill()
    customer.sees("reconnecting")
    write(customer, "Still there? شكرا 👍")
    customer.sees("◌ waiting")
    write(employee, "I am, take your time")
    left.start()
    # A server that is slow to answer as it starts is taken for a network without WebSockets, which
    # is polled meanwhile and asked again after up to 30 s.
    customer.sees("▌ I am, take your time", "WebSocket", seconds=60)
    settled = customer.misses("◌ waiting")
    screen = employee.sees("Still there?")
    assert screen.count("Still there?") == 1
    assert settled.count("I am, take your time") == 1
    for window in (customer, employee):
        window.press("Escape")
        window.press("C-q")
        assert window.ends() == 0
