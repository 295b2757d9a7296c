"""Gradient-boosted decision trees that reweigh the candidates of an n-gram model: the entrant `lightgbm`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bytelap import ModelSpec, hookimpl
from bytelap_lightgbm.config import LightGBMConfig

if TYPE_CHECKING:
    from bytelap import Model


def _load() -> type[Model]:
    from bytelap_lightgbm.model import LightGBM

    return LightGBM


@hookimpl
def bytelap_models() -> Sequence[ModelSpec]:
    """The entrant of this family."""
    return [
        ModelSpec(
            name="lightgbm",
            config=LightGBMConfig,
            load=_load,
            summary="gradient-boosted trees on recent tokens and n-gram statistics, one softmax",
            paper="Ke et al. 2017, LightGBM; high-order-layers text interpolation, language_interpolation_gbm.py",
            requires=("lightgbm",),
        )
    ]
