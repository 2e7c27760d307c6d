"""The apps' words: that all are in the catalogues, and which language is taken."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
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
    r"|[^\W\d_]{3,}[,.:;!?…]? \{\}|\{\} [^\W\d_]{3,}"  # or one beside a field
    r"|^\W*[A-Z][a-z]+"  # or one with a capital letter
    r"|[a-z]{2}\.$"  # or the end of a sentence
)
MARKS = ("_", "ngettext", "marked")
NOT_MARKED_YET = (
    "tui/cli.py", "tui/common", "tui/customer", "tui/employee", "tui/plain",
)  # fmt: skip
"""Files and folders whose words are still to be marked."""
NOT_SHOWN: dict[str, str] = {}
"""Strings that read like words and that nobody sees or that are the same in every language: why."""


def words_of(source: str) -> Iterator[tuple[int, str]]:
    """The line and text of each literal that reads as words and is not marked."""
    tree = ast.parse(source)
    passed: set[ast.AST] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name), args=arguments) if name in MARKS:
                passed.update(arguments)
            case ast.Expr(value=ast.Constant() as docstring):
                passed.add(docstring)
            case ast.AnnAssign(annotation=annotation) | ast.arg(annotation=annotation):
                passed.update(ast.walk(annotation) if annotation is not None else ())
            case ast.FunctionDef(returns=returns) | ast.AsyncFunctionDef(returns=returns):
                passed.update(ast.walk(returns) if returns is not None else ())
            case ast.JoinedStr(values=parts):
                passed.update(parts)
                text = "".join(
                    one.value if isinstance(one, ast.Constant) else "{}" for one in parts
                )
                if READS_AS_WORDS.search(text):
                    yield node.lineno, text
            case ast.Constant(value=str(text)) if node not in passed:
                if READS_AS_WORDS.search(text):
                    yield node.lineno, text


def test_a_literal_that_is_not_marked_is_found() -> None:
    source = '"""Doc string."""\na = [_("Two words"), "Two words", f"two {a} words", "a-b", "ok"]'
    assert list(words_of(source)) == [(2, "Two words"), (2, "two {} words")]


def test_every_word_is_marked() -> None:
    found = [
        f"{name}:{line}: {text}"
        for path in catalogues.sources()
        if not (name := str(path.relative_to(ROOT))).startswith(NOT_MARKED_YET)
        for line, text in words_of(path.read_text())
        if text not in NOT_SHOWN
    ]
    assert not found, "mark them with _(…), or say in NOT_SHOWN why not"


def test_the_template_is_what_the_code_says() -> None:
    assert catalogues.TEMPLATE.read_bytes() == catalogues.po(catalogues.extracted()), AGAIN


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
    assert {one.id for one in made} == {one.id for one in catalogues.extracted()}, AGAIN
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
    for name in ("TIFFIN_LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"):
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
    assert not read_config().problems, "nobody has asked for a language"
    (tmp_path / "tiffin").mkdir()
    (tmp_path / "tiffin" / "config.toml").write_text('language = "ar"')
    assert chosen() == "ar"
    assert chosen(TIFFIN_LANGUAGE="xx") == "en"
    assert read_config().problems == ('TIFFIN_LANGUAGE: language is one of "", "en", "ar".',)


def test_the_apps_speak_it_from_their_first_word_on(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tui.customer", "--plain", "help"],
        env={**os.environ, "XDG_CONFIG_HOME": str(tmp_path), "TIFFIN_LANGUAGE": "ar"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "help: هذه القائمة." in done.stdout.splitlines()
