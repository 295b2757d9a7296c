"""Causal attention by whichever kernel is fast where it runs."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def causal_attention(query: Tensor, key: Tensor, value: Tensor, dropout: float = 0.0) -> Tensor:
    """Softmax attention of every position to itself and the ones before it: three (B, H, T, E) -> (B, H, T, E).

    Torch's fused kernel, except for training in bf16 on the CPU: its backward pass there took 2 to 9 times as long
    as plain products (torch 2.13, avx512_bf16 with AMX, T 128 and 256), so the scores (B, H, T, T) are written out.
    """
    if query.device.type != "cpu" or query.dtype != torch.bfloat16 or not query.requires_grad:
        return functional.scaled_dot_product_attention(query, key, value, dropout_p=dropout, is_causal=True)
    batch, heads, length, size = query.shape
    hidden = torch.full((length, length), float("-inf"), dtype=query.dtype).triu(1)  # (T, T)
    rows = [part.reshape(batch * heads, length, size) for part in (query, key, value)]  # (B * H, T, E)
    scores = torch.baddbmm(hidden, rows[0] * size**-0.5, rows[1].transpose(1, 2))  # (B * H, T, T)
    weights = torch.softmax(scores, dim=-1, dtype=query.dtype)
    if dropout:
        weights = functional.dropout(weights, dropout)
    return weights.bmm(rows[2]).view(batch, heads, length, size)
