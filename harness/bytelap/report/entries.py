"""The seeds of one entrant become one row: its label, its mean score with an interval, its rank or why it has none."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from bytelap.evaluation.statistics import Interval, bits_per_byte, bootstrap, bootstrap_seeds, interval
from bytelap.report.blocks import clean, sentence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from bytelap.execution.record import RunRecord
    from bytelap.execution.store import StoredRun

K = TypeVar("K")
# Bits stored by segment and the total in the record are the same sum, added in another order.
SUM_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Entry:
    """The runs of one entrant on one tokenizer that ended alike: one row of the table."""

    name: str
    """The entrant, with the options in which it differs from others of that name."""
    label: str
    """The name, and the tokenizer if the race has more than one. The ranked and the failed seeds of one entrant are
    two entries with one label."""
    runs: tuple[StoredRun, ...]
    score: Interval | None
    """Mean over seeds of the test bits per byte; low and high equal the mean if there is only one seed."""
    reason: str
    """Why it is not ranked, in one sentence; empty if it is."""
    rank: int | None = None

    @property
    def records(self) -> list[RunRecord]:
        """What its runs say."""
        return [run.record for run in self.runs]

    @property
    def disturbed(self) -> bool:
        """True if the machine was not quiet during one of its runs."""
        return any(record.disturbed for record in self.records)

    def mean(self, metric: str) -> float | None:
        """Mean of one of the record's metrics over the seeds that have it."""
        values = [getattr(record.metrics, metric) for record in self.records]
        known = [float(value) for value in values if value is not None and math.isfinite(value)]
        return sum(known) / len(known) if known else None


def entries(runs: Sequence[StoredRun], test_bytes: int | None) -> tuple[Entry, ...]:
    """All rows of one race: ranked ones first, best first, then the others by name; equal means share a rank."""
    rows = [
        Entry(name, label, tuple(group), _score(group), _reason(group, test_bytes))
        for name, label, group in _named(runs, test_bytes)
    ]
    able = sorted((row for row in rows if not row.reason), key=lambda row: (_mean(row), row.label))
    means = [_mean(row) for row in able]
    rest = sorted((row for row in rows if row.reason), key=lambda row: (row.label, row.reason))
    return (*(replace(row, rank=1 + means.index(_mean(row))) for row in able), *rest)


def grouped(runs: Iterable[StoredRun], key: Callable[[StoredRun], K]) -> list[list[StoredRun]]:
    """Runs with equal keys together; groups in the order of their keys, runs in their own order."""
    groups: dict[K, list[StoredRun]] = defaultdict(list)
    for run in runs:
        groups[key(run)].append(run)
    return [groups[name] for name in sorted(groups, key=str)]


def scored(run: StoredRun) -> bool:
    """True if the run ended well and has a finite score that is not negative."""
    score = run.record.metrics.bits_per_byte
    return run.record.status == "completed" and score is not None and 0 <= score < math.inf


def adds_up(run: StoredRun) -> bool:
    """True if there are no stored segments, or if they give the recorded score."""
    arrays, score = run.segments(), run.record.metrics.bits_per_byte
    if arrays is None or score is None:
        return True
    if not np.sum(arrays["bytes"]) > 0:
        return False
    again = float(bits_per_byte(np.asarray(arrays["bits"])[None], arrays["bytes"])[0])
    return abs(again - score) <= SUM_TOLERANCE * max(1.0, score)


def _named(runs: Sequence[StoredRun], test_bytes: int | None) -> list[tuple[str, str, list[StoredRun]]]:
    """(name, label, seeds of one entrant that ended alike); different entrants get different labels."""
    several = len({run.record.tokenizer.name for run in runs}) > 1
    identities = grouped(runs, lambda run: _identity(run.record))
    result: list[tuple[str, str, list[StoredRun]]] = []
    used: set[str] = set()
    for group in identities:
        record = group[0].record
        same = [other[0].record for other in identities if _titled(other[0].record) == _titled(record)]
        name = clean(record.entrant) or "(no name)"
        name += f" ({_difference(record, same)})" if len(same) > 1 else ""
        label = f"{name} · {clean(record.tokenizer.name)}" if several else name
        while label in used:  # names that differ in invisible characters only
            name, label = f"{name}′", f"{label}′"
        used.add(label)
        result += [(name, label, part) for part in grouped(group, lambda run: _outcome(run, test_bytes))]
    return result


def _titled(record: RunRecord) -> tuple[str, str]:
    return (clean(record.entrant), record.tokenizer.name)


def _identity(record: RunRecord) -> tuple[str, str, str, str, str]:
    """What the seeds of one entrant share."""
    config = json.dumps(record.config, sort_keys=True, default=str)
    return (record.entrant, record.tokenizer.name, record.tokenizer.hash, record.model, config)


def _difference(record: RunRecord, same: Sequence[RunRecord]) -> str:
    """In what an entrant differs from others of the same name."""
    told = [record.model] if len({other.model for other in same}) > 1 else []
    told += [
        f"{key}={record.config.get(key)}"
        for key in sorted({key for other in same for key in other.config})
        if any(other.config.get(key) != record.config.get(key) for other in same)
    ]
    if len({other.tokenizer.hash for other in same}) > 1:
        told.append(f"tokenizer {record.tokenizer.hash}")
    return sentence(", ".join(told))


def _outcome(run: StoredRun, test_bytes: int | None) -> tuple[str, int | None, bool]:
    size = run.record.metrics.test_bytes if scored(run) else test_bytes
    return (run.record.status, size, scored(run))


def _reason(runs: Sequence[StoredRun], test_bytes: int | None) -> str:
    """Why seeds that ended alike are not ranked, in one sentence; empty if they are."""
    record = runs[0].record
    if record.status != "completed":
        told = sentence(record.reason) or "no reason was recorded"
        other = any(run.record.reason != record.reason for run in runs)
        return f"{told} (seed {record.seed}; the other seeds differ)" if other else told
    if not scored(runs[0]):
        return "no finite score was recorded"
    if record.metrics.test_bytes != test_bytes:
        return f"scored {record.metrics.test_bytes or 0:,} test bytes where the others scored {test_bytes or 0:,}"
    return ""


def _mean(entry: Entry) -> float:
    return entry.score.mean if entry.score is not None else math.inf


def _score(runs: Sequence[StoredRun]) -> Interval | None:
    scores = [run.record.metrics.bits_per_byte for run in runs]
    known = [score for score in scores if score is not None and math.isfinite(score)]
    if not known:
        return None
    mean = float(np.mean(known))
    if len(known) == 1:
        return Interval(mean, mean, mean)
    stored = _segments(runs) if len(known) == len(runs) else None
    found = interval(bootstrap(*stored) if stored is not None else bootstrap_seeds(known), mean)
    return replace(found, low=max(0.0, found.low))


def _segments(runs: Sequence[StoredRun]) -> tuple[np.ndarray, np.ndarray] | None:
    """Bits (S, N) and bytes (N,) if every run stored the same segments and they add up to its score."""
    stored = [run.segments() for run in runs]
    arrays = [item for item in stored if item is not None]
    if len(arrays) < len(runs) or not all(adds_up(run) for run in runs):
        return None
    sizes = arrays[0]["bytes"]
    if len(sizes) < 2 or not all(np.array_equal(item["bytes"], sizes) for item in arrays):
        return None
    return np.stack([item["bits"] for item in arrays]), sizes
