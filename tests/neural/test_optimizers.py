"""Optimisers against their formulas in numpy, and who updates what."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from bytelap.neural import Lion, SparseLion, TorchConfig, build_optimizers


def gradients(steps: int, shape: tuple[int, ...], zeros: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(3)
    return rng.normal(size=(steps, *shape)) * (rng.random((steps, *shape)) >= zeros)


def run(optimizer_class: type[Lion], start: np.ndarray, grads: np.ndarray) -> np.ndarray:
    parameter = nn.Parameter(torch.tensor(start))
    optimizer = optimizer_class([parameter], lr=0.01, betas=(0.9, 0.98), weight_decay=0.1)
    for grad in grads:
        parameter.grad = torch.tensor(grad)
        optimizer.step()
    return parameter.detach().numpy()


def test_lion_follows_its_formula():
    start, grads = np.random.default_rng(1).normal(size=(4, 3)), gradients(20, (4, 3))
    weight, momentum = start.copy(), np.zeros_like(start)
    for grad in grads:
        update = np.sign(0.9 * momentum + 0.1 * grad)
        weight -= 0.01 * (update + 0.1 * weight)
        momentum = 0.98 * momentum + 0.02 * grad
    np.testing.assert_allclose(run(Lion, start, grads), weight, rtol=1e-12)


def test_sparse_lion_follows_the_formula_where_gradients_are_not_zero():
    start, grads = np.random.default_rng(1).normal(size=(40, 3)), gradients(20, (40, 3), zeros=0.6)
    weight, momentum = start.copy(), np.zeros_like(start)
    for grad in grads:
        for place in np.ndindex(*start.shape):
            if grad[place] != 0:
                update = np.sign(0.9 * momentum[place] + 0.1 * grad[place])
                weight[place] -= 0.01 * (update + 0.1 * weight[place])
                momentum[place] = 0.98 * momentum[place] + 0.02 * grad[place]
    np.testing.assert_allclose(run(SparseLion, start, grads), weight, rtol=1e-12)


def test_sparse_lion_leaves_untouched_rows_alone_and_lion_does_not():
    start, grads = np.ones((4, 3)), gradients(5, (4, 3))
    grads[1:, 2] = 0.0  # row 2 is touched by the first step only
    after_one, after_all = run(SparseLion, start, grads[:1]), run(SparseLion, start, grads)
    np.testing.assert_array_equal(after_one[2], after_all[2])
    assert not np.array_equal(after_one[0], after_all[0])
    assert not np.array_equal(run(Lion, start, grads[:1])[2], run(Lion, start, grads)[2])


class Network(nn.Module):
    """Every kind of parameter: embedding, hidden matrix with bias, gain, tied and untied output."""

    def __init__(self, tied: bool) -> None:
        super().__init__()
        self.embedding = nn.Embedding(10, 6)
        self.hidden = nn.Linear(6, 6)
        self.norm = nn.LayerNorm(6)
        self.head = nn.Linear(6, 10, bias=False)
        if tied:
            self.head.weight = self.embedding.weight


def owners(module: nn.Module, optimizers: list[torch.optim.Optimizer]) -> dict[str, tuple[str, float]]:
    """Optimiser and weight decay by the parameter's name; a parameter updated twice fails."""
    found: dict[int, tuple[str, float]] = {}
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                assert id(parameter) not in found
                found[id(parameter)] = (type(optimizer).__name__, group["weight_decay"])
    return {name: found.pop(id(parameter)) for name, parameter in module.named_parameters()}


@pytest.mark.parametrize("tied", [False, True])
def test_muon_takes_hidden_matrices_and_adamw_the_rest(tied: bool):
    module = Network(tied)
    config = TorchConfig(optimizer="muon", weight_decay=0.2)
    split = owners(module, build_optimizers(config, module, [module.hidden.weight]))
    assert split["hidden.weight"] == ("Muon", 0.2)
    assert split["embedding.weight"] == ("AdamW", 0.2)
    assert {split[name] for name in ("hidden.bias", "norm.weight", "norm.bias")} == {("AdamW", 0.0)}
    assert ("head.weight" in split) is not tied


@pytest.mark.parametrize(("name", "kind"), [("adamw", "AdamW"), ("lion", "Lion"), ("sparse_lion", "SparseLion")])
def test_other_optimisers_take_everything_and_decay_no_vectors(name: str, kind: str):
    module = Network(tied=False)
    split = owners(module, build_optimizers(TorchConfig(optimizer=name), module, [module.hidden.weight]))
    assert {owner for owner, _ in split.values()} == {kind}
    assert {parameter for parameter, (_, decay) in split.items() if decay == 0} == {
        "hidden.bias",
        "norm.weight",
        "norm.bias",
    }


def test_frozen_parameters_are_left_out():
    module = Network(tied=False)
    module.hidden.weight.requires_grad_(False)
    for optimizer in build_optimizers(TorchConfig(), module, []):
        for group in optimizer.param_groups:
            assert all(parameter is not module.hidden.weight for parameter in group["params"])
