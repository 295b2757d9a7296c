"""`rnn`: the gated grid model as an entrant: embedding, recurrent layers, linear head; state carried along text.

Training reads `chunk` steps of `batch` lanes per update. Every layer first runs through the chunk without gradient,
which leaves all old states; then one differentiable pass treats all positions (or segments of `bptt` steps) at once.
With bptt 1 that is exactly the gradient of a loop that detaches the state after every step, summed over the chunk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from bytelap.neural import TorchModel
from bytelap_rnn.cell import GridLayer, linear

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import numpy as np

    from bytelap import TrainingData
    from bytelap_rnn.config import RNNConfig

# Steps of one call of the network when scoring: bounds memory, not the result.
SCORE_STEPS = 32


class GridNetwork(nn.Module):
    """Embedding with bias, layers, linear head (A. Faust, SLMfun); all weights start as torch's Linear does."""

    def __init__(self, config: RNNConfig, vocabulary_size: int) -> None:
        super().__init__()
        self.config = config
        self.embed = nn.Linear(vocabulary_size, config.hidden)
        self.layers = nn.ModuleList()
        width = config.hidden
        for _ in range(config.layers):
            layer = GridLayer(config, width, config.hidden)
            self.layers.append(layer)
            width = layer.outputs
        self.head = nn.Linear(width, vocabulary_size)

    def forward(self, tokens: Tensor, states: Tensor, bptt: int, precision: torch.dtype) -> tuple[Tensor, Tensor]:
        """Read T tokens of B rows.

        Args:
            tokens: (B, T) int64.
            states: (L, B, S), before the first token.
            bptt: steps that gradients flow back.
            precision: of the large products.

        Returns:
            Logits (B, T, V) in `precision`, and the states (L, B, S) after the last token, without gradient.
        """
        table = self.embed.weight.t() + self.embed.bias  # (V, D)
        x = functional.embedding(tokens.t(), table).to(precision)  # (T, B, D)
        after: list[Tensor] = []
        for layer, state in zip(self.layers, states, strict=True):
            x, last = cast("GridLayer", layer)(x, state, bptt, precision)
            after.append(last)
        logits = linear(self.head, x)  # (T, B, V)
        return logits.transpose(0, 1), torch.stack(after)


class RNN(TorchModel):
    """The gated grid model."""

    config: RNNConfig
    module: GridNetwork

    def build(self) -> GridNetwork:
        """The network; weights that no gradient can reach are declared frozen."""
        network = GridNetwork(self.config, self.vocabulary.size)
        if self.config.reservoir:
            for layer in network.layers:
                for part in cast("GridLayer", layer).unreached():
                    part.requires_grad_(False)
        return network

    def batches(self, data: TrainingData) -> Iterator[np.ndarray]:
        """Chunks of lanes that read on for ever, or the seed's random windows in chunks, (B, T + 1)."""
        config = self.config
        return self._windows(data) if config.reset else data.lanes(config.batch, config.chunk)

    def _windows(self, data: TrainingData) -> Iterator[np.ndarray]:
        """Windows of `reset` targets, chunk by chunk, each window from empty states; `carried` keeps the open one."""
        config, fresh = self.config, data.windows(self.config.batch, self.config.reset + 1)
        while True:
            place = int(self.carried["place"]) if "place" in self.carried else config.reset
            if place >= config.reset:
                place = 0
                self.carried = {"window": torch.from_numpy(next(fresh))}
            self.carried["place"] = torch.tensor(place + config.chunk)
            yield self.carried["window"][:, place : place + config.chunk + 1].cpu().numpy()

    def loss(self, batch: Tensor) -> Tensor:
        """Mean cross entropy in nats over one chunk, (B, T + 1) int64; the state goes on from the chunk before."""
        kind = batch.device.type
        mixed = torch.is_autocast_enabled(kind)
        precision = torch.get_autocast_dtype(kind) if mixed else self.module.head.weight.dtype
        states = self.carried.get("states")
        if states is None or states.shape[1] != len(batch):  # a warm-up batch may have other rows
            states = self._empty(len(batch))
        with torch.autocast(kind, enabled=False):
            logits, self.carried["states"] = self.module(batch[:, :-1], states, self.config.bptt, precision)
            # The network's own order is time first: flattened like that, the logits need no copy.
            return functional.cross_entropy(logits.transpose(0, 1).flatten(0, 1).float(), batch[:, 1:].t().flatten())

    def _empty(self, rows: int) -> Tensor:
        """States of zeros, (L, B, S)."""
        return self.module.head.weight.new_zeros(self.config.layers, rows, self.config.state)

    def log_probabilities(self, tokens: Tensor) -> Tensor:
        """(B, T) int64 -> (B, T, V): every row read from a state of zeros, all at once step by step."""
        precision = self.module.head.weight.dtype
        states, parts = self._empty(len(tokens)), []
        for part in torch.split(tokens, SCORE_STEPS, dim=1):
            logits, states = self.module(part, states, 1, precision)
            parts.append(functional.log_softmax(logits, dim=-1))
        return torch.cat(parts, dim=1)

    def state_size(self) -> int:
        """Every layer's state."""
        return self.config.layers * self.config.state

    def hidden_matrices(self) -> Iterable[nn.Parameter]:
        """The layers' matrices; embedding and head are for AdamW."""
        return [part for part in self.module.layers.parameters() if part.ndim == 2 and part.requires_grad]

    def notes(self) -> Mapping[str, str | int | float]:
        """The recipe's notes, how far gradients reach, and which weights stay random."""
        config = self.config
        notes: dict[str, str | int | float] = {**super().notes(), "bptt": config.bptt}
        notes["layout"] = f"windows of {config.reset} from empty states" if config.reset else "contiguous lanes"
        if config.reservoir:
            frozen = sum(part.numel() for part in self.module.parameters() if not part.requires_grad)
            notes["reservoir"] = (
                f"{frozen:,} recurrent weights get no gradient (bptt 1, new_state false) and stay as they were drawn"
            )
        return notes
