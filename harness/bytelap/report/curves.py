"""The figure of learning curves: validation bits per byte over training seconds, both axes logarithmic."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from matplotlib.collections import LineCollection

from bytelap.report import style
from bytelap.report.labels import stack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from bytelap.report.entries import Entry
    from bytelap.report.races import Race

Curve: TypeAlias = "tuple[np.ndarray, np.ndarray]"
"""Training seconds (K,) and validation bits per byte (K,), seconds rising."""

# What is shown of the budget and of the scores: all curves start near guessing, what matters is where they end.
SHOWN_SECONDS = 1 / 2000
SHOWN_SCORES = 2.2
LINE_HEIGHT = 10.6  # of the names at the right edge, in points


def seed_curves(entry: Entry) -> list[Curve]:
    """The curve of each seed that has one."""
    found = []
    for run in entry.runs:
        points = [p for p in run.curve() if p.seconds > 0 and p.bits_per_byte > 0 and math.isfinite(p.bits_per_byte)]
        rising = {point.seconds: point.bits_per_byte for point in points}
        if rising:
            seconds = np.array(sorted(rising))
            found.append((seconds, np.array([rising[value] for value in seconds])))
    return found


def mean_curve(found: Sequence[Curve]) -> Curve:
    """The mean over seeds at the moments that all seeds cover, interpolated in log seconds."""
    low, high = max(seconds[0] for seconds, _ in found), min(seconds[-1] for seconds, _ in found)
    if len(found) == 1 or low >= high:
        return found[0]
    grid = np.geomspace(low, high, max(len(seconds) for seconds, _ in found))
    return grid, np.mean([np.interp(np.log(grid), np.log(seconds), bits) for seconds, bits in found], axis=0)


def draw_curves(race: Race, shown: Sequence[tuple[int, str, list[Curve]]]) -> Figure:
    """One line an entrant, its seeds thin behind it, names and final values at the right edge.

    Args:
        shown: place in the ranking from 0 (its colour in every figure), label, curves of the seeds; best first.
    """
    references = race.measured_references
    height = max(4.2, 0.7 + LINE_HEIGHT / 72 * (min(len(shown), style.MOST_LABELLED) + len(references)))
    figure, axes = style.blank(7.4, height, right=0.73)
    means = [mean_curve(found) for _, _, found in shown]
    last = max(race.budget.seconds or 0.0, *(float(seconds[-1]) for seconds, _ in means))
    first = min(float(seconds[0]) for seconds, _ in means)
    style.plain_log(axes, "x", max(0.9 * first, SHOWN_SECONDS * last), last)
    ends_at = [float(bits[-1]) for _, bits in means]
    low, high = style.score_range(
        ends_at,
        ends_at,
        [float(bits.max()) for _, bits in means],
        [value for _, value in references],
        SHOWN_SCORES,
    )
    style.plain_log(axes, "y", low, high)
    axes.set_xlabel(f"training seconds ({'CPU' if race.budget.clock == 'cpu' else 'wall'} time)")
    axes.set_ylabel("validation bits per byte")
    ends: list[tuple[float, str, str]] = []
    rest: list[np.ndarray] = []
    for (place, label, found), mean in zip(shown, means, strict=True):
        if place >= style.MOST_LABELLED:
            rest.append(np.column_stack(mean))
            continue
        _draw_entrant(axes, place, found if len(found) > 1 else [], mean, last)
        value = float(mean[1][-1])
        ends.append((value, f"{style.shorten(label)}  {value:.3f}", style.colour(place)))
    axes.add_collection(LineCollection(rest, colors=style.FAINT, linewidths=0.6, zorder=1), autolim=False)
    for name, value in references:
        style.dashed(axes, value)
        ends.append((value, f"{name} (test)  {value:.3f}", style.MUTED))
    _label_ends(axes, ends)
    return figure


def _draw_entrant(axes: Axes, index: int, seeds: Sequence[Curve], mean: Curve, last: float) -> None:
    colour, order = style.colour(index), 4 - index / 1000
    for seconds, bits in seeds:
        axes.plot(seconds, bits, color=colour, linewidth=0.45, alpha=0.4, zorder=2)
    seconds, bits = mean
    axes.plot(
        seconds,
        bits,
        color=colour,
        linestyle=style.dashes(index),
        linewidth=1.3,
        marker=style.marker(index),
        markevery=slice(len(bits) - 1, None, -3) if len(bits) > 4 else None,
        markersize=3.6,
        markeredgecolor=style.PAPER,
        markeredgewidth=0.4,
        zorder=order,
    )
    if seconds[-1] < 0.97 * last:
        axes.plot([seconds[-1], last], [bits[-1], bits[-1]], color=colour, linewidth=0.8, linestyle=":", zorder=order)


def _label_ends(axes: Axes, ends: Sequence[tuple[float, str, str]]) -> None:
    """Names at the right edge, stacked so that none overlaps, each joined to the end of its line."""
    _, high = style.extent(axes)
    bottom, top = axes.get_ylim()
    wanted = [math.log(min(value, top) / bottom) / math.log(top / bottom) * high for value, _, _ in ends]
    places = stack(wanted, LINE_HEIGHT, -22.0, high + 4)
    for (value, text, colour), want, place in zip(ends, wanted, places, strict=True):
        path = ([1.004, 1.012, 1.045], [want / high, want / high, place / high])
        axes.plot(*path, transform=axes.transAxes, color=colour, linewidth=0.6, clip_on=False)
        full = f"{text} ↑" if value > top else text
        at = (1.053, place / high)
        axes.text(*at, full, transform=axes.transAxes, color=colour, fontsize=7.8, va="center_baseline", ha="left")
