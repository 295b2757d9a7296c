"""Entrants that count: `uniform` (knows nothing), `unigram` (knows frequencies) and `ngram` (knows contexts).

Copy this package to start your own: this file announces the entrants and imports nothing heavy, `config.py` says what
can be configured, and each model has a file of its own that is imported when a run needs it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bytelap import ModelSpec, hookimpl
from bytelap_ngram.config import NgramConfig, UniformConfig, UnigramConfig

if TYPE_CHECKING:
    from bytelap import Model


def load_uniform() -> type[Model]:
    """Import the model behind `uniform`."""
    from bytelap_ngram.uniform import Uniform

    return Uniform


def load_unigram() -> type[Model]:
    """Import the model behind `unigram`."""
    from bytelap_ngram.unigram import Unigram

    return Unigram


def load_ngram() -> type[Model]:
    """Import the model behind `ngram`."""
    from bytelap_ngram.kneser_ney import KneserNey

    return KneserNey


@hookimpl
def bytelap_models() -> list[ModelSpec]:
    """The entrants of this package."""
    return [
        ModelSpec(
            name="uniform",
            config=UniformConfig,
            load=load_uniform,
            summary="every token equally likely: the zero of the scale, 8 bits per byte on bytes",
            paper="none",
        ),
        ModelSpec(
            name="unigram",
            config=UnigramConfig,
            load=load_unigram,
            summary="how often each token occurs, whatever comes before it",
            paper="Laplace 1814, Essai philosophique sur les probabilités (additive smoothing)",
        ),
        ModelSpec(
            name="ngram",
            config=NgramConfig,
            load=load_ngram,
            summary="interpolated modified Kneser-Ney smoothing of exact n-gram counts",
            paper="Chen & Goodman 1999, An empirical study of smoothing techniques for language modeling, "
            "https://doi.org/10.1006/csla.1999.0128",
        ),
    ]
