"""Bits per byte, defined once. This is the only code that looks up a target's probability.

Windows: a document is cut into segments of S raw bytes; a token belongs to the segment in which its first byte
lies. A segment is scored with up to C raw bytes of the same document before it as context. Every token is scored
exactly once. The first token of a document has no prefix and is charged log2 V. The denominator is the raw
bytes of the scored text, which must equal the sum of the scored tokens' lengths.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bytelap.errors import InvalidScore
from bytelap.text.streams import TokenStream
from bytelap.text.vocabulary import Vocabulary

# A prediction is (B, T, V) float32 of at most this many bytes, so that memory stays bounded for large V.
PREDICTION_BYTES = 64 * 2**20
MAX_ROWS = 64
# |log of the sum of probabilities| that rounding in float32 (or bfloat16 inside the model) may cause.
NORMALISATION_TOLERANCE = 1e-3

Predict = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Window:
    """One segment to score: tokens[start:end] are fed and scored, except those before `first`, which are context."""

    start: int
    first: int
    end: int
    document: int
    opens_document: bool
    """True if `first` is the first token of its document, which nothing precedes."""


@dataclass(frozen=True)
class Score:
    """What a split cost, segment by segment."""

    bits: np.ndarray
    """(S,) float64: bits that the segment's tokens cost."""
    bytes: np.ndarray
    """(S,) int64: raw bytes of the segment's tokens."""
    document: np.ndarray
    """(S,) int32: the document that the segment is from."""
    tokens: int
    normalisation_error: float
    """Largest |log of the sum of probabilities| over all positions that were scored."""

    @property
    def total_bytes(self) -> int:
        """The denominator: raw bytes of the scored text."""
        return int(self.bytes.sum())

    @property
    def bits_per_byte(self) -> float:
        """Total bits over total raw bytes."""
        return float(self.bits.sum() / self.total_bytes)

    @property
    def nats_per_token(self) -> float:
        """Mean negative log-likelihood per token; depends on the tokenizer, so it is no basis for comparison."""
        return float(self.bits.sum() * math.log(2) / self.tokens)


def windows(stream: TokenStream, lengths: np.ndarray, context: int, segment: int) -> list[Window]:
    """Cut a stream into windows.

    Args:
        stream: the tokens of the split.
        lengths: (V,) bytes per token.
        context: C, raw bytes.
        segment: S, raw bytes.
    """
    result: list[Window] = []
    for document, (begin, end) in enumerate(zip(stream.offsets[:-1], stream.offsets[1:], strict=True)):
        sizes = lengths[stream.tokens[begin:end]]
        starts = np.cumsum(sizes) - sizes  # byte position of each token in its document
        total = int(starts[-1] + sizes[-1]) if len(starts) else 0
        edges = np.arange(0, total, segment)
        firsts = np.searchsorted(starts, edges)
        contexts = np.searchsorted(starts, np.maximum(edges - context, 0))
        contexts = np.minimum(contexts, np.maximum(firsts - 1, 0))  # at least one token, however long it is
        ends = np.append(firsts[1:], len(starts))
        result.extend(
            Window(int(begin + low), int(begin + first), int(begin + last), document, first == 0)
            for low, first, last in zip(contexts, firsts, ends, strict=True)
            if last > first  # a token longer than a segment leaves the next segment without a token
        )
    return result


def score(
    predict: Predict,
    stream: TokenStream,
    vocabulary: Vocabulary,
    context: int,
    segment: int,
    device: str = "cpu",
    on_batch: Callable[[float], None] = lambda share: None,
) -> Score:
    """Score every token of a stream once.

    Args:
        predict: (B, T) int64 -> (B, T, V) log-probabilities of the next token.
        stream: the split's tokens.
        vocabulary: gives V and the bytes per token.
        context: raw bytes of context before each segment.
        segment: raw bytes per segment.
        on_batch: called with the share of windows that are done.

    Raises:
        InvalidScore: predictions of a wrong shape, not finite, above zero or not normalised.
    """
    cut = windows(stream, vocabulary.lengths, context, segment)
    bits = np.zeros(len(cut), dtype=np.float64)
    sizes = np.zeros(len(cut), dtype=np.int64)
    worst, done = 0.0, 0
    for chosen in _batches(cut, vocabulary.size):
        rows = [cut[index] for index in chosen]
        cost, error = _score_batch(predict, stream, rows, vocabulary, device)
        worst = max(worst, error)
        bits[chosen] = cost
        sizes[chosen] = [int(vocabulary.lengths[stream.tokens[row.first : row.end]].sum()) for row in rows]
        done += len(rows)
        on_batch(done / len(cut))
    documents = np.array([window.document for window in cut], dtype=np.int32)
    return Score(bits, sizes, documents, len(stream), worst)


def _batches(cut: list[Window], vocabulary_size: int) -> Iterator[np.ndarray]:
    """Indices of windows of similar length, few enough that the prediction fits PREDICTION_BYTES."""
    order = sorted(range(len(cut)), key=lambda index: cut[index].start - cut[index].end)
    while order:
        longest = max(1, cut[order[0]].end - cut[order[0]].start)
        rows = max(1, min(MAX_ROWS, PREDICTION_BYTES // (4 * longest * vocabulary_size)))
        yield np.array(order[:rows])
        order = order[rows:]


def _score_batch(
    predict: Predict, stream: TokenStream, rows: list[Window], vocabulary: Vocabulary, device: str
) -> tuple[np.ndarray, float]:
    """Bits of each row (B,), and the worst normalisation error among the positions that count."""
    longest = max(row.end - row.start for row in rows)
    fed = np.zeros((len(rows), longest), dtype=np.int64)  # rows are filled up with token 0 on the right
    scored = np.zeros((len(rows), longest), dtype=bool)
    for index, row in enumerate(rows):
        fed[index, : row.end - row.start] = stream.tokens[row.start : row.end]
        scored[index, max(row.first - row.start, 1) : row.end - row.start] = True
    opening = np.array([row.opens_document for row in rows]) * math.log2(vocabulary.size)
    if longest < 2:
        return opening, 0.0
    tokens = torch.from_numpy(fed)
    logp = predict(tokens[:, :-1].to(device))  # (B, T - 1, V)
    _check_shape(logp, (len(rows), longest - 1, vocabulary.size))
    wanted = torch.from_numpy(scored[:, 1:]).to(logp.device)
    kept = logp[wanted].float() if logp.dtype in (torch.float16, torch.bfloat16) else logp[wanted]  # (N, V)
    sums = torch.logsumexp(kept, dim=1)
    error = _check_values(kept, sums)
    targets = tokens[:, 1:].to(logp.device)[wanted]  # (N,)
    # Normalised exactly: what tolerance lets pass must not be worth bits.
    nats = (sums - kept.gather(1, targets[:, None])[:, 0]).double()
    total = torch.zeros(len(rows), dtype=torch.float64, device=logp.device)
    total.index_add_(0, wanted.nonzero()[:, 0], nats)
    return total.cpu().numpy() / math.log(2) + opening, error


def _check_shape(logp: Tensor, shape: tuple[int, int, int]) -> None:
    if not isinstance(logp, Tensor) or tuple(logp.shape) != shape or not logp.is_floating_point():
        got = f"{tuple(logp.shape)} {logp.dtype}" if isinstance(logp, Tensor) else type(logp).__name__
        raise InvalidScore(f"predict returned {got} where floating-point log-probabilities of shape {shape} are due")


def _check_values(logp: Tensor, sums: Tensor) -> float:
    """Every scored position is a distribution: finite, at most 0, and sums to one."""
    if not len(logp):
        return 0.0
    error = float(sums.abs().max())
    if not math.isfinite(error) or not bool(torch.isfinite(logp).all()):
        raise InvalidScore("predict returned NaN or -inf: every token needs a probability above zero")
    if error > NORMALISATION_TOLERANCE:
        total = math.exp(float(sums[sums.abs().argmax()]))
        raise InvalidScore(
            f"predicted probabilities sum to {total:.6g} instead of 1 at one position: return log_softmax over the "
            "whole vocabulary"
        )
    return error
