"""Writes run directories as `bench run` leaves them, with numbers that follow from the arguments."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from bytelap.execution.record import CurvePoint, RunRecord
from bytelap.execution.store import StoredRun, read_runs

if TYPE_CHECKING:
    from pathlib import Path

SEGMENT = 512
MACHINE = {
    "processor": "Example CPU 3000",
    "cores": 2,
    "memory_bytes": 8 << 30,
    "system": "Linux 6.1",
    "python": "3.11.9",
    "threads": 1,
    "calibration": [(0.5, 96.0), (5.0, 101.0), (60.0, 99.0)],
    "cpu_wall_ratio": 0.99,
}
FINISHED = {"status": "completed", "reason": ""}


def write_run(root: Path, entrant: str, score: float | None, seed: int = 1, **changes: Any) -> StoredRun:
    """One run directory below `root`; `score` is its bits per byte on the test split.

    `changes` replaces parts of the record (`budget={...}`, `metrics={...}`, …) key by key.
    """
    run_id = f"{len(list(root.glob('*'))):04d}-{seed}"
    directory = root / run_id
    directory.mkdir(parents=True)
    segments = None
    if score is not None:
        segments = write_segments(directory, score, seed, changes.pop("segments", 80))
    record = _record(run_id, entrant, seed, score, segments)
    for part, value in changes.items():
        record[part] = {**record[part], **value} if isinstance(record.get(part), dict) else value
    checked = RunRecord.model_validate(record)
    (directory / "run.json").write_text(checked.model_dump_json(indent=1))
    if score is not None:
        write_curve(directory, score, checked.metrics.train_seconds or 1.0, seed)
    return StoredRun(checked, directory)


def write_segments(directory: Path, score: float, seed: int, count: int) -> np.ndarray:
    """Bits around `score` that add up to it exactly; the text's difficulty is shared by all seeds."""
    sizes = np.full(count, SEGMENT, np.int64)
    hard = np.random.default_rng(0).normal(0, 0.25, count)
    own = np.random.default_rng([seed, int(score * 1e6)]).normal(0, 0.03, count)
    noise = hard + own
    bits = (score + noise - noise.mean()) * sizes
    np.savez(directory / "segments.npz", bits=bits, bytes=sizes, document=np.zeros(count, np.int32))
    return sizes


def write_curve(directory: Path, score: float, seconds: float, seed: int) -> None:
    """A learning curve that falls to a little above `score`, at 12 log-spaced moments."""
    rng = np.random.default_rng([seed, int(score * 1e6)])
    moments = np.geomspace(seconds / 200, seconds, 12)
    start = min(8.0, score * 2.6)
    fall = (moments / moments[-1]) ** -0.45 - 1
    bits = score + 0.04 + (start - score) * fall / fall[0] + rng.normal(0, 0.004, 12)
    points = [
        CurvePoint(progress=moment / seconds, seconds=moment, steps=k * 10, tokens=k * 5120, bits_per_byte=value)
        for k, (moment, value) in enumerate(zip(moments, bits, strict=True), 1)
    ]
    (directory / "curve.jsonl").write_text("".join(point.model_dump_json() + "\n" for point in points))


def load(root: Path) -> list[StoredRun]:
    """The runs below `root`, read as the command does."""
    return read_runs(root)


def _record(run_id: str, entrant: str, seed: int, score: float | None, sizes: np.ndarray | None) -> dict[str, Any]:
    metrics: dict[str, Any] = {}
    if score is not None and sizes is not None:
        metrics = {
            "bits_per_byte": score,
            "validation_bits_per_byte": score + 0.04,
            "nats_per_token": score * float(np.log(2)),
            "test_bytes": int(sizes.sum()),
            "test_tokens": int(sizes.sum()),
            "parameters": 123_456,
            "state_size": 2_048,
            "steps": 1_000,
            "tokens_seen": 5_120_000,
            "bytes_seen": 5_120_000.0,
            "epochs": 1.06,
            "train_seconds": 60.01,
            "train_wall_seconds": 60.01,
            "train_cpu_seconds": 59.6,
            "own_step_seconds": 59.8,
            "overshoot_seconds": 0.01,
            "bytes_per_second": 85_333.0,
            "evaluation_bytes_per_second": 410_000.0,
            "model_bytes": 493_824,
            "peak_memory_bytes": 412_000_000,
            "normalisation_error": 3e-7,
        }
    return {
        "schema_version": 1,
        "run_id": run_id,
        "suite": "byte_1min",
        **FINISHED,
        "entrant": entrant,
        "model": entrant,
        "config": {},
        "seed": seed,
        "corpus": {
            "name": "prose",
            "hash": "0123456789abcdef",
            "licence": "public domain",
            "train_bytes": 4_830_138,
            "validation_bytes": 240_278,
            "test_bytes": 80 * SEGMENT,
        },
        "tokenizer": {"name": "byte", "hash": "b" * 16, "size": 256},
        "budget": {"seconds": 60.0, "clock": "wall"},
        "evaluation": {"context": 512, "segment": SEGMENT, "curve": 12, "curve_bytes": 32768, "limit": None},
        "metrics": metrics,
        "ledger": {"wall": {"import": 1.2, "data": 0.1, "train": 60.01, "evaluate": 3.4}, "cpu": {"train": 59.6}},
        "notes": {"precision": "bf16", "learning rate": 0.0021},
        "plugin": {"distribution": "bytelap", "version": "0.1.0", "module": "bytelap_x", "source_hash": "f00d"},
        "machine": MACHINE,
        "git_commit": "c" * 40,
    }


def rewrite(run: StoredRun, **changes: Any) -> None:
    """Change top-level keys of a run.json in place, unchecked, as a hostile plugin could."""
    path = run.directory / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
