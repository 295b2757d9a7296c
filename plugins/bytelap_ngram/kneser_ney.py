"""`ngram`: interpolated Kneser-Ney smoothing with three discounts per order ("modified").

    p(w | c) = max(a(c w) - D(a(c w)), 0) / a(c ·)  +  escape(c) p(w | c without its first token)

where a is the number of occurrences for the longest n-grams and of distinct left neighbours for the shorter ones, and
escape(c) is the mass that the discounts took away. The empty context falls back on 1 / V, so no token is impossible.

Chen & Goodman 1999, An empirical study of smoothing techniques for language modeling, Computer Speech & Language 13,
section 3; left neighbours at the beginning of a document as in Heafield et al. 2013 (KenLM).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors.numpy import load_file, save_file
from scipy.sparse import csr_array

from bytelap import Model, Size, TrainStep
from bytelap_ngram.trie import Level, count_ngrams, excerpt

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping
    from pathlib import Path

    from torch import Tensor

    from bytelap import Clock, TrainingData, Vocabulary
    from bytelap_ngram.config import NgramConfig

GROWTH = 4  # each pass counts so many times the text of the last: all passes together cost 4/3 of the final one
FIRST_PASS = 65_536  # tokens, at most: well under 0.1 s, to learn how fast this machine counts
QUIET_PASS = 250_000  # tokens: shorter passes are a single step
MARGIN = 1.3  # a pass is begun only if it fits so many times: long passes are slower per token, machines have moods
MIX_NUMBERS = 2**18  # probabilities that are worked on at a time, 1 MB: stays in the processor's cache

FALLBACK_DISCOUNTS = (0.5, 1.0, 1.5)  # KenLM's, for counts too few or too odd to estimate them from


def estimate_discounts(counts: np.ndarray, kind: str) -> np.ndarray:
    """What is subtracted from counts 0, 1, 2 and 3 or more, (4,), from how many n-grams have count 1, 2, 3 and 4."""
    n1, n2, n3, n4 = (int(np.count_nonzero(counts == count)) for count in (1, 2, 3, 4))
    discounts = np.array([0.0, *FALLBACK_DISCOUNTS])
    if min(n1, n2, n3, n4) > 0:
        y = n1 / (n1 + 2 * n2)
        estimated = np.array([0.0, 1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3])
        if kind == "single":
            estimated[1:] = y
        if np.all(estimated[1:] > 0):  # too many n-grams of count 3 or 4 can make them negative
            discounts = estimated
    return discounts


def smooth(level: Level, vocabulary_size: int, discounts: str) -> tuple[np.ndarray, np.ndarray]:
    """Discounted shares (K,) and escapes (C,), both float32, from counts."""
    discount = estimate_discounts(level.counts, discounts)[np.minimum(level.counts, 3)]  # (K,)
    context = level.keys // vocabulary_size - level.begin
    total = np.bincount(context, level.counts, minlength=level.contexts)  # (C,)
    taken = np.bincount(context, discount, minlength=level.contexts)
    shares = (level.counts - discount) / total[context]
    escapes = np.divide(taken, total, out=np.ones(level.contexts), where=total > 0)
    return shares.astype(np.float32), escapes.astype(np.float32)


class Table:
    """Smoothed n-grams of all orders: the whole trie in three arrays.

    Contexts are numbered through all orders: 0 is the empty one, then the 1-grams, the 2-grams, …, as n-grams are
    in `keys`. So the n-gram in place g is context g + 1, and one search answers for every order. Context C, one past
    the end, stands for all that were never seen: nothing follows it, and its whole mass goes to the next shorter one.

    Args:
        keys: (G,) int64, ascending: context * V + token.
        shares: (G,) float32: discounted share of the n-gram in its context.
        escapes: (C,) float32: what the discounts left for the next shorter context; 1 if nothing was seen after it.
    """

    def __init__(self, keys: np.ndarray, shares: np.ndarray, escapes: np.ndarray, vocabulary_size: int) -> None:
        self.keys, self.shares, self.escapes = keys, shares, escapes
        self.vocabulary_size = V = vocabulary_size
        C = self.unseen = len(escapes)
        first = np.searchsorted(keys, np.arange(C + 1) * V)  # (C + 1,) where each context's n-grams begin
        number = np.int32 if len(keys) < 2**31 else np.int64
        followers = (keys % V).astype(number)
        begin = np.append(first, first[-1]).astype(number)  # (C + 2,): nothing follows the unseen context
        self._followers = csr_array((shares, followers, begin), shape=(C + 1, V))
        self._escapes = np.append(escapes, np.float32(1))  # (C + 1,)
        self._unigram = np.full(V, escapes[0] / V, dtype=np.float32)  # (V,) after the empty context
        self._unigram[keys[: first[1]]] += shares[: first[1]]

    def contexts(self, tokens: np.ndarray, order: int) -> np.ndarray:
        """Numbers of the contexts of order - 1, …, 1, 0 tokens after which each row's next token is predicted.

        Args:
            tokens: (B, T) int64.

        Returns:
            (B, T, order) int64, longest context first; unseen where it was, or where the row is not yet that long.
        """
        contexts = np.zeros((*tokens.shape, order), dtype=np.int64)
        for length in range(1, order):
            shorter = np.full_like(tokens, self.unseen)  # the context without its last token
            shorter[:, 1:] = contexts[:, :-1, order - length]
            if length == 1:
                shorter[:, 0] = 0
            contexts[:, :, order - 1 - length] = self._extend(shorter, tokens)
        return contexts

    def _extend(self, contexts: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        """Numbers of the contexts that are one token longer, (B, T)."""
        if len(self.keys) == 0:  # untrained
            return np.full_like(tokens, self.unseen)
        keys = (contexts * self.vocabulary_size + tokens).reshape(-1)
        ascending = np.argsort(keys)  # neighbours in the queries are then neighbours in the table: half the time
        place = np.empty_like(keys)
        place[ascending] = np.searchsorted(self.keys, keys[ascending])
        seen = self.keys[np.minimum(place, len(self.keys) - 1)] == keys
        return np.where(seen, np.minimum(place + 1, self.unseen), self.unseen).reshape(tokens.shape)

    def mix(self, contexts: np.ndarray, probabilities: np.ndarray) -> None:
        """Fill `probabilities` (Q, V) float32 with the distributions after `contexts` (Q, order), longest first.

        The longest context has all the mass, gives its followers their shares and passes on what escapes.
        """
        Q, order = contexts.shape
        mass = np.ones(contexts.shape, dtype=np.float32)  # (Q, order)
        np.cumprod(self._escapes[contexts[:, :-1]], axis=1, out=mass[:, 1:])
        picked = self._followers[contexts[:, :-1].ravel()]  # (Q * (order - 1), V) sparse
        picked.data *= np.repeat(mass[:, :-1].ravel(), np.diff(picked.indptr))
        # Take order - 1 sparse rows for one in which tokens repeat: making it dense sums them up.
        begin = picked.indptr[np.arange(Q + 1) * (order - 1)]
        csr_array((picked.data, picked.indices, begin), shape=probabilities.shape).toarray(out=probabilities)
        probabilities += mass[:, -1:] * self._unigram


class KneserNey(Model):
    """Counts a growing share of the training text, as much as the budget allows; each pass replaces the last."""

    def __init__(self, config: NgramConfig, vocabulary: Vocabulary, seed: int, device: str) -> None:
        self.config = config
        self.vocabulary_size = vocabulary.size
        nothing = np.empty(0, dtype=np.float32)
        self.table = Table(nothing.astype(np.int64), nothing, np.ones(1, dtype=np.float32), vocabulary.size)
        self.counted = 0  # training tokens behind `table`
        self.share = 0.0  # of the training text

    # --- training --------------------------------------------------------------------------------------------

    def train(self, data: TrainingData, clock: Clock) -> Iterator[TrainStep]:
        """Count passes of growing size, the last over the whole text if time allows.

        A pass counts from scratch; its `TrainStep.tokens` are those that no pass before it had counted. Long passes
        yield steps of zero tokens on the way, and are given up if the clock runs out.
        """
        total = len(data)
        size = total
        while size > FIRST_PASS:
            size = -(-size // GROWTH)
        if clock.budget.tokens is not None:
            size = min(size, clock.budget.tokens - clock.tokens)
        while self.counted < total and size > 0:
            began = clock.elapsed
            table = yield from self._count(data, size, clock)
            if table is None:
                return
            new = max(0, size - self.counted)
            if new:  # after a resumption the first passes only measure speed
                self.table, self.counted, self.share = table, size, size / total
            seconds_per_token = (clock.elapsed - began) / size
            yield TrainStep(tokens=new)
            if clock.expired:
                return
            size = self._next_size(size, total, seconds_per_token, clock)

    def _count(self, data: TrainingData, size: int, clock: Clock) -> Generator[TrainStep, None, Table | None]:
        """One pass over `size` tokens; None if its next unit of work might not end in time."""
        keys, shares, escapes = [], [], []
        slowest, began = 0.0, clock.elapsed
        for level in count_ngrams(excerpt(data, size), self.vocabulary_size, self.config.order):
            if level is not None:
                share, escape = smooth(level, self.vocabulary_size, self.config.discounts)
                keys.append(level.keys)
                shares.append(share)
                escapes.append(escape)
            if size > QUIET_PASS:
                slowest = max(slowest, clock.elapsed - began)
                yield TrainStep(tokens=0)
                began = clock.elapsed
                # Budgets in steps or tokens must not depend on how fast this machine is: there `remaining` is a guess.
                late = clock.budget.seconds is not None and clock.remaining < slowest
                if late or clock.expired:
                    return None
        return Table(np.concatenate(keys), np.concatenate(shares), np.concatenate(escapes), self.vocabulary_size)

    def _next_size(self, size: int, total: int, seconds_per_token: float, clock: Clock) -> int:
        """Tokens of the pass after one of `size`; 0 if none is worth its time.

        Grows by `GROWTH` while the pass after the next would still fit, else goes for all that fits at once.
        """
        limit = total
        if clock.budget.seconds is not None:
            limit = int(clock.remaining / (MARGIN * seconds_per_token))
        elif clock.budget.tokens is not None:
            limit = self.counted + clock.budget.tokens - clock.tokens
        grown = min(total, GROWTH * size)
        if grown + min(total, GROWTH * grown) > limit:
            grown = min(total, limit)
        return grown if grown > size else 0

    # --- prediction ------------------------------------------------------------------------------------------

    def predict(self, tokens: Tensor) -> Tensor:
        """(B, T) int64 -> (B, T, V) float32: from up to order - 1 tokens of the row."""
        contexts = self.table.contexts(tokens.cpu().numpy(), self.config.order)
        contexts = contexts.reshape(-1, self.config.order)  # (B * T, order)
        logits = np.empty((len(contexts), self.vocabulary_size), dtype=np.float32)  # (B * T, V)
        step = max(16, MIX_NUMBERS // self.vocabulary_size)
        for start in range(0, len(logits), step):
            part = logits[start : start + step]
            self.table.mix(contexts[start : start + step], part)
            np.log(part, out=part)
        return torch.from_numpy(logits).view(*tokens.shape, -1).to(tokens.device)

    # --- the rest of the contract ----------------------------------------------------------------------------

    def size(self) -> Size:
        """One count per distinct n-gram; the last order - 1 tokens are carried."""
        return Size(parameters=len(self.table.keys), state=self.config.order - 1)

    def save(self, directory: Path) -> None:
        """Write the table, and how much text is behind it."""
        progress = np.array([self.counted, self.share])
        table = {"keys": self.table.keys, "shares": self.table.shares, "escapes": self.table.escapes}
        save_file({**table, "progress": progress}, directory / "model.safetensors")

    def load(self, directory: Path) -> None:
        """Read what `save` wrote."""
        saved = load_file(directory / "model.safetensors")
        self.table = Table(saved["keys"], saved["shares"], saved["escapes"], self.vocabulary_size)
        self.counted, self.share = int(saved["progress"][0]), float(saved["progress"][1])

    def notes(self) -> Mapping[str, str | int | float]:
        """How much of the training text was counted, and what came of it."""
        return {"share_counted": round(self.share, 4), "tokens_counted": self.counted, "ngrams": len(self.table.keys)}
