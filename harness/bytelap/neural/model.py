"""`TorchModel`: an entrant supplies a network, batches, a loss and log-probabilities; the loop is shared.

class Gpt(TorchModel):
    def build(self): return Transformer(...)
    def batches(self, data): return data.windows(self.config.batch, self.config.context + 1)
    def log_probabilities(self, tokens): return score_sliding(self.score, tokens, self.config.context)
    def state_size(self): return ...
"""

from __future__ import annotations

import contextlib
import copy
import math
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from bytelap.errors import BytelapError
from bytelap.model import Model, Size, TrainStep
from bytelap.neural import checkpoint
from bytelap.neural.optimizers import build_optimizers
from bytelap.neural.precision import resolve_precision
from bytelap.neural.schedule import learning_rate_factor

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    import numpy as np

    from bytelap.clock import Clock
    from bytelap.neural.config import TorchConfig
    from bytelap.text.streams import TrainingData
    from bytelap.text.vocabulary import Vocabulary

# Reading the loss waits for a GPU's queue, so there only every so many updates; on the CPU it is free.
CUDA_LOSS_EVERY = 16


class TorchModel(Model):
    """A `Model` whose network is trained by gradient descent with the shared recipe.

    Implement `build`, `batches`, `log_probabilities` and `state_size`; override `loss` for anything but next-token
    cross entropy of `module(tokens)`, and `hidden_matrices` to choose what Muon updates. The rest is final.

    Attributes an entrant reads: `config`, `vocabulary`, `device`, `module` (what `build` returned, on the device).

    `carried` holds named tensors that go from one update to the next (the recurrent state of contiguous lanes). `loss`
    reads them and puts in detached new ones, which checkpoints keep; it starts empty:

        state = self.carried.get("state", zeros);  ...;  self.carried["state"] = state.detach()
    """

    @final
    def __init__(self, config: Any, vocabulary: Vocabulary, seed: int, device: str) -> None:
        self.config = config
        self.vocabulary = vocabulary
        self.device = device
        self.carried: dict[str, Tensor] = {}
        self.updates = 0
        self._seed = seed
        self._recipe: TorchConfig = config
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.module = self.build()  # on the CPU, so that every device starts from the same weights
        self.module.to(device)
        self._parameters: list[Tensor] = [
            parameter for parameter in self.module.parameters() if parameter.requires_grad
        ]
        self._optimizers = build_optimizers(self._recipe, self.module, self.hidden_matrices())
        self._precision = resolve_precision(self._recipe.precision, device)
        self._average = [parameter.detach().clone() for parameter in self._parameters] if self._recipe.average else []

    # --- what an entrant supplies ----------------------------------------------------------------------------

    @abstractmethod
    def build(self) -> nn.Module:
        """The network with its initial weights; the random generator is already seeded. Called once, by `__init__`."""

    @abstractmethod
    def batches(self, data: TrainingData) -> Iterator[np.ndarray]:
        """Endless batches (B, T + 1) int64: `data.windows(batch, context + 1)` or `data.lanes(batch, length)`."""

    @abstractmethod
    def log_probabilities(self, tokens: Tensor) -> Tensor:
        """(B, T) int64 -> (B, T, V) float32 normalised log-probabilities of the next token; what `predict` returns.

        Called in evaluation mode, without gradients, in fp32. Must not read or change `carried`.
        """

    @abstractmethod
    def state_size(self) -> int:
        """Numbers carried from one step to the next when reading left to right (`Size.state`)."""

    def loss(self, batch: Tensor) -> Tensor:
        """Mean loss in nats per token, a scalar, of (B, T + 1) int64 tokens; under autocast when training in bf16.

        Default: cross entropy of `module(batch[:, :-1])`, logits (B, T, V), in fp32.
        """
        logits = self.module(batch[:, :-1])  # (B, T, V)
        return functional.cross_entropy(logits.flatten(0, 1).float(), batch[:, 1:].flatten())

    def hidden_matrices(self) -> Iterable[nn.Parameter]:
        """What Muon updates. Default: 2-D parameters outside of `nn.Embedding`s and of a sub-module called `head`."""
        excluded: set[int] = set()
        for name, module in self.module.named_modules():
            if isinstance(module, nn.Embedding) or name.split(".")[-1] == "head":
                excluded.update(id(parameter) for parameter in module.parameters())
        return [p for p in self.module.parameters() if p.ndim == 2 and p.requires_grad and id(p) not in excluded]

    # --- the shared loop -------------------------------------------------------------------------------------

    @final
    def train(self, data: TrainingData, clock: Clock) -> Iterator[TrainStep]:
        """One update per yield, until the clock expires."""
        self.module.train()
        batches = self.batches(data)
        every = CUDA_LOSS_EVERY if self.device.startswith("cuda") else 1
        while not clock.expired:
            batch = next(batches)
            loss = self._update(self._to_device(batch), clock.progress)
            known = self._checked(loss) if self.updates % every == 0 else None
            yield TrainStep(tokens=batch.shape[0] * (batch.shape[1] - 1), loss=known)

    def _update(self, batch: Tensor, progress: float) -> Tensor:
        """One step of the optimisers at the rate that `progress` of the budget asks for; returns the loss, detached."""
        recipe = self._recipe
        # Randomness (dropout) follows from seed and update alone: evaluations or a resumption change nothing.
        self._reseed()
        with self._autocast():
            loss = self.loss(batch)
        loss.backward()  # type: ignore[no-untyped-call]
        if recipe.clip:
            nn.utils.clip_grad_norm_(self._parameters, recipe.clip)
        factor = learning_rate_factor(progress, recipe.warmup, recipe.hold, recipe.tail)
        for optimizer in self._optimizers:
            for group in optimizer.param_groups:
                group["lr"] = recipe.peak_learning_rate * factor
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.updates += 1
        self._update_average()
        return loss.detach()

    def _reseed(self) -> None:
        seed = (self._seed * 1_000_003 + self.updates) % 2**63
        torch.default_generator.manual_seed(seed)  # 2 µs; torch.manual_seed takes hundreds
        if self.device.startswith("cuda"):
            torch.cuda.manual_seed(seed)

    @torch.no_grad()
    def _update_average(self) -> None:
        """Running mean whose width grows with the number of updates (power-function averaging, arXiv:2312.02696)."""
        if self._average:
            weight = min(1.0, 1.0 / (self._recipe.average * self.updates))
            torch._foreach_lerp_(self._average, self._parameters, weight)

    def _checked(self, loss: Tensor) -> float:
        value = float(loss)
        if not math.isfinite(value):
            raise BytelapError(
                f"the training loss became {value} at update {self.updates} with {self._recipe.optimizer} at a peak "
                f"learning rate of {self._recipe.peak_learning_rate:g}: lower learning_rate or raise warmup"
            )
        return value

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        if self._precision == torch.float32:
            return contextlib.nullcontext()
        return torch.autocast(torch.device(self.device).type, dtype=self._precision)

    def _to_device(self, batch: np.ndarray) -> Tensor:
        tokens = torch.from_numpy(batch)
        return tokens.pin_memory().to(self.device, non_blocking=True) if self.device.startswith("cuda") else tokens

    # --- the contract ----------------------------------------------------------------------------------------

    @final
    def prepare(self, data: TrainingData) -> None:
        """One forward and backward pass on synthetic tokens to warm up; everything is put back."""
        weights = copy.deepcopy(self.module.state_dict())
        carried, random = self.carried, torch.get_rng_state()
        self.carried = dict(carried)
        self.module.train()
        with self._autocast():
            loss = self.loss(self._to_device(next(self.batches(data))))
        loss.backward()  # type: ignore[no-untyped-call]
        self.module.zero_grad(set_to_none=True)
        self.module.load_state_dict(weights)  # buffers that a forward pass may have moved
        self.carried = carried
        torch.set_rng_state(random)

    @final
    @torch.no_grad()
    def predict(self, tokens: Tensor) -> Tensor:
        """(B, T) int64 -> (B, T, V) log-probabilities, in fp32 with the averaged weights if there are any."""
        self.module.eval()
        self._swap_average()
        try:
            return self.log_probabilities(tokens)
        finally:
            self._swap_average()
            self.module.train()

    def _swap_average(self) -> None:
        for index, average in enumerate(self._average):
            parameter = self._parameters[index]
            parameter.data, self._average[index] = average, parameter.data

    @final
    def size(self) -> Size:
        """Parameters, tied ones once; the entrant's `state_size`."""
        return Size(sum(parameter.numel() for parameter in self.module.parameters()), self.state_size())

    @final
    def save(self, directory: Path) -> None:
        """Weights, optimiser state, running mean, carried tensors and the number of updates, without pickle."""
        training = {
            f"optimizer.{name}": tensor for name, tensor in checkpoint.optimizer_tensors(self._optimizers).items()
        }
        training.update({f"average.{index}": tensor for index, tensor in enumerate(self._average)})
        training.update({f"carried.{name}": tensor for name, tensor in self.carried.items()})
        checkpoint.write_tensors(directory / "weights.safetensors", checkpoint.module_tensors(self.module))
        checkpoint.write_tensors(directory / "training.safetensors", training)
        checkpoint.write_numbers(directory / "training.json", {"updates": self.updates})

    @final
    def load(self, directory: Path) -> None:
        """Read what `save` wrote; going on with a budget in steps equals never having stopped, bit by bit."""
        path = directory / "weights.safetensors"
        checkpoint.copy_into(checkpoint.module_tensors(self.module), checkpoint.read_tensors(path), path)
        training = checkpoint.read_tensors(directory / "training.safetensors")
        parts: dict[str, dict[str, Tensor]] = {"optimizer": {}, "average": {}, "carried": {}}
        for key, tensor in training.items():
            part, name = key.split(".", 1)
            parts[part][name] = tensor
        checkpoint.restore_optimizers(self._optimizers, parts["optimizer"])
        averages = {str(index): tensor for index, tensor in enumerate(self._average)}
        checkpoint.copy_into(averages, parts["average"], directory / "training.safetensors")
        self.carried = {name: tensor.to(self.device) for name, tensor in parts["carried"].items()}
        self.updates = int(checkpoint.read_numbers(directory / "training.json")["updates"])

    def notes(self) -> Mapping[str, str | int | float]:
        """Optimiser, peak learning rate, precision, device and updates."""
        return {
            "optimizer": self._recipe.optimizer,
            "learning_rate": self._recipe.peak_learning_rate,
            "precision": str(self._precision).removeprefix("torch."),
            "device": self.device,
            "updates": self.updates,
        }
