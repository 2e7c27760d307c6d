"""What the command palette offers: all that keys can do, by name, and what the panels know."""

from collections.abc import Callable, Iterable
from functools import partial
from itertools import islice
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Literal

from textual.app import App, SystemCommand
from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content
from textual.dom import DOMNode

from tui.common.config import Config
from tui.common.format import STATUS_LOOKS, money
from tui.common.hosted import hosted_where
from tui.common.language import _, listed
from tui.common.sanitize import plain
from tui.common.services import services_of
from tui.common.widgets.filter import matcher

if TYPE_CHECKING:
    from server.features.chat.schemas import Chat
    from server.features.orders.schemas import Order
    from server.features.restaurants.schemas import MenuItem, RestaurantSummary
    from tui.common.panel_grid import PanelGrid

MOST_FOUND = 50
"""Of what a panel knows, such as its orders; more than anybody reads."""
BEST_SCORE = 3.0
"""A letter, where all words are in the name; Textual's fuzzy search gives the same or more."""


class Commands(Provider):
    """Offers the app's commands. Their names and helps quote data: they are text, never markup."""

    async def discover(self) -> Hits:
        """All of them, by name."""
        for command in sorted(self._commands(), key=attrgetter("title")):
            name = plain(command.title)
            shown = _lines(Content(name), command, self.app)
            yield DiscoveryHit(shown, command.callback, text=name)

    async def search(self, query: str) -> Hits:
        """Those whose name has the letters of `query` in that order."""
        letters = self.matcher(query)
        for command in self._commands():
            name = plain(command.title)
            score, offsets = letters.fuzzy_search.match(query, name)
            if score:
                shown = Content(name)
                for at in offsets:
                    shown = shown.stylize(letters.match_style, at, at + 1)
                yield Hit(score, _lines(shown, command, self.app), command.callback, text=name)

    def _commands(self) -> Iterable[SystemCommand]:
        """Those that are named, then the keys in the key bar that none of them stands for.

        Not those with a parameter: such a key is one of several, as for a rating.
        """
        named = list(self.app.get_system_commands(self.screen))
        known = {_action_of(command.callback) for command in named}
        yield from named
        for node, binding, enabled, _tooltip in self.screen.active_bindings.values():
            action: tuple[DOMNode, str] = node, binding.action.removeprefix("app.")
            shown = enabled and binding.show and binding.description and "(" not in binding.action
            if shown and action not in known:
                known.add(action)
                run = partial(self.app.run_action, binding.action, node)
                yield SystemCommand(binding.description, "", run)


class Finder(Provider):
    """Finds what the panels know, and themes, by the words in their name or help.

    Not fuzzily: that takes time without bounds in a text of others.
    """

    async def search(self, query: str) -> Hits:
        """The first of each panel in which all words of `query` occur."""
        panels = getattr(self.app, "panels", ()) if len(self.app.screen_stack) == 2 else ()
        for finds in (*(panel.finds for panel in panels), partial(_themes, self.app)):
            for hit in islice(found(query, finds()), MOST_FOUND):
                yield hit


def found(query: str, things: Iterable[SystemCommand]) -> Iterable[Hit]:
    """Those of the things that have all words of the query."""
    matches = matcher(query)
    for thing in things:
        if matches(f"{thing.title} {thing.help}"):
            name = plain(thing.title)
            score = len(query) * (BEST_SCORE if matches(thing.title) else 1.0)
            yield Hit(score, _lines(Content(name), thing), thing.callback, text=name)


def orders_found(
    orders: Iterable["Order"],
    other: Literal["customer", "restaurant"],
    go_to: Callable[[str], None],
) -> Iterable[SystemCommand]:
    """Orders, as the palette finds them, each named by its `other` side; `go_to` gets its id."""
    for order in orders:
        dishes = listed(item.name for item in order.items)
        who = getattr(order, other).name
        name = _("Order #{number:04d}, {who}").format(number=order.number, who=who)
        about = f"{STATUS_LOOKS[order.status][1]}: {dishes}"
        yield SystemCommand(name, about, partial(go_to, order.id))


def dishes_found(
    restaurant: "RestaurantSummary",
    menu: "Iterable[MenuItem]",
    go_to: Callable[[str], None],
    tags: Callable[[list[str]], str] = " · ".join,
    closed: str = "",
) -> Iterable[SystemCommand]:
    """The dishes of a menu, as the palette finds them; `go_to` gets the id of one, `tags` words
    its tags, `closed` is a sentence to begin with, such as that the restaurant is closed."""
    for dish in menu:
        price = money(dish.price_cents, restaurant.currency)
        price = price if dish.available else _("sold out")
        told = (restaurant.name, price, tags(dish.tags), dish.description)
        about = f"{closed} {' · '.join(filter(None, told))}".lstrip()
        name = _("Dish {name}").format(name=dish.name)
        yield SystemCommand(name, about, partial(go_to, dish.id))


def chat_found(chat: "Chat", name: str, go_to: Callable[[], None]) -> SystemCommand:
    """A chat, as the palette finds it."""
    last = chat.last_message.text if chat.last_message else _("No messages yet.")
    return SystemCommand(_("Chat {name}").format(name=name), last.replace("\n", " "), go_to)


def _lines(name: Content, command: SystemCommand, app: App[Any] | None = None) -> Content:
    """Its name, the key that does the same, and what it does."""
    key = "" if app is None else _key_of(command.callback, app)
    first = Content.assemble(name, (f"  {key}", "$footer-key-foreground") if key else "")
    return Content("\n").join([first, Content.assemble((plain(command.help), "dim not bold"))])


def _action_of(callback: Callable[..., Any]) -> tuple[object, str]:
    """Whose action a callback is, and its name in a binding: `panel(2)`."""
    call = callback if isinstance(callback, partial) else partial(callback)
    owner, name = getattr(call.func, "__self__", None), getattr(call.func, "__name__", "")
    if name == "run_action":
        action, *namespace = call.args
        return (namespace or [owner])[0], action
    arguments = f"({', '.join(map(repr, call.args))})" if call.args else ""
    return owner, name.removeprefix("action_") + arguments


def _key_of(callback: Callable[..., Any], app: App[Any]) -> str:
    """The first key of that action, as the key bar shows it; empty where it has none."""
    owner, action = _action_of(callback)
    if not isinstance(owner, DOMNode):
        return ""
    bindings = owner._bindings.copy()
    bindings.apply_keymap(app._keymap)
    keys = (one for _key, one in bindings if one.action in (action, f"app.{action}"))
    return next((App.get_key_display(app, one) for one in keys), "")


def _themes(app: App[Any]) -> Iterable[SystemCommand]:
    for name, theme in sorted(app.available_themes.items()):
        kind = _("dark") if theme.dark else _("light")
        yield SystemCommand(
            _("Theme {name}").format(name=name), kind, partial(setattr, app, "theme", name)
        )


def commands_for(app: App[Any], grid: "PanelGrid | None") -> Iterable[SystemCommand]:
    """The commands that make sense now; `grid` is None while a dialog is over the panels."""

    def command(action: str, title: str, help_text: str) -> SystemCommand:
        return SystemCommand(title, help_text, partial(app.run_action, action))

    if grid is not None and grid.main is not None:
        for panel in grid.panels:
            yield from panel.commands()
        for panel in grid.panels:
            yield command(
                f"panel({panel.number})",
                _("Go to {panel}").format(panel=panel.TITLE),
                _("Panel {number}, fed by {pattern}").format(
                    number=panel.number, pattern=panel.PATTERN
                ),
            )
        if grid.zoomed:
            yield command("zoom", _("Show all panels"), _("Back to the others"))
        else:
            yield command("zoom", _("Zoom this panel"), _("One panel over the whole window"))
        cut = _("For ten seconds; what it misses is then replayed")
        yield command("cut", _("Cut this panel's line"), cut)
        held = grid.main.meter.is_held
        title = _("Restore this panel's line") if held else _("Hold this line cut")
        yield command("hold_cut", title, _("Until you restore it"))
        yield command("copy", _("Copy"), _("What is selected: a number, an address, a phone"))
        news = _("And what the other patterns would cost")
        yield command("explain_news", _("How this panel gets its news"), news)
        yield command("account", _("Account"), _("Profile, password, sessions, log out, deletion"))
        if not hosted_where():
            yield command("lab", _("The lab"), _("The same events over every pattern, on a demo"))
        yield SystemCommand(_("Log out"), _("End this session"), services_of(app).log_out)
    yield command("theme", _("Day or night"), _("Switch between the light and the dark theme"))
    themes = _("Or type its name here; the last one is remembered")
    yield SystemCommand(_("Choose a theme"), themes, app.search_themes)
    if (folder := getattr(app, "config", Config()).folder) is not None and not hosted_where():
        about = _("In {path}; “config” after the app's name, in a shell, prints them all").format(
            path=folder / "config.toml"
        )
        settings = _("Settings: vim keys, other keys, bell, clock, language")
        tell = partial(app.notify, about, title=settings, timeout=15)
        yield SystemCommand(settings, about, tell)
    yield command("help", _("Help"), _("All keys, and how to read the wire line"))
    yield command("quit", _("Quit"), _("Close this window"))
