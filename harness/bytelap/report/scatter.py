"""The figure of final scores against a size, both axes logarithmic; a size of zero stands apart at the left."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from bytelap.report import style
from bytelap.report.labels import Box, around

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from bytelap.evaluation.statistics import Interval
    from bytelap.report.races import Race

# Scores beyond this multiple of the best are marked at the upper edge.
SHOWN_SCORES = 1.7
TEXT = 7.8


@dataclass(frozen=True)
class Mark:
    """One entrant in the figure."""

    place: int
    """In the ranking, from 0: its colour in every figure."""
    label: str
    size: float
    score: Interval


def draw_sizes(race: Race, marks: Sequence[Mark], title: str) -> Figure:
    """One point an entrant (best first), with its interval and name, and the frontier of size against score."""
    figure, axes = style.blank(7.4, 4.6)
    low, high = style.score_range(
        [mark.score.mean for mark in marks],
        [mark.score.low for mark in marks],
        [mark.score.high for mark in marks],
        [value for _, value in race.measured_references],
        SHOWN_SCORES,
    )
    style.plain_log(axes, "y", low, high)
    zero = _size_axis(axes, [mark.size for mark in marks])
    axes.set_xlabel(title)
    axes.set_ylabel("test bits per byte")
    points = [(mark.size or zero, min(max(mark.score.mean, low), high)) for mark in marks]
    for _, value in race.measured_references:
        style.dashed(axes, value)
    bars = [
        [(x, min(max(end, low), high)) for end in (mark.score.low, mark.score.high)]
        for mark, (x, _) in zip(marks, points, strict=True)
    ]
    for mark, point, bar in zip(marks, points, bars, strict=True):
        _draw_point(axes, mark.place, point, bar)
    steps = _frontier(axes, [point for point in points if point[1] < high])
    taken = [*_label_references(axes, race.measured_references, points), *_boxes(axes, [*steps, *bars])]
    _label_points(axes, [mark for mark in marks if mark.place < style.MOST_LABELLED], points, taken)
    return figure


def _size_axis(axes: Axes, values: Sequence[float]) -> float:
    """A log axis over the positive sizes; returns where zero stands: apart at the left, marked 0."""
    positive = [value for value in values if value > 0] or [1.0]
    low, high = min(positive) / 1.8, max(positive) * 1.8
    if all(value > 0 for value in values):
        style.plain_log(axes, "x", low, high)
        return low
    width = math.pow(high / low, 0.08)
    zero = low / width
    style.plain_log(axes, "x", zero / width, high)
    ticks = [tick for tick in style.log_ticks(zero / width, high) if tick >= low]
    axes.set_xticks([zero, *ticks], labels=["0", *style.tick_texts(ticks)])
    axes.axvline(low, color=style.FAINT, linewidth=0.8, linestyle=(0, (1, 2)), zorder=1)
    return zero


def _frontier(axes: Axes, points: Sequence[tuple[float, float]]) -> list[list[tuple[float, float]]]:
    """Draw the steps between entrants that no smaller one beats; returns their straight pieces."""
    best: list[tuple[float, float]] = []
    for size, score in sorted(points):
        if not best or score < best[-1][1]:
            best.append((size, score))
    if not best:
        return []
    best.append((axes.get_xlim()[1], best[-1][1]))
    axes.plot(*zip(*best, strict=True), drawstyle="steps-post", color=style.FAINT, linewidth=0.9, zorder=1.2)
    flat = [[here, (there[0], here[1])] for here, there in pairwise(best)]
    steep = [[(there[0], here[1]), there] for here, there in pairwise(best)]
    return flat + steep


def _draw_point(axes: Axes, index: int, point: tuple[float, float], bar: Sequence[tuple[float, float]]) -> None:
    grey = index >= style.MOST_LABELLED
    colour = style.FAINT if grey else style.colour(index)
    if bar[1] > bar[0]:
        axes.plot(*zip(*bar, strict=True), color=colour, linewidth=1.1, zorder=2)
    axes.plot(
        *([value] for value in point),
        marker=style.marker(index),
        color=colour,
        markersize=3.5 if grey else 6,
        markeredgecolor=style.PAPER,
        markeredgewidth=0.6,
        zorder=2 if grey else 3,
        clip_on=False,
    )


def _label_references(
    axes: Axes, references: Sequence[tuple[str, float]], points: Sequence[tuple[float, float]]
) -> list[Box]:
    """Names above the reference lines, at the end that is less crowded; returns what they take."""
    wide, high = style.extent(axes)
    dots = [Box(x - 8, y - 8, 16, 16) for x, y in _on_page(axes, points)]
    taken: list[Box] = []
    for name, value in references:
        y = _on_page(axes, [(points[0][0], value)])[0][1]
        text = f"{name}  {value:.3f}"
        width, _ = style.text_size(axes, text, 7.4)
        ends = [Box(left, y + 2, width, 9) for left in (wide - width - 6, 4.0)]
        box = min(ends, key=lambda end: sum(end.overlap(other) for other in (*dots, *taken)))
        taken += [box, Box(0, y - 1, wide, 2)]
        at = (box.left / wide, box.bottom / high)
        axes.text(*at, text, transform=axes.transAxes, fontsize=7.4, color=style.MUTED, va="bottom")
    return taken


def _label_points(
    axes: Axes, named: Sequence[Mark], points: Sequence[tuple[float, float]], taken: Sequence[Box]
) -> None:
    """Names beside their points without overlap, joined by a thin line where they had to move away."""
    wide, high = style.extent(axes)
    places = _on_page(axes, points)
    top = axes.get_ylim()[1]
    above = [f" {mark.score.mean:.2f} ↑" if mark.score.mean > top else "" for mark in named]
    texts = [style.shorten(mark.label) + more for mark, more in zip(named, above, strict=True)]
    sizes = [style.text_size(axes, text, TEXT) for text in texts]
    boxes = around(places, sizes, Box(0, 0, wide, high + 8), taken)
    for mark, text, box, (x, y) in zip(named, texts, boxes, places, strict=False):
        colour = style.colour(mark.place)
        near = (min(max(x, box.left), box.left + box.width), min(max(y, box.bottom), box.bottom + box.height))
        if math.dist(near, (x, y)) > 11:
            path = ([x / wide, near[0] / wide], [y / high, near[1] / high])
            axes.plot(*path, transform=axes.transAxes, color=colour, linewidth=0.5, zorder=2.5)
        at = (box.left / wide, (box.bottom + box.height / 2) / high)
        axes.text(*at, text, transform=axes.transAxes, fontsize=TEXT, color=colour, va="center", zorder=5)


def _on_page(axes: Axes, points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Points of the data in points (1/72 inch) from the lower left corner of the plot."""
    wide, high = style.extent(axes)
    inside = (axes.transData + axes.transAxes.inverted()).transform(np.array(points, np.float64))
    return [(float(x) * wide, float(y) * high) for x, y in inside]


def _boxes(axes: Axes, lines: Sequence[Sequence[tuple[float, float]]]) -> list[Box]:
    """Thin boxes around upright or level lines, so that labels keep off them."""
    boxes = []
    for line in lines:
        (left, first), (right, second) = _on_page(axes, line)
        boxes.append(Box(left - 0.7, min(first, second) - 0.7, right - left + 1.4, abs(second - first) + 1.4))
    return boxes
