"""Whatever differs among the runs of a report and would mislead if it were not said."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from bytelap.report.blocks import clean
from bytelap.report.entries import Entry, adds_up

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bytelap.execution.record import RunRecord
    from bytelap.execution.store import StoredRun


def race_cautions(
    runs: Sequence[StoredRun], rows: Sequence[Entry], machines: Sequence[str], sizes: Mapping[int, int]
) -> tuple[str, ...]:
    """Sentences on what differs inside one race; `sizes` counts runs by the test bytes they scored."""
    records = [run.record for run in runs]
    told = []
    if len(machines) > 1:
        told.append(
            f"The runs come from {len(machines)} different machines or thread settings "
            f"({'; '.join(machines)}): what is learned in a fixed time is not comparable between them."
        )
    if len(sizes) > 1:
        listed = " and ".join(f"{size:,}" for size in sorted(sizes))
        told.append(f"The runs scored different numbers of test bytes ({listed}): only one of these is ranked.")
    if len({(record.evaluation.curve, record.evaluation.curve_bytes) for record in records}) > 1:
        told.append("The validation curves were measured with different settings: compare them with care.")
    told += _tokenizers(records)
    ranked = [row for row in rows if row.rank is not None]
    told += _seeds(ranked)
    for row in ranked:
        told += _row(row, sum(len(other.runs) for other in rows if other.label == row.label and other.rank is None))
    broken = [clean(run.record.run_id) for run in runs if not adds_up(run)]
    if broken:
        told.append(f"The stored segments do not add up to the recorded score in run {', '.join(broken)}.")
    return tuple(told)


def report_cautions(records: Sequence[RunRecord]) -> tuple[str, ...]:
    """Sentences on what differs between the races of one report."""
    told = []
    suites = {record.suite for record in records}
    if len(suites) > 1:
        told.append(f"This report joins the runs of {len(suites)} suites.")
    hashes = {(record.corpus.name, record.corpus.hash) for record in records}
    told += [
        f"The corpus {clean(name)} has {times} different contents: each has its own table."
        for name, times in sorted(Counter(name for name, _ in hashes).items())
        if times > 1
    ]
    if len({tuple(record.budget.model_dump().values()) for record in records}) > 1:
        told.append("The runs had different training budgets or clocks: each has its own table, do not compare across.")
    ways = [(record.evaluation.context, record.evaluation.segment, record.evaluation.limit) for record in records]
    if len(set(ways)) > 1:
        told.append("The runs were scored in different ways (context, segment or limit): each has its own table.")
    return tuple(told)


def _tokenizers(records: Sequence[RunRecord]) -> list[str]:
    hashes: dict[str, set[str]] = defaultdict(set)
    for record in records:
        hashes[clean(record.tokenizer.name)].add(record.tokenizer.hash)
    return [
        f"The tokenizer {name} was trained in {len(some)} different ways under one name: its rows are kept apart."
        for name, some in sorted(hashes.items())
        if len(some - {""}) > 1
    ]


def _seeds(ranked: Sequence[Entry]) -> list[str]:
    counts = sorted({len(row.runs) for row in ranked})
    if len(counts) < 2:
        return []
    return [f"Entrants were run with different numbers of seeds (between {counts[0]} and {counts[-1]})."]


def _row(row: Entry, lost: int) -> list[str]:
    told = []
    if len({record.plugin.source_hash for record in row.records}) > 1:
        told.append(f"The seeds of {row.label} were run with different versions of its code.")
    if len({record.seed for record in row.records}) < len(row.runs):
        told.append(f"{row.label} was run more than once with one seed: all of these runs are averaged.")
    if lost:
        total = lost + len(row.runs)
        told.append(f"{row.label} is ranked on {len(row.runs)} of its {total} runs; the others are listed below.")
    return told
