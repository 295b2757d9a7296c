"""State that is carried from update to update: a small recurrent model on contiguous lanes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from bytelap import Budget, Clock, TrainingData, Vocabulary
from bytelap.neural import TorchConfig, TorchModel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BYTES = Vocabulary("byte", tuple(bytes([value]) for value in range(256)))


class Network(nn.Module):
    """A GRU with a head."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(256, 16)
        self.cell = nn.GRU(16, 24, batch_first=True)
        self.head = nn.Linear(24, 256)

    def forward(self, tokens: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        hidden, state = self.cell(self.embedding(tokens), state)
        return self.head(hidden), state


class Recurrent(TorchModel):
    """What a plugin author writes for a stateful model."""

    def build(self) -> nn.Module:
        return Network()

    def batches(self, data: TrainingData) -> Iterator[np.ndarray]:
        return data.lanes(self.config.batch, 8)

    def loss(self, batch: Tensor) -> Tensor:
        logits, state = self.module(batch[:, :-1], self.carried.get("state"))
        self.carried["state"] = state.detach()
        return nn.functional.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())

    def log_probabilities(self, tokens: Tensor) -> Tensor:
        return torch.log_softmax(self.module(tokens)[0], dim=-1)

    def state_size(self) -> int:
        return 24


def make() -> Recurrent:
    return Recurrent(TorchConfig(batch=4, precision="fp32", optimizer="muon"), BYTES, 5, "cpu")


def stream(text: bytes, positions: dict[str, int] | None = None) -> TrainingData:
    return TrainingData(np.frombuffer(text, dtype=np.uint8), np.array([0, len(text)]), 5, positions or {})


def train(model: Recurrent, data: TrainingData, clock: Clock, stop: int) -> list[float | None]:
    losses = []
    for step in model.train(data, clock):
        assert step.tokens == 4 * 8
        clock.count(step.tokens)
        losses.append(step.loss)
        if clock.steps == stop:
            break
    return losses


def test_resuming_carries_the_state_on(english: bytes, tmp_path: Path):
    whole = make()
    losses = train(whole, stream(english), Clock(Budget(steps=20)), 20)

    begun, data = make(), stream(english)
    early = train(begun, data, Clock(Budget(steps=20)), 9)
    begun.save(tmp_path)
    resumed = make()
    resumed.load(tmp_path)
    assert torch.equal(resumed.carried["state"], begun.carried["state"])
    late = train(resumed, stream(english, dict(data.positions)), Clock(Budget(steps=20), steps=9), 20)
    assert early + late == losses

    forgetful = make()
    forgetful.load(tmp_path)
    forgetful.carried.clear()
    assert train(forgetful, stream(english, dict(data.positions)), Clock(Budget(steps=20), steps=9), 20) != late


def test_predicting_and_preparing_leave_the_carried_state_alone(english: bytes):
    plain, busy = make(), make()
    losses, clock = [], Clock(Budget(steps=8))
    for step in busy.train(stream(english), clock):
        clock.count(step.tokens)
        losses.append(step.loss)
        busy.predict(torch.zeros(3, 40, dtype=torch.int64))
        busy.prepare(stream(english[::-1]))
    assert losses == train(plain, stream(english), Clock(Budget(steps=8)), 8)


def test_muon_is_given_recurrent_matrices_by_default():
    model = make()
    names = {id(parameter): name for name, parameter in model.module.named_parameters()}
    assert {names[id(parameter)] for parameter in model.hidden_matrices()} == {"cell.weight_ih_l0", "cell.weight_hh_l0"}
