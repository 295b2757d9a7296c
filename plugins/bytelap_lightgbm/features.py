"""What the trees see of a position: its likeliest next symbols, one row each, with what speaks for and against them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bytelap_lightgbm.config import LightGBMConfig
from bytelap_lightgbm.ngram import KneserNey

# Probabilities of all orders are held for this many (position, symbol) pairs at once: a few MB an order.
PAIRS_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class Candidates:
    """n positions and their R candidates, in order of position. F features."""

    base: np.ndarray
    """(n, S) float32: the n-gram's distribution."""
    position: np.ndarray
    """(R,) int64, ascending: which of the n positions."""
    symbol: np.ndarray
    """(R,) int64."""
    features: np.ndarray
    """(R, F) float32."""

    @property
    def margin(self) -> np.ndarray:
        """(R,) float32: log-probability of each candidate under the n-gram, where boosting starts."""
        margin: np.ndarray = np.log(self.base[self.position, self.symbol])
        return margin


def candidates(table: KneserNey, tokens: np.ndarray, config: LightGBMConfig) -> Iterator[Candidates]:
    """Every position of windows of symbols, (B, T) int64, a few thousand at a time, rows one after another.

    Position (b, t) depends on tokens[b, :t + 1] only.
    """
    contexts = table.contexts(tokens)  # (order + 1, B, T)
    followers, distance = _earlier_followers(tokens, contexts, config.window)
    last = np.full((config.recent, *tokens.shape), -1, dtype=np.int64)
    for age in range(config.recent):
        last[age, :, age:] = tokens[:, : max(0, tokens.shape[1] - age)]
    size = tokens.size
    contexts, followers = contexts.reshape(-1, size), followers.reshape(-1, size)
    context_features = np.concatenate([distance.reshape(1, size), last.reshape(-1, size)]).astype(np.float32)
    step = max(1, PAIRS_AT_ONCE // table.symbols)
    for start in range(0, size, step):
        part = slice(start, start + step)
        yield _describe(table, contexts[:, part], followers[:, part], context_features[:, part], config)


def _earlier_followers(tokens: np.ndarray, contexts: np.ndarray, window: int) -> tuple[np.ndarray, np.ndarray]:
    """What came next when the last k = 1..order tokens were last seen in this row, at most `window` tokens ago.

    Returns:
        (order, B, T) int64 symbols, -1 if they were not seen; (B, T) int64 tokens since the longest such occurrence.
    """
    rows, length = tokens.shape
    followers = np.full((len(contexts) - 1, rows, length), -1, dtype=np.int64)
    distance = np.full((rows, length), window, dtype=np.int64)
    for k, codes in enumerate(contexts[1:]):
        order = np.argsort(codes, axis=1, kind="stable")
        ordered = np.take_along_axis(codes, order, axis=1)
        row, place = np.nonzero(ordered[:, 1:] == ordered[:, :-1])
        here, before = order[row, place + 1], order[row, place]
        near = here - before < window
        row, here, before = row[near], here[near], before[near]
        followers[k, row, here] = tokens[row, before + 1]
        distance[row, here] = here - before
    return followers, distance


def _describe(
    table: KneserNey, contexts: np.ndarray, followers: np.ndarray, context_features: np.ndarray, config: LightGBMConfig
) -> Candidates:
    by_order, longest, kinds = table.distributions(contexts)  # (order + 1, n, S), (n,), (order + 1, n)
    base = by_order[-1]
    width = min(config.classes, table.symbols)
    top = np.argpartition(-base, width - 1, axis=1)[:, :width]  # (n, K)
    chance = np.take_along_axis(base, top, axis=1)
    best = chance.max(axis=1, keepdims=True)
    position, column = np.nonzero((chance >= config.floor) | (chance == best))
    symbol = top[position, column]
    hits = followers[:, position] == symbol  # (order, R)
    lengths = np.arange(1, len(followers) + 1)[:, None]
    logs = np.log(by_order[:, position, symbol])  # (order + 1, R)
    columns = [
        logs[-1],
        *(logs[1:-1] - logs[-1]),
        symbol,
        (hits * lengths).max(axis=0),  # the longest repeated context that was followed by this candidate
        ((followers >= 0) * lengths).max(axis=0)[position],  # the longest repeated context
        best[position, 0],
        longest[position],
        *np.log1p(kinds[1:, position]),
        *context_features[:, position],
    ]
    return Candidates(base, position, symbol, np.stack([np.asarray(c, dtype=np.float32) for c in columns], axis=1))
