"""Counting n-grams exactly: a trie whose edges are sorted integers.

Every n-gram has the key `context * V + token`, where `context` is the number of its first n - 1 tokens. Numbers run
through all orders: 0 is the empty context, then come the 1-grams, the 2-grams, …, each order sorted by key. So the
n-grams that share a context lie side by side, a longer context is looked up from the shorter one, and nothing is
hashed: any vocabulary, any order, no collisions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bytelap import TokenStream

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Level:
    """The K distinct k-grams of a text, and the C distinct (k - 1)-grams that are their contexts."""

    keys: np.ndarray
    """(K,) int64, ascending: context * V + token."""
    counts: np.ndarray
    """(K,) int64: occurrences at the highest level; below it, distinct left neighbours (see `count_ngrams`)."""
    begin: int
    """Number of the first context."""
    contexts: int
    """C: the contexts' numbers are begin … begin + C - 1."""


def excerpt(text: TokenStream, size: int) -> TokenStream:
    """`size` tokens of a text: the beginning of every document, in proportion to its length."""
    if size >= len(text):
        return text
    offsets = text.offsets * size // len(text)  # (D + 1,)
    kept = np.diff(offsets)
    return TokenStream(text.tokens[np.arange(size) + np.repeat(text.offsets[:-1] - offsets[:-1], kept)], offsets)


def count_ngrams(text: TokenStream, vocabulary_size: int, order: int) -> Iterator[Level | None]:
    """Count the k-grams of k = 1 … order that lie inside one document.

    The highest level keeps occurrences. Each lower level keeps the number of distinct tokens seen to the left of the
    k-gram, as Kneser-Ney smoothing needs; the beginning of a document counts as one more such token, as in KenLM,
    so that every k-gram has at least one left neighbour.

    Yields:
        Each level as it is finished, and None between the units of work, two in every level, so that the caller can
        look at the clock. Fewer levels than `order` if no document is that long.
    """
    lengths = np.diff(text.offsets)
    starts, lengths = text.offsets[:-1][lengths > 0], lengths[lengths > 0]
    number = np.int32 if order * len(text) < 2**31 else np.int64
    ending = np.zeros(len(text), dtype=number)  # (N,) of the (k - 1)-gram that ends at each token
    below: Level | None = None
    begin, end = 0, 1  # numbers of the (k - 1)-grams
    for k in range(1, order + 1):
        keys = np.zeros(len(text), dtype=np.int64)  # (N,) of the k-gram that ends at each token
        if k > 1:
            keys[1:] = ending[:-1]
            keys[starts] = end  # no context: it would lie in another document. Sorted behind all others
        keys *= vocabulary_size
        keys += text.tokens
        keys, by_key = _sort(keys)
        yield None
        inside = int(np.searchsorted(keys, end * vocabulary_size))  # occurrences within a document
        if inside == 0:
            break
        is_first = np.append(True, keys[1:inside] != keys[: inside - 1])
        firsts = np.flatnonzero(is_first)  # (K,) one occurrence of each k-gram, in order of keys
        finished = None
        if below is not None:
            left = np.bincount(ending[by_key[firsts]] - begin, minlength=end - begin)
            heads = (starts + k - 2)[lengths >= k - 1]  # where the documents' first (k - 1)-grams end
            left[np.unique(ending[heads]) - begin] += 1
            finished = Level(below.keys, left, below.begin, below.contexts)
        below = Level(keys[firsts], np.diff(firsts, append=inside), begin, end - begin)
        ending[by_key[:inside]] = np.cumsum(is_first, dtype=ending.dtype) + (end - 1)
        begin, end = end, end + len(firsts)
        ending[by_key[inside:]] = end  # number of no k-gram: the document is too short up to here
        yield finished
    if below is not None:
        yield below


def _sort(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ascending keys, and the index that each had; overwrites `keys`.

    Four times faster than `argsort` wherever a key and its index fit into 63 bits together.
    """
    bits = len(keys).bit_length()
    if int(keys.max()).bit_length() + bits > 63:
        by_key = np.argsort(keys)
        return keys[by_key], by_key
    keys <<= bits
    keys |= np.arange(len(keys))
    keys.sort()
    by_key = keys & ((1 << bits) - 1)
    keys >>= bits
    return keys, by_key
