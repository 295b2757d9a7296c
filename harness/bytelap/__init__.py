"""bytelap: small language models of any kind race under the same fixed training time, in bits per byte.

Everything a plugin author needs is importable from here (and from `bytelap.neural`, for torch entrants).
Names are imported when they are first used (PEP 562), so that `bench --help` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bytelap.clock import Budget, Clock
    from bytelap.errors import BytelapError, InvalidScore, Unavailable
    from bytelap.hookspecs import hookimpl
    from bytelap.model import AdaptiveModel, Denoiser, Model, ModelConfig, ModelSpec, Size, TrainStep
    from bytelap.plugins import create_model
    from bytelap.text.corpus import Corpus, CorpusConfig, CorpusSpec, Split
    from bytelap.text.prepare import prepare_corpus
    from bytelap.text.streams import TokenStream, TrainingData
    from bytelap.text.tokenizer import Tokenizer, TokenizerSpec
    from bytelap.text.vocabulary import Vocabulary

__version__ = "0.1.0"

__all__ = [
    "AdaptiveModel",
    "Budget",
    "BytelapError",
    "Clock",
    "Corpus",
    "CorpusConfig",
    "CorpusSpec",
    "Denoiser",
    "InvalidScore",
    "Model",
    "ModelConfig",
    "ModelSpec",
    "Size",
    "Split",
    "TokenStream",
    "Tokenizer",
    "TokenizerSpec",
    "TrainStep",
    "TrainingData",
    "Unavailable",
    "Vocabulary",
    "create_model",
    "hookimpl",
    "prepare_corpus",
]

_HOME = {
    "clock": ("Budget", "Clock"),
    "errors": ("BytelapError", "InvalidScore", "Unavailable"),
    "hookspecs": ("hookimpl",),
    "model": ("AdaptiveModel", "Denoiser", "Model", "ModelConfig", "ModelSpec", "Size", "TrainStep"),
    "plugins": ("create_model",),
    "text.corpus": ("Corpus", "CorpusConfig", "CorpusSpec", "Split"),
    "text.prepare": ("prepare_corpus",),
    "text.streams": ("TokenStream", "TrainingData"),
    "text.tokenizer": ("Tokenizer", "TokenizerSpec"),
    "text.vocabulary": ("Vocabulary",),
}


def __getattr__(name: str) -> object:
    for module, names in _HOME.items():
        if name in names:
            return getattr(import_module(f"bytelap.{module}"), name)
    raise AttributeError(f"module 'bytelap' has no attribute '{name}'")
