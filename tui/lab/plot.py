"""A plot of distributions as SVG: readable in print, in greyscale, and by the colour-blind."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 900, 480
LEFT, RIGHT, TOP, BOTTOM = 64, 220, 48, 56
POINTS = 400
"""Steps of a curve that are drawn, at most."""
STYLES = (
    ("#d55e00", ""),
    ("#0072b2", "9 4"),
    ("#000000", ""),
    ("#cc79a7", "2 4"),
    ("#009e73", "12 4 2 4"),
    ("#e69f00", "5 3"),
)
"""Colours by Okabe and Ito; dashes tell the lines apart where there are no colours."""
THICK = (3.2, 2.2, 1.6, 3.2, 2.2, 2.2)


@dataclass(frozen=True, slots=True)
class Curve:
    """An empirical distribution: seconds, and the shares that do not exceed them, in order."""

    name: str
    steps: Sequence[tuple[float, float]]
    note: str = ""
    """What the legend says of it beside its median."""


def ecdf_plot(curves: Sequence[Curve], title: str) -> str:
    """All curves over one logarithmic axis in milliseconds."""
    values = [seconds * 1000 for curve in curves for seconds, _ in curve.steps if seconds > 0]
    low = math.floor(math.log10(min(values))) if values else 0
    high = math.ceil(math.log10(max(values))) if values else 3
    axis = _Axis(low, max(high, low + 1))
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
        f'height="{HEIGHT}" font-family="Helvetica, Arial, sans-serif" font-size="13" role="img">',
        f"<title>{escape(title)}</title>",
        f"<desc>{escape(_description(curves))}</desc>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        f'<text x="{LEFT}" y="26" font-size="15" font-weight="bold">{escape(title)}</text>',
        *_grid(axis),
    ]
    if not values:
        middle = (LEFT + WIDTH - RIGHT) / 2
        lines.append(
            f'<text x="{middle:g}" y="{HEIGHT / 2:g}" text-anchor="middle">No latency known.</text>'
        )
    for number, curve in enumerate(curves):
        colour, dashes = STYLES[number % len(STYLES)]
        stroke = f'stroke="{colour}" stroke-width="{THICK[number % len(THICK)]}"'
        stroke += f' stroke-dasharray="{dashes}"' if dashes else ""
        if path := _path(curve, axis):
            lines.append(f'<path d="{path}" fill="none" {stroke}/>')
        y = TOP + 14 + number * 38
        x = WIDTH - RIGHT + 18
        lines += [
            f'<path d="M{x},{y}h34" fill="none" {stroke}/>',
            f'<text x="{x + 42}" y="{y + 4}">{escape(curve.name)}</text>',
            f'<text x="{x + 42}" y="{y + 20}" font-size="11" fill="#444">{_note(curve)}</text>',
        ]
    return "\n".join([*lines, "</svg>", ""])


@dataclass(frozen=True, slots=True)
class _Axis:
    """From one power of ten of a millisecond to another."""

    low: int
    high: int

    def x(self, ms: float) -> float:
        share = (math.log10(max(ms, 10.0**self.low)) - self.low) / (self.high - self.low)
        return LEFT + share * (WIDTH - LEFT - RIGHT)


def _y(share: float) -> float:
    return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


def _grid(axis: _Axis) -> list[str]:
    lines = []
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    for share in (0, 0.25, 0.5, 0.75, 0.95, 1):
        y = _y(share)
        lines += [
            f'<path d="M{LEFT},{y:.1f}H{right}" stroke="#ddd"/>',
            f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{share:.0%}</text>',
        ]
    for power in range(axis.low, axis.high + 1):
        x = axis.x(10.0**power)
        lines += [
            f'<path d="M{x:.1f},{TOP}V{bottom}" stroke="#bbb"/>',
            f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{_label(power)}</text>',
        ]
        if power < axis.high:
            for digit in range(2, 10):
                x = axis.x(digit * 10.0**power)
                lines.append(f'<path d="M{x:.1f},{bottom}v4" stroke="#888"/>')
                if digit in (2, 5) and axis.high - axis.low <= 3:
                    lines.append(
                        f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle" font-size="11" '
                        f'fill="#444">{_label(power, digit)}</text>'
                    )
    middle = (LEFT + right) / 2
    half = (TOP + bottom) / 2
    lines += [
        f'<rect x="{LEFT}" y="{TOP}" width="{right - LEFT}" height="{bottom - TOP}" fill="none" '
        'stroke="#444"/>',
        f'<text x="{middle:g}" y="{HEIGHT - 12}" text-anchor="middle">latency (logarithmic)</text>',
        f'<text x="18" y="{half:g}" text-anchor="middle" transform="rotate(-90 18 {half:g})">'
        "share of arrivals that took no longer</text>",
    ]
    return lines


def _label(power: int, digit: int = 1) -> str:
    if power >= 3:
        return f"{digit * 10.0 ** (power - 3):g} s"
    return f"{digit * 10.0**power:g} ms"


def _path(curve: Curve, axis: _Axis) -> str:
    """Steps from the lower edge to the upper one; of very many, evenly chosen ones."""
    steps = curve.steps
    if not steps:
        return ""
    stride = max(1, math.ceil(len(steps) / POINTS))
    chosen = [*steps[:-1:stride], steps[-1]]
    first = axis.x(chosen[0][0] * 1000)
    moves = [f"M{first:.1f},{_y(0):.1f}"]
    moves += [f"H{axis.x(value * 1000):.1f}V{_y(share):.1f}" for value, share in chosen]
    return "".join(moves) + f"H{WIDTH - RIGHT}"


def _median(curve: Curve) -> str:
    for value, share in curve.steps:
        if share >= 0.5:
            return f"p50 {_duration(value)}"
    return "nothing arrived"


def _note(curve: Curve) -> str:
    note = curve.note if curve.steps else ""
    return escape(", ".join(filter(None, (_median(curve), note))))


def _duration(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds >= 1 else f"{seconds * 1000:.3g} ms"


def _description(curves: Sequence[Curve]) -> str:
    return "; ".join(f"{curve.name}: {_median(curve)}" for curve in curves)
