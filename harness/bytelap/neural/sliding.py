"""Scores rows longer than a model's context by overlapping chunks, causally and each row by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable

# Positions per call of the model: large enough for efficient products, small enough for a laptop's memory.
CHUNK_TOKENS = 16384


def score_sliding(score: Callable[[Tensor, int], Tensor], tokens: Tensor, context: int) -> Tensor:
    """Log-probabilities of long rows from a model that reads at most `context` tokens.

    The first chunk covers positions [0, context); each later chunk starts half a context after the one before it and
    contributes its last half only, so every position sees at least context / 2 tokens where the row has them. Chunk
    borders depend on the position alone, never on the row's length: prefixes score the same as whole rows.

    Args:
        score: (tokens (N, W) with W <= context, keep) -> log-probabilities (N, keep, V) of the last `keep` positions.
        tokens: (B, T) int64.
        context: the longest row that `score` reads.

    Returns:
        (B, T, V), of whatever dtype `score` gives.
    """
    batch, length = tokens.shape
    first = min(length, context)
    parts = [_batched(score, tokens[:, :first], first)]  # (B, first, V)
    stride = max(1, context // 2)
    rest = length - first
    if rest >= stride:
        whole = rest // stride
        chunks = tokens[:, stride : first + whole * stride].unfold(1, context, stride)  # (B, whole, context)
        scored = _batched(score, chunks.reshape(batch * whole, context), stride)  # (B * whole, stride, V)
        parts.append(scored.reshape(batch, whole * stride, -1))
    if rest % stride:
        keep = rest % stride
        parts.append(_batched(score, tokens[:, length - keep - (context - stride) :], keep))  # (B, keep, V)
    return torch.cat(parts, dim=1)


def _batched(score: Callable[[Tensor, int], Tensor], tokens: Tensor, keep: int) -> Tensor:
    """`score` in calls of at most `CHUNK_TOKENS` tokens: (N, W) -> (N, keep, V)."""
    rows = max(1, CHUNK_TOKENS // tokens.shape[1])
    if len(tokens) <= rows:
        return score(tokens, keep)
    return torch.cat([score(part, keep) for part in torch.split(tokens, rows)])
