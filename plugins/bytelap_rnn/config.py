"""The configuration of the gated grid: which gates, which dynamics, how far gradients reach. Does not import torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from bytelap.neural import OptimizerName, TorchConfig

Dynamics = Literal["gated", "plain", "doubly_gated"]
# What each choice settles about other fields; they take these values if not given and may not contradict them.
SETTLED: Mapping[tuple[str, str], Mapping[str, bool]] = {
    ("dynamics", "plain"): {"input_gate": False, "forget_gate": False, "state_gate": False},
    ("dynamics", "doubly_gated"): {"forget_gate": True, "state_gate": True},
    ("output", "state"): {"new_state": True},
}


class RNNConfig(TorchConfig):
    """The gated grid model; gates are described by the equations at the top of `bytelap_rnn.cell`."""

    default_learning_rates: ClassVar[Mapping[OptimizerName, float]] = {
        "adamw": 5e-3,
        "lion": 4e-4,
        "sparse_lion": 4e-4,
        "muon": 1e-2,
    }

    optimizer: OptimizerName = "muon"
    """muon on the layers' matrices and AdamW on the rest, or adamw, lion, sparse_lion."""
    layers: int = Field(default=1, ge=1)
    """Recurrent layers."""
    state: int = Field(default=256, ge=1)
    """S, the numbers of state that each layer carries."""
    width: int | None = Field(default=None, ge=1)
    """Width of the embedding and of what layers pass on; None: as wide as the state."""
    dynamics: Dynamics = "gated"
    """gated, plain (tanh, no gates on the state) or doubly_gated (independent gates for forgetting and updating)."""
    input_gate: bool = True
    """Gates on input and old state before the new state is computed."""
    forget_gate: bool = True
    """A gate on the new state (doubly_gated: on the old state)."""
    state_gate: bool = True
    """A gate that mixes old and new state (doubly_gated: that scales the new state)."""
    output_gate: bool = True
    """A gate on the layer's output; without it the output goes through SiLU."""
    new_state: bool = True
    """The output sees the state computed in the same step."""
    old_state: bool = False
    """The output sees the state before the step."""
    residual: bool = True
    """The output sees the layer's input, concatenated."""
    output: Literal["linear", "state"] = "linear"
    """What a layer passes on: a product of the above, or the new state itself."""
    bptt: int = Field(default=1, ge=1)
    """Steps that gradients flow back through time; 1: none, the old state is a constant."""
    chunk: int = Field(default=32, ge=1)
    """Steps read between two updates of the weights."""
    reset: int = Field(default=0, ge=0)
    """0: every lane reads on through the text with its state, lanes at staggered places. Otherwise: random windows of
    so many tokens, each from a state of zeros, all lanes in step (the seed: 1000)."""
    batch: int = Field(default=64, ge=1)
    """Lanes read side by side."""

    @model_validator(mode="before")
    @classmethod
    def _settle(cls, given: Any) -> Any:
        """Fill in what the choices of dynamics and output leave no freedom in, so that the record shows what ran."""
        if not isinstance(given, Mapping):
            return given
        filled = dict(given)
        for (field, choice), values in SETTLED.items():
            if given.get(field) == choice:
                filled = {**values, **filled}
        if given.get("output") == "state" and not given.get("output_gate", cls.model_fields["output_gate"].default):
            filled = {"old_state": False, "residual": False, **filled}
        return filled

    @model_validator(mode="after")
    def _check(self) -> RNNConfig:
        for (field, choice), values in SETTLED.items():
            chosen = getattr(self, field) == choice
            for name in [name for name, value in values.items() if chosen and getattr(self, name) != value]:
                raise ValueError(
                    f"{field}: {choice} needs {name}: {str(values[name]).lower()}, leave it out or change {field}"
                )
        if not (self.new_state or self.old_state):
            raise ValueError("new_state and old_state are both false, the output would not see the state: turn one on")
        if self.output == "state" and not self.output_gate and (self.old_state or self.residual):
            raise ValueError("output: state without output_gate uses neither old_state nor residual: leave them out")
        if self.bptt > self.chunk:
            raise ValueError(f"bptt {self.bptt} is longer than the chunk of {self.chunk} steps: raise chunk")
        if self.reset and self.chunk > self.reset:
            raise ValueError(f"chunk {self.chunk} is longer than the windows of {self.reset} tokens: raise reset")
        return self

    @property
    def hidden(self) -> int:
        """`width`, or the state's."""
        return self.state if self.width is None else self.width

    @property
    def reservoir(self) -> bool:
        """Whether the weights that make the new state get no gradient: it is unused in the step that computes it."""
        return self.bptt == 1 and not self.new_state
