"""Places for labels that do not overlap: stacked beside a plot, or around points. Lengths are in points, 1/72 inch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Box:
    """A rectangle."""

    left: float
    bottom: float
    width: float
    height: float

    def overlap(self, other: Box) -> float:
        """Area that two boxes share."""
        wide = min(self.left + self.width, other.left + other.width) - max(self.left, other.left)
        high = min(self.bottom + self.height, other.bottom + other.height) - max(self.bottom, other.bottom)
        return max(0.0, wide) * max(0.0, high)

    def outside(self, frame: Box) -> float:
        """Area that sticks out of `frame`."""
        return self.width * self.height - self.overlap(frame)


def stack(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Heights near the wanted ones, at least `gap` apart and within [low, high] if they fit; the order is kept.

    Neighbours that are too close are pooled and spread around their mean (as isotonic regression does).
    """
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    pools: list[tuple[float, list[int]]] = []  # (centre, members from bottom to top)
    for index in order:
        pools.append((_within(wanted[index], 1, gap, low, high), [index]))
        while len(pools) > 1:
            (below, some), (above, more) = pools[-2:]
            if above - below >= gap * (len(some) + len(more)) / 2 - 1e-9:
                break
            members = some + more
            centre = (below * len(some) + above * len(more)) / len(members)
            pools[-2:] = [(_within(centre, len(members), gap, low, high), members)]
    places = [0.0] * len(wanted)
    for centre, members in pools:
        for position, index in enumerate(members):
            places[index] = centre + gap * (position - (len(members) - 1) / 2)
    return places


def _within(centre: float, members: int, gap: float, low: float, high: float) -> float:
    reach = gap * (members - 1) / 2
    return max(low + reach, min(high - reach, centre)) if high - low >= 2 * reach else (low + high) / 2


def around(
    points: Sequence[tuple[float, float]], sizes: Sequence[tuple[float, float]], frame: Box, taken: Sequence[Box]
) -> list[Box]:
    """A place for each point's label: near it, inside the frame, off the other points, labels and `taken` boxes.

    Greedy, in the order given;
    points beyond the labels are only kept clear; tries rings of growing distance and takes the cheapest place.
    """
    dots = [Box(x - 4, y - 4, 8, 8) for x, y in points]
    placed: list[Box] = []
    for (x, y), (width, height) in zip(points, sizes, strict=False):
        best, lowest = Box(x + 6, y - height / 2, width, height), math.inf
        for radius in (7.0, 12.0, 19.0, 28.0, 39.0, 52.0):
            for step in range(16):
                angle = 2 * math.pi * step / 16
                box = _beside(x + radius * math.cos(angle), y + radius * math.sin(angle), angle, width, height)
                crowd = sum(box.overlap(other) for other in (*dots, *placed, *taken)) + box.outside(frame)
                # To the right is where people look first.
                cost = 20 * crowd + radius + 3 * (1 - math.cos(angle)) + abs(math.sin(2 * angle))
                if cost < lowest:
                    best, lowest = box, cost
        placed.append(best)
    return placed


def _beside(x: float, y: float, angle: float, width: float, height: float) -> Box:
    """The box whose edge facing back along `angle` touches (x, y)."""
    return Box(x - width * (1 - math.cos(angle)) / 2, y - height * (1 - math.sin(angle)) / 2, width, height)
