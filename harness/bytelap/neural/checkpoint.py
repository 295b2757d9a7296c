"""Checkpoints of torch entrants: safetensors for every tensor, JSON for every number, no pickle."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from bytelap.errors import BytelapError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from torch.optim import Optimizer


def module_tensors(module: nn.Module) -> dict[str, Tensor]:
    """Parameters (tied ones once) and persistent buffers by name."""
    tensors: dict[str, Tensor] = dict(module.named_parameters())
    persistent = module.state_dict(keep_vars=True)
    tensors.update({name: buffer for name, buffer in module.named_buffers() if name in persistent})
    return tensors


def optimizer_tensors(optimizers: Sequence[Optimizer]) -> dict[str, Tensor]:
    """The optimisers' state by `<optimiser>.<parameter>.<name>`; every entry of ours and torch's is a tensor."""
    return {
        f"{number}.{index}.{name}": value
        for number, optimizer in enumerate(optimizers)
        for index, state in optimizer.state_dict()["state"].items()
        for name, value in state.items()
    }


def restore_optimizers(optimizers: Sequence[Optimizer], tensors: Mapping[str, Tensor]) -> None:
    """Inverse of `optimizer_tensors`; groups and their rates come from the configuration."""
    for number, optimizer in enumerate(optimizers):
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            owner, index, name = key.split(".", 2)
            if int(owner) == number:
                state.setdefault(int(index), {})[name] = value
        optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


@torch.no_grad()
def copy_into(targets: Mapping[str, Tensor], sources: Mapping[str, Tensor], path: Path) -> None:
    """Copy tensors by name; `path` is for the message when they do not fit."""
    if targets.keys() != sources.keys() or any(targets[name].shape != sources[name].shape for name in targets):
        raise BytelapError(f"{path} was written by a model of another shape: load it with the configuration of its run")
    for name, target in targets.items():
        target.copy_(sources[name])


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write a safetensors file by way of a temporary one."""
    temporary = path.with_name(path.name + ".tmp")
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, temporary)
    _publish(temporary, path)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read what `write_tensors` wrote."""
    tensors: dict[str, Tensor] = load_file(path)
    return tensors


def write_numbers(path: Path, numbers: Mapping[str, int | float | str]) -> None:
    """Write a JSON file by way of a temporary one."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
    _publish(temporary, path)


def read_numbers(path: Path) -> dict[str, int]:
    """Read what `write_numbers` wrote."""
    numbers: dict[str, int] = json.loads(path.read_text(encoding="utf-8"))
    return numbers


def _publish(temporary: Path, path: Path) -> None:
    descriptor = os.open(temporary, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    temporary.replace(path)
