"""The apps' words: that all are in the catalogues, and which language is taken."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from string import Formatter

import pytest
from babel.messages.catalog import Catalog, Message

from tools import language as catalogues
from tui.common import language
from tui.common.config import choose_language, read_config

ROOT = catalogues.ROOT
AGAIN = "run make language and translate what it prints"
READS_AS_WORDS = re.compile(
    r"[^\W\d_]{2,}[,.:;!?…]? +\(?[^\W\d_]"  # two words
    r"|[^\W\d_]{3,}[,.:;!?…]? \{\}|\{\}[,.:;!?…]? ?[^\W\d_]+"  # or one beside a field
    r"|^\W*[A-Z][a-z]+"  # or one with a capital letter
    r"|[a-z]{2}\.$"  # or the end of a sentence
)
MARKS = ("_", "ngettext", "marked")
NO_WORDS = re.compile(
    r"\w+\[.*\]|\w+ \| \w+"  # a type
    r"|(?:bold|dim|not) .*|.*\$[a-z].*"  # a style, a colour
    r"|[\w{}.-]+\.[a-z]+"  # a file
    r"|\s*[A-Z]\w+ .*\{.*\}\s*|\s*edge scrollbar .*",  # rules of a style sheet, a palette
    re.S,
)
"""What reads like words and is none."""
TAKE_TYPES = ("AUTO_FOCUS", "TypeVar", "cast", "query", "query_one", "__all__")
PROTOCOL = re.compile(
    r"[A-Z][\w-]+|(?:Bearer |GET |multipart|application|Content-).*|\{\} \{\} HTTP.*|HTTP .*", re.S
)
"""Headers and lines of requests, in the client library."""
NOT_SHOWN = {
    # asserted, or a mistake of ours that ends the app: for its report
    "A trip needs a stop to go to.",
    "The interval and the speed of a trip must be above 0.",
    "This app has no terminal that another could use.",
    "it has just been put there",
    "the answer has not arrived yet",
    "the client is made after the first paint; wait for the log-in",
    "a category cannot be selected",
    "the map is no GeoJSON FeatureCollection",
    "the map's `features` must be a list",
    "usage: python -m tui.common.parent_guard MODULE ARGUMENTS...",
    # names of tasks and workers
    "chat {}", "location {}", "missed while cut", "room {}", "route {}", "tracker {}", "trip {}",
    "{} stream",
    # classes, keys, and what others read: a server, readline, Babel, pydantic, Pillow, a report,
    # who opens the CSV
    "box danger", "row new",
    "app.", "enter f", "enter t", "enter w", "pgup pgdn",
    "cargo bike", "set enable-bracketed-paste off", "d MMM y", "EEE d MMM y", "Idempotency-Key",
    "preparation minutes", "BHD IQD JOD KWD LYD OMR TND",
    "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    "{}, Python {}\n\n{}", "La",
    "Field required",
    "Value error, ", "value is ", "value is not", "is not", "value is not a valid email",
    r"(?:String should have|needs) at (least|most) (\d+) characters?",
    r"must not contain .* overrides \((.*)\)",
    # the same in every language
    "{} GB", " {} B", "{}ms", "{}s", "p50 {} p95 {}", "♥ {} {}s", "{} x {}", "{}x {}",
    "\x1b7{}\x1b8\x1b7{}\x1b8\x1b[{}C",
    "Apple_Terminal", "ConEmuPID", "FeatureCollection", "LineString", "MultiLineString",
    "MultiPolygon", "Polygon", "PostScript", "WebSocket", "\x1b]9;tiffin: {}{}{}\x07", "long poll",
    "short poll", "tiffin at {}", "^Tiffin(?=App)|(?<=.)(Panel|Screen)$",
}  # fmt: skip
"""The rest, with the reason."""


def words_of(source: str) -> Iterator[tuple[int, str]]:
    """The line and text of each literal that reads as words and is not marked."""
    tree = ast.parse(source)
    passed: set[ast.AST] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=arguments):
                if name in MARKS:
                    passed.update(arguments)
                elif name in TAKE_TYPES:
                    passed.update(inner for one in arguments for inner in ast.walk(one))
            case ast.Assign(targets=[ast.Name(id=name)]) if name in TAKE_TYPES:
                passed.update(ast.walk(node))
            case ast.AnnAssign(target=ast.Name(id=name)) if name in TAKE_TYPES:
                passed.update(ast.walk(node))
            case ast.Subscript(slice=inner):
                passed.update(ast.walk(inner))
            case ast.ClassDef(bases=bases):
                passed.update(inner for one in bases for inner in ast.walk(one))
            case ast.Expr(value=ast.Constant() as docstring):
                passed.add(docstring)
            case ast.JoinedStr(values=parts):
                passed.update(parts)
        for annotation in (getattr(node, "annotation", None), getattr(node, "returns", None)):
            passed.update(ast.walk(annotation) if annotation is not None else ())
    for node in ast.walk(tree):
        text = ""
        if isinstance(node, ast.JoinedStr):
            for inner in ast.walk(node):
                match inner:
                    case ast.Call(func=ast.Name(id=name), args=[ast.Constant(), *_]):
                        if name in MARKS:  # before Python 3.12 no word in an f-string is extracted
                            yield inner.lineno, f"marked, but not found: {ast.unparse(inner)}"
            parts = (one.value if isinstance(one, ast.Constant) else "{}" for one in node.values)
            text = "".join(map(str, parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value
        if node not in passed and READS_AS_WORDS.search(text):
            yield node.lineno, text


def is_shown(name: str, text: str) -> bool:
    """Whether somebody sees it, by all that is known of a file and a text."""
    if text in NOT_SHOWN or NO_WORDS.fullmatch(text):
        return False
    return not (name.startswith("tui/common/client/") and PROTOCOL.fullmatch(text))


def test_a_literal_that_is_not_marked_is_found() -> None:
    source = '"""Doc string."""\na = [_("Two words"), "Two words", f"two {a} words", "a-b", "ok"]'
    assert list(words_of(source)) == [(2, "Two words"), (2, "two {} words")]
    assert list(words_of('a = [f"{a}, gone", f"{a}m", f"{a} · #{b}"]')) == [
        (1, "{}, gone"),
        (1, "{}m"),
    ]
    assert [line for line, _text in words_of('f"{_(1)}"\nf"{_(words)}"')] == [1]
    assert is_shown("tui/common/app.py", "Quit")
    assert not is_shown("tui/common/app.py", "bold $primary")


def test_every_word_is_marked() -> None:
    found = [
        f"{name}:{line}: {text}"
        for path in catalogues.sources()
        for line, text in words_of(path.read_text())
        if is_shown(name := str(path.relative_to(ROOT)), text)
    ]
    assert not found, "mark them with _(…), or say in NOT_SHOWN why not"


@cache
def extracted() -> Catalog:
    """What the code says."""
    return catalogues.extracted()


def test_the_template_is_what_the_code_says() -> None:
    assert catalogues.TEMPLATE.read_bytes() == catalogues.po(extracted()), AGAIN


def fields(text: str) -> set[str]:
    """The names of the fields that `format` fills."""
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


def faults_of(message: Message) -> Iterator[str]:
    """What is wrong with a translation."""
    several = isinstance(message.id, tuple)
    ids = message.id if isinstance(message.id, tuple) else (message.id,)
    strings = message.string if isinstance(message.string, tuple) else (message.string,)
    wanted = set().union(*map(fields, ids))
    for text in strings:
        if not text or message.fuzzy:
            yield f"{ids[0]!r} is not translated"
        # one and two may be said in words
        elif not (fields(text) <= wanted if several else fields(text) == wanted):
            yield f"{ids[0]!r} has other fields than {text!r}"


@pytest.mark.parametrize("name", [one for one in language.languages() if one != language.ENGLISH])
def test_every_message_is_translated(name: str) -> None:
    made: Catalog = catalogues.catalogue(name)
    assert {one.id for one in made} == {one.id for one in extracted()}, AGAIN
    assert [fault for one in made if one.id for fault in faults_of(one)] == []
    assert catalogues.po_path(name).read_bytes() == catalogues.po(made), AGAIN
    assert catalogues.po_path(name).with_suffix(".mo").read_bytes() == catalogues.compiled(made)


def test_a_translation_without_a_field_is_found() -> None:
    made = Message("{count} of {all}", "{count}")
    assert list(faults_of(made)) == ["'{count} of {all}' has other fields than '{count}'"]
    assert list(faults_of(Message("Yes", ""))) == ["'Yes' is not translated"]
    assert list(faults_of(Message(("{n} day", "{n} days"), ("one day", "{n} days")))) == []


def test_the_language_is_that_of_the_setting_or_else_of_the_locale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(language, "_catalogue", language._catalogue)
    monkeypatch.setattr(language, "_language", language._language)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for name in ("TIFFIN_LANGUAGE", "LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)

    def chosen(**environment: str) -> str:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        choose_language()
        return language.current()

    assert chosen() == "en"
    assert chosen(LANG="ar_EG.UTF-8") == "ar"
    assert chosen(LC_MESSAGES="C.UTF-8") == "en"
    assert chosen(LC_ALL="ar") == "ar"
    assert chosen(LC_ALL="xx_XX") == "en"
    assert chosen(LANGUAGE="xx:ar_EG:en") == "ar"
    assert chosen(LANGUAGE="en:ar") == "en"
    assert not read_config().problems, "nobody has asked for a language"
    (tmp_path / "tiffin").mkdir()
    (tmp_path / "tiffin" / "config.toml").write_text('language = "ar"')
    assert chosen() == "ar"
    assert chosen(TIFFIN_LANGUAGE="xx") == "en"
    assert read_config().problems == ('TIFFIN_LANGUAGE: language is one of "", "en", "ar".',)
    language.use("ar_EG")  # gettext would take it for `ar`, and nobody for right to left
    assert language.current() == "en"


def test_what_is_imported_before_the_language_is_known_looks_nothing_up() -> None:
    names = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, tui.common.config, tui.common.crash, tui.demo.run\n"
            "print(*(one.__file__ for name, one in sys.modules.items() if name[:4] == 'tui.'))",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout.split()
    assert len(names) > 5
    bodies = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    found = []
    for name in names:
        nodes = set(ast.walk(ast.parse(Path(name).read_text())))
        nodes -= {inner for one in nodes if isinstance(one, bodies) for inner in ast.walk(one)}
        calls = (one for one in nodes if isinstance(one, ast.Call))
        found += [f"{name}:{one.lineno}" for one in calls if ast.unparse(one.func) in MARKS[:2]]
    assert not found, "use marked(…), and _ where it is shown"


@pytest.mark.parametrize(
    ("app", "arguments", "words"),
    [
        ("customer", ["--plain", "help"], "help: هذه القائمة."),
        ("employee", ["config"], "# عنوان الخادم"),
    ],
)
def test_the_apps_speak_it_from_their_first_word_on(
    app: str, arguments: list[str], words: str, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"tui.{app}", *arguments],
        env={**os.environ, "XDG_CONFIG_HOME": str(tmp_path), "TIFFIN_LANGUAGE": "ar"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert words in done.stdout.splitlines()
