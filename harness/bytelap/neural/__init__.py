"""What torch entrants share: `TorchModel`, `TorchConfig`, optimisers, schedule, precision, attention, sliding scoring.

Entrants differ in architecture, not in training craft. Importing this package does not import torch, so that a
plugin's light `__init__` can derive its configuration from `TorchConfig`; the rest is imported on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from bytelap.neural.config import OptimizerName, PrecisionName, TorchConfig

if TYPE_CHECKING:
    from bytelap.neural.attention import causal_attention
    from bytelap.neural.model import TorchModel
    from bytelap.neural.optimizers import Lion, SparseLion, build_optimizers
    from bytelap.neural.precision import resolve_precision
    from bytelap.neural.schedule import learning_rate_factor
    from bytelap.neural.sliding import score_sliding

_LAZY = {
    "TorchModel": "bytelap.neural.model",
    "Lion": "bytelap.neural.optimizers",
    "SparseLion": "bytelap.neural.optimizers",
    "causal_attention": "bytelap.neural.attention",
    "build_optimizers": "bytelap.neural.optimizers",
    "resolve_precision": "bytelap.neural.precision",
    "learning_rate_factor": "bytelap.neural.schedule",
    "score_sliding": "bytelap.neural.sliding",
}

__all__ = [
    "Lion",
    "OptimizerName",
    "PrecisionName",
    "SparseLion",
    "TorchConfig",
    "TorchModel",
    "build_optimizers",
    "causal_attention",
    "learning_rate_factor",
    "resolve_precision",
    "score_sliding",
]


def __getattr__(name: str) -> Any:
    """Import the parts that need torch when they are first asked for (PEP 562)."""
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
