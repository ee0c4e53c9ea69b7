"""Charts as SVG made here: bars for masses and for counts of accounts.

Keeps: coordinates are integers worked out from exact figures; a bar for more is filled, a bar for less is outlined, so
that print without color says the same; axes begin at 0; every chart names itself to readers who cannot see it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from interfaces.reports.figures import about, count, in_unit, unit_for
from interfaces.reports.markup import Html, element

_WIDTH: Final = 840
_LEFT: Final = 84
_RIGHT: Final = 10
_TOP: Final = 24
_LABELS_AT_MOST: Final = 18
_LABEL_CHARACTERS: Final = 32
_CHARACTER: Final = 9
"""Generous width of a character, to keep texts inside."""

Said = Callable[[int], str]


class Series(NamedTuple):
    """Values of one color; ``style``: more or less, or empty: by their sign."""

    name: str
    values: Sequence[int]
    style: str = ""


class Axis(NamedTuple):
    """From ``low`` to ``high`` in steps of ``step``; 0 is on it."""

    low: int
    high: int
    step: int

    def at(self, value: int, length: int) -> int:
        """How far from the low end a value is, on an axis of this length."""
        return (value - self.low) * length // (self.high - self.low)

    def ticks(self) -> range:
        return range(self.low, self.high + 1, self.step)


def axis_for(values: Sequence[int], most_steps: int = 5) -> Axis:
    """An axis with round steps (1, 2, 5, 10, ...) that holds 0 and all values."""
    low, high = min(0, *values, 0), max(0, *values, 0)
    step, lead = 1, 0
    while step * most_steps < high - low:
        step, lead = (step * 5 // 2, 2) if lead == 1 else (step * 2, (lead + 1) % 3)
    top = -(-high // step) * step
    bottom = low // step * step
    return Axis(bottom, top if top > bottom else bottom + step, step)


def mass_columns(labels: Sequence[str], series: Sequence[Series], name: str) -> Html:
    """Upright bars of masses (mg), a group for each label."""
    axis = axis_for([value for each in series for value in each.values])
    unit, size = unit_for(max(abs(axis.low), abs(axis.high)))
    return _columns(labels, series, axis, lambda mg: f"{in_unit(mg, size)} {unit}", name, tilted=False)


def count_columns(labels: Sequence[str], counts: Sequence[int], name: str) -> Html:
    """Upright bars of counts with the count on each, labels at a slant."""
    return _columns(labels, [Series("", counts, "more")], axis_for(counts), count, name, tilted=True)


def _columns(
    labels: Sequence[str], series: Sequence[Series], axis: Axis, say: Said, name: str, *, tilted: bool
) -> Html:
    height, below = 200, 104 if tilted else 28
    wide = _WIDTH - _LEFT - _RIGHT
    slot = max(1, wide * 16 // max(1, len(labels)))
    parts = [_level(tick, axis, height, say(tick)) for tick in axis.ticks()]
    for number, each in enumerate(series):
        bar = max(16, slot * 3 // 4 // len(series))
        for index, value in enumerate(each.values):
            x = _LEFT + (index * slot + (slot - bar * len(series)) // 2 + bar * number) // 16
            parts.append(_upright(x, max(1, bar // 16), value, axis, height, each.style))
            if tilted and value:
                y = _TOP + height - axis.at(value, height) - 5
                parts.append(_text(x + bar // 32, y, count(value), "middle"))
    every = -(-len(labels) // _LABELS_AT_MOST) if not tilted else 1
    for index, label in enumerate(labels):
        middle = _LEFT + (index * slot + slot // 2) // 16
        if tilted:
            turned = f"rotate(-38 {middle} {_TOP + height + 14})"
            parts.append(_text(middle, _TOP + height + 14, label, "end", transform=turned))
        elif index % every == 0:
            parts.append(_text(middle, _TOP + height + 18, label, "middle"))
    return _svg(_TOP + height + below, parts, name)


def _level(tick: int, axis: Axis, height: int, label: str) -> Html:
    y = _TOP + height - axis.at(tick, height)
    line = _line(_LEFT, y, _WIDTH - _RIGHT, y, "axis" if tick == 0 else "grid")
    return element("g", line, _text(_LEFT - 8, y + 4, label, "end"))


def _upright(x: int, width: int, value: int, axis: Axis, height: int, style: str) -> Html:
    base, end = (_TOP + height - axis.at(each, height) for each in (0, value))
    top, tall = min(base, end), abs(base - end)
    # What is not 0 is seen, however small beside the others.
    return _bar(x, top if tall or not value else top - 1, width, tall or int(value != 0), style or _style(value))


def mass_rows(rows: Sequence[tuple[str, int, str]], name: str, *, signed: bool = True) -> Html:
    """Lying bars of masses (mg): (label, value, style or empty), the rounded mass beside each."""
    line, gap, texts = 26, 8, 12 * _CHARACTER
    said = [_cut(label) for label, _, _ in rows]
    axis = axis_for([value for _, value, _ in rows])
    # Room for the figures is kept only on the sides where bars end.
    left = max(60, max(map(len, said), default=0) * _CHARACTER + 12) + (texts if axis.low < 0 else 0)
    wide = _WIDTH - left - (texts if axis.high > 0 else _RIGHT)
    zero = left + axis.at(0, wide)
    parts: list[Html] = []
    for index, (label, (_, value, style)) in enumerate(zip(said, rows, strict=True)):
        y = index * (line + gap) + gap
        end = left + axis.at(value, wide)
        parts.append(_text(left - (texts if axis.low < 0 else 0) - 8, y + 17, label, "end"))
        parts.append(_bar(min(zero, end), y, abs(end - zero) or int(value != 0), line - 6, style or _style(value)))
        place, anchor = (end - 7, "end") if value < 0 else (max(end, zero) + 7, "start")
        parts.append(_text(place, y + 17, about(value, signed=signed), anchor, class_="strong"))
    tall = len(rows) * (line + gap) + gap
    return _svg(tall, [*parts, _line(zero, 2, zero, tall - 2, "axis")], name)


def _cut(label: str) -> str:
    return label if len(label) <= _LABEL_CHARACTERS else f"{label[: _LABEL_CHARACTERS - 1]}…"


def _style(value: int) -> str:
    return "less" if value < 0 else "more"


def _bar(x: int, y: int, width: int, height: int, style: str) -> Html:
    return element("rect", x=str(x), y=str(y), width=str(width), height=str(height), class_=style)


def _line(x1: int, y1: int, x2: int, y2: int, style: str) -> Html:
    return element("line", x1=str(x1), y1=str(y1), x2=str(x2), y2=str(y2), class_=style)


def _text(x: int, y: int, text: str, anchor: str, **more: str) -> Html:
    return element("text", text, x=str(x), y=str(y), text_anchor=anchor, **more)


def _svg(height: int, parts: Sequence[str], name: str) -> Html:
    return element("svg", element("title", name), *parts, viewBox=f"0 0 {_WIDTH} {height}", role="img")
