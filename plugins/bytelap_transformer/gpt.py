"""A decoder-only transformer comparable to nanoGPT (github.com/karpathy/nanoGPT; Radford et al. 2019).

Learned positions, pre-norm blocks of causal attention and a GELU perceptron four times as wide, final layer norm,
output matrix tied to the token embedding. Initial weights N(0, 0.02), those that write into the residual stream
divided by sqrt(2 x layers).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from bytelap import BytelapError
from bytelap.neural import TorchModel, causal_attention, score_sliding

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

    from bytelap import TrainingData
    from bytelap_transformer import GptConfig


class Attention(nn.Module):
    """Causal self-attention over `heads` subspaces."""

    def __init__(self, config: GptConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.dropout = config.dropout
        self.qkv = nn.Linear(config.width, 3 * config.width, bias=config.bias)
        self.out = nn.Linear(config.width, config.width, bias=config.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        batch, length, width = x.shape
        qkv = self.qkv(x).view(batch, length, 3, self.heads, width // self.heads)  # (B, T, 3, H, D / H)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # each (B, H, T, D / H)
        dropout = self.dropout if self.training else 0.0
        mixed = causal_attention(query, key, value, dropout)
        out: Tensor = self.out(mixed.transpose(1, 2).reshape(batch, length, width))
        return out


class Block(nn.Module):
    """x + attention(norm(x)), then x + perceptron(norm(x))."""

    def __init__(self, config: GptConfig) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(config.width, bias=config.bias)
        self.attention = Attention(config)
        self.perceptron_norm = nn.LayerNorm(config.width, bias=config.bias)
        self.up = nn.Linear(config.width, 4 * config.width, bias=config.bias)
        self.down = nn.Linear(4 * config.width, config.width, bias=config.bias)
        self.drop = nn.Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        x = x + self.drop(self.attention(self.attention_norm(x)))
        out: Tensor = x + self.drop(self.down(functional.gelu(self.up(self.perceptron_norm(x)))))
        return out


class Transformer(nn.Module):
    """Tokens to logits."""

    def __init__(self, config: GptConfig, vocabulary_size: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary_size, config.width)
        self.positions = nn.Embedding(config.context, config.width)
        self.drop = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width, bias=config.bias)
        self.apply(_initialise)
        for name, parameter in self.named_parameters():
            if name.endswith(("out.weight", "down.weight")):
                nn.init.normal_(parameter, std=0.02 / math.sqrt(2 * config.layers))

    def forward(self, tokens: Tensor, keep: int | None = None) -> Tensor:
        """(B, T) int64, T at most the context -> logits (B, T, V), or (B, keep, V) of the last positions."""
        x = self.drop(self.tokens(tokens) + self.positions.weight[: tokens.shape[1]])  # (B, T, D)
        for block in self.blocks:
            x = block(x)
        x = x if keep is None else x[:, -keep:]
        return functional.linear(self.norm(x), self.tokens.weight)  # (B, T, V)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)


class Gpt(TorchModel):
    """The entrant `gpt`."""

    config: GptConfig

    def build(self) -> nn.Module:
        """The transformer of the configured shape."""
        if self.config.width % self.config.heads:
            raise BytelapError(
                f"gpt: width {self.config.width} is not a multiple of heads {self.config.heads}: change one of them"
            )
        return Transformer(self.config, self.vocabulary.size)

    def batches(self, data: TrainingData) -> Iterator[np.ndarray]:
        """Windows of context + 1 tokens."""
        return data.windows(self.config.batch, self.config.context + 1)

    def log_probabilities(self, tokens: Tensor) -> Tensor:
        """Log-softmax of the logits; rows longer than the context in overlapping chunks."""
        return score_sliding(self._score, tokens, self.config.context)

    def _score(self, tokens: Tensor, keep: int) -> Tensor:
        return torch.log_softmax(self.module(tokens, keep), dim=-1)  # (N, keep, V)

    def state_size(self) -> int:
        """The key-value cache of a full context."""
        return 2 * self.config.layers * self.config.context * self.config.width
