"""The tour: lessons, each with a question that is answered by the figures of its own run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.worker import Worker

from tui.common.client.errors import ClientError
from tui.common.format import fit, wrapped
from tui.common.processes import ChildError
from tui.lab.fields import Value, cell
from tui.lab.lessons.lesson import Choice, Figures, Lesson, Step, figures_of, fill
from tui.lab.results import Finding
from tui.lab.screen.experiment import Experiment
from tui.lab.screen.lines import Lines, Row

LETTERS = "abcde"
VERDICTS = {True: ("✓", "success"), False: ("✗", "error"), None: ("?", "warning")}
GAP = 2
LEAST_WORDS = 45
"""Cells, below which a table does not say what its figures are."""
KEYS = "← → lessons · esc leaves, T comes back"


@dataclass(slots=True)
class Page:
    """A step of a lesson, and how far one is with it."""

    lesson: Lesson
    step: Step
    heading: str
    guess: int | None = None
    state: Literal["asked", "running", "answered"] = "asked"
    words: str = ""
    """What goes on, or why nothing does."""
    failed: bool = False
    figures: Figures = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()

    @property
    def choices(self) -> Sequence[Choice]:
        """The answers to choose from."""
        return self.step.ask.choices

    @property
    def agrees(self) -> bool | None:
        """Whether the figures agree with the guess; None where there is no answer yet."""
        if self.guess is None or self.state != "answered":
            return None
        return self.choices[self.guess].is_right(self.figures)


def pages_of(lessons: Sequence[Lesson]) -> list[Page]:
    """A page for each step."""
    found = []
    for number, lesson in enumerate(lessons, start=1):
        for at, step in enumerate(lesson.steps, start=1):
            part = f", {at} of {len(lesson.steps)}" if len(lesson.steps) > 1 else ""
            heading = f"Tour {number} of {len(lessons)} · {lesson.title}{part}"
            found.append(Page(lesson, step, heading))
    return found


def rows_of(page: Page, width: int, height: int) -> list[Row]:
    """The page in so many lines if it can be: gaps go first, then what was said before the run."""
    said = _paragraph(page.step.say, width)
    asked = [*_paragraph(page.step.ask.question, width, "bold"), *_choices(page, width)]
    blocks = [said, asked, list(_outcome(page, width))]
    if page.state == "answered" and not page.step.run.race:
        blocks.append(list(_table(page.findings, width)))
    if sum(map(len, blocks)) > height and page.state == "answered":
        del blocks[0]
    gaps = sum(map(len, blocks)) + len(blocks) - 1 <= height
    rows: list[Row] = []
    for block in blocks:
        rows += [(), *block] if rows and gaps and block else block
    return rows


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
        shown = fill(choice.shows, page.figures, _written)
        words = f"{choice.text.ljust(longest)}   {shown}"
        if len(words) > width - 6:
            words = f"{choice.text}: {shown}"
        for row, line in enumerate(wrapped(words, width - 6)):
            mark = (glyph if row == 0 else " ").ljust(2)
            lead = front if row == 0 else ("    ", "")
            yield (lead, (mark, f"bold {ink}"), (line, "bold" if chosen else "foreground"))


def _outcome(page: Page, width: int) -> Iterator[Row]:
    """What goes on, or what has come out."""
    if page.state == "running":
        yield ((fit(f"▶ {page.words}", width), "bold primary"),)
    elif page.state == "answered":
        answer = fill(page.step.ask.answer, page.figures, _written)
        yield from _paragraph(f"{_verdict(page)} {answer}", width, "bold")
        yield from _paragraph(fill(page.step.why, page.figures, _written), width)
        for line in wrapped(f"In the code: {', '.join(page.step.sources)}", width):
            yield ((line, "wire-ink"),)
    else:
        if page.words:
            yield from _paragraph(page.words, width, "error" if page.failed else "foreground")
        keys = f"a … {LETTERS[len(page.choices) - 1]} or ↑↓ guess"
        run = f"space runs it, about {page.step.run.takes} s"
        yield ((fit(f"{keys} · {run}", width), "wire-ink"),)


def _verdict(page: Page) -> str:
    if page.guess is None:
        return "The figures say:"
    said = {
        True: "the figures say so too.",
        False: "the figures say otherwise.",
        None: "no figure tells.",
    }
    return f"You chose {LETTERS[page.guess]}: {said[page.agrees]}"


def _table(findings: Sequence[Finding], width: int) -> Iterator[Row]:
    """Those of the same figure side by side; with what they are, where there is room for it."""
    compared = [one for one in findings if one.of]
    columns = list(dict.fromkeys(one.of for one in compared))
    alone = [one for one in findings if not one.of]
    values = {id(one): _with_unit(one) for one in findings}
    names = {one.figure: one.figure.replace("_", " ") for one in findings}
    first = max(map(len, names.values()), default=0)
    cells = max(map(len, (*columns, *(values[id(one)] for one in compared))), default=0) + GAP
    if columns:
        yield ((" " * first, ""), ("".join(one.rjust(cells) for one in columns), "title"))
    for figure in dict.fromkeys(one.figure for one in compared):
        row = {one.of: one for one in compared if one.figure == figure}
        shown = "".join((values[id(row[of])] if of in row else "–").rjust(cells) for of in columns)
        yield _figure(names[figure].ljust(first), shown, next(iter(row.values())).words, width)
    cells = max((len(values[id(one)]) for one in alone), default=0) + GAP
    for one in alone:
        yield _figure(
            names[one.figure].ljust(first), values[id(one)].rjust(cells), one.words, width
        )


def _figure(name: str, shown: str, words: str, width: int) -> Row:
    room = width - len(name) - len(shown) - GAP
    told = " " * GAP + fit(words, room) if room >= LEAST_WORDS else ""
    return ((name, "wire-ink"), (shown, "foreground"), (told, "wire-ink"))


def _with_unit(finding: Finding) -> str:
    if finding.value is None:
        return "–"
    return f"{_written(finding.value)} {finding.unit}".strip()


def _written(value: Value) -> str:
    return ("no", "yes")[value] if isinstance(value, bool) else cell(value)


class TourPanel(Lines, can_focus=True):
    """The page one is at. It has the focus while it is open, and so its keys come first."""

    DEFAULT_CSS = """
    TourPanel { border: round $primary; border-title-color: $primary; height: 1fr; display: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space,enter", "run", "Run"),
        Binding("left", "move(-1)", "Back", key_display="←"),
        Binding("right", "move(1)", "Next", key_display="→"),
        *(Binding(letter, f"choose({at})", show=False) for at, letter in enumerate(LETTERS)),
        Binding("down", "guess(1)", "Next answer", show=False),
        Binding("up", "guess(-1)", "Answer before", show=False),
        Binding("pagedown", "scroll(1)", "Scroll down", show=False),
        Binding("pageup", "scroll(-1)", "Scroll up", show=False),
        Binding("escape", "leave", "Leave the tour"),
    ]

    class Changed(Message):
        """Another page is shown, or the tour was left."""

    def __init__(self, experiment: Experiment) -> None:
        super().__init__("Tour", id="tour")
        self._experiment = experiment
        self.pages: list[Page] = []
        self.at = 0
        self.is_open = False
        self.worker: Worker[None] | None = None
        self._from = 0
        """The first line in view."""

    @property
    def page(self) -> Page:
        """Where one is."""
        return self.pages[self.at]

    @property
    def shows_race(self) -> bool:
        """Whether the page is about what the race shows."""
        return self.page.step.run.race

    def open(self, lessons: Iterable[Lesson]) -> None:
        """Show the page where one was; `lessons` are read once."""
        self.pages = self.pages or pages_of(list(lessons))
        self.is_open = self.display = True
        self.focus()
        self.redraw()

    def redraw(self) -> None:
        """Draw the page."""
        if not self.is_open:
            return
        page, width, height = self.page, self.size.width, self.size.height
        rows = rows_of(page, width, height)
        self._from = max(0, min(self._from, len(rows) - height))
        self.show(rows[self._from :])
        guessed = [one.agrees for one in self.pages if one.agrees is not None]
        score = f" · {sum(guessed)} of {len(guessed)} guesses right" if guessed else ""
        self.border_title = Content(f"{page.heading}{score}")
        more = "page ↓ for more · " if len(rows) - self._from > height else ""
        again = "space runs it again · " if page.state == "answered" else ""
        self.border_subtitle = Content(f"{more}{again}{KEYS}")

    def on_resize(self, _: events.Resize) -> None:
        """Draw for the new size."""
        self.redraw()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Guesses are made before the run, of those there are."""
        if action == "choose":
            asked = bool(self.pages) and self.page.state == "asked"
            return asked and int(str(parameters[0])) < len(self.page.choices)
        if action == "guess":
            return bool(self.pages) and self.page.state == "asked"
        return True

    def action_choose(self, number: int) -> None:
        """Guess that one."""
        self.page.guess = number
        self.redraw()

    def action_guess(self, distance: int) -> None:
        """Guess the one below or above."""
        guess, count = self.page.guess, len(self.page.choices)
        first = 0 if distance > 0 else count - 1
        self.action_choose(first if guess is None else (guess + distance) % count)

    def action_scroll(self, pages: int) -> None:
        """Show what does not fit."""
        self._from += pages * max(1, self.size.height - 1)
        self.redraw()

    def action_move(self, distance: int) -> None:
        """Another page; at either end there is none."""
        self.at = max(0, min(self.at + distance, len(self.pages) - 1))
        self._from = 0
        self._changed()

    def action_leave(self) -> None:
        """Close; what runs goes on, and `open` shows the same page."""
        self.is_open = self.display = False
        self.screen.set_focus(None)
        self._changed()

    def action_run(self) -> None:
        """Run the page's experiment, in place of any other."""
        if self.page.state != "running":
            self.worker = self.run_worker(self._run(self.page), group="tour", exclusive=True)

    async def _run(self, page: Page) -> None:
        def say(words: str) -> None:
            page.words = words
            self.redraw()

        page.state, page.failed = "running", False
        say("starting")
        self._changed()
        words = "Stopped; space runs it again."
        step, experiment = page.step, self._experiment
        try:
            report = await experiment.measure(step.experiment, step.plan, say)
            if report is not None:
                page.figures, page.findings = figures_of(report), report.findings
                page.state, words = "answered", ""
        except (ChildError, OSError, ValueError) as error:
            page.failed, words = True, f"{error} Space tries again."
        except ClientError as error:
            page.failed, words = True, f"{error.message} Space tries again."
        finally:
            if page.state == "running":
                page.state = "asked"
            page.words = words
            self._changed()

    def _changed(self) -> None:
        if self.is_attached:
            self.refresh_bindings()
            self.redraw()
            self.post_message(self.Changed())
