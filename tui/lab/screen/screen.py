"""The lab's screen: the race of the patterns, their figures, and the ladder of one of them."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.screen import Screen
from textual.timer import Timer
from textual.worker import Worker, WorkerCancelled, WorkerFailed

from tui.common.client.errors import ClientError
from tui.common.dialogs.base import Dialog
from tui.common.dialogs.help import HelpScreen, keys_of
from tui.common.redraw import FRAME_SECONDS, Throttle
from tui.common.terminal_cells import LayoutCompositor
from tui.common.widgets.key_bar import KeyBar
from tui.common.widgets.too_small import TooSmall, add_size_classes
from tui.common.widgets.top_bar import TopBar
from tui.lab.lessons.lesson import LessonError, lessons
from tui.lab.screen.details import Details
from tui.lab.screen.dialogs import DialsDialog, ExplainDialog, NetworkDialog, next_value, reading
from tui.lab.screen.figures import NAMES, Result, explain
from tui.lab.screen.race import TALL, RacePanel, headline, height_of_race
from tui.lab.screen.runs import Runs
from tui.lab.screen.table import TablePanel
from tui.lab.screen.tour import TourPanel

FIGURES_SECONDS = 0.5
"""Between two looks at the figures."""
AROUND = 5
"""Lines of bar, keys, and of the table without its patterns."""
LEAST_TOUR = 15
"""Lines of bar, keys and a page with its border that can be read at once."""
SHORT_TITLE = 92
"""Cells below which the title says less."""
GENERAL = (("1 … 5", "go to a pattern"), ("t", "day / night"), ("^q", "quit"))
TALL_ROWS = 40


class LabScreen(Screen[None]):
    """Runs experiments with servers of its own, for as long as it is open."""

    DEFAULT_CSS = """
    LabScreen {
        layers: base cover;
        &.-tiny > TooSmall, &.-flat > TooSmall { display: block; }
    }
    """
    AUTO_FOCUS = ""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "toggle_run", "Start/stop"),
        Binding("T", "tour", "Tour"),
        Binding("n", "network", "Network"),
        Binding("x", "cut", "Cut 10 s"),
        Binding("enter", "alone('ladder')", "Ladder"),
        Binding("h", "alone('histogram')", "Histogram"),
        Binding("space", "freeze", "Freeze"),
        Binding("i", "explain", "Explain"),
        Binding("plus,equals_sign", "plan('rate', 1)", "Faster", key_display="+"),
        Binding("minus", "plan('rate', -1)", "Slower", key_display="-"),
        Binding("l", "plan('readers', 1)", "Readers"),
        Binding("e", "export", "Export"),
        Binding("d", "dials", "Dials"),
        Binding("c", "compare", "Compare"),
        Binding("m", "mark", "Mark"),
        Binding("full_stop", "step", "One event now", key_display=".", show=False),
        Binding("b", "plan('shape', 1)", "Random, burst, by hand", show=False),
        Binding("z", "plan('size', 1)", "Size of an event", show=False),
        Binding("p", "plan('poll_seconds', 1)", "Pause of short polls", show=False),
        Binding("L", "plan('readers', -1)", "Fewer readers", show=False),
        Binding("X", "hold_cut", "Hold the cut, or restore", show=False),
        Binding("k", "cut_one", "Cut this pattern once", show=False),
        Binding("left_square_bracket", "window(-1)", "Shorter window", show=False),
        Binding("right_square_bracket", "window(1)", "Longer window", show=False),
        Binding("down,tab", "focus_pattern(1)", "Next pattern", show=False),
        Binding("up,shift+tab", "focus_pattern(-1)", "Pattern before", show=False),
        *(Binding(str(n), f"go_to_pattern({n})", "Pattern", show=False) for n in range(1, 6)),
        Binding("pageup", "scroll_ladder(1)", "Ladder up", show=False),
        Binding("pagedown", "scroll_ladder(-1)", "Ladder down", show=False),
        Binding("escape", "back", "Back", show=False),
        Binding("question_mark", "help", "Help", key_display="?"),
    ]

    def __init__(self, runs: Runs, *, tour: bool = False) -> None:
        """`tour`: begin with the tour."""
        super().__init__()
        self._compositor = LayoutCompositor()
        self.runs = runs
        self.focused_pattern = self.runs.patterns[0]
        self.window = 20.0
        self.compares = False
        self.frozen_at: float | None = None
        """`time.monotonic()` of the picture, while it stands still."""
        self.bar = TopBar("lab")
        self.race = RacePanel()
        self.table = TablePanel()
        self.details = Details()
        self.tour = TourPanel(runs)
        self._begins_with_tour = tour
        self._worker: Worker[None] | None = None
        self._timer: Timer | None = None
        self._throttle = Throttle()
        self._results: dict[str, Result] = {}
        self._figures_at = 0.0
        self._cpu = (time.monotonic(), time.process_time())
        self._share = 0.0
        self._lines_each = TALL

    def compose(self) -> ComposeResult:
        """Bar, race, table, details and keys."""
        add_size_classes(self)
        yield self.bar
        yield self.race
        yield self.table
        yield self.details
        yield self.tour
        yield KeyBar()
        yield TooSmall()

    def on_mount(self) -> None:
        """Start the server, and the first run unless the tour comes first."""
        self.runs.on_change = self._on_change
        self.app.theme_changed_signal.subscribe(self, lambda _: self._restyle())
        self._timer = self.set_interval(FRAME_SECONDS, self._on_frame)
        self._worker = self.run_worker(self.runs.serve(), group="lab")
        self._lay_out()
        if self._begins_with_tour:
            self.action_tour()

    async def on_unmount(self) -> None:
        """End the run and its server."""
        for worker in (self.tour.worker, self._worker):
            if worker is not None:
                worker.cancel()
                with suppress(WorkerCancelled, WorkerFailed):
                    await worker.wait()

    def on_resize(self, event: events.Resize) -> None:
        """Draw for the new size."""
        self._lay_out_anew()

    def _lay_out(self) -> None:
        """Who has how many lines. The race keeps in view what a page of the tour is about."""
        height, patterns = self.app.size.height, len(self.runs.patterns)
        touring = self.tour.is_open
        alone = self.details.alone is not None and not touring
        self._lines_each = TALL if height >= TALL_ROWS else TALL - 1
        if touring and height - height_of_race(patterns, self._lines_each) < LEAST_TOUR:
            self._lines_each = 1
        lines = height_of_race(patterns, self._lines_each)
        self.race.styles.height = lines
        self.race.display = self.tour.shows_race if touring else not alone
        self.table.styles.height = AROUND - 2 + patterns
        left = height - lines - (LEAST_TOUR if touring else 0) - AROUND - patterns
        self.table.display = self.race.display and left >= 0
        self.details.lay_out(0 if touring else height - 2 if alone else left)

    def _restyle(self) -> None:
        for lines in (self.race, self.table, *self.details.panels.values(), self.tour):
            lines.restyle()

    # -- drawing

    def _on_change(self) -> None:
        """A run has begun or ended, or something was turned."""
        self._figures_at = 0.0
        if self.details.frozen not in (None, self.runs.watch):
            self.action_freeze()  # the picture of one run is none of the next
        if self.focused_pattern not in self.runs.patterns:
            self.focused_pattern = self.runs.patterns[0]
        self._lay_out()
        if self._timer is not None:
            self._timer.resume()

    def _redraw_all(self) -> None:
        self._on_change()
        self._on_frame()

    def _on_frame(self) -> None:
        """Draw what has changed; there are no more frames once nothing goes on."""
        if not self.is_attached or not self._throttle.due():
            return
        now, runs = time.monotonic(), self.runs
        runs.watch_network()
        slow = now >= self._figures_at
        if slow:
            self._figures_at = now + FIGURES_SECONDS
            self._draw_figures(now)
        if self.race.display:
            self.race.draw(
                runs,
                self.focused_pattern,
                self.window,
                self.frozen_at,
                self._lines_each,
            )
        self.details.draw(runs.watch, self.focused_pattern, slow=slow)
        over = runs.state in ("ended", "stopped", "failed") and not runs.is_going
        if over and self._timer is not None:
            self._timer.pause()

    def _draw_figures(self, now: float) -> None:
        """What changes slowly."""
        runs = self.runs
        self._results = runs.watch.results()
        self.table.draw(runs, self._results, self.focused_pattern, compares=self.compares)
        short = self.app.size.width < SHORT_TITLE
        frozen = self.frozen_at is not None
        self.race.draw_figures(runs, self._results, frozen=frozen, short=short)
        (wall, cpu), self._cpu = self._cpu, (now, time.process_time())
        if now - wall > FIGURES_SECONDS / 2:
            self._share = (self._cpu[1] - cpu) / (now - wall)
        self.bar.headline = Content(headline(runs, now))
        self.bar.who = f"lab {self._share:.0%} of a core"
        self.bar.update()
        for screen in self.app.screen_stack:
            if isinstance(screen, Dialog) and screen.is_mounted:
                screen.redraw()

    # -- actions

    def action_toggle_run(self) -> None:
        """Stop the run, or begin another."""
        if self.runs.is_going:
            self.runs.stop()
        else:
            self.runs.start()

    def action_freeze(self) -> None:
        """Let the picture stand still while the run goes on; or go on."""
        self.frozen_at = time.monotonic() if self.frozen_at is None else None
        self.details.freeze(None if self.frozen_at is None else self.runs.watch)
        self._redraw_all()

    def action_scroll_ladder(self, pages: int) -> None:
        """Scroll the ladder by so many pages; that freezes the picture."""
        if self.frozen_at is None:
            self.action_freeze()
        ladder = self.details.ladder
        ladder.scroll_by(pages * max(1, ladder.size.height - 1))
        self._redraw_all()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A page of the tour leaves no room for details."""
        return action != "alone" or not self.tour.is_open

    def action_alone(self, name: str) -> None:
        """That one of the details alone, and back."""
        panel = self.details.panels[name]
        self.details.alone = None if self.details.alone is panel else panel
        self._lay_out_anew()

    def action_back(self) -> None:
        """From ladder or histogram to the race, and out of a frozen picture."""
        if self.details.alone is not None:
            self.details.alone = None
            self._lay_out_anew()
        elif self.frozen_at is not None:
            self.action_freeze()

    def action_focus_pattern(self, distance: int) -> None:
        """The pattern above or below; while the ladder is alone and stands still, scroll it."""
        if self.details.alone is self.details.ladder and self.frozen_at is not None:
            self.details.ladder.scroll_by(-distance)
        else:
            patterns = self.runs.patterns
            at = patterns.index(self.focused_pattern) + distance
            self.focused_pattern = patterns[at % len(patterns)]
        self._redraw_all()

    def action_go_to_pattern(self, number: int) -> None:
        """The pattern of that number."""
        patterns = self.runs.patterns
        self.focused_pattern = patterns[min(number, len(patterns)) - 1]
        self._redraw_all()

    def action_window(self, distance: int) -> None:
        """A shorter or longer time in view."""
        self.window = next_value("window", self.window, distance)
        self._redraw_all()

    def action_plan(self, name: str, distance: int) -> None:
        """A new run, with the next value of that part of the plan."""
        before = self.runs.plan
        value = next_value(name, getattr(before, name), distance)
        plan = replace(before, **{name: value})
        if plan == before:
            return
        try:
            self.runs.change(plan)
        except ValueError as error:
            self.notify(str(error), title="Plan", severity="error")
            return
        words = f"{name.replace('_', ' ')} {value:g}" if name != "shape" else f"shape {value}"
        self.notify(f"A new run: {words}.", title="Plan", timeout=3)

    def action_network(self) -> None:
        """Choose a network."""

        def chosen(network: str | None) -> None:
            if network is not None:
                self.runs.turn(network)

        self.app.push_screen(NetworkDialog(self.runs.plan.network), chosen)

    def action_dials(self) -> None:
        """Turn the network's dials."""
        self.app.push_screen(DialsDialog(self.runs.dials, self.runs.turn_dials))

    def action_cut(self) -> None:
        """Cut all lines for ten seconds."""
        self.runs.cut()

    def action_hold_cut(self) -> None:
        """Cut all lines until the next time."""
        self.runs.hold_cut()

    def action_cut_one(self) -> None:
        """Cut the connections of the pattern in focus once."""
        self.runs.cut_one(self.focused_pattern)

    def action_mark(self) -> None:
        """Set a mark in strips and ladders."""
        self.runs.watch.mark()
        self._redraw_all()

    def action_compare(self) -> None:
        """The figures as multiples of the last run's, or as they are."""
        if self.runs.last is None:
            self.notify("There is no run before this one yet.", title="Compare", severity="warning")
            return
        self.compares = not self.compares
        self._redraw_all()

    def action_explain(self) -> None:
        """Explain what is being seen of the pattern in focus."""
        pattern = self.focused_pattern

        def words() -> str:
            runs = self.runs
            plan = runs.watch.statistics.plan
            return explain(runs.watch.results()[pattern], plan, runs.dials)

        self.app.push_screen(ExplainDialog(f"What is seen of {NAMES[pattern]}", words))

    async def action_export(self) -> None:
        """Write the results of the run that has ended."""
        try:
            folder = await self.runs.export()
        except (OSError, ValueError) as error:
            self.notify(str(error), title="Export", severity="warning")
            return
        self.notify(f"Written to {folder}.", title="Export", timeout=10)

    async def action_step(self) -> None:
        """Let the source append one event now; a picture that stands still goes on."""
        try:
            await self.runs.step()
        except (ClientError, ValueError) as error:
            self.notify(str(error), title="One event", severity="warning")
            return
        if self.frozen_at is not None:
            self.action_freeze()

    def action_tour(self) -> None:
        """Begin the tour, or go on where it was left; or leave it."""
        if self.tour.is_open:
            self.tour.action_leave()
            return
        try:
            self.tour.open(lessons())
        except LessonError as error:
            self.notify(str(error), title="Tour", severity="error", timeout=20)
            return
        self._lay_out_anew()

    def on_tour_panel_changed(self) -> None:
        """Another page, or none: the race may have another height."""
        self._lay_out_anew()

    def _lay_out_anew(self) -> None:
        self._lay_out()
        self.call_after_refresh(self._redraw_all)

    def action_help(self) -> None:
        """The keys, and how to read the screen."""
        keys = [(key, words) for key, words in keys_of(self) if words != "Pattern"]
        self.app.push_screen(HelpScreen("The lab", keys, (), general=GENERAL, reading=reading()))
