"""What an app tells the terminal itself: its title, notifications, progress."""

from collections.abc import Callable, Mapping

from tui.common.config import Config
from tui.common.format import fit
from tui.common.language import without_isolates

TITLE_CELLS = 80
WORDS_CELLS = 200
SAVE_TITLE, RESTORE_TITLE = "\x1b[22;2t", "\x1b[23;2t"
NO_TITLE = ("linux", "dumb", "")
"""Values of TERM of what has no title and no notifications."""


class TerminalNews:
    """Sends what the settings allow; `write` writes to a terminal. Of a text only what can be drawn
    is sent, in one line: it may be another's, and must not control the terminal."""

    def __init__(
        self, config: Config, environment: Mapping[str, str], write: Callable[[str], None]
    ) -> None:
        term, program = environment.get("TERM", ""), environment.get("TERM_PROGRAM", "")
        able = term not in NO_TITLE
        self._write = write
        self._titled = able and config.title
        self._notified = config.notifications if able else "off"
        if self._notified == "auto":
            other = "VTE_VERSION" in environment or term.startswith(("foot", "rxvt"))
            self._notified = "osc777" if other else "osc9"
        known = "WT_SESSION" in environment or "ConEmuPID" in environment
        known = (known or program == "ghostty") and "TMUX" not in environment
        self._progresses = config.progress == "on" or (config.progress == "auto" and known)
        self._title = ""
        self._share: float | None = None

    def title(self, text: str) -> None:
        """Show this as the terminal's title; what it was comes back in `leave`."""
        text = fit(without_isolates(text), TITLE_CELLS)
        if self._titled and text != self._title:
            self._write(f"{'' if self._title else SAVE_TITLE}\x1b]2;{text}\x07")
            self._title = text

    def notify(self, title: str, message: str) -> None:
        """A notification by the terminal."""
        words = fit(without_isolates(message).replace("\n", " "), WORDS_CELLS)
        title = fit(without_isolates(title), TITLE_CELLS)
        if self._notified == "osc777":
            title = title.replace(";", ",") or "tiffin"
            self._write(f"\x1b]777;notify;{title};{words}\x07")
        elif self._notified == "osc9":  # the name first: a number would be another command
            self._write(f"\x1b]9;tiffin: {title}{': ' if title else ''}{words}\x07")

    def progress(self, share: float | None) -> None:
        """A progress from 0 to 1; None for none."""
        if self._progresses and share != self._share:
            self._share = share
            done = "0" if share is None else f"1;{share * 100:.0f}"
            self._write(f"\x1b]9;4;{done}\x07")

    def leave(self) -> None:
        """Give the terminal back as it was; what is told from now on is shown anew."""
        if self._title:
            self._write(RESTORE_TITLE)
        self.progress(None)
        self._title = ""
