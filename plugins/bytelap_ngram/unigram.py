"""`unigram`: relative frequencies with additive smoothing.

    p(w) = (count(w) + alpha) / (N + alpha V)

which is the mixture of the relative frequency, with weight N / (N + alpha V), and of 1 / V.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

from bytelap import Model, Size, TrainStep

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torch import Tensor

    from bytelap import Clock, TrainingData, Vocabulary
    from bytelap_ngram.config import UnigramConfig

STEP_TOKENS = 65_536  # counted between two yields: well under a millisecond


class Unigram(Model):
    """Counts tokens once through the training text."""

    def __init__(self, config: UnigramConfig, vocabulary: Vocabulary, seed: int, device: str) -> None:
        self.config = config
        self.counts = np.zeros(vocabulary.size, dtype=np.int64)  # (V,)

    def train(self, data: TrainingData, clock: Clock) -> Iterator[TrainStep]:
        """Count a chunk per step from where the counts end; return at the end of the text."""
        for start in range(int(self.counts.sum()), len(data), STEP_TOKENS):
            if clock.expired:
                return
            chunk = data.tokens[start : start + STEP_TOKENS]
            self.counts += np.bincount(chunk, minlength=len(self.counts))
            yield TrainStep(tokens=len(chunk))

    def predict(self, tokens: Tensor) -> Tensor:
        """(B, T) int64 -> (B, T, V) float32: the same distribution everywhere."""
        smoothed = self.counts + self.config.alpha
        row = torch.from_numpy(np.log(smoothed / smoothed.sum())).float().to(tokens.device)  # (V,)
        return row.expand(*tokens.shape, -1).contiguous()

    def size(self) -> Size:
        """One count per token of the vocabulary; nothing is carried."""
        return Size(parameters=len(self.counts), state=0)

    def save(self, directory: Path) -> None:
        """Write the counts."""
        save_file({"counts": self.counts}, directory / "model.safetensors")

    def load(self, directory: Path) -> None:
        """Read the counts."""
        self.counts = load_file(directory / "model.safetensors")["counts"]
