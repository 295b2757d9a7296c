"""Interpolated modified Kneser-Ney statistics (Chen and Goodman 1999) on packed integers.

An n-gram is one unsigned 64-bit integer, oldest token in the highest bits, predicted token in the lowest. Sorting the
integers groups them by context, and masking the oldest token off an n-gram gives the (n-1)-gram below it, so
every order is counted by one sort of plain integers. Exact: no hashing, no collisions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Word = np.uint64


@dataclass(frozen=True)
class Level:
    """All n-grams of one order, grouped by context. C contexts, E entries."""

    contexts: np.ndarray
    """(C,) uint64, ascending."""
    starts: np.ndarray
    """(C + 1,) int64: context c owns the entries starts[c]:starts[c + 1]."""
    symbols: np.ndarray
    """(E,) int32: the predicted symbol."""
    discounted: np.ndarray
    """(E,) float32: (count - discount) / total of its context."""
    backoff: np.ndarray
    """(C,) float32: the share of the next lower order."""


class KneserNey:
    """P(next symbol | last 0..order symbols) for S symbols.

    Args:
        ngrams: (E,) uint64, ascending and distinct, of order `order`.
        counts: (E,) int64, how often each occurs.
    """

    def __init__(self, ngrams: np.ndarray, counts: np.ndarray, symbols: int, order: int) -> None:
        self.ngrams, self.counts, self.symbols, self.order = ngrams, counts, symbols, order
        self.bits = bits_per_symbol(symbols)
        levels = [_level(ngrams, counts, self.bits)]
        for lower in range(order - 1, -1, -1):  # a lower order counts the distinct contexts it was seen in
            ngrams, counts = _distinct(ngrams & Word((1 << self.bits * (lower + 1)) - 1))
            levels.append(_level(ngrams, counts, self.bits))
        self.levels = levels[::-1]

    @classmethod
    def count(cls, tokens: np.ndarray, symbols: int, order: int) -> KneserNey:
        """Statistics of a text, (N,) integers below `symbols`, N > order. Takes about 0.15 µs a token and core."""
        bits = Word(bits_per_symbol(symbols))
        reach = len(tokens) - order
        packed = np.zeros(reach, dtype=Word)
        for age in range(order + 1):
            packed <<= bits
            packed |= tokens[age : age + reach].astype(Word) + Word(1)
        return cls(*_distinct(packed), symbols, order)

    @property
    def parameters(self) -> int:
        """Probabilities and backoff weights of all orders."""
        return sum(len(level.discounted) + len(level.backoff) for level in self.levels)

    def contexts(self, tokens: np.ndarray) -> np.ndarray:
        """The last k symbols after each prefix as one integer, k = 0..order: (B, T) -> (order + 1, B, T) uint64.

        Before the start of a row stands 0, which no counted context has. A symbol that was never counted is `symbols`.
        """
        codes = np.zeros((self.order + 1, *tokens.shape), dtype=Word)
        shifted = tokens.astype(Word) + Word(1)
        for k in range(1, self.order + 1):
            codes[k] = codes[k - 1]
            codes[k, :, k - 1 :] |= shifted[:, : max(0, tokens.shape[1] - k + 1)] << Word(self.bits * (k - 1))
        return codes

    def distributions(self, contexts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What the contexts of n positions, (order + 1, n) uint64, predict.

        Returns:
            (order + 1, n, S) float32: P by order; (n,) int64: the longest order whose context was counted;
            (order + 1, n) float32: how many different symbols were counted after the context of each order.
        """
        size = contexts.shape[1]
        probabilities = np.empty((self.order + 1, size, self.symbols), dtype=np.float32)
        longest = np.zeros(size, dtype=np.int64)
        kinds = np.zeros((self.order + 1, size), dtype=np.float32)
        current = np.full((size, self.symbols), 1.0 / self.symbols, dtype=np.float32)
        for k, level in enumerate(self.levels):
            place = np.minimum(np.searchsorted(level.contexts, contexts[k]), len(level.contexts) - 1)
            known = np.flatnonzero(level.contexts[place] == contexts[k])
            place, longest[known] = place[known], k
            current[known] *= level.backoff[place, None]
            first, many = level.starts[place], np.diff(level.starts)[place]
            entries = np.repeat(first - np.cumsum(many) + many, many) + np.arange(many.sum())
            current.reshape(-1)[np.repeat(known, many) * self.symbols + level.symbols[entries]] += level.discounted[
                entries
            ]
            probabilities[k], kinds[k, known] = current, many
        return probabilities, longest, kinds


def bits_per_symbol(symbols: int) -> int:
    """Bits that hold 0 (before the start), 1..symbols, and symbols + 1 (never counted)."""
    return int(symbols + 1).bit_length()


def highest_order(symbols: int) -> int:
    """The longest context that fits into 64 bits together with the predicted symbol."""
    return 64 // bits_per_symbol(symbols) - 1


def _distinct(packed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct values, ascending, and how often each occurs."""
    packed = np.sort(packed)
    first = _first_of_each(packed)
    return packed[first], np.diff(first, append=len(packed))


def _first_of_each(ascending: np.ndarray) -> np.ndarray:
    return np.flatnonzero(np.concatenate([[True], ascending[1:] != ascending[:-1]]))


def _level(ngrams: np.ndarray, counts: np.ndarray, bits: int) -> Level:
    contexts = ngrams >> Word(bits)
    first = _first_of_each(contexts)
    starts = np.append(first, len(ngrams))
    totals = np.add.reduceat(counts, first)
    discount = _discounts(counts)[np.minimum(counts, 3)]
    return Level(
        contexts=contexts[first],
        starts=starts,
        symbols=(ngrams & Word((1 << bits) - 1)).astype(np.int32) - 1,
        discounted=((counts - discount) / np.repeat(totals, np.diff(starts))).astype(np.float32),
        backoff=(np.add.reduceat(discount, first) / totals).astype(np.float32),
    )


def _discounts(counts: np.ndarray) -> np.ndarray:
    """What is taken off a count of 0, 1, 2, 3 or more: Chen and Goodman's estimates, kept inside (0, count)."""
    seen = [max(1, int(np.count_nonzero(counts == count))) for count in (1, 2, 3, 4)]
    share = seen[0] / (seen[0] + 2 * seen[1])
    raw = [count - (count + 1) * share * seen[count] / seen[count - 1] for count in (1, 2, 3)]
    return np.array([0.0] + [min(max(d, 0.05 * n), 0.95 * n) for n, d in enumerate(raw, start=1)])
