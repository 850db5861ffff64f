"""Draws panels of lines on logarithmic axes, as SVG. Pure: no I/O."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 320, 230
LEFT, RIGHT, TOP, BOTTOM = 44, 12, 34, 42
LEGEND_HEIGHT = 28
COLOURS = ("#0b6bcb", "#8a8f98")
SHORT = ((1_000_000, "M"), (1000, "k"))


class Line(NamedTuple):
    """Points in ascending order; all numbers are positive."""

    name: str
    points: Sequence[tuple[float, float]]


class Panel(NamedTuple):
    """`axis` names what grows; the other axis is CPU in microseconds per event and viewer."""

    title: str
    axis: str
    lines: Sequence[Line]


class _Scale:
    """From a value to a place between `begin` and `end`. Its ends are powers of ten around all values."""

    def __init__(self, values: Sequence[float], begin: float, end: float) -> None:
        self._low = math.floor(math.log10(min(values)) + 1e-9)
        self._high = max(self._low + 1, math.ceil(math.log10(max(values)) - 1e-9))
        self._begin, self._end = begin, end

    def place(self, value: float) -> float:
        share = (math.log10(value) - self._low) / (self._high - self._low)
        return self._begin + share * (self._end - self._begin)

    @property
    def ticks(self) -> list[float]:
        return [10.0**exponent for exponent in range(self._low, self._high + 1)]


def draw(panels: Sequence[Panel]) -> str:
    """The panels beside one another, and below them the names of the first one's lines."""
    width, height = WIDTH * len(panels), HEIGHT + LEGEND_HEIGHT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="system-ui, sans-serif" font-size="11" fill="#57606a">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    for number, panel in enumerate(panels):
        parts += [f'<g transform="translate({number * WIDTH} 0)">', *_panel(panel), "</g>"]
    for number, line in enumerate(panels[0].lines):
        at = LEFT + number * 160
        parts.append(f'<rect x="{at}" y="{HEIGHT + 6}" width="14" height="4" fill="{COLOURS[number]}"/>')
        parts.append(f'<text x="{at + 20}" y="{HEIGHT + 12}">{escape(line.name)}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel(panel: Panel) -> Iterator[str]:
    points = [point for line in panel.lines for point in line.points]
    across = _Scale([x for x, _ in points], LEFT, WIDTH - RIGHT)
    up = _Scale([y for _, y in points], HEIGHT - BOTTOM, TOP)
    yield f'<text x="{LEFT}" y="16" font-weight="600" fill="#1f2328">{escape(panel.title)}</text>'
    yield f'<text x="{LEFT}" y="29">CPU us per event and viewer</text>'
    yield f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 8}" text-anchor="end">{escape(panel.axis)}</text>'
    for tick in across.ticks:
        x = across.place(tick)
        yield f'<path d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="#e4e7ea"/>'
        yield f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 15}" text-anchor="middle">{_short(tick)}</text>'
    for tick in up.ticks:
        y = up.place(tick)
        yield f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#e4e7ea"/>'
        yield f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{_short(tick)}</text>'
    for colour, line in zip(COLOURS, panel.lines, strict=True):
        places = [(across.place(x), up.place(y)) for x, y in line.points]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
        yield f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
        for (x, y), (_, value) in zip(places, line.points, strict=True):
            yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{colour}"><title>{value:g}</title></circle>'


def _short(number: float) -> str:
    for size, letter in SHORT:
        if number >= size:
            return f"{number / size:g}{letter}"
    return f"{number:g}"
