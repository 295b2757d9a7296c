"""The rows that trees are grown on, the loss that they lower, and how long a round takes."""

from __future__ import annotations

from dataclasses import dataclass, field

import lightgbm
import numpy as np

from bytelap import Clock
from bytelap_lightgbm.features import Candidates

PILOT_ROUNDS = 3  # the fastest counts: the first one also allocates


@dataclass
class Rows:
    """Candidates of n positions, R rows, collected part by part."""

    features: list[np.ndarray] = field(default_factory=list)
    """Parts of (R, F) float32."""
    margins: list[np.ndarray] = field(default_factory=list)
    """Parts of (R,) float32: log-weight of each candidate before boosting."""
    labels: list[np.ndarray] = field(default_factory=list)
    """Parts of (R,) bool: is it the token that came next?"""
    sizes: list[np.ndarray] = field(default_factory=list)
    """Parts of (n,) int64: candidates per position."""
    rests: list[np.ndarray] = field(default_factory=list)
    """Parts of (n,) float32: probability of all other symbols together before boosting."""
    positions: int = 0

    def add(self, part: Candidates, targets: np.ndarray, scores: np.ndarray) -> None:
        """Append positions with their next tokens (n,) and what trees grown earlier say of each row."""
        margin = part.margin
        self.features.append(part.features)
        self.margins.append(margin + scores)
        self.labels.append(targets[part.position] == part.symbol)
        self.sizes.append(np.bincount(part.position, minlength=len(targets)))
        inside = np.bincount(part.position, np.exp(margin), minlength=len(targets))
        self.rests.append(np.maximum(1.0 - inside, 0.0).astype(np.float32))
        self.positions += len(targets)

    def dataset(self, bins: int) -> lightgbm.Dataset:
        """Everything collected so far, binned."""
        parameters = {"max_bin": bins, "feature_pre_filter": False, "verbosity": -1, "bin_construct_sample_cnt": 50_000}
        return lightgbm.Dataset(
            self.features, np.concatenate(self.labels), init_score=np.concatenate(self.margins), params=parameters
        )


class Softmax:
    """Multinomial log-loss over the candidates of each position and the rest of the vocabulary."""

    def __init__(self, rows: Rows) -> None:
        self.labels = np.concatenate(rows.labels).astype(np.float32)  # (R,)
        self.sizes, self.rests = np.concatenate(rows.sizes), np.concatenate(rows.rests)  # (n,) each
        self.starts = np.cumsum(self.sizes) - self.sizes

    def __call__(self, margins: np.ndarray, _: lightgbm.Dataset) -> tuple[np.ndarray, np.ndarray]:
        """First and second derivative with respect to the margins, (R,) each."""
        weights = np.exp(margins.astype(np.float32))
        totals = np.add.reduceat(weights, self.starts) + self.rests
        chances = weights / np.repeat(totals, self.sizes)
        return chances - self.labels, chances * (1.0 - chances)


def seconds_per_position(
    rows: Rows, parameters: dict[str, int | float | str | bool], clock: Clock
) -> tuple[float, float]:
    """Time per position, on the budget's clock, for binning the rows and for one round; grows trees and drops them."""
    begun = clock.elapsed
    booster = lightgbm.Booster(parameters, rows.dataset(int(parameters["max_bin"])))
    marks = [clock.elapsed]
    objective = Softmax(rows)
    for _ in range(PILOT_ROUNDS):
        booster.update(fobj=objective)
        marks.append(clock.elapsed)
    return (marks[0] - begun) / rows.positions, min(np.diff(marks).tolist()) / rows.positions
