"""Plots as inline SVG with the same figures as a table below: nothing is told by colour alone."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

from llmops_kernel.display.mime import View, view
from llmops_kernel.display.table import table
from llmops_kernel.display.text import markup, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_WIDTH, _HEIGHT = 640, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 16, 16, 44
_BAR, _DROP, _RISE = "#4c6f91", "#2e7d5b", "#b3541e"
_LINES = ("#4c6f91", "#b3541e", "#2e7d5b", "#7a5195", "#555555")
_DASHES = ("", "6 3", "2 3", "8 3 2 3", "1 4")  # lines are told apart without colours too
_LABEL = 22


def waterfall_view(
    start: tuple[str, float],
    steps: Mapping[str, float],
    end: tuple[str, float],
    *,
    caption: str,
    shown: Callable[[float], str] = str,
) -> View:
    """Build a waterfall: a bar at the start, what each step takes off, and a bar at the end.

    Args:
        start: Name and height of the first bar.
        steps: What each step takes off; below 0 it adds.
        end: Name and height of the last bar.
        caption: What is shown.
        shown: Writes an amount.
    """
    rows: list[tuple[str, str, str]] = [(start[0], "", shown(start[1]))]
    bars = [(start[0], 0.0, start[1], _BAR, shown(start[1]))]
    level = start[1]
    for name, taken in steps.items():
        below = level - taken
        colour = _DROP if taken >= 0 else _RISE
        sign = "-" if taken >= 0 else "+"
        bars.append(
            (name, min(level, below), max(level, below), colour, f"{sign}{shown(abs(taken))}")
        )
        level = below
        rows.append((name, f"{sign}{shown(abs(taken))}", shown(level)))
    bars.append((end[0], 0.0, end[1], _BAR, shown(end[1])))
    rows.append((end[0], "", shown(end[1])))
    html, plain = table(("Step", "Change", "Then"), rows, caption)
    facts = {"start": start[1], "steps": dict(steps), "end": end[1]}
    return view(f"{_bars(bars, caption)}\n{html}", plain, facts)


def lines_view(
    x: Sequence[float],
    series: Mapping[str, Sequence[float]],
    *,
    caption: str,
    x_name: str,
    shown: Callable[[float], str] = str,
    x_shown: Callable[[float], str] = str,
) -> View:
    """Build lines over one axis.

    Args:
        x: Where the points are, ascending.
        series: Their heights, 0 and up, by name; as many in each as there are points.
        caption: What is shown.
        x_name: What x is.
        shown: Writes a height.
        x_shown: Writes a place.

    Raises:
        ValueError: A series has more or fewer points than x.
    """
    for name, values in series.items():
        if len(values) != len(x):
            raise ValueError(f"{name} has {len(values)} points, and x has {len(x)}")
    rows = [
        (x_shown(place), *(shown(values[n]) for values in series.values()))
        for n, place in enumerate(x)
    ]
    html, plain = table((x_name, *series), rows, caption)
    facts = {"x": list(x), "series": {name: list(values) for name, values in series.items()}}
    plot = _plot(x, series, caption, x_name, shown, x_shown)
    return view(f"{plot}\n{html}", plain, facts)


def _bars(bars: Sequence[tuple[str, float, float, str, str]], caption: str) -> str:
    highest = max((top for _, _, top, _, _ in bars), default=0.0) or 1.0
    step = (_WIDTH - _LEFT - _RIGHT) / max(len(bars), 1)
    parts: list[str] = []
    for number, (name, low, high, colour, text) in enumerate(bars):
        left = _LEFT + number * step + 0.12 * step
        top, bottom = _y(high, highest), _y(low, highest)
        middle = left + 0.38 * step
        parts.append(
            f'<rect x="{left:.1f}" y="{top:.1f}" width="{0.76 * step:.1f}" '
            f'height="{max(bottom - top, 1):.1f}" fill="{colour}"/>'
        )
        parts.append(_text(middle, top - 5, text))
        for line, piece in enumerate(_two_lines(name)):
            parts.append(_text(middle, _HEIGHT - _BOTTOM + 16 + 12 * line, piece))
    return _svg(parts, caption)


def _plot(
    x: Sequence[float],
    series: Mapping[str, Sequence[float]],
    caption: str,
    x_name: str,
    shown: Callable[[float], str],
    x_shown: Callable[[float], str],
) -> str:
    heights = [value for values in series.values() for value in values if isfinite(value)]
    highest = max(heights, default=0.0) or 1.0
    first, last = (min(x), max(x)) if x else (0.0, 1.0)
    wide = (last - first) or 1.0

    def across(value: float) -> float:
        return _LEFT + (value - first) / wide * (_WIDTH - _LEFT - _RIGHT)

    parts = [_text(_LEFT - 8, _y(highest, highest) + 4, shown(highest), "end")]
    parts.append(_text(_LEFT - 8, _y(0, highest) + 4, shown(0.0), "end"))
    parts += [_text(across(each), _HEIGHT - _BOTTOM + 16, x_shown(each)) for each in x]
    parts.append(_text((_WIDTH + _LEFT) / 2, _HEIGHT - 8, x_name))
    for number, (name, values) in enumerate(series.items()):
        colour, dash = _LINES[number % len(_LINES)], _DASHES[number % len(_DASHES)]
        points = " ".join(
            f"{across(place):.1f},{_y(value, highest):.1f}"
            for place, value in zip(x, values, strict=True)
            if isfinite(value)
        )
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2" '
            f'stroke-dasharray="{dash}"/>'
        )
        if values and isfinite(values[-1]):
            y = _y(values[-1], highest) - 6
            parts.append(_text(across(x[-1]) - 4, y, name, "end", colour))
    return _svg(parts, caption)


def _svg(parts: Sequence[str], caption: str) -> str:
    base = _y(0, 1)
    axis = f'<path d="M{_LEFT} {_TOP} V{base:.1f} H{_WIDTH - _RIGHT}" fill="none" stroke="#888"/>'
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" role="img" '
        f'aria-label="{markup(caption)}" style="max-width:100%;background:#fff" '
        f'font-family="sans-serif" font-size="11">{axis}{"".join(parts)}</svg>'
    )


def _y(value: float, highest: float) -> float:
    return _TOP + 12 + (1 - value / highest) * (_HEIGHT - _TOP - 12 - _BOTTOM)


def _text(x: float, y: float, text: str, anchor: str = "middle", colour: str = "#222") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">'
        f"{markup(text)}</text>"
    )


def _two_lines(name: str) -> list[str]:
    """Break a name once, at a blank near its middle."""
    if len(name) <= _LABEL // 2:
        return [name]
    blanks = [place for place, char in enumerate(name) if char == " "]
    if not blanks:
        return [one_line(name, _LABEL)]
    cut = min(blanks, key=lambda place: abs(place - len(name) / 2))
    return [one_line(name[:cut], _LABEL), one_line(name[cut + 1 :], _LABEL)]
