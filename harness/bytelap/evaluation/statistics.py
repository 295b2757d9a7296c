"""How sure a score is: the bootstrap over seeds and segments.

Two sources of chance are crossed: which seed a run drew and which text happened to be in the test split. Segments
are resampled jointly for all seeds, because every seed is scored on the same text, so the differences between two
entrants can later be resampled with the same draws (paired). Source: Owen, "The pigeonhole bootstrap" (2007),
arXiv:0712.1111; Student's correction for few seeds as in Hesterberg (2015), arXiv:1411.5279, section 3.2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

RESAMPLES = 2000
# Neighbouring segments are joined until at most this many remain: bounds memory, and what is near is correlated.
MOST_UNITS = 1024
# The draws are the same in every report of the same runs, and the same for every entrant: that pairs them.
DRAWS = 20240


@dataclass(frozen=True)
class Interval:
    """A mean and the ends of its confidence interval, in the unit of the scores."""

    mean: float
    low: float
    high: float


def bits_per_byte(bits: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Bits per byte of each seed: bits (S, N), raw bytes of the segments (N,) -> (S,)."""
    result: np.ndarray = bits.sum(axis=1) / sizes.sum()
    return result


def bootstrap(
    bits: np.ndarray, sizes: np.ndarray, level: float = 0.95, resamples: int = RESAMPLES, draws: int = DRAWS
) -> np.ndarray:
    """Resampled means over seeds of the bits per byte.

    The spread between seeds is widened by sqrt(S / (S - 1)) and by Student's over the normal quantile of `level`:
    a plain percentile bootstrap of three seeds would cover 75 % instead of 95 %.

    Args:
        bits: (S, N) float64, bits of every segment for every seed.
        sizes: (N,) raw bytes of every segment, the same for all seeds.

    Returns:
        (resamples,) float64.
    """
    bits, sizes = _joined(np.asarray(bits, np.float64)), _joined(np.asarray(sizes, np.float64)[None])[0]
    seeds, units = bits.shape
    rng = np.random.default_rng([draws, units])
    counts = rng.multinomial(units, np.full(units, 1 / units), size=resamples)  # (R, N)
    per_seed = (counts @ bits.T) / (counts @ sizes)[:, None]  # (R, S)
    return _with_seeds(per_seed, seeds, level, rng)


def bootstrap_seeds(scores: Sequence[float], level: float = 0.95, resamples: int = RESAMPLES) -> np.ndarray:
    """The same from one score a seed (S,), when segments were not stored: chance in the text is then left out."""
    per_seed = np.broadcast_to(np.asarray(scores, np.float64), (resamples, len(scores)))
    return _with_seeds(per_seed, len(scores), level, np.random.default_rng([DRAWS, len(scores)]))


def interval(samples: np.ndarray, mean: float, level: float = 0.95) -> Interval:
    """The percentile interval of resampled means (R,) around their `mean`."""
    low, high = np.quantile(samples, [(1 - level) / 2, (1 + level) / 2])
    return Interval(mean, float(min(low, mean)), float(max(high, mean)))


def _with_seeds(per_seed: np.ndarray, seeds: int, level: float, rng: np.random.Generator) -> np.ndarray:
    """Resample seeds on top of resampled text: (R, S) -> (R,)."""
    centre: np.ndarray = per_seed.mean(axis=1)
    if seeds == 1:
        return centre
    chosen = rng.integers(seeds, size=per_seed.shape)  # (R, S)
    deviation = np.take_along_axis(per_seed, chosen, axis=1).mean(axis=1) - centre  # (R,)
    result: np.ndarray = centre + _widening(seeds, level) * deviation
    return result


def _widening(seeds: int, level: float) -> float:
    from scipy.special import ndtri, stdtrit

    upper = (1 + level) / 2
    return float(np.sqrt(seeds / (seeds - 1)) * stdtrit(seeds - 1, upper) / ndtri(upper))


def _joined(values: np.ndarray) -> np.ndarray:
    """Sums of neighbouring columns, (S, N) -> (S, at most MOST_UNITS)."""
    each = -(-values.shape[1] // MOST_UNITS)
    if each == 1:
        return values
    joined: np.ndarray = np.add.reduceat(values, np.arange(0, values.shape[1], each), axis=1)
    return joined
