"""`make language`: the apps' words into tui/locale, and the translations into what gettext reads.

The template `tiffin.pot` holds every message that is marked in the code. Each language's
`tiffin.po` gets what is new, without a translation yet, and loses what is gone; `tiffin.mo` is what
the apps read. Prints what is left to translate; the exit code is 1 where there is something.
"""

import ast
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_file
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).resolve().parent.parent
LOCALE = ROOT / "tui" / "locale"
TEMPLATE = LOCALE / "tiffin.pot"
PLACES = ("cli.py", "common", "customer", "employee", "plain")
"""What has words, in `tui`. The lab and the demo's own processes speak English."""
KEYWORDS = {"_": None, "marked": None, "ngettext": (1, 2)}
HEADER = "# What the apps say, to be translated: see CONTRIBUTING.md."
DATE = datetime(2026, 1, 1, tzinfo=UTC)
"""In every header, so that the files change only with the messages."""


def sources() -> list[Path]:
    """The files with words, in order."""
    tops = [ROOT / "tui" / place for place in PLACES]
    return [path for top in tops for path in (sorted(top.rglob("*.py")) or [top])]


def commands_of(path: Path) -> Iterator[str]:
    """What the plain mode's help says of its commands: the docstrings of their methods."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.AsyncFunctionDef) and node.name.startswith("do_"):
            yield ast.get_docstring(node, clean=False) or ""


def extracted() -> Catalog:
    """The template, as the code says it."""
    made = Catalog(header_comment=HEADER, creation_date=DATE, fuzzy=False)
    for path in sources():
        name = str(path.relative_to(ROOT))
        if not any(f"{word}(" in path.read_text() for word in KEYWORDS) and "/plain/" not in name:
            continue
        for _line, message, comments, context in extract_from_file(
            "python", path, keywords=KEYWORDS, comment_tags=("Translators:",)
        ):
            made.add(message, None, [(name, 1)], auto_comments=comments, context=context)
        for usage in commands_of(path) if "/plain/" in name else ():
            made.add(
                usage, None, [(name, 1)], auto_comments=["Translators: keep COMMAND: as it is."]
            )
    return made


def catalogue(language: str) -> Catalog:
    """A language's file, as it is."""
    with po_path(language).open("rb") as file:
        return read_po(file, locale=language)


def po_path(language: str) -> Path:
    """Where a language's translations are."""
    return LOCALE / language / "LC_MESSAGES" / "tiffin.po"


def po(made: Catalog) -> bytes:
    """A catalogue as text: its messages file by file."""
    made.creation_date = made.revision_date = DATE
    file = BytesIO()
    made.project, made.version, made.msgid_bugs_address = "Tiffin", "", ""
    made.last_translator = made.language_team = ""
    write_po(file, made, width=100, sort_by_file=True, include_lineno=False, ignore_obsolete=True)
    return file.getvalue()


def compiled(made: Catalog) -> bytes:
    """A catalogue as gettext reads it."""
    file = BytesIO()
    write_mo(file, made)
    return file.getvalue()


def untranslated(made: Catalog) -> list[str]:
    """The messages that have no translation, or not all of its plural forms."""
    return [
        str(message.id)
        for message in made
        if message.id
        and not all(message.string if isinstance(message.string, tuple) else (message.string,))
    ]


def main() -> int:
    """Write all files."""
    template = extracted()
    LOCALE.mkdir(exist_ok=True)
    TEMPLATE.write_bytes(po(template))
    left = 0
    for path in sorted(LOCALE.glob("*/LC_MESSAGES/tiffin.po")):
        language = path.parent.parent.name
        made = catalogue(language)
        made.update(template, no_fuzzy_matching=True)
        path.write_bytes(po(made))
        path.with_suffix(".mo").write_bytes(compiled(made))
        missing = untranslated(made)
        left += len(missing)
        print(f"{language}: {len(made)} messages, {len(missing)} not translated yet")
        for message in missing[:20]:
            print(f"  {message}")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
