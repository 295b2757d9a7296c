"""Intervals against scipy's bootstrap, and against what they promise: to cover the truth 95 times in 100."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bytelap.evaluation.statistics import MOST_UNITS, bits_per_byte, bootstrap, bootstrap_seeds, interval


def simulate(rng: np.random.Generator, seeds: int, segments: int, seed_spread: float) -> tuple[np.ndarray, np.ndarray]:
    """Bits (S, N) and bytes (N,) around a true score of 2: hard and easy text, good and bad seeds, and noise."""
    sizes = rng.integers(200, 512, segments)
    rates = 2 + rng.normal(0, 0.2, segments) + rng.normal(0, seed_spread, (seeds, 1))
    return (rates + rng.normal(0, 0.05, (seeds, segments))) * sizes, sizes


def test_one_seed_agrees_with_scipys_percentile_bootstrap():
    bits, sizes = simulate(np.random.default_rng(1), 1, 400, 0.0)
    mine = interval(bootstrap(bits, sizes, resamples=8000), float(bits_per_byte(bits, sizes)[0]))
    theirs = stats.bootstrap(
        (bits[0], sizes.astype(float)),
        lambda bits, sizes, axis: bits.sum(axis=axis) / sizes.sum(axis=axis),
        paired=True,
        vectorized=True,
        method="percentile",
        n_resamples=8000,
        rng=np.random.default_rng(2),
    ).confidence_interval
    width = theirs.high - theirs.low
    assert mine.low == pytest.approx(theirs.low, abs=0.05 * width)
    assert mine.high == pytest.approx(theirs.high, abs=0.05 * width)


@pytest.mark.parametrize(("seeds", "spread"), [(3, 0.02), (5, 0.02), (8, 0.005)])
def test_interval_covers_the_truth_nineteen_times_in_twenty(seeds: int, spread: float):
    rng, hits, trials = np.random.default_rng(3), 0, 250
    for _ in range(trials):
        bits, sizes = simulate(rng, seeds, 100, spread)
        found = interval(bootstrap(bits, sizes, resamples=400), float(bits_per_byte(bits, sizes).mean()))
        hits += found.low <= 2 <= found.high
    assert hits / trials >= 0.91, "three standard errors below 0.95"


def test_scores_alone_cover_the_truth_too():
    rng, trials = np.random.default_rng(4), 300
    draws = [rng.normal(2, 0.01, 3) for _ in range(trials)]
    found = [interval(bootstrap_seeds(scores, resamples=300), float(scores.mean())) for scores in draws]
    assert np.mean([one.low <= 2 <= one.high for one in found]) >= 0.91


def test_two_entrants_on_one_text_are_resampled_in_pairs():
    bits, sizes = simulate(np.random.default_rng(5), 1, 300, 0.0)
    difference = bootstrap(bits + 0.01 * sizes, sizes) - bootstrap(bits, sizes)
    np.testing.assert_allclose(difference, 0.01, rtol=1e-9)


def test_more_seeds_or_more_text_narrow_the_interval():
    def width(seeds: int, segments: int) -> float:
        bits, sizes = simulate(np.random.default_rng(6), seeds, segments, 0.02)
        found = interval(bootstrap(bits, sizes), float(bits_per_byte(bits, sizes).mean()))
        return found.high - found.low

    assert width(3, 200) > width(10, 200) > width(10, 800)


def test_long_texts_are_joined_without_changing_the_mean():
    bits, sizes = simulate(np.random.default_rng(7), 2, 3 * MOST_UNITS + 5, 0.0)
    assert bootstrap(bits, sizes).mean() == pytest.approx(float(bits_per_byte(bits, sizes).mean()), abs=1e-3)


def test_same_runs_give_the_same_interval():
    bits, sizes = simulate(np.random.default_rng(8), 3, 50, 0.01)
    np.testing.assert_array_equal(bootstrap(bits, sizes), bootstrap(bits, sizes))
