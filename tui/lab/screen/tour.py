"""The tour: lessons, each with a question that is answered by the figures of its own run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.worker import Worker

from tui.common.client.errors import ClientError
from tui.common.processes import ChildError
from tui.lab.lessons.lesson import Lesson, Step, Summary, figures_of
from tui.lab.screen.lines import Lines
from tui.lab.screen.page import LETTERS, Page, keys_of, pages_of, rows_of, score_of, title_of
from tui.lab.screen.runs import Runs


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
        Binding("escape", "leave", "Leave tour"),
        Binding("i", "screen.explain", "Explain"),
    ]

    class Changed(Message):
        """Another page is shown, or the tour was left."""

    def __init__(self, runs: Runs) -> None:
        super().__init__("Tour", id="tour")
        self._runs = runs
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
        """Whether the race shows what the page is about: a run of its own."""
        page, step = self.page, self.page.step
        if isinstance(step, Summary) or not step.run.race:
            return False
        return (page.watch is self._runs.watch) is not (page.state == "running")

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
        if isinstance(page.step, Summary):
            right, guessed = score_of(self.pages)
            page.words = f"You guessed {right} of {guessed} right." if guessed else ""
        elif page.state == "asked":
            page.busy = next((one.number for one in self.pages if one.state == "running"), "")
        rows = rows_of(page, width, height)
        self._from = max(0, min(self._from, len(rows) - height))
        self.show(rows[self._from :])
        self.border_title = Content(title_of(page, self.pages, width - 2))
        goes_on = len(rows) - self._from > height
        self.border_subtitle = Content(keys_of(page, width - 2, goes_on=goes_on))

    def on_resize(self, _: events.Resize) -> None:
        """Draw for the new size."""
        self.redraw()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Letters that are no answer here have their meaning in the lab."""
        if action == "choose":
            return bool(self.pages) and int(str(parameters[0])) < len(self.page.choices)
        if action == "guess":
            return bool(self.pages) and self.page.can_guess
        return True

    def action_choose(self, number: int) -> None:
        """Guess that one, until the figures are there."""
        if not self.page.can_guess:
            self.notify("The figures are there: the guess holds.", title="Tour", timeout=4)
            return
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
        """Another page; at either end there is none, which is said."""
        if not 0 <= self.at + distance < len(self.pages):
            which = "last" if distance > 0 else "first"
            self.notify(f"This is the {which} page; esc leaves the tour.", title="Tour", timeout=4)
            return
        self.at += distance
        self._from = 0
        self._changed()

    def action_leave(self) -> None:
        """Close; what runs goes on, and `open` shows the same page."""
        self.is_open = self.display = False
        self.screen.set_focus(None)
        self._changed()

    def action_run(self) -> None:
        """Run the page's experiment, in place of any other."""
        page, step = self.page, self.page.step
        if isinstance(step, Summary):
            self.notify("This page runs nothing; esc leaves the tour.", title="Tour", timeout=4)
        elif page.state == "running":
            words = "Running; esc leaves it to itself, and s stops it."
            self.notify(words, title="Tour", timeout=4)
        else:
            self.worker = self.run_worker(self._run(page, step), group="tour", exclusive=True)

    async def _run(self, page: Page, step: Step) -> None:
        def say(words: str) -> None:
            page.words = words
            self.redraw()

        runs = self._runs
        page.state, page.failed, page.busy, page.watch = "running", False, "", runs.watch
        say("starting")
        self._changed()
        words = "Stopped; space runs it again."
        try:
            report = await runs.measure(step.experiment, step.plan, say)
            if report is not None:
                page.figures, page.findings = figures_of(report), report.findings
                page.state, words = "answered", ""
        except (ChildError, OSError, ValueError) as error:
            page.failed, words = True, f"{error} Space tries again."
        except ClientError as error:
            page.failed, words = True, f"{error.message} Space tries again."
        finally:
            # Without a run that was seen, there is none in the race either.
            page.watch = None if page.watch is runs.watch else runs.watch
            if page.state == "running":
                page.state = "asked"
            page.words = words
            self._changed()

    def _changed(self) -> None:
        if self.is_attached:
            self.refresh_bindings()
            self.redraw()
            self.post_message(self.Changed())
