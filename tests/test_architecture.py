"""What the design promises and import-linter cannot check."""

import ast
import configparser
import importlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from support.waiting import PATIENCE

ROOT = Path(__file__).resolve().parent.parent
FEATURES = ROOT / "server" / "features"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
DOORS = {"long_polling", "sse", "websocket", "socketio", "short_polling"}
LONGEST_FILE = 400
DOCUMENTS = [
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "deploy/azure.md",
    *(str(path.relative_to(ROOT)) for path in sorted(ROOT.glob("docs/**/*.md"))),
]
WAITS = {"asyncio.timeout": 0, "asyncio.wait_for": 1, "wait_for": 1, "wait_until": 1, "sees": 9}
"""What waits in tests, and the place of its limit among the arguments."""


def source_files() -> list[Path]:
    return sorted(path for top in ("server", "tui", "web") for path in (ROOT / top).rglob("*.py"))


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def statements(node: ast.AST) -> Iterator[ast.AST]:
    """Every statement inside, without the expressions, which are most of a tree."""
    for block in ("body", "orelse", "handlers", "finalbody", "cases"):
        inner = getattr(node, block, None)
        for one in inner if isinstance(inner, list) else ():
            yield one
            yield from statements(one)


@cache
def imports_of(path: Path) -> frozenset[str]:
    """Every module a file imports, anywhere in it; `from a import b` counts as `a` and `a.b`."""

    def found() -> Iterator[str]:
        for node in statements(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}: imports are absolute here"
                assert node.module is not None
                yield node.module
                yield from (f"{node.module}.{alias.name}" for alias in node.names)

    return frozenset(found())


def features() -> list[str]:
    return sorted(p.name for p in FEATURES.iterdir() if (p / "__init__.py").exists())


def linter_contract(name: str) -> configparser.SectionProxy:
    parser = configparser.ConfigParser()
    parser.read(ROOT / ".importlinter")
    return parser[f"importlinter:contract:{name}"]


def test_features_reach_each_other_only_through_service_and_schemas() -> None:
    for path in source_files():
        parts = module_of(path).split(".")
        if parts[:2] != ["server", "features"] or len(parts) < 4:
            continue
        for imported in imports_of(path):
            target = imported.split(".")
            if target[:2] != ["server", "features"] or len(target) < 4:
                continue
            if target[2] not in (parts[2], "shared"):
                assert target[3] in ("service", "schemas"), f"{module_of(path)} imports {imported}"


def test_only_the_edges_of_a_feature_import_http() -> None:
    edges = DOORS | {"routes", "setup"}
    for path in FEATURES.rglob("*.py"):
        if path.stem not in edges:
            spoken = {name.partition(".")[0] for name in imports_of(path)}
            assert not spoken & {"aiohttp", "aiohttp_sse"}, f"{module_of(path)} imports aiohttp"


def test_a_feature_can_be_imported_for_its_schemas_alone() -> None:
    for feature in features():
        opening = FEATURES / feature / "__init__.py"
        assert not imports_of(opening), f"{opening} must import nothing: schemas are free"


def test_every_feature_has_an_import_contract() -> None:
    layered = linter_contract("inside-a-feature")["containers"].split()
    named = set(re.findall(r"\w+", linter_contract("features")["layers"]))
    for feature in features():
        assert feature in named
        if feature != "shared":
            assert f"server.features.{feature}" in layered, f"{feature} is missing in .importlinter"


def test_a_feature_keeps_its_sql_in_its_sql_file() -> None:
    statement = re.compile(r"\b(SELECT\b.*\bFROM|INSERT INTO|UPDATE\b.*\bSET|DELETE FROM)\b", re.S)
    for path in FEATURES.rglob("*.py"):
        text = path.read_text()
        if not re.search("SELECT|INSERT|UPDATE|DELETE", text):
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert not statement.search(node.value), (
                    f"{path.relative_to(ROOT)}:{node.lineno} holds SQL; it belongs in queries.sql"
                )


def test_a_file_holds_one_noun() -> None:
    lines = {module_of(path): path.read_text().count("\n") for path in source_files()}
    long = {module: count for module, count in lines.items() if count > LONGEST_FILE}
    assert not long, "split them"


def import_graph(top: str) -> dict[str, set[str]]:
    """The modules of a package, and which of its modules each imports, for types or to run."""
    paths = {module_of(path): path for path in (ROOT / top).rglob("*.py")}
    return {module: (imports_of(path) & paths.keys()) - {module} for module, path in paths.items()}


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """The strongly connected components of more than one module."""

    def reached_from(start: str) -> set[str]:
        found: set[str] = set()
        waiting = [start]
        while waiting:
            new = graph[waiting.pop()] - found
            found |= new
            waiting += new
        return found

    reached = {module: reached_from(module) for module in graph}
    components = {
        frozenset(other for other in reached[module] if module in reached[other])
        for module in graph
        if module in reached[module]
    }
    return sorted(sorted(component) for component in components)


def test_a_circle_of_imports_is_found() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}, "e": set()}
    assert circles(graph) == [["a", "b", "c"]]
    assert circles({"a": {"b"}, "b": set()}) == []


@pytest.mark.parametrize("top", ["server", "tui", "web"])
def test_no_modules_import_each_other_in_a_circle(top: str) -> None:
    """Imports for type checking count: a circle has to be read as a whole."""
    assert circles(import_graph(top)) == []


def casts_the_app(source: str) -> list[int]:
    """The lines that take the app for one of a certain class instead of using its services."""
    found = [
        node.lineno
        for node in (ast.walk(ast.parse(source)) if "cast" in source else ())
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).rpartition(".")[2] == "cast"
        and len(node.args) == 2
        and re.search(r"\bapp$", ast.unparse(node.args[1]))
    ]
    lines = enumerate(source.splitlines(), 1)
    return sorted({*found, *(at for at, line in lines if re.search(r"\bapp\b.*# type:", line))})


def test_a_cast_of_the_app_is_found() -> None:
    examples = [
        'cast("TiffinApp", self.app).wire',
        "typing.cast(CustomerApp, node.app)",
        "self.app.wire  # type: ignore[attr-defined]",
        "app = widget.app  # type: TiffinApp",
    ]
    assert casts_the_app("\n".join(examples)) == [1, 2, 3, 4]
    assert casts_the_app("services_of(self)\nself.app.bell()\ncast(int, self.apple)") == []


def test_nobody_casts_the_app() -> None:
    found = {
        str(path.relative_to(ROOT)): lines
        for path in (ROOT / "tui").rglob("*.py")
        if (lines := casts_the_app(path.read_text()))
    }
    assert not found, "what panels and dialogs may use of the app is in tui/common/services.py"


def test_screens_go_by_the_servers_clock() -> None:
    """What the server has stamped is compared with `session.server_now()`."""
    own_clock = re.compile(r"\b(datetime\.now|time\.time)\(")
    for app in ("customer", "employee"):
        for path in (ROOT / "tui" / app).rglob("*.py"):
            assert not own_clock.search(path.read_text()), path.relative_to(ROOT)


READ_AS_MARKUP = {"Static", "Label", "Button", "Option", "from_markup"}
"""What Textual reads as markup when called with a string."""
SET_AS_MARKUP = {"border_title", "border_subtitle", "label", "tooltip"}
"""The same for attributes."""
MAKES_STRINGS = {"plain", "fit", "str", "join", "replace", "format", "strip", "lower", "upper"}


def may_quote(node: ast.expr) -> bool:
    """Whether it may be a string that is not a literal in the code."""
    match node:
        case ast.Constant():
            return False
        case ast.IfExp():
            return may_quote(node.body) or may_quote(node.orelse)
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
            return name in MAKES_STRINGS
    return True


def may_be_markup(node: ast.AST) -> bool:
    match node:
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in READ_AS_MARKUP:
            if any(ast.unparse(keyword) == "markup=False" for keyword in node.keywords):
                return False
            if name in ("Static", "Label") and ast.unparse(ast.Tuple(node.args)) in ("()", "('',)"):
                return True  # to be filled later
            return any(may_quote(argument) for argument in node.args[:1])
        case ast.Assign():
            names = {target.attr for target in node.targets if isinstance(target, ast.Attribute)}
            return bool(names & SET_AS_MARKUP) and may_quote(node.value)
    return False


def test_shown_text_is_never_markup() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"  # type: ignore[attr-defined]
        for path in (ROOT / "tui").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if may_be_markup(node)
    ]
    assert not found, (
        f"{found}: Textual reads a string there as markup, and a name such as '[/x]' ends the app. "
        "Give it a Content, or markup=False."
    )


def in_a_fresh_process(code: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("app", ["tui.customer.app", "tui.employee.app"])
def test_an_app_paints_before_it_imports_the_network(app: str) -> None:
    in_a_fresh_process(
        f"import sys, {app}; heavy = {{'aiohttp', 'asyncpg', 'redis', 'aiosqlite'}}"
        " & set(sys.modules); sys.exit(f'imported too early: {heavy}' if heavy else 0)"
    )


def test_the_client_library_runs_where_textual_is_not_installed() -> None:
    modules = sorted(module_of(path) for path in (ROOT / "tui/common/client").glob("*.py"))
    in_a_fresh_process(
        "import sys; sys.modules['textual'] = sys.modules['rich'] = None\n"
        f"import {', '.join(modules)}, tui.demo.autopilot.__main__"
    )


def test_schemas_need_only_pydantic() -> None:
    modules = [module_of(path) for path in FEATURES.glob("*/*schemas.py")]
    in_a_fresh_process(
        "import sys; blocked = ('aiohttp', 'aiosqlite', 'textual', 'redis', 'jwt', 'argon2')\n"
        f"sys.modules.update(dict.fromkeys(blocked))\nimport {', '.join(sorted(modules))}"
    )


def test_everything_that_imports_onnxruntime_turns_its_telemetry_off() -> None:
    """Otherwise it stores a device id and a queue of reports in the user's home."""
    imports = re.compile(r"^\W*(import|from) (rembg|onnxruntime)\b", re.M)
    for top in ("server", "tui", "tools", "benchmarks"):
        for path in (ROOT / top).rglob("*.py"):
            text = path.read_text()
            assert not imports.search(text) or "ORT_DISABLE_TELEMETRY" in text, path


def test_the_server_starts_without_what_only_photos_need() -> None:
    in_a_fresh_process(
        "import sys, server.app; heavy = {'PIL', 'rembg', 'onnxruntime', 'numpy', 'azure'}"
        " & set(sys.modules); sys.exit(f'imported too early: {heavy}' if heavy else 0)"
    )


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_file_that_is_named_exists(document: str) -> None:
    text = (ROOT / document).read_text()
    files = re.findall(r"\b(?:server|tui|tests|tools|benchmarks|deploy|docs)/[\w./-]+\.\w+", text)
    links = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", text)
    named = {ROOT / name for name in files}
    named |= {(ROOT / document).parent / link for link in links}
    assert named
    assert not {path for path in named if not path.exists()}
    for link, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)#([^)\s]+)\)", text):
        page = (ROOT / document).parent / link if link else ROOT / document
        heads = re.findall(r"^#+ (.*)$", page.read_text().lower(), re.MULTILINE)
        assert anchor in {re.sub(r"[^\w -]", "", head).replace(" ", "-") for head in heads}
    short = set(re.findall(r"(?:\w+/)*\w+\.(?:py|sql)\b", text))
    code = code_files()
    assert not {name for name in short if not any(one.endswith(f"/{name}") for one in code)}
    targets = set(re.findall(r"`make ([a-z-]+)", text))
    assert targets <= set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@cache
def code_files() -> list[str]:
    tops = ("server", "tui", "web", "tests", "tools", "benchmarks")
    return [str(path) for top in tops for path in (ROOT / top).rglob("*.*")]


@pytest.mark.parametrize("command", sorted(PROJECT["project"]["scripts"]))
def test_every_command_exists(command: str) -> None:
    module, _, name = PROJECT["project"]["scripts"][command].partition(":")
    assert callable(getattr(importlib.import_module(module), name))


@cache
def distributions_imported() -> dict[str, set[str]]:
    """Imports of third-party packages: each distribution, with the modules that import it."""
    sources = packages_distributions()
    found: dict[str, set[str]] = {}
    for path in source_files():
        for imported in imports_of(path):
            top = imported.partition(".")[0]
            if top in sys.stdlib_module_names or top in ("server", "tui", "web"):
                continue
            for distribution in sources.get(top, [f"(unknown) {top}"]):
                found.setdefault(canonicalize_name(distribution), set()).add(module_of(path))
    return found


def declared() -> set[str]:
    project = PROJECT["project"]
    lines = [*project["dependencies"], *project["optional-dependencies"]["web"]]
    return {canonicalize_name(Requirement(line).name) for line in lines}


def test_every_test_file_has_a_unique_name() -> None:
    """pytest imports them by it."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))


def test_no_wait_of_a_test_is_shorter_than_the_patience_of_them_all() -> None:
    """A busy machine takes its time: a wait for a fact may take `PATIENCE` seconds. One that has to
    end sooner belongs into `keeps`, or into a `with` that expects its error."""

    def dotted(name: ast.expr) -> str:
        """`asyncio.timeout` and the like; `ast.unparse` takes many times as long."""
        match name:
            case ast.Name(id=last):
                return last
            case ast.Attribute(value=ast.Name(id=first), attr=last):
                return f"{first}.{last}"
        return ""

    def is_short(call: ast.Call) -> bool:
        if dotted(call.func) not in WAITS:
            return False
        numbers = [one.value for one in limits(call) if isinstance(one, ast.Constant)]
        return any(isinstance(one, int | float) and one < PATIENCE for one in numbers)

    def limits(call: ast.Call) -> Iterator[ast.expr]:
        yield from call.args[WAITS[dotted(call.func)] :]
        yield from (one.value for one in call.keywords if one.arg in ("seconds", "timeout"))

    found = []
    for path in sorted((ROOT / "tests").rglob("*.py")):
        text = path.read_text()
        if not any(f"{name}(" in text for name in WAITS):
            continue
        nodes = list(ast.walk(ast.parse(text)))
        short = [node for node in nodes if isinstance(node, ast.Call) and is_short(node)]
        blocks = [node for node in nodes if isinstance(node, ast.With)] if short else []
        failing = [node for node in blocks if "Error" in "".join(map(ast.unparse, node.items))]
        expected = {inner for block in failing for inner in ast.walk(block)}
        found += [
            f"{path.relative_to(ROOT)}:{node.lineno}" for node in short if node not in expected
        ]
    assert not found, found


def test_every_import_is_declared() -> None:
    # multidict and yarl are aiohttp's own types, rich is Textual's, engineio Socket.IO's,
    # azure-core the blob client's.
    part_of_another = {
        "multidict", "yarl", "rich", "pydantic-core", "python-engineio", "azure-core"
    }  # fmt: skip
    undeclared = {
        name: sorted(users)
        for name, users in distributions_imported().items()
        if name not in declared() | part_of_another
    }
    assert not undeclared


def test_every_declared_dependency_is_imported() -> None:
    # These work from inside others: pydantic's EmailStr, redis' parser, zoneinfo's time zones where
    # the system has none.
    silent = {"email-validator", "hiredis", "tzdata"}
    assert declared() - set(distributions_imported()) <= silent


@pytest.mark.parametrize(
    "lock", ["requirements.lock requirements-photos.lock", "requirements-dev.lock"]
)
def test_the_lock_fits_the_project(lock: str) -> None:
    text = "\n".join((ROOT / name).read_text() for name in lock.split())
    pinned = {
        canonicalize_name(name): version
        for name, version in re.findall(r"^([\w.-]+)(?:\[[\w,-]+\])?==([^\s;\\]+)", text, re.M)
    }
    wanted = [*PROJECT["project"]["dependencies"]]
    if "dev" in lock:
        wanted += PROJECT["project"]["optional-dependencies"]["dev"]
    for line in wanted:
        requirement = Requirement(line)
        version = pinned.get(canonicalize_name(requirement.name))
        assert version is not None, f"{line} is not in {lock}: make lock"
        assert requirement.specifier.contains(version, prereleases=True), f"{line}: make lock"
    assert text.count("--hash=sha256:") >= len(pinned)
    assert not re.search(r"https?://|file:|--index-url|--find-links", text)
