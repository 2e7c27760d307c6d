"""A page of the tour: its lines, made of a lesson's step and of the figures of its run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from tui.common.format import fit, wrapped
from tui.lab.fields import Value, cell
from tui.lab.lessons.lesson import Choice, Figures, Lesson, Step, Summary, fill
from tui.lab.results import Finding
from tui.lab.screen.lines import Row
from tui.lab.screen.watch import Watch

LETTERS = "abcde"
VERDICTS = {True: ("✓", "success"), False: ("✗", "error"), None: ("?", "warning")}
GAP = 2
LEAST_WORDS = 45
"""Cells, below which a table does not say what its figures are."""
ABOUT_NONE = "about 0"
"""Instead of less than nothing: what was used elsewhere meanwhile hides an amount so small."""


@dataclass(slots=True)
class Page:
    """A step of a lesson, and how far one is with it; or the summary."""

    step: Step | Summary
    number: str
    """`4 of 9`; "" of the summary."""
    title: str
    guess: int | None = None
    state: Literal["asked", "running", "answered"] = "asked"
    words: str = ""
    """What goes on, or why nothing does."""
    failed: bool = False
    busy: str = ""
    """The number of another page, while that one's run goes on."""
    watch: Watch | None = None
    """What was seen of its last run; while it starts, what was seen before it."""
    figures: Figures = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()

    @property
    def choices(self) -> Sequence[Choice]:
        """The answers to choose from."""
        return () if isinstance(self.step, Summary) else self.step.ask.choices

    @property
    def can_guess(self) -> bool:
        """Until its first run has ended."""
        return bool(self.choices) and self.state != "answered" and not self.figures

    @property
    def agrees(self) -> bool | None:
        """Whether the figures agree with the guess; None where there is no answer yet."""
        if self.guess is None or self.state != "answered":
            return None
        return self.choices[self.guess].is_right(self.figures)


def pages_of(lessons: Sequence[Lesson]) -> list[Page]:
    """A page for each step, and for the summary."""
    found = []
    count = sum(lesson.summary is None for lesson in lessons)
    for number, lesson in enumerate(lessons, start=1):
        steps: Sequence[Step | Summary] = [lesson.summary] if lesson.summary else lesson.steps
        for at, step in enumerate(steps, start=1):
            part = f", {at} of {len(steps)}" if len(steps) > 1 else ""
            place = "" if lesson.summary else f"{number} of {count}"
            found.append(Page(step, place, f"{lesson.title}{part}"))
    return found


def title_of(page: Page, pages: Sequence[Page], width: int) -> str:
    """Which page it is, and how many guesses were right; in short where it is narrow."""
    right, guessed = score_of(pages)
    score = f" · {right} of {guessed} guesses right" if guessed else ""
    place = f"Tour {page.number}".strip()
    title = f"{place} · {page.title}{score}"
    if len(title) > width:
        score = f" · {right} of {guessed} right" if guessed else ""
        title = f"{page.number or place} · {page.title}{score}"
    return title if len(title) <= width else f"{place}{score}"


def keys_of(page: Page, width: int, *, goes_on: bool) -> str:
    """What keys do on it, the less needed left out where it is narrow; `goes_on`: below the last
    line in view."""
    keys = ["page ↓ for more"] if goes_on else []
    keys += ["space runs it again"] if page.state == "answered" else []
    keys += ["← → lessons", "esc leaves, T comes back"]
    while len(found := " · ".join(keys)) > width and len(keys) > 1:
        keys.pop()
    return found


def score_of(pages: Sequence[Page]) -> tuple[int, int]:
    """How many guesses were right, and of how many."""
    guessed = [one.agrees for one in pages if one.agrees is not None]
    return sum(guessed), len(guessed)


def rows_of(page: Page, width: int, height: int) -> list[Row]:
    """The page in so many lines if it can be: gaps go first, then what was said before the run."""
    step = page.step
    if isinstance(step, Summary):
        blocks = [
            _paragraph(step.say, width),
            list(_uses(step, width)),
            _paragraph(page.words, width, "bold"),
            _paragraph(step.next, width),
        ]
    else:
        asked = [*_paragraph(step.ask.question, width, "bold"), *_choices(page, width)]
        blocks = [_paragraph(step.say, width), asked, list(_outcome(page, step, width))]
        if page.state == "answered" and not step.run.race:
            blocks.append(list(_table(page.findings, step.table, width)))
    if sum(map(len, blocks)) > height and page.state == "answered":
        del blocks[0]
    gaps = sum(map(len, blocks)) + len(blocks) - 1 <= height
    rows: list[Row] = []
    for block in blocks:
        rows += [(), *block] if rows and gaps and block else block
    return rows


def _uses(summary: Summary, width: int) -> Iterator[Row]:
    """A line for each: the feature, its pattern, and why."""
    features = max(len(use.feature) for use in summary.uses) + GAP
    patterns = max(len(use.pattern) for use in summary.uses) + GAP
    for use in summary.uses:
        front = use.feature.ljust(features), use.pattern.ljust(patterns)
        for row, line in enumerate(wrapped(use.why, width - features - patterns)):
            feature, pattern = front if row == 0 else (" " * features, " " * patterns)
            yield ((feature, "title"), (pattern, "bold primary"), (line, "foreground"))


def _paragraph(text: str, width: int, ink: str = "foreground") -> list[Row]:
    return [((line, ink),) for line in wrapped(" ".join(text.split()), width)]


def _choices(page: Page, width: int) -> Iterator[Row]:
    """A line for each; once there are figures, with the one that decides it."""
    longest = max(len(choice.text) for choice in page.choices)
    for letter, (at, choice) in zip(LETTERS, enumerate(page.choices), strict=False):
        chosen = at == page.guess
        front = (f"{'▸' if chosen else ' '} {letter} ", "bold primary" if chosen else "title")
        if page.state != "answered":
            for row, line in enumerate(wrapped(choice.text, width - 4)):
                lead = front if row == 0 else ("    ", "")
                yield (lead, (line, "bold" if chosen else "foreground"))
            continue
        glyph, ink = VERDICTS[choice.is_right(page.figures)]
        shown = fill(choice.shows, page.figures, written)
        words = f"{choice.text.ljust(longest)}   {shown}"
        if len(words) > width - 6:
            words = f"{choice.text}: {shown}"
        for row, line in enumerate(wrapped(words, width - 6)):
            mark = (glyph if row == 0 else " ").ljust(2)
            lead = front if row == 0 else ("    ", "")
            yield (lead, (mark, f"bold {ink}"), (line, "bold" if chosen else "foreground"))


def _outcome(page: Page, step: Step, width: int) -> Iterator[Row]:
    """What goes on, or what has come out."""
    if page.state == "running":
        yield ((fit(f"▶ {page.words}", width), "bold primary"),)
    elif page.state == "answered":
        answer = fill(step.ask.answer, page.figures, written)
        yield from _paragraph(f"{_verdict(page)} {answer}", width, "bold")
        yield from _paragraph(fill(step.why, page.figures, written), width)
        for line in wrapped(f"In the code: {', '.join(step.sources)}", width):
            yield ((line, "wire-ink"),)
    else:
        if page.words:
            yield from _paragraph(page.words, width, "error" if page.failed else "foreground")
        keys = f"a … {LETTERS[len(page.choices) - 1]} or ↑↓ guess"
        if page.busy:
            words = f"Lesson {page.busy} is still running; space stops it and runs this one."
            yield from _paragraph(words, width, "warning")
        run = f"space runs it, about {step.run.takes} s"
        yield ((fit(f"{keys} · {run}", width), "wire-ink"),)


def _verdict(page: Page) -> str:
    if page.guess is None:
        return "The figures say:"
    chosen = page.choices[page.guess]
    said = {
        True: "the figures say so too",
        False: "the figures say otherwise",
        None: "no figure tells",
    }[page.agrees]
    shown = fill(chosen.shows, page.figures, written)
    return f"You chose {LETTERS[page.guess]}: {said}{f' ({shown})' if shown else ''}."


def _table(findings: Sequence[Finding], wanted: Sequence[str], width: int) -> Iterator[Row]:
    """Those of the same figure side by side, and what they are beside or below them."""
    findings = [one for one in findings if not wanted or one.figure in wanted]
    compared = [one for one in findings if one.of]
    columns = list(dict.fromkeys(one.of for one in compared))
    values = {id(one): _with_unit(one) for one in findings}
    names = {one.figure: one.figure.replace("_", " ") for one in findings}
    first = max(map(len, names.values()), default=0)
    cells = max(map(len, (*columns, *(values[id(one)] for one in compared))), default=0) + GAP
    if columns:
        yield ((" " * first, ""), ("".join(one.rjust(cells) for one in columns), "title"))
    for figure in names:
        row = {one.of: one for one in findings if one.figure == figure}
        one = next(iter(row.values()))
        shown = " " * GAP + values[id(one)]
        if one.of:
            each = (values[id(row[of])] if of in row else "–" for of in columns)
            shown = "".join(value.rjust(cells) for value in each)
        words = one.words
        if any(isinstance(same.value, float) and same.value < 0 for same in row.values()):
            words += f" {ABOUT_NONE.capitalize()}: less than can be measured."
        yield from _figure(names[figure].ljust(first), shown, words, width)


def _figure(name: str, shown: str, words: str, width: int) -> Iterator[Row]:
    """Beside it the words, in as many lines as they take; where that is narrow, below it."""
    room = width - len(name) - len(shown) - GAP
    beside = room >= LEAST_WORDS
    lines = wrapped(words, room if beside else width - GAP)
    told = " " * GAP + lines[0] if beside and lines else ""
    yield ((name, "wire-ink"), (shown, "foreground"), (told, "wire-ink"))
    indent = " " * (width - room if beside else GAP)
    for line in lines[beside:]:
        yield ((indent + line, "wire-ink"),)


def _with_unit(finding: Finding) -> str:
    """A share as a percentage, of what its words say."""
    value = finding.value
    if value is None:
        return "–"
    if finding.unit.startswith("of ") and isinstance(value, int | float):
        return f"{written(100 * value)} %"
    return f"{written(value)} {finding.unit}".strip()


def written(value: Value) -> str:
    """A figure as text; less than nothing is noise."""
    if isinstance(value, bool):
        return ("no", "yes")[value]
    return ABOUT_NONE if isinstance(value, float) and value < 0 else cell(value)
