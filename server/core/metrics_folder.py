"""The metrics of all worker processes of a gunicorn, any of which may be asked for them."""

import contextlib
import fcntl
import itertools
import os
from pathlib import Path

from server.core.temp_files import remove_abandoned


class MetricsFolder:
    """A folder in which each process of one master writes its metrics.

    A process has the lowest number that no living one has. Its file counts while it lives: the
    system releases its lock when it ends, however it ends.
    """

    def __init__(self, parent: Path, master: int) -> None:
        self._parent = parent
        self._folder = parent / str(master)
        self._descriptors: list[int] = []
        self.number = ""

    def open(self) -> None:
        """Get a number, and remove what ended masters have left. Raises OSError where the file
        system has no locks."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._descriptors.append(os.open(self._folder, os.O_RDONLY))
        fcntl.flock(self._descriptors[0], fcntl.LOCK_SH)  # so that no other removes the folder
        remove_abandoned(self._parent)
        for number in itertools.count():
            descriptor = os.open(self._lock_of(str(number)), os.O_RDWR | os.O_CREAT, 0o600)
            self._descriptors.append(descriptor)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(self._descriptors.pop())
            else:
                self.number = str(number)
                return

    def close(self) -> None:
        """Give the number up."""
        if self.number:
            self._text_of(self.number).unlink(missing_ok=True)
        while self._descriptors:
            os.close(self._descriptors.pop())

    def write(self, text: str) -> None:
        """Let others read this. Raises OSError where it cannot be written."""
        draft = self._folder / f"{self.number}.draft"
        draft.write_text(text, encoding="utf-8")
        draft.replace(self._text_of(self.number))

    def others(self) -> dict[str, str]:
        """What other living processes have written, by their numbers."""
        found = {}
        for path in sorted(self._folder.glob("*.metrics")):
            with contextlib.suppress(OSError):  # its process has just ended
                if path.stem != self.number and self._lives(path.stem):
                    found[path.stem] = path.read_text(encoding="utf-8")
        return found

    def _lives(self, number: str) -> bool:
        descriptor = os.open(self._lock_of(number), os.O_RDWR)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def _text_of(self, number: str) -> Path:
        return self._folder / f"{number}.metrics"

    def _lock_of(self, number: str) -> Path:
        return self._folder / f"{number}.lock"


def merged(texts: dict[str, str]) -> str:
    """One text of those of several processes, each line labelled with its process."""
    families: dict[str, list[str]] = {}
    for process, text in texts.items():
        for family in text.split("# HELP ")[1:]:
            what, kind, *samples = family.splitlines()
            lines = families.setdefault(f"# HELP {what}\n{kind}", [])
            lines += (_labelled(sample, process) for sample in samples)
    return "".join("\n".join((head, *lines, "")) for head, lines in families.items())


def _labelled(sample: str, process: str) -> str:
    name, value = sample.split(" ", 1) if "{" not in sample else sample.split("{", 1)
    label = f'process="{process}"'
    return f"{name}{{{label},{value}" if "{" in sample else f"{name}{{{label}}} {value}"
