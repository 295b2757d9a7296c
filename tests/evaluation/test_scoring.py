"""Bits per byte against plain loops, and every broken prediction refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bytelap import InvalidScore, TokenStream, Vocabulary
from bytelap.evaluation.scoring import score, windows

WORDS = Vocabulary("words", (b"a", b"b", b"the ", b"cat", b"xyzzy" * 4))


def stream(*documents: list[int]) -> TokenStream:
    offsets = np.cumsum([0, *map(len, documents)])
    return TokenStream(np.concatenate([np.array(d, dtype=np.uint8) for d in documents]), offsets.astype(np.int64))


def prefix_model(tokens: Tensor) -> Tensor:
    """Depends on the last two tokens of the prefix, and on how long the prefix is (up to 7)."""
    rows, length = tokens.shape
    logits = torch.zeros(rows, length, WORDS.size)
    for b in range(rows):
        for t in range(length):
            seen = tokens[b, : t + 1].tolist()
            for v in range(WORDS.size):
                logits[b, t, v] = math.sin(1 + v * 3 + seen[-1] * 5 + (seen[-2] if t else 9) * 7 + min(t, 7))
    return torch.log_softmax(logits, -1)


def by_hand(documents: list[list[int]], context: int, segment: int) -> tuple[float, int]:
    """Total bits and bytes, token by token."""
    total_bits, total_bytes = 0.0, 0
    for document in documents:
        starts = [0]
        for token in document:
            starts.append(starts[-1] + len(WORDS.token_bytes[token]))
        for index, token in enumerate(document):
            total_bytes += len(WORDS.token_bytes[token])
            if index == 0:
                total_bits += math.log2(WORDS.size)
                continue
            edge = starts[index] // segment * segment
            first = next(i for i, start in enumerate(starts) if start >= edge)
            low = next(i for i, start in enumerate(starts) if start >= max(edge - context, 0))
            low = min(low, max(first - 1, 0))
            logp = prefix_model(torch.tensor([document[low:index]]))[0, -1]
            total_bits -= float(logp[token]) / math.log(2)
    return total_bits, total_bytes


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 4), min_size=1, max_size=25), min_size=1, max_size=4),
    st.integers(1, 30),
    st.integers(1, 30),
)
def test_equals_plain_loops(documents: list[list[int]], context: int, segment: int) -> None:
    result = score(prefix_model, stream(*documents), WORDS, context, segment)
    bits, size = by_hand(documents, context, segment)
    assert result.total_bytes == size
    assert result.bits.sum() == pytest.approx(bits, rel=1e-6)
    assert result.tokens == sum(map(len, documents))


def test_every_token_is_scored_exactly_once() -> None:
    documents = [[2, 4, 4, 0, 1, 3] * 5, [0], [4, 4]]
    text = stream(*documents)
    counted = np.zeros(len(text), dtype=int)
    for window in windows(text, WORDS.lengths, 10, 7):
        counted[window.first : window.end] += 1
        assert window.opens_document or window.start < window.first
    assert (counted == 1).all()


def test_uniform_costs_log2_of_the_vocabulary() -> None:
    vocabulary = Vocabulary("byte", tuple(bytes([i]) for i in range(256)))
    text = np.frombuffer(b"any text at all, it does not matter" * 50, np.uint8)
    result = score(
        lambda tokens: torch.full((*tokens.shape, 256), -math.log(256)),
        TokenStream(text, np.array([0, len(text)])),
        vocabulary,
        64,
        64,
    )
    assert result.bits_per_byte == pytest.approx(8.0, abs=1e-6)


def broken(change: str) -> object:
    def predict(tokens: Tensor) -> Tensor:
        logp = torch.full((*tokens.shape, WORDS.size), -math.log(WORDS.size))
        if change == "shape":
            return logp[:, :-1]
        if change == "nan":
            logp[0, -1, 2] = math.nan
        if change == "minus infinity":
            logp[..., 3] = -math.inf
            logp += math.log(5 / 4)
        if change == "unnormalised":
            logp[-1] += 0.01
        if change == "integers":
            return logp.long()
        if change == "plus infinity":
            logp[0, :, 0] = math.inf
        return logp

    return predict


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("shape", "shape"),
        ("nan", "NaN"),
        ("minus infinity", "above zero"),
        ("unnormalised", "instead of 1"),
        ("integers", "floating-point"),
        ("plus infinity", "NaN"),
    ],
)
def test_broken_prediction_is_refused(change: str, words: str) -> None:
    with pytest.raises(InvalidScore, match=words):
        score(broken(change), stream([0, 1, 2, 3] * 6), WORDS, 8, 8)  # type: ignore[arg-type]


def test_filling_on_the_right_is_neither_scored_nor_checked() -> None:
    """Rows of different lengths share a batch; what a model says about the filling is of no interest."""

    def predict(tokens: Tensor) -> Tensor:
        logp = torch.full((*tokens.shape, WORDS.size), -math.log(WORDS.size))
        logp[tokens == 0] = math.nan  # only the filling is token 0 here
        return logp

    result = score(predict, stream([1, 2, 3, 4, 1], [1, 1, 2, 3, 4, 4, 4]), WORDS, 500, 500)
    assert result.nats_per_token == pytest.approx(math.log(5))
