"""The learning rate over the budget: warm-up, hold, and a fall that ends at exactly zero when the bell rings."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bytelap.neural.config import TailName


def learning_rate_factor(progress: float, warmup: float, hold: float, tail: TailName) -> float:
    """Factor of the peak learning rate at `progress` (0 to 1) of the budget: a trapezoid (arXiv:2405.18392).

    Rises linearly until `warmup`, stays at 1 until `hold`, falls to exactly 0 at 1. `warmup` wins where they overlap.
    """
    hold = max(hold, warmup)
    if progress >= 1.0:
        return 0.0
    if progress < warmup:
        return progress / warmup
    if progress <= hold:
        return 1.0
    fallen = (progress - hold) / (1.0 - hold)
    return 1.0 - (math.sqrt(fallen) if tail == "sqrt" else fallen)
