"""How data becomes text on the screen: cut to width, with short numbers, ages, times and money."""

import os
import re
from collections.abc import Iterable
from contextlib import suppress
from copy import copy
from datetime import UTC, date, datetime, tzinfo
from decimal import Decimal
from functools import lru_cache
from math import ceil
from typing import TYPE_CHECKING

from rich.cells import cell_len, set_cell_size

from tui.common import language
from tui.common.language import _, listed
from tui.common.sanitize import plain

if TYPE_CHECKING:
    from babel import Locale
    from textual.content import Content

    from server.features.orders.schemas import Order

BLOCKS = "▁▂▃▄▅▆▇█"

STATUS_LOOKS: dict[str, tuple[str, str, str]] = {
    "placed": ("○", _("Placed"), "$p-rest"),
    "accepted": ("●", _("Accepted"), "$p-ws"),
    "preparing": ("◐", _("Cooking"), "$warning"),
    "ready": ("◆", _("Ready"), "$accent"),
    "out_for_delivery": ("▶", _("On its way"), "$primary"),
    "delivered": ("✓", _("Delivered"), "$wire-ink"),
    "cancelled": ("✕", _("Cancelled"), "$error"),
}
"""Glyph, name and colour of each status of an order; the glyph is enough without colour."""
COARSE = (
    (60, _("{count:.0f}m"), 5400),
    (3600, _("{count:.0f}h"), 129_600),
    (86_400, _("{count:.0f}d"), 34_560_000),
)
"""Units of an age: length in seconds, words, and the age from which the next one is used."""
NEWS_AGES = ((10.0, _("now")), (30.0, _("<30s")), (60.0, _("<1m")))
"""Below so many seconds. Drawn anew each second, ages would cost an idle app most of its time."""
YEAR = 31_557_600
"""Seconds."""


ROLES = {"customer": _("customer"), "employee": _("employee"), "support": _("support")}
"""What an account is, as the screen says it."""


def fit(text: str, width: int, *, pad: bool = False) -> str:
    """`text` made safe and cut to `width` cells, with an ellipsis where something is missing."""
    text = plain(text)
    if width <= 0:
        return ""
    if cell_len(text) > width:
        return set_cell_size(text, width - 1) + "…"
    return set_cell_size(text, width) if pad else text


def sides(left: str, right: str, width: int) -> str:
    """`left`, cut to the room there is, and `right` at the other edge."""
    left = fit(left, width - cell_len(right) - 1)
    return left + " " * (width - cell_len(left) - cell_len(right)) + right


@lru_cache(maxsize=1024)
def wrapped(text: str, width: int) -> tuple[str, ...]:
    """`text`, safe to draw, in lines of at most `width` cells."""
    from textual.content import Content  # not above: the plain mode has no Textual

    if width < 1:
        return ()
    lines = Content(plain(text, newlines=True)).wrap(width)
    return tuple(line.plain for line in lines if line.plain)


def items_in_short(order: "Order") -> str:
    """`2× Pad thai, 1× Tom yum`."""
    return listed(f"{item.quantity}× {plain(item.name)}" for item in order.items)


def centred(message: "Content", y: int, width: int, height: int) -> "Content":
    """Line `y` of a message in the middle of so many cells and lines; empty where none of it is."""
    from textual.content import Content

    lines = message.wrap(max(1, width - 4)) if message else []
    first = max(0, (height - len(lines)) // 2)
    if not first <= y < first + len(lines):
        return Content("")
    line = lines[y - first]
    return Content.assemble(" " * max(0, (width - line.cell_length) // 2), line)


def loading_message(words: str, error: str) -> "Content":
    """What a list shows until it is loaded: `words`, or why that fails."""
    from textual.content import Content

    if not error:
        return Content.assemble((words, "$wire-ink"))
    again = (_("\nRetrying; r retries now."), "$wire-ink")
    return Content.assemble(("✕ ", "bold $error"), plain(error), again)


def human_bytes(count: float) -> str:
    """A number of bytes: `96 B`, `17.3 kB`, `412 kB`."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def human_age(seconds: float) -> str:
    """How long ago: `0.7s`, `42s`, `9m`, `5h`, `2d`, `3y`."""
    if seconds < 9.95:
        return _("{count:.1f}s").format(count=max(0.0, seconds))
    return _("{count:.0f}s").format(count=seconds) if seconds < 100 else _coarse_age(seconds)


def age_lasts(seconds: float) -> float:
    """Seconds until an age in whole seconds, minutes, hours ... reads differently; at least 1."""
    return 1.0 if seconds < 100 else _coarse_age_lasts(seconds)


def news_age(seconds: float) -> str:
    """How long ago the last news came, changing seldom: `now`, `<30s`, `<1m`, `1m`, `5h`."""
    return next((words for limit, words in NEWS_AGES if seconds < limit), _coarse_age(seconds))


def news_age_lasts(seconds: float) -> float:
    """Seconds until that reads differently."""
    left = (limit - seconds for limit, _ in NEWS_AGES if seconds < limit)
    return next(left, None) or _coarse_age_lasts(seconds)


def age(moment: datetime, now: datetime) -> str:
    """How long ago, in at most four cells: `now`, `4m`, `5h`, `12d`, `3y`."""
    seconds = (now - moment).total_seconds()
    return _("now") if seconds < 60 else _coarse_age(seconds)


def _coarse_age(seconds: float) -> str:
    for length, words, limit in COARSE:
        if seconds < limit:
            return words.format(count=seconds / length)
    return _("{count:.0f}y").format(count=seconds / YEAR)


def _coarse_age_lasts(seconds: float) -> float:
    for length, _unit, limit in COARSE:
        if seconds < limit:
            return max(1.0, min(limit, (round(seconds / length) + 0.5) * length) - seconds)
    return (round(seconds / YEAR) + 0.5) * YEAR - seconds


def set_clock(*, twelve_hours: bool) -> None:
    """How this process writes times of day."""
    global _twelve_hours
    _twelve_hours = twelve_hours


_twelve_hours = False


def time_of_day(hour: int, minute: int = 0, seconds: str = "", *, in_column: bool = False) -> str:
    """A time of day by the user's setting: `9:46am` or `09:46`; 24 is the end of the day. `seconds`
    such as `:07` follow the minutes; `in_column`, every hour has two cells."""
    if not _twelve_hours:
        return f"{hour:02}:{minute:02}{seconds}"
    half = _("am") if hour % 24 < 12 else _("pm")
    shown = hour % 12 or 12
    return f"{shown:{2 if in_column else 1}}:{minute:02}{seconds}{half}"


def hours_minutes(moment: datetime, zone: tzinfo | None = None, *, in_column: bool = False) -> str:
    """The time of day of a moment, by default the local one: `12:46`, or `12:46pm`."""
    local = moment.astimezone(zone)
    return time_of_day(local.hour, local.minute, in_column=in_column)


def clock_time(moment: datetime, now: datetime | None = None) -> str:
    """The local time, `12:46`; with the date if it is not today: `3 Nov 12:46`."""
    local = moment.astimezone()
    today = (now or datetime.now(UTC)).astimezone().date()
    if local.date() == today:
        return hours_minutes(moment)
    day = _date(local, "d MMM" if local.year == today.year else "d MMM y")
    return f"{day} {hours_minutes(moment)}"


def weekday(day: date) -> str:
    """`Sat`."""
    return _date(day, "EEE")


def day_name(day: date) -> str:
    """`Sat 28 Nov 2026`."""
    return _date(day, "EEE d MMM y")


def _date(day: date, pattern: str) -> str:
    """A day in the user's language, by a pattern of the CLDR: `3 Nov` for `d MMM`."""
    if language.current() == language.ENGLISH:  # which can do without Babel: that takes a while
        parts = {"EEE": f"{day:%a}", "d": str(day.day), "MMM": f"{day:%b}", "y": str(day.year)}
        return " ".join(parts[part] for part in pattern.split())
    from babel.dates import format_date

    return format_date(day, pattern, language.current())


def human_minutes(seconds: float) -> str:
    """How long something takes: `6 min`, rounded up; `45 s`, `now` below five seconds, `3 h`."""
    if seconds < 5:
        return _("now")
    if seconds < 59.5:
        return _("{count:.0f} s").format(count=seconds)
    if seconds <= 7200:
        return _("{count} min").format(count=ceil(seconds / 60))
    return _("{count} h").format(count=ceil(seconds / 3600))


def human_distance(metres: float) -> str:
    """`1.6 km`, `240 m`."""
    if metres >= 995:
        return _("{count:.1f} km").format(count=metres / 1000)
    return _("{count:.0f} m").format(count=round(metres, -1))


def human_latency(milliseconds: float) -> str:
    """A latency: `6ms`, `1.2s`, `50s`."""
    if milliseconds < 1000:
        return f"{milliseconds:.0f}ms"
    return f"{milliseconds / 1000:.1f}s" if milliseconds < 9950 else f"{milliseconds / 1000:.0f}s"


DIGITS = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
}
"""Digits of a currency's minor unit by ISO 4217, where they are not two. Babel's are those that are
usual in shops, and would round an amount."""


BARE = str.maketrans(
    {"\xa0": " ", "\u202f": " ", "\uffe5": "¥"} | dict.fromkeys("\u200e\u200f\u061c")
)
"""Spaces as one types them, signs of one cell, and no marks of direction."""


def minor_digits(currency: str) -> int:
    """How many digits of an amount are its minor units."""
    return next((digits for digits, codes in DIGITS.items() if currency in codes.split()), 2)


def bare_money(cents: int, currency: str) -> str:
    """Minor units as a number to edit: `24.80`, `2480`, `2.480`."""
    return str(Decimal(cents).scaleb(-minor_digits(currency)))


@lru_cache(maxsize=4096)
def money(cents: int, currency: str, *, spoken: bool = False) -> str:
    """Minor units as the user's locale writes them: `€24.80`, `24,80 €`, `CHF 24.80`, `¥2,480`; in
    words, `24.80 euros`, where they are `spoken`."""
    from babel.numbers import format_currency  # some 30 ms, which the first paint has no need of

    digits = minor_digits(currency)
    where = money_locale()
    pattern = copy(where.decimal_formats[None] if spoken else where.currency_formats["standard"])
    pattern.frac_prec = (digits, digits)
    text = format_currency(
        Decimal(cents).scaleb(-digits),
        currency,
        pattern,
        where,
        currency_digits=False,
        format_type="name" if spoken else "standard",
    )
    # CLDR has a space between a code and digits, which Babel leaves out
    return re.sub(r"(?<=[^\W\d])(?=\d)", " ", plain(text.translate(BARE)))


@lru_cache(maxsize=1)
def money_locale() -> "Locale":
    """The locale of the environment; the language in use where it says none that Babel knows."""
    from babel import Locale, UnknownLocaleError

    said = (os.environ.get(name) for name in ("LC_ALL", "LC_MONETARY", "LANG"))
    name = re.split(r"[.@]", next(filter(None, said), ""))[0]
    if name in ("C", "POSIX"):  # which Babel writes without thousands
        name = ""
    for wanted in (name, name.partition("_")[0]):
        with suppress(ValueError, UnknownLocaleError):
            return Locale.parse(wanted)
    return Locale(language.current())


FEES = {"delivery": _("Delivery")}


def fee_name(kind: str) -> str:
    """What a kind of fee is called; the server may have more of them."""
    return FEES.get(kind, plain(kind).capitalize())


def beside_dishes(order: "Order", *, spoken: bool = False) -> list[tuple[str, str]]:
    """The fees and the tip of an order: a name, and how much; `spoken` as for `money`."""
    parts = [(fee_name(fee.kind), fee.cents) for fee in order.fees]
    parts += [(_("Tip"), order.tip_cents)] if order.tip_cents else []
    return [(name, money(cents, order.currency, spoken=spoken)) for name, cents in parts]


def sparkline(values: Iterable[float], width: int, low: float | None = None) -> str:
    """The last `width` values as blocks of rising height, right-aligned in `width` cells.

    `low` is the value drawn as the lowest block; by default the smallest of them.
    """
    if width <= 0:
        return ""
    tail = list(values)[-width:]
    if not tail:
        return " " * width
    floor = min(tail) if low is None else low
    span = (max(tail) - floor) or 1.0
    top = len(BLOCKS) - 1
    drawn = (BLOCKS[min(top, max(0, int((value - floor) / span * (top + 0.99))))] for value in tail)
    return "".join(drawn).rjust(width)


RULES = ("below-minimum", "closed", "out-of-reach")
"""Problems in whose own words it is said what is wrong, and not only with a field."""
FIELDS = {
    "address": _("address"),
    "body": _("text"),
    "description": _("description"),
    "email": _("email"),
    "name": _("name"),
    "note": _("note"),
    "password": _("password"),
    "phone": _("phone"),
    "reason": _("reason"),
    "subject": _("subject"),
    "title": _("title"),
}
"""What fields of the wire are called on the screen, where that is not the same."""


def field_of(error: Exception) -> str | None:
    """The field of a form that an error is about, if it is about one."""
    from pydantic import ValidationError

    from tui.common.client.errors import ApiError

    if isinstance(error, ValidationError):
        location = error.errors(include_url=False)[0]["loc"]
        return str(location[0]) if location else None
    if isinstance(error, ApiError) and error.problem.errors:
        location_sent = [str(part) for part in error.problem.errors[0].loc if part != "body"]
        return location_sent[0] if location_sent else None
    return None


def message_for(error: Exception) -> str:
    """A sentence that a person can act on. Raises what is an error of ours."""
    from pydantic import ValidationError

    from tui.common.client.errors import ApiError, ClientError

    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        return _about(field_of(error), first["msg"])
    if isinstance(error, ApiError) and error.problem.errors and not error.translated:
        if error.problem.type.rpartition(":")[2] in RULES:
            return plain(error.problem.detail)
        return _about(field_of(error), error.problem.errors[0].msg)
    if isinstance(error, ClientError):
        return plain(error.message)
    raise error


def _about(field: str | None, message: str) -> str:
    from tui.common.client.errors import fault_of

    words = fault_of(plain(message))
    name = FIELDS.get(field or "", (field or "").replace("_", " "))
    return f"{name.capitalize()}: {words}." if name else f"{words.capitalize()}."
