"""`uniform`: every token equally likely. The smallest entrant there can be."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from bytelap import Model, Size, TrainStep

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torch import Tensor

    from bytelap import Clock, TrainingData, Vocabulary
    from bytelap_ngram.config import UniformConfig


class Uniform(Model):
    """p(token) = 1 / V."""

    def __init__(self, config: UniformConfig, vocabulary: Vocabulary, seed: int, device: str) -> None:
        self.vocabulary = vocabulary

    def train(self, data: TrainingData, clock: Clock) -> Iterator[TrainStep]:
        """There is nothing to learn: return without a step."""
        return iter(())

    def predict(self, tokens: Tensor) -> Tensor:
        """(B, T) int64 -> (B, T, V) float64: exactly log2 V bits for every token."""
        size = self.vocabulary.size
        return torch.full((*tokens.shape, size), -math.log(size), dtype=torch.float64, device=tokens.device)

    def size(self) -> Size:
        """Nothing is learned or carried."""
        return Size(parameters=0, state=0)

    def save(self, directory: Path) -> None:
        """There is nothing to save."""

    def load(self, directory: Path) -> None:
        """There is nothing to load."""
