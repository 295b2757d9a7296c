"""The training fields that every torch entrant shares. Does not import torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from bytelap.model import ModelConfig

if TYPE_CHECKING:
    from collections.abc import Mapping

OptimizerName = Literal["adamw", "lion", "sparse_lion", "muon"]
PrecisionName = Literal["auto", "fp32", "bf16"]
TailName = Literal["linear", "sqrt"]


class TorchConfig(ModelConfig):
    """How a torch entrant is trained; derive the entrant's own configuration from it.

    Override a default by declaring the field again; override the rates used when `learning_rate` is None by
    setting `default_learning_rates`.
    """

    default_learning_rates: ClassVar[Mapping[OptimizerName, float]] = {
        "adamw": 2e-3,
        "lion": 4e-4,
        "sparse_lion": 4e-4,
        "muon": 4e-3,
    }

    optimizer: OptimizerName = "adamw"
    """adamw, lion (arXiv:2302.06675), sparse_lion (zero gradients rest), muon (matrices; AdamW the rest)."""
    learning_rate: float | None = Field(default=None, gt=0)
    """Peak learning rate; None takes the entrant's default for the optimiser."""
    weight_decay: float = Field(default=0.1, ge=0)
    """Decoupled weight decay of matrices; vectors (biases, gains) are never decayed."""
    betas: tuple[float, float] = (0.9, 0.99)
    """Decay of the running means of gradient and squared gradient (Lion: of update and momentum)."""
    batch: int = Field(default=32, ge=1)
    """Sequences per update."""
    warmup: float = Field(default=0.02, ge=0, lt=1)
    """Share of the budget during which the learning rate rises from zero to its peak."""
    hold: float = Field(default=0.3, ge=0, le=1)
    """Share of the budget at which the learning rate leaves its peak, to fall to exactly zero at the bell."""
    tail: TailName = "linear"
    """Shape of the fall: linear, or sqrt (one minus the square root, arXiv:2405.18392)."""
    clip: float = Field(default=1.0, ge=0)
    """Largest norm of the whole gradient; 0 turns clipping off."""
    precision: PrecisionName = "auto"
    """Training arithmetic: fp32, bf16 (autocast; weights stay fp32), auto (bf16 where it is fast). Scoring is fp32."""
    average: float = Field(default=0.0, ge=0, lt=1)
    """Width of the running mean of weights that predicts, as a share of the updates so far; 0: the last weights."""

    @property
    def peak_learning_rate(self) -> float:
        """`learning_rate`, or the entrant's default for the optimiser."""
        return self.default_learning_rates[self.optimizer] if self.learning_rate is None else self.learning_rate
