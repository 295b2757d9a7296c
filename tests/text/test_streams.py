"""The samplers: each window once per epoch, order from the seed alone, resumed where they stopped."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from bytelap import BytelapError, TrainingData


def _data(size: int, seed: int = 1, positions: dict[str, int] | None = None) -> TrainingData:
    """A stream whose every token is its own position."""
    offsets = np.array([0, size // 3, size], dtype=np.int64)
    return TrainingData(np.arange(size, dtype=np.uint32), offsets, seed, positions if positions is not None else {})


def _take(data: TrainingData, sampler: str, batch: int, length: int, count: int) -> list[np.ndarray]:
    return list(itertools.islice(getattr(data, sampler)(batch, length), count))


@pytest.mark.parametrize(("size", "batch", "length"), [(1_000, 4, 17), (1_000, 7, 17), (97, 1, 97), (50, 64, 9)])
def test_every_window_is_visited_once_per_epoch(size: int, batch: int, length: int):
    per_epoch = (size - length) // (length - 1) + 1
    batches = _take(_data(size), "windows", batch, length, -(-3 * per_epoch // batch))
    assert all(batch_.shape == (batch, length) and batch_.dtype == np.int64 for batch_ in batches)
    rows = np.concatenate(batches)
    np.testing.assert_array_equal(rows - rows[:, :1], np.broadcast_to(np.arange(length), rows.shape))
    for epoch in range(3):
        starts = np.sort(rows[epoch * per_epoch : (epoch + 1) * per_epoch, 0])
        np.testing.assert_array_equal(np.diff(starts), length - 1)  # neighbours share a token: each is a target once


def test_epochs_differ_in_order_and_phase():
    per_epoch = (10_000 - 33) // 32 + 1
    rows = np.concatenate(_take(_data(10_000), "windows", 1, 33, 4 * per_epoch))[:, 0].reshape(4, per_epoch)
    assert len({tuple(epoch) for epoch in rows.tolist()}) == 4
    assert len({epoch.min() for epoch in rows}) > 1
    assert abs(np.corrcoef(np.arange(per_epoch), rows[0])[0, 1]) < 0.3  # not in reading order


@pytest.mark.parametrize("sampler", ["windows", "lanes"])
def test_order_follows_from_the_seed_alone(sampler: str):
    first = np.stack(_take(_data(1_000, seed=5), sampler, 4, 16, 80))
    np.testing.assert_array_equal(first, np.stack(_take(_data(1_000, seed=5), sampler, 4, 16, 80)))
    assert (first != np.stack(_take(_data(1_000, seed=6), sampler, 4, 16, 80))).any()


@pytest.mark.parametrize("sampler", ["windows", "lanes"])
@pytest.mark.parametrize("stop", [1, 20, 61])
def test_sampler_resumes_where_it_stopped(sampler: str, stop: int):
    whole = _take(_data(1_000), sampler, 4, 16, 80)
    positions: dict[str, int] = {}
    _take(_data(1_000, positions=positions), sampler, 4, 16, stop)
    rest = _take(_data(1_000, positions=dict(positions)), sampler, 4, 16, 80 - stop)
    np.testing.assert_array_equal(np.stack(whole[stop:]), np.stack(rest))


def test_two_shapes_are_sampled_side_by_side():
    data = _data(1_000)
    wide, narrow = data.windows(4, 16), data.windows(2, 8)
    mixed = [(next(wide), next(narrow)) for _ in range(10)]
    alone = _take(_data(1_000), "windows", 4, 16, 10), _take(_data(1_000), "windows", 2, 8, 10)
    for (a, b), c, d in zip(mixed, *alone, strict=True):
        np.testing.assert_array_equal(a, c)
        np.testing.assert_array_equal(b, d)


def test_lanes_read_on_for_ever_around_the_end():
    size, batch, length = 100, 3, 16
    chunks = _take(_data(size), "lanes", batch, length, 30)
    for before, after in itertools.pairwise(chunks):
        assert before.shape == (batch, length + 1)
        np.testing.assert_array_equal(before[:, -1], after[:, 0])
    lane = np.concatenate([chunk[:, :-1] for chunk in chunks], axis=1)
    np.testing.assert_array_equal(np.diff(lane, axis=1) % size, 1)
    assert sorted(np.diff(np.sort(lane[:, 0]))) in ([33, 33], [33, 34], [34, 34])


def test_corpus_smaller_than_a_window_is_one_sentence():
    with pytest.raises(BytelapError, match="has 16 tokens, less than one window of 17: use a larger corpus"):
        next(_data(16).windows(1, 17))
    with pytest.raises(BytelapError, match="has 1 tokens, less than one window of 2"):
        next(_data(1).lanes(1, 8))


def test_large_streams_need_little_memory_for_their_order():
    data = TrainingData(np.broadcast_to(np.uint8(1), (200_000_000,)), np.array([0, 200_000_000]), 1)
    _, order = data._epoch(0, 3_000_000, 64, 65)
    assert order.nbytes == 12_000_000
    assert next(data.windows(8, 65)).shape == (8, 65)
