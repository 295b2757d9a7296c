"""What can be configured: one class for each entrant."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bytelap import ModelConfig


class UniformConfig(ModelConfig):
    """Nothing can be configured."""


class UnigramConfig(ModelConfig):
    """Additive smoothing of token counts."""

    alpha: float = Field(default=0.5, gt=0, description="added to the count of every token, seen or not")


class NgramConfig(ModelConfig):
    """Interpolated Kneser-Ney smoothing."""

    order: int = Field(
        default=8, ge=1, le=32, description="longest n-gram counted: predicts from up to order - 1 tokens"
    )
    discounts: Literal["modified", "single"] = Field(
        default="modified",
        description="per order: three discounts for counts 1, 2 and 3+ (Chen & Goodman), or one for all (Ney)",
    )
