"""`results.csv`: one row a run. People script against its columns: add at the end, never move one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bytelap.report.blocks import clean
from bytelap.report.races import machine_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bytelap.execution.record import RunRecord
    from bytelap.execution.store import StoredRun

COLUMNS = (
    "suite", "corpus", "tokenizer", "entrant", "model", "seed", "status", "reason", "bits_per_byte",
    "validation_bits_per_byte", "nats_per_token", "parameters", "state_size", "tokens_seen", "bytes_seen", "epochs",
    "train_seconds", "budget_seconds", "clock", "bytes_per_second", "evaluation_bytes_per_second", "model_bytes",
    "peak_memory_bytes", "test_bytes", "disturbed", "run_id",
    # Beyond the published ones:
    "corpus_hash", "tokenizer_hash", "vocabulary_size", "budget_steps", "budget_tokens", "steps", "test_tokens",
    "train_wall_seconds", "train_cpu_seconds", "own_step_seconds", "overshoot_seconds", "normalisation_error",
    "context", "segment", "limit", "machine", "plugin", "plugin_version", "git_commit", "resumptions",
)  # fmt: skip


def results_csv(runs: Iterable[StoredRun]) -> str:
    """All runs, in the order of the report; empty cells where a run did not get that far."""
    import pandas as pd

    # As objects: a missing cell must not turn a column of whole numbers into decimals.
    frame = pd.DataFrame([_row(run.record) for run in runs], columns=list(COLUMNS), dtype=object)
    return frame.to_csv(index=False, lineterminator="\n")


def _row(record: RunRecord) -> dict[str, str | float | None]:
    metrics = record.metrics.model_dump()
    return {
        **{name: metrics[name] for name in COLUMNS if name in metrics},
        "suite": clean(record.suite),
        "corpus": clean(record.corpus.name),
        "corpus_hash": record.corpus.hash,
        "tokenizer": clean(record.tokenizer.name),
        "tokenizer_hash": record.tokenizer.hash,
        "vocabulary_size": record.tokenizer.size,
        "entrant": clean(record.entrant),
        "model": clean(record.model),
        "seed": record.seed,
        "status": record.status,
        "reason": clean(record.reason),
        "budget_seconds": record.budget.seconds,
        "budget_steps": record.budget.steps,
        "budget_tokens": record.budget.tokens,
        "clock": record.budget.clock,
        "disturbed": clean(record.disturbed),
        "run_id": clean(record.run_id),
        "context": record.evaluation.context,
        "segment": record.evaluation.segment,
        "limit": record.evaluation.limit,
        "machine": machine_text(record.machine),
        "plugin": clean(record.plugin.distribution),
        "plugin_version": clean(record.plugin.version),
        "git_commit": clean(record.git_commit),
        "resumptions": record.resumptions,
    }
