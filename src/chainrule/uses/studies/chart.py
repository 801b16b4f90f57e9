"""Charts as SVG that stands alone, in light and dark: the same numbers give the same bytes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Final, final

WIDTH: Final = 760.0
HEIGHT: Final = 420.0
_LEFT, _TOP, _RIGHT, _BOTTOM = 78.0, 44.0, 205.0, 52.0
_COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d31")
"""Of M. Okabe and K. Ito, told apart without seeing red and green; the last is ours."""
_DASHES: Final = ("", "7 3", "2 3", "9 3 2 3", "4 4", "12 4", "1 4")
_MOST_DOTS: Final = 40
"""Lines through more points have no dots."""
_LEAST: Final = 1e-140
"""No log axis goes lower, nor higher than its inverse: there is room for margins."""
_STYLE: Final = """
svg.chart { background: #ffffff; font: 12px system-ui, Helvetica, Arial, sans-serif; }
.chart text { fill: #1f2328; } .chart .title { font-size: 15px; font-weight: 600; }
.chart .grid { stroke: #d0d7de; stroke-width: 1; } .chart .frame { fill: none; stroke: #57606a; }
.chart .mark { stroke: #57606a; stroke-dasharray: 2 4; } .chart .note { fill: #656d76; }
.chart .path { fill: none; stroke: #ffffff; stroke-width: 2; }
.chart .point { fill: #ffffff; stroke: #1f2328; }
@media (prefers-color-scheme: dark) {
svg.chart { background: #0d1117; } .chart text { fill: #e6edf3; } .chart .grid { stroke: #30363d; }
.chart .frame, .chart .mark { stroke: #8b949e; } .chart .note { fill: #8b949e; } }
"""


@final
@dataclass(frozen=True)
class Curve:
    """A named line through points, with gaps for those that are not finite or not on a log axis."""

    name: str
    xs: Sequence[float]
    ys: Sequence[float]


@final
@dataclass(frozen=True)
class Axis:
    """What an axis shows. `ticks` names positions of its own, such as the sizes that were tried."""

    label: str
    log: bool = False
    ticks: Sequence[tuple[float, str]] = ()
    low: float | None = None
    high: float | None = None


@dataclass
class _Scale:
    """From numbers to positions on the picture."""

    low: float
    high: float
    log: bool
    begin: float
    end: float
    ticks: list[tuple[float, str]] = field(default_factory=list)

    def shows(self, value: float) -> bool:
        return math.isfinite(value) and (value > 0 or not self.log)

    def __call__(self, value: float) -> float:
        low, high, at = self.low, self.high, value
        if self.log:
            low, high, at = math.log10(low), math.log10(high), math.log10(value)
        share = min(max((at - low) / (high - low), -0.05), 1.05)
        return self.begin + share * (self.end - self.begin)


def line_chart(
    title: str, x: Axis, y: Axis, curves: Sequence[Curve],
    *, marks: Sequence[tuple[float, str]] = (), levels: Sequence[tuple[float, str]] = (),
) -> str:  # fmt: skip
    """Curves over one pair of axes. `marks` are vertical lines with a note, `levels` horizontal."""
    across = _scale(
        x, [v for c in curves for v in c.xs] + [v for v, _ in marks], _LEFT, WIDTH - _RIGHT
    )
    upward = _scale(
        y, [v for c in curves for v in c.ys] + [v for v, _ in levels], HEIGHT - _BOTTOM, _TOP
    )
    parts = _frame(title, x, y, across, upward)
    for value, note in marks:
        if across.shows(value):
            at = across(value)
            parts.append(_segment("mark", at, _TOP, at, HEIGHT - _BOTTOM))
            parts.append(_text("note", at + 4, _TOP + 14, note))
    for value, note in levels:
        if upward.shows(value):
            at = upward(value)
            parts.append(_segment("mark", _LEFT, at, WIDTH - _RIGHT, at))
            parts.append(_text("note", _LEFT + 4, at - 4, note))
    for number, curve in enumerate(curves):
        parts += _curve(number, curve, across, upward)
    return _whole(parts)


def heat_map(
    title: str, x: Axis, y: Axis, xs: Sequence[float], ys: Sequence[float],
    values: Sequence[Sequence[float]], *, label: str, path: Sequence[tuple[float, float]] = (),
) -> str:  # fmt: skip
    """Numbers over a grid as colours, on a logarithmic scale; ``values[j][i]`` at xs[i], ys[j].

    `path` is drawn over it, its last point marked. Numbers that are not finite or not positive have
    the colour of the largest.
    """
    half_x, half_y = (xs[1] - xs[0]) / 2, (ys[1] - ys[0]) / 2
    across = _scale(Axis(x.label, low=xs[0] - half_x, high=xs[-1] + half_x), [], _LEFT,
                    WIDTH - _RIGHT)  # fmt: skip
    upward = _scale(Axis(y.label, low=ys[0] - half_y, high=ys[-1] + half_y), [],
                    HEIGHT - _BOTTOM, _TOP)  # fmt: skip
    known = [v for row in values for v in row if math.isfinite(v) and v > 0] or [1.0]
    low, high = math.log(min(known)), math.log(max(known))
    parts = []
    for j, row in enumerate(values):
        top, bottom = upward(ys[j] + half_y), upward(ys[j] - half_y)
        for i, value in enumerate(row):
            is_known = math.isfinite(value) and value > 0
            share = (math.log(value) - low) / ((high - low) or 1.0) if is_known else 1.0
            left, right = across(xs[i] - half_x), across(xs[i] + half_x)
            parts.append(
                f'<rect x="{left:.2f}" y="{top:.2f}" width="{right - left + 0.5:.2f}" '
                f'height="{bottom - top + 0.5:.2f}" fill="{_heat(share)}"/>'
            )
    parts += _frame(title, x, y, across, upward)
    if path:
        places = [(across(a), upward(b)) for a, b in path]
        parts.append(_polyline('class="path"', places))
        if len(places) <= _MOST_DOTS:
            parts += [_circle('class="point"', a, b, 2.5) for a, b in places[:-1]]
        parts.append(_circle('class="point"', *places[-1], 5.0))
    return _whole([*parts, *_legend_of_heat(label, math.exp(low), math.exp(high))])


def _scale(axis: Axis, values: Sequence[float], begin: float, end: float) -> _Scale:
    known = [v for v in values if math.isfinite(v) and (v > 0 or not axis.log)] or [1.0]
    low = min(known) if axis.low is None else axis.low
    high = max(known) if axis.high is None else axis.high
    if axis.log:
        low, high = max(low, _LEAST), min(high, 1 / _LEAST)
        low, high = (low, high) if high > 1.2 * low else (low / 2, high * 2)
        margin = (high / low) ** 0.04
        low, high = (
            low if axis.low is not None else low / margin,
            high if axis.high is not None else high * margin,
        )
    else:
        span = (high - low) or abs(high) or 1.0
        low = low - 0.04 * span if axis.low is None else low
        high = high + 0.04 * span if axis.high is None or high == low else high
    scale = _Scale(low, high, axis.log, begin, end)
    scale.ticks = list(axis.ticks) or (_decades(low, high) if axis.log else _steps(low, high))
    return scale


def _decades(low: float, high: float) -> list[tuple[float, str]]:
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    if last - first < 1:
        exponent = math.floor(math.log10(low))
        places = [m * 10.0**e for e in (exponent, exponent + 1) for m in (1, 2, 5)]
        return [(v, f"{v:g}") for v in places if low <= v <= high]
    every = max(1, -(-(last - first) // 8))
    return [(10.0**e, _power(e)) for e in range(first, last + 1, every)]


def _power(exponent: int) -> str:
    digits = str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{10.0**exponent:g}" if -3 <= exponent <= 3 else f"10{digits}"


def _steps(low: float, high: float) -> list[tuple[float, str]]:
    rough = (high - low) / 6
    base = 10.0 ** math.floor(math.log10(rough))
    step = next(m * base for m in (1, 2, 5, 10) if m * base >= rough)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [(k * step, f"{k * step:.6g}") for k in range(first, last + 1)]


def _frame(title: str, x: Axis, y: Axis, across: _Scale, upward: _Scale) -> list[str]:
    right, bottom = WIDTH - _RIGHT, HEIGHT - _BOTTOM
    parts = [_text("title", _LEFT, 26, title)]
    for value, name in across.ticks:
        if across.shows(value) and across.low <= value <= across.high:
            at = across(value)
            parts.append(_segment("grid", at, bottom, at, bottom + 5))
            parts.append(_text("", at, bottom + 19, name, "middle"))
    for value, name in upward.ticks:
        if upward.shows(value) and upward.low <= value <= upward.high:
            at = upward(value)
            parts.append(_segment("grid", _LEFT - 5, at, _LEFT, at))
            parts.append(_text("", _LEFT - 9, at + 4, name, "end"))
    parts.append(
        f'<rect class="frame" x="{_LEFT:.2f}" y="{_TOP:.2f}" width="{right - _LEFT:.2f}" '
        f'height="{bottom - _TOP:.2f}"/>'
    )
    middle = (_TOP + bottom) / 2
    parts.append(_text("", (_LEFT + right) / 2, HEIGHT - 12, x.label, "middle"))
    parts.append(
        f'<text x="18" y="{middle:.2f}" text-anchor="middle" '
        f'transform="rotate(-90 18 {middle:.2f})">{escape(y.label)}</text>'
    )
    return parts


def _curve(number: int, curve: Curve, across: _Scale, upward: _Scale) -> list[str]:
    colour, dash = _COLOURS[number % len(_COLOURS)], _DASHES[number % len(_DASHES)]
    look = f'fill="none" stroke="{colour}" stroke-width="2" stroke-dasharray="{dash or "none"}"'
    parts: list[str] = []
    runs: list[list[tuple[float, float]]] = [[]]
    for a, b in zip(curve.xs, curve.ys, strict=True):
        if across.shows(a) and upward.shows(b):
            runs[-1].append((across(a), upward(b)))
        elif runs[-1]:
            runs.append([])
    parts += [_polyline(look, run) for run in runs if len(run) > 1]
    if len(curve.xs) <= _MOST_DOTS:
        parts += [_circle(f'fill="{colour}"', a, b, 3) for run in runs for a, b in run]
    at = _TOP + 10 + 20 * number
    left = WIDTH - _RIGHT + 14
    parts.append(_polyline(look, [(left, at), (left + 24, at)]))
    parts.append(_text("", left + 31, at + 4, curve.name))
    return parts


_VIRIDIS: Final = ((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37))


def _heat(share: float) -> str:
    """A colour from dark to bright, by linear steps between five of the viridis map."""
    place = min(max(share, 0.0), 1.0) * (len(_VIRIDIS) - 1)
    i = min(int(place), len(_VIRIDIS) - 2)
    mixed = [round(a + (place - i) * (b - a)) for a, b in zip(*_VIRIDIS[i : i + 2], strict=True)]
    return "#" + "".join(f"{channel:02x}" for channel in mixed)


def _legend_of_heat(label: str, low: float, high: float) -> list[str]:
    left, bottom, steps = WIDTH - _RIGHT + 24, HEIGHT - _BOTTOM, 24
    height = (bottom - _TOP - 30) / steps
    parts = [_text("", left, _TOP + 8, label)]
    for k in range(steps):
        top = bottom - (k + 1) * height
        parts.append(
            f'<rect x="{left:.2f}" y="{top:.2f}" width="18" height="{height + 0.5:.2f}" '
            f'fill="{_heat((k + 0.5) / steps)}"/>'
        )
    for share in (0.0, 0.5, 1.0):
        value = low * (high / low) ** share
        parts.append(_text("", left + 25, bottom - share * steps * height + 5, f"{value:.3g}"))
    return parts


def _text(kind: str, x: float, y: float, text: str, anchor: str = "start") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text{named} x="{x:.2f}" y="{y:.2f}" text-anchor="{anchor}">{escape(text)}</text>'


def _segment(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{kind}" x1="{x1:.2f}" y1="{y1:.2f}" x2="{x2:.2f}" y2="{y2:.2f}"/>'


def _polyline(look: str, points: Sequence[tuple[float, float]]) -> str:
    return f'<polyline {look} points="{" ".join(f"{x:.2f},{y:.2f}" for x, y in points)}"/>'


def _circle(look: str, x: float, y: float, radius: float) -> str:
    return f'<circle {look} cx="{x:.2f}" cy="{y:.2f}" r="{radius:g}"/>'


def _whole(parts: Sequence[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="chart" role="img" width="{WIDTH:.0f}" '
        f'height="{HEIGHT:.0f}" viewBox="0 0 {WIDTH:.0f} {HEIGHT:.0f}"><style>{_STYLE}</style>'
    )
    return "\n".join([head, *parts, "</svg>"]) + "\n"
