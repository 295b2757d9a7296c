"""Optimisers: torch's AdamW and Muon, and our own Lion and sparse Lion, with parameters sorted into groups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from bytelap.errors import BytelapError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bytelap.neural.config import TorchConfig


class Lion(Optimizer):
    """Sign of an interpolated momentum, decoupled weight decay (arXiv:2302.06675).

    update = sign(b1 m + (1 - b1) g);  p -= lr (update + wd p);  m = b2 m + (1 - b2) g
    """

    def __init__(
        self, params: Any, lr: float, betas: tuple[float, float] = (0.9, 0.99), weight_decay: float = 0.0
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # closures are not supported
        """One update of every parameter that has a gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["momentum"] = torch.zeros_like(parameter)
                self._update(parameter, parameter.grad, state["momentum"], group)

    def _update(self, parameter: Tensor, grad: Tensor, momentum: Tensor, group: dict[str, Any]) -> None:
        (beta1, beta2), rate = group["betas"], group["lr"]
        parameter.mul_(1.0 - rate * group["weight_decay"])
        parameter.add_(torch.lerp(grad, momentum, beta1).sign_(), alpha=-rate)
        momentum.lerp_(grad, 1.0 - beta2)


class SparseLion(Lion):
    """Lion that leaves entries with a gradient of exactly zero alone: neither weight nor momentum nor decay.

    For layers where an input touches few of the weights (piecewise polynomials, embeddings): momentum of an
    untouched weight would otherwise move it on for many steps (seed 002, high-order-layers).
    """

    def _update(self, parameter: Tensor, grad: Tensor, momentum: Tensor, group: dict[str, Any]) -> None:
        (beta1, beta2), rate = group["betas"], group["lr"]
        touched = (grad != 0).to(grad.dtype)
        change = torch.lerp(grad, momentum, beta1).sign_().add_(parameter, alpha=group["weight_decay"])
        parameter.sub_(change.mul_(touched), alpha=rate)
        momentum.add_((grad - momentum).mul_(touched), alpha=1.0 - beta2)


def build_optimizers(config: TorchConfig, module: nn.Module, hidden: Iterable[nn.Parameter]) -> list[Optimizer]:
    """The optimisers that together update every trainable parameter of `module` once.

    Args:
        config: optimizer, peak learning rate, betas and weight decay.
        module: the network; parameters with two or more dimensions are decayed, vectors are not.
        hidden: the 2-D matrices that Muon may orthogonalise; used with `optimizer: muon` only.
    """
    trainable = [parameter for parameter in module.parameters() if parameter.requires_grad]
    chosen = {id(parameter) for parameter in hidden} if config.optimizer == "muon" else set()
    matrices = [parameter for parameter in trainable if id(parameter) in chosen]
    others = [parameter for parameter in trainable if id(parameter) not in chosen]
    rate, decay = config.peak_learning_rate, config.weight_decay
    groups: list[dict[str, Any]] = [
        {"params": [parameter for parameter in others if parameter.ndim >= 2], "weight_decay": decay},
        {"params": [parameter for parameter in others if parameter.ndim < 2], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if config.optimizer in {"lion", "sparse_lion"}:
        kind = Lion if config.optimizer == "lion" else SparseLion
        return [kind(groups, lr=rate, betas=config.betas)]
    optimizers: list[Optimizer] = []
    if groups:
        # The fused kernel is several times faster than the loop over tensors, on CPU and CUDA alike.
        optimizers.append(torch.optim.AdamW(groups, lr=rate, betas=config.betas, fused=True))
    if matrices:
        optimizers.append(_muon(matrices, rate, decay))
    return optimizers


def _muon(matrices: list[nn.Parameter], rate: float, decay: float) -> Optimizer:
    """torch's Muon, its updates scaled to AdamW's size, so that one learning rate serves both (arXiv:2502.16982)."""
    if not hasattr(torch.optim, "Muon"):
        raise BytelapError(
            f"optimizer 'muon' needs torch 2.9 or later, this is {torch.__version__}: upgrade torch or use adamw"
        )
    return torch.optim.Muon(matrices, lr=rate, weight_decay=decay, adjust_lr_fn="match_rms_adamw")
