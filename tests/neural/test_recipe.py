"""Schedule, precision, attention, sliding windows, and what importing costs."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
import torch
from pydantic import ValidationError

from bytelap.neural import TorchConfig, causal_attention, learning_rate_factor, resolve_precision, score_sliding


@pytest.mark.parametrize("tail", ["linear", "sqrt"])
@pytest.mark.parametrize(("warmup", "hold"), [(0.0, 0.0), (0.02, 0.3), (0.5, 0.2), (0.1, 1.0)])
def test_schedule_ends_at_exactly_zero_and_peaks_at_one(tail: str, warmup: float, hold: float):
    factors = [learning_rate_factor(step / 1000, warmup, hold, tail) for step in range(1001)]
    assert factors[-1] == 0.0
    assert max(factors) == 1.0
    assert all(0.0 <= factor <= 1.0 for factor in factors)
    peak = round(1000 * max(warmup, hold))
    assert all(late <= early for early, late in zip(factors[peak:], factors[peak + 1 :], strict=False))


def test_schedule_shapes():
    assert learning_rate_factor(0.05, 0.1, 0.5, "linear") == pytest.approx(0.5)
    assert learning_rate_factor(0.3, 0.1, 0.5, "linear") == 1.0
    assert learning_rate_factor(0.75, 0.1, 0.5, "linear") == pytest.approx(0.5)
    assert learning_rate_factor(0.75, 0.1, 0.5, "sqrt") == pytest.approx(1 - math.sqrt(0.5))


def test_precision_is_what_was_asked_and_auto_follows_the_processor(monkeypatch: pytest.MonkeyPatch):
    assert resolve_precision("fp32", "cpu") == torch.float32
    assert resolve_precision("bf16", "cpu") == torch.bfloat16
    for avx, amx, expected in [
        (False, False, torch.float32),
        (True, False, torch.bfloat16),
        (False, True, torch.bfloat16),
    ]:
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda value=avx: value)
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda value=amx: value)
        assert resolve_precision("auto", "cpu") == expected


def test_default_learning_rate_depends_on_the_optimiser():
    assert TorchConfig(optimizer="lion").peak_learning_rate < TorchConfig(optimizer="adamw").peak_learning_rate
    assert TorchConfig(optimizer="lion", learning_rate=0.5).peak_learning_rate == 0.5
    with pytest.raises(ValidationError):
        TorchConfig(learning_rates=0.5)


def test_written_out_attention_agrees_with_the_fused_kernel():
    torch.manual_seed(0)
    parts = [torch.randn(2, 3, 17, 8) for _ in range(3)]
    fused = causal_attention(*parts)
    low = [part.bfloat16().requires_grad_() for part in parts]
    written = causal_attention(*low)
    assert written.dtype == torch.bfloat16
    torch.testing.assert_close(written.float(), fused, atol=0.03, rtol=0.03)
    written.float().square().sum().backward()
    exact = [part.clone().requires_grad_() for part in parts]
    causal_attention(*exact).square().sum().backward()
    for rounded, true in zip(low, exact, strict=True):
        assert (rounded.grad.float() - true.grad).norm() < 0.02 * true.grad.norm()


@pytest.mark.parametrize("context", [2, 5, 8])
@pytest.mark.parametrize("length", [1, 2, 4, 5, 8, 9, 12, 23, 40])
def test_sliding_sees_at_least_half_the_context_and_never_the_future(context: int, length: int):
    """The "model" answers with the first token it sees, and with the one it stands on."""

    def spy(tokens: torch.Tensor, keep: int) -> torch.Tensor:
        assert tokens.shape[1] <= context
        return torch.stack([tokens[:, :1].expand(-1, tokens.shape[1]), tokens], dim=2)[:, -keep:].float()

    rows = torch.arange(length).repeat(3, 1) + 1000 * torch.arange(3)[:, None]
    seen = score_sliding(spy, rows, context)
    assert seen.shape == (3, length, 2)
    torch.testing.assert_close(seen[..., 1], rows.float())  # every position answers for itself
    first = seen[..., 0] - 1000 * torch.arange(3)[:, None]
    place = torch.arange(length)
    available = torch.minimum(place + 1, torch.tensor((context + 1) // 2))
    assert bool((place - first + 1 >= available).all())
    prefix = score_sliding(spy, rows[:, : max(1, length - 3)], context)
    torch.testing.assert_close(prefix, seen[:, : max(1, length - 3)])  # borders do not depend on the length


def test_importing_the_public_names_does_not_import_torch():
    code = (
        "import sys, bytelap.neural, bytelap_transformer; from bytelap.neural import TorchConfig;"
        "assert bytelap_transformer.bytelap_models()[0].config().layers;"
        "assert not {'torch', 'safetensors.torch'} & set(sys.modules);"
        "from bytelap.neural import *; assert 'torch' in sys.modules and TorchModel and causal_attention"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
