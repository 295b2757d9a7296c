"""Configuration of the entrant `lightgbm`."""

from __future__ import annotations

from pydantic import Field

from bytelap import ModelConfig


class LightGBMConfig(ModelConfig):
    """Trees over the candidates of an n-gram model."""

    order: int = Field(
        8,
        ge=1,
        le=20,
        description="tokens of context of the n-gram statistics; cut so that order + 1 tokens fit into 64 bits",
    )
    classes: int = Field(
        16,
        ge=1,
        description="likeliest symbols per position that the trees reweigh; all others keep the n-gram's ratios",
    )
    floor: float = Field(
        0.003, ge=0.0, lt=1.0, description="a symbol below this n-gram probability is not one of the classes"
    )
    recent: int = Field(3, ge=0, description="last tokens given to the trees as numbers")
    window: int = Field(
        1024, ge=8, description="tokens of context searched for an earlier occurrence of the last 1..order tokens"
    )
    text: int = Field(
        20_000_000, ge=1, description="at most so many training tokens are counted (about 50 bytes of memory each)"
    )
    positions: int = Field(
        400_000,
        ge=1,
        description="held-out positions boosted on, at most; a budget in seconds takes what `rounds` rounds can afford",
    )
    rounds: int = Field(40, ge=1, description="rounds that the number of positions is chosen for")
    most_rounds: int = Field(
        120, ge=1, description="rounds after which boosting stops: the cost of predicting grows with them"
    )
    leaves: int = Field(31, ge=2, description="leaves per tree")
    learning_rate: float = Field(
        0.25, gt=0.0, description="shrinkage of the first round; falls linearly to a fifth at the bell"
    )
    feature_share: float = Field(0.5, gt=0.0, le=1.0, description="share of the features that each tree may use")
    bins: int = Field(63, ge=2, le=255, description="histogram bins per feature")
    uniform: float = Field(
        1e-4, gt=0.0, lt=1.0, description="share of the uniform distribution over the whole vocabulary in the mixture"
    )
