"""Transformers: `gpt`, a decoder comparable to nanoGPT. Light to import; torch comes with the model's own module."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from bytelap import ModelSpec, hookimpl
from bytelap.neural import OptimizerName, TorchConfig

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bytelap import Model


class GptConfig(TorchConfig):
    """A decoder-only transformer; the defaults suit ten minutes on one core."""

    default_learning_rates: ClassVar[Mapping[OptimizerName, float]] = {
        "adamw": 2e-3,
        "lion": 4e-4,
        "sparse_lion": 4e-4,
        "muon": 8e-3,
    }

    optimizer: OptimizerName = "muon"
    """adamw, lion (arXiv:2302.06675), sparse_lion (zero gradients rest), muon (matrices; AdamW the rest)."""
    layers: int = Field(default=4, ge=1)
    """Blocks of attention and perceptron."""
    heads: int = Field(default=2, ge=1)
    """Attention heads per block; divides `width`."""
    width: int = Field(default=128, ge=1)
    """Numbers per position in the residual stream."""
    context: int = Field(default=128, ge=2)
    """Tokens that one prediction can see."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Share of activations that training drops."""
    bias: bool = False
    """Biases in linear layers and layer norms."""
    batch: int = Field(default=16, ge=1)
    """Windows of `context` tokens per update."""


def _load_gpt() -> type[Model]:
    from bytelap_transformer.gpt import Gpt

    return Gpt


@hookimpl
def bytelap_models() -> Sequence[ModelSpec]:
    """The entrants of this family."""
    return [
        ModelSpec(
            name="gpt",
            config=GptConfig,
            load=_load_gpt,
            summary="decoder-only transformer: learned positions, layer norm, GELU, tied embeddings",
            paper="Radford et al. 2019, Language Models are Unsupervised Multitask Learners; after karpathy/nanoGPT",
        )
    ]
