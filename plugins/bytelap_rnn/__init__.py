"""Recurrent entrants trained without backpropagation through time: `rnn`, the gated grid of A. Faust's SLMfun."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bytelap import ModelSpec, hookimpl
from bytelap_rnn.config import RNNConfig

if TYPE_CHECKING:
    from bytelap import Model


def _load_rnn() -> type[Model]:
    from bytelap_rnn.rnn import RNN

    return RNN


@hookimpl
def bytelap_models() -> list[ModelSpec]:
    """The entrants of this family."""
    return [
        ModelSpec(
            name="rnn",
            config=RNNConfig,
            load=_load_rnn,
            summary="recurrent net with switchable gates, trained without backpropagation through time unless bptt > 1",
            paper="A. Faust, SLMfun, SystematicRNNExploration (https://github.com/ASFaust/SLMfun)",
        )
    ]
