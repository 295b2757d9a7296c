"""Places for labels that do not overlap: stacked beside a plot, or around points. Lengths are in points, 1/72 inch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

RINGS = (7.0, 12.0, 19.0, 28.0, 39.0, 52.0, 68.0, 88.0)  # distances of a label from its point
SWEEPS = 4
CROWD = 20.0  # cost of a square point of overlap, in points of distance


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

    One label after another takes the cheapest place on rings around its point, then each may move again, until none
    does. Points beyond the labels are only kept clear.
    """
    fixed = [*(Box(x - 4, y - 4, 8, 8) for x, y in points), *taken]
    options = [_options(x, y, size, frame, fixed) for (x, y), size in zip(points, sizes, strict=False)]
    placed: dict[int, Box] = {}
    for _ in range(SWEEPS):
        before = dict(placed)
        for index, choices in enumerate(options):
            others = [box for other, box in placed.items() if other != index]
            placed[index] = min(choices, key=lambda one: one[1] + CROWD * sum(map(one[0].overlap, others)))[0]
        if placed == before:
            break
    return [placed[index] for index in range(len(options))]


def _options(
    x: float, y: float, size: tuple[float, float], frame: Box, fixed: Sequence[Box]
) -> list[tuple[Box, float]]:
    """Boxes around a point and what each costs, labels of others aside."""
    options = []
    for radius in RINGS:
        for step in range(16):
            angle = 2 * math.pi * step / 16
            box = _beside(x + radius * math.cos(angle), y + radius * math.sin(angle), angle, *size)
            crowd = sum(box.overlap(other) for other in fixed) + box.outside(frame)
            # To the right is where people look first.
            options.append((box, CROWD * crowd + radius + 3 * (1 - math.cos(angle)) + abs(math.sin(2 * angle))))
    return options


def _beside(x: float, y: float, angle: float, width: float, height: float) -> Box:
    """The box whose edge facing back along `angle` touches (x, y)."""
    return Box(x - width * (1 - math.cos(angle)) / 2, y - height * (1 - math.sin(angle)) / 2, width, height)
