"""The contract of an entrant: what a plugin author implements and what the harness promises in return.

A plugin package declares an entry point in the group `bytelap` whose module implements the hook
`bytelap_models` and returns `ModelSpec`s (see `hookspecs.py`). Nothing here imports torch: a
specification must be cheap to list; the class behind it is imported by `ModelSpec.load`, in the run's own process.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from torch import Tensor

    from bytelap.clock import Clock
    from bytelap.text.streams import TrainingData
    from bytelap.text.vocabulary import Vocabulary


class ModelConfig(BaseModel):
    """Base of every entrant's configuration: unknown keys are errors, values never change.

    Give each field a default and `Field(description=...)`: `bench list models` prints both.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


@dataclass(frozen=True)
class Size:
    """How large a model is."""

    parameters: int
    """Learned numbers (weights, counts, leaf values), each counted once."""
    state: int
    """Numbers carried from one step to the next, reading left to right: recurrent state, key-value cache, window."""


@dataclass(frozen=True)
class TrainStep:
    """What one update of the model consumed; yielded by `Model.train` after every update."""

    tokens: int
    """Training tokens predicted (learned from) in this update, repetitions counted."""
    loss: float | None = None
    """Mean training loss of this update in nats per token, if it is known without extra work."""


class Model(ABC):
    """A causal language model that is trained under the clock and then only read.

    Between `train` and the end of the run the harness calls `predict` only. A `Model` is stateless across
    `predict` calls; one that learns while it is being scored is an `AdaptiveModel`.
    """

    @abstractmethod
    def __init__(self, config: Any, vocabulary: Vocabulary, seed: int, device: str) -> None:
        """Build the untrained model.

        Args:
            config: an instance of the `ModelSpec.config` class.
            vocabulary: the tokens; `vocabulary.size` is V.
            seed: everything random must follow from it.
            device: "cpu" or "cuda" (then "cuda" is the run's only visible GPU).
        """

    def prepare(self, data: TrainingData) -> None:
        """Compile or warm up on `data`, which holds random tokens, drawn as in `train`; untimed but capped.

        Must not change what the model knows: the harness compares what `save` writes before and after. The default
        does nothing.
        """
        return

    @abstractmethod
    def train(self, data: TrainingData, clock: Clock) -> Iterator[TrainStep]:
        """Learn from `data`; yield after every update; return soon after `clock.expired` turns true.

        The harness may pause the clock at any yield to evaluate or to write a checkpoint, and may end the run there.
        Whatever changes the model (averaging, quantising, fitting a mixture) happens in here and is timed.
        If one update takes long, ask `clock.remaining` before starting it: overshoot above max(1 %, 0.25 s) is
        `over_budget` and not ranked. After `load` of a checkpoint, `train` is called again and continues.
        """

    @abstractmethod
    def predict(self, tokens: Tensor) -> Tensor:
        """Log-probabilities (natural) of the next token after each prefix.

        Args:
            tokens: (B, T) int64 on the run's device. Rows are independent.

        Returns:
            (B, T, V) float32 (or float64): entry [b, t] is a full normalised distribution given tokens[b, :t+1] only.
        """

    @abstractmethod
    def size(self) -> Size:
        """Learned parameters and state carried from step to step."""

    @abstractmethod
    def save(self, directory: Path) -> None:
        """Write everything needed to predict and to go on training into the empty `directory`; no pickle."""

    @abstractmethod
    def load(self, directory: Path) -> None:
        """Read what `save` wrote, into a model built with the same arguments."""

    def notes(self) -> Mapping[str, str | int | float]:
        """Short facts worth a line in the report (backend, precision, …); recorded in `run.json`."""
        return {}


class AdaptiveModel(Model):
    """A model that goes on learning while it is scored; ranked in a table of its own."""

    @abstractmethod
    def observe(self, tokens: Tensor) -> None:
        """Learn from a segment, (B, T) int64, that was already scored; called once each, left to right."""


class Denoiser(ABC):
    """A model that sees both sides of a gap; never in the bits-per-byte ranking. Has a table of its own."""

    @abstractmethod
    def fill(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Log-probabilities (B, T, V) of every token; where `mask` (B, T) is true, `tokens` was overwritten."""


@dataclass(frozen=True)
class ModelSpec:
    """One entrant as a plugin announces it; cheap to import, the heavy class comes from `load`."""

    name: str
    """What suites call it, for example `ngram`; lower case, digits and hyphens."""
    config: type[ModelConfig]
    """Its configuration class: every field with default and description."""
    load: Callable[[], type[Model]]
    """Imports and returns the model class; called in the run's own process only."""
    summary: str
    """One line for `bench list models`."""
    paper: str
    """Where the idea comes from: a citation, a URL or a seed document."""
    requires: tuple[str, ...] = ()
    """Import names of optional packages it needs beyond bytelap's own; missing ones make it `unavailable`."""
    kind: Literal["model", "adaptive", "denoiser"] = "model"
