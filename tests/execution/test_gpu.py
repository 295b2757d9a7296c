"""Runs on a CUDA device; `pytest -m gpu` on a machine that has one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bytelap.execution.store import read_runs
from tests.conftest import Bench


@pytest.mark.gpu
@pytest.mark.parametrize("model", ["gpt", "rnn", "ngram"])
def test_whole_run_on_cuda(bench: Bench, write_suite: Callable[..., Path], tmp_path: Path, model: str) -> None:
    suite = write_suite(entrants=[{"model": model}], budget={"train": "3s"}, resources={"gpus": 1})
    done = bench("run", str(suite))
    assert done.returncode == 0, done.stdout + done.stderr
    (run,) = read_runs(tmp_path / "runs" / "small")
    assert run.record.machine.device == "cuda"
    assert run.record.metrics.overshoot_seconds is not None
    assert run.record.metrics.overshoot_seconds <= 0.25
    assert run.record.metrics.bits_per_byte is not None
    assert run.record.metrics.bits_per_byte < 8
