"""The texts of the photo panel: steps, sizes, rows of the list, the summary."""

import time
from datetime import datetime

from textual.content import Content

from server.features.uploads.schemas import Upload, UploadPurpose, UploadStatus
from tui.common.format import fit, human_age, human_bytes
from tui.common.language import _
from tui.common.sanitize import plain
from tui.common.uploads.bitmap import Bitmap
from tui.common.uploads.jobs import JobState, UploadJob
from tui.common.uploads.manager import Row, UploadManager

STEPS = (_("upload"), _("queue"), _("background"), _("done"))
SHORT_STEPS = (_("sent"), _("queue"), _("cut"), _("done"))
ROOMY = 39
NOTHING = Content.assemble((_("No photo yet"), "bold"), (_("\nn uploads one"), "$wire-ink"))

Part = tuple[str, str]

GLYPHS: dict[str, Part] = {
    JobState.SENDING: ("▲", "$primary"),
    JobState.WAITING: ("◌", "$warning"),
    JobState.REFUSED: ("✕", "$error"),
    JobState.ARRIVED: ("▲", "$success"),
    UploadStatus.QUEUED: ("○", "$wire-ink"),
    UploadStatus.PROCESSING: ("◐", "$p-short"),
    UploadStatus.DONE: ("✓", "$success"),
    UploadStatus.FAILED: ("✕", "$error"),
}
"""A glyph for each state; it is clear without its colour."""
STATES: dict[str, str] = {
    "sending": _("sending"),
    "waiting": _("waiting"),
    "refused": _("refused"),
    "arrived": _("arrived"),
    "queued": _("queued"),
    "processing": _("processing"),
    "done": _("done"),
    "failed": _("failed"),
}
SHOWN = _("shown")


def state_of(row: Row) -> str:
    """The state of a photo, in a word."""
    return STATES[row.state.value if isinstance(row, UploadJob) else row.status.value]


def list_line(row: Row, about: str, now: datetime, width: int) -> Content:
    """A row of the list: state, purpose, age."""
    glyph, ink = GLYPHS[row.state if isinstance(row, UploadJob) else row.status]
    age = "" if isinstance(row, UploadJob) else human_age((now - row.created_at).total_seconds())
    state = state_of(row)
    if isinstance(row, Upload) and row.status is UploadStatus.DONE:
        state = SHOWN if row.shown else _("done")
    right = f"{state}{age:>6}" if width >= 24 else age
    name = fit(about, max(1, width - 5 - len(right)), pad=True)
    state_ink = "$success" if state == SHOWN else "$wire-ink"
    return Content.assemble(
        (f" {glyph} ", f"bold {ink}"), (name, ""), " ", (f"{right} ", state_ink)
    )


def steps(row: Row, bright: bool, width: int) -> Content:
    """The four steps, with the present one marked."""
    at, failed = _step(row)
    names = STEPS if width >= ROOMY else SHORT_STEPS
    parts: list[Part] = []
    for step, name in enumerate(names):
        if step < at:
            glyph, ink, name_ink = "✓", "$success", "$title"
        elif step > at:
            glyph, ink, name_ink = "○", "$wire-ink", "$wire-ink"
        elif failed:
            glyph, ink, name_ink = "✕", "bold $error", "bold $error"
        else:
            glyph, ink, name_ink = "◐" if bright else "◑", "bold $p-short", "bold $p-short"
        parts += [("  " if step else "", ""), (f"{glyph} ", ink), (name, name_ink)]
    return Content.assemble(*parts)


def _step(row: Row) -> tuple[int, bool]:
    if isinstance(row, UploadJob):
        return 0, row.state is JobState.REFUSED
    match row.status:
        case UploadStatus.QUEUED:
            return 1, False
        case UploadStatus.PROCESSING:
            return 2, False
        case UploadStatus.FAILED:
            return 2, True
    return len(STEPS), False


def failure(words: str) -> Content:
    """An error, as the panel shows it."""
    return Content.assemble(("✕ ", "bold $error"), plain(words))


def news(row: Row, positions: int, width: int) -> Content:
    """The progress of the present step: a gauge where it can be measured, else words."""
    if isinstance(row, UploadJob):
        return _job_news(row, width)
    match row.status:
        case UploadStatus.QUEUED:
            if row.hold:
                return Content.assemble(
                    (_("waits: "), "bold $warning"), (plain(row.hold), "$warning")
                )
            ahead = row.ahead or 0
            words = (
                _("{ahead} ahead of it").format(ahead=ahead) if ahead else _("next in the queue")
            )
            if row.attempts:
                words = _("{words}, attempt {attempts}").format(
                    words=words, attempts=row.attempts + 1
                )
            if positions:
                return gauge((positions - ahead) / (positions + 1), words, width)
            return Content.assemble((fit(words, width), "$foreground"))
        case UploadStatus.PROCESSING:
            words = _("the background is being removed, attempt {attempts}").format(
                attempts=row.attempts
            )
            return Content.assemble((fit(words, width), "$foreground"))
        case UploadStatus.FAILED:
            return failure(row.error or _("It failed."))
    return Content.assemble((fit(_done(row), width), "$wire-ink"))


def _done(row: Upload) -> str:
    took = ""
    if row.finished_at is not None and row.finished_at > row.created_at:
        age = human_age((row.finished_at - row.created_at).total_seconds())
        took = _(" in {age}").format(age=age)
    tries = _(", attempt {attempts}").format(attempts=row.attempts) if row.attempts > 1 else ""
    place = _("your avatar") if row.purpose is UploadPurpose.AVATAR else _("on the menu")
    now = (
        place if row.shown else _("not {place} now").format(place=place)
    )  # another is, or the dish is gone
    return _("done{took}{tries}: {now}").format(took=took, tries=tries, now=now)


def _job_news(job: UploadJob, width: int) -> Content:
    if job.state is JobState.REFUSED:
        return failure(job.words)
    if job.state is JobState.WAITING:
        wait = max(0.0, job.again_at - time.monotonic())
        again = (
            _("retrying in {wait:.0f}s: ").format(wait=wait) if wait >= 1 else _("retrying now: ")
        )
        return Content.assemble((again, "bold $warning"), (plain(job.words), "$warning"))
    words = _("{sent} of {size}").format(sent=human_bytes(job.sent), size=human_bytes(job.size))
    if job.attempts > 1:
        words = _("attempt {attempts}, {words}").format(attempts=job.attempts, words=words)
    return gauge(job.sent / max(1, job.size), words, width)


def gauge(part: float, words: str, width: int) -> Content:
    """A line filled to that `part` (0 to 1), with words to its right."""
    words = fit(words, max(0, width - 8))
    room = max(0, width - len(words) - 1)
    filled = max(0, min(room, round(room * part)))
    return Content.assemble(
        ("━" * filled, "$p-short"), ("─" * (room - filled), "$wire-sep"), " ", (words, "bold")
    )


def sizes(row: Row, before: Bitmap | None, after: Bitmap | None, name: str, width: int) -> Content:
    """Bytes and pixels of the original and the result."""
    size = row.size
    left = Content.assemble((_("before "), "$wire-ink"), (human_bytes(size), "bold"))
    if isinstance(row, Upload) and row.status is UploadStatus.DONE:
        pixels = f"{row.width}×{row.height}"
        if after is None:
            right = Content.assemble((_("after "), "$wire-ink"), (pixels, "bold"))
        else:
            change = round(100 * (after.size - size) / max(1, size))
            right = Content.assemble(
                (f"{pixels}  " if width >= 56 else "", "$wire-ink"),
                (_("after "), "$wire-ink"),
                (human_bytes(after.size), "bold"),
                (f" {change:+d}%".replace("-", "−"), "$success" if change < 0 else "$wire-ink"),
            )
    else:
        pixels = f"{before.width}×{before.height}  " if before is not None else ""
        room = max(0, width - left.cell_length - len(pixels) - 2)
        right = Content.assemble((pixels, "$wire-ink"), (fit(name, room), "$title"))
    gap = width - left.cell_length - right.cell_length
    return Content.assemble(left, " " * max(2, gap), right)


def summary(row: Row, about: str, positions: int, width: int) -> Content:
    """The two lines of the card."""
    first = Content.assemble((plain(about), "bold"), (f"  {human_bytes(row.size)}", "$wire-ink"))
    return Content("\n").join([first, news(row, positions, width)])


def placeholder_text(about: str, can_draw: bool) -> Content:
    """The text in place of a picture."""
    if can_draw:
        return Content.assemble((_("Fetching the picture…"), "$wire-ink"))
    return Content.assemble(
        (plain(about), "bold"), _("\nThis terminal has no colours for pictures; s saves it.")
    )


def empty_text(manager: UploadManager) -> Content:
    """The text in place of the list."""
    if manager.words:
        return failure(manager.words)
    if not manager.store.loaded:
        return Content.assemble((_("Loading your photos…"), "$wire-ink"))
    return Content.assemble((_("Nothing sent yet."), "$wire-ink"))


def deletion_question(row: Upload, about: str) -> str:
    """The question before a photo is deleted: what else is lost with it."""
    if row.shown and row.purpose is UploadPurpose.AVATAR:
        return _("Your avatar and the photo it was made of will be deleted.")
    if row.shown:
        return _("The menu shows this photo. {about} will have no photo.").format(about=about)
    if not row.status.final:
        return _("{about}: the photo is still being processed. It will be deleted anyway.").format(
            about=about
        )
    return _("{about}: the photo and its result will be deleted.").format(about=about)
