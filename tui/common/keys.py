"""An id for every key's binding, so that a user can give it other keys, and vim's keys in lists."""

import importlib
import pkgutil
import re
from dataclasses import replace
from difflib import get_close_matches
from functools import cache

from textual.app import App
from textual.binding import Binding, BindingsMap
from textual.dom import DOMNode
from textual.widgets import Input, TextArea

from tui.common.config import Config, config_folder, place_of, read_toml
from tui.common.language import _
from tui.common.sanitize import plain

VIM = {"j": "down", "k": "up", "g": "home", "G": "end", "ctrl+d": "pagedown", "ctrl+u": "pageup"}
"""Which keys do the same as which, where those are bound."""
KEY = re.compile(r"((ctrl|shift|alt|super)\+)*([a-z0-9_]+|\S)")


@cache
def named_bindings(kind: type[DOMNode], vim: bool) -> BindingsMap:
    """The bindings of a class with their ids, such as `orders.new_order`, or `app.panel_1` for an
    action with a parameter; with `vim` also vim's keys. A field takes letters as letters."""
    keys = with_ids(kind, kind._merged_bindings or BindingsMap()).key_to_bindings
    if vim and not issubclass(kind, Input | TextArea | App):
        for key, same in VIM.items():
            if same in keys and key not in keys:
                keys[key] = [replace(one, key=key, show=False) for one in keys[same]]
    return BindingsMap.from_keys(keys)


def with_ids(kind: type[DOMNode], bindings: BindingsMap) -> BindingsMap:
    """These bindings of such a node, each with its id."""
    keys = {
        key: [one if one.id else replace(one, id=_id(kind, one)) for one in same]
        for key, same in bindings.key_to_bindings.items()
    }
    return BindingsMap.from_keys(keys)


def key_problems(config: Config) -> dict[str, str]:
    """What is wrong with the keys of `config.toml`, a sentence by the key's id. Imports both apps,
    which share the file, if there are any."""
    if not config.keys:
        return {}
    ids = ids_of("customer", "employee")
    path = (config.folder or config_folder()) / "config.toml"
    problems = {}
    now = {name: _keys(config.keys.get(name, one.key)) for name, one in ids.items()}
    for name, keys in config.keys.items():
        wrong = [one for one in _keys(keys) if not KEY.fullmatch(one)]
        if name not in ids:
            near = get_close_matches(name, ids, 3) or [*ids][:3]
            fault = _("there is no key “{name}”. There are {near} …").format(
                name=plain(name), near=", ".join(near)
            )
        elif wrong:
            fault = _(
                "{name}: “{wrong}” is no key. Keys are n, f2, ctrl+n or several: n,f2"
            ).format(name=name, wrong=plain(wrong[0]))
        elif also := [
            one for one in ids if _meet(name, one) and now[name] & now[one] - _keys(ids[name].key)
        ]:
            key = min(now[name] & now[also[0]])
            fault = _("{name}: {key} is also the key of “{also}”. Give one of them another").format(
                name=name, key=key, also=also[0]
            )
        else:
            continue
        problems[name] = f"{place_of(path, read_toml(path)[1], name)}: {fault}."
    return problems


def _keys(listed: str) -> set[str]:
    return {one.strip() for one in listed.split(",")}


def _meet(one: str, other: str) -> bool:
    """Whether the keys of both can be pressed at the same place: of one class, or of the app."""
    owners = {one.partition(".")[0], other.partition(".")[0]}
    return one != other and (len(owners) == 1 or "app" in owners)


def ids_of(*roles: str) -> dict[str, Binding]:
    """Every binding of our own in these apps, by its id, with all its keys. Imports all of them."""
    packages = [importlib.import_module(f"tui.{name}") for name in ("common", *roles)]
    for package in packages:
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    places = tuple(f"{one.__name__}." for one in packages)
    found: dict[str, Binding] = {}
    kinds: list[type[DOMNode]] = [DOMNode]
    for kind in kinds:
        kinds += kind.__subclasses__()
        if not kind.__module__.startswith(places):
            continue
        for key, binding in named_bindings(kind, vim=False):
            if (name := binding.id) and _owner(kind, binding).__module__.startswith(places):
                known = found.setdefault(name, binding)
                if key not in known.key.split(","):
                    found[name] = replace(known, key=f"{known.key},{key}")
    return dict(sorted(found.items()))


def _owner(kind: type[DOMNode], binding: Binding) -> type[DOMNode]:
    """The class that binds it."""
    for one in kind.__mro__:
        made = Binding.make_bindings(one.__dict__.get("BINDINGS", ()))
        if any((each.key, each.action) == (binding.key, binding.action) for each in made):
            return one
    return kind


def _id(kind: type[DOMNode], binding: Binding) -> str:
    """`orders.new_order`: the class that binds it, and its action."""
    name = re.sub(r"^Tiffin(?=App)|(?<=.)(Panel|Screen)$", "", _owner(kind, binding).__name__)
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name)
    action = re.sub(r"\W+", "_", binding.action.replace("-", "minus_")).strip("_")
    return f"{name}.{action}".lower()
