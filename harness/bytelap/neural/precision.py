"""Which arithmetic training uses: bf16 where the processor multiplies it faster than fp32."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from bytelap.neural.config import PrecisionName


def resolve_precision(precision: PrecisionName, device: str) -> torch.dtype:
    """The dtype of training products: `torch.bfloat16` or `torch.float32`.

    `auto` takes bf16 on CUDA devices that have it and on x86 processors with avx512_bf16 or AMX tiles
    (measured 3.5 times fp32 at sizes of 512 and more); elsewhere bf16 is emulated and slower than fp32.
    """
    if precision == "fp32":
        return torch.float32
    if precision == "bf16" or bf16_is_fast(device):
        return torch.bfloat16
    return torch.float32


def bf16_is_fast(device: str) -> bool:
    """Whether `device` ("cpu" or "cuda") has bf16 products in hardware."""
    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
