"""What is compared with what: runs are sorted into races, and ranked only inside one.

A race holds only what may be ranked together: one corpus (name and hash), one budget and clock, one way of scoring,
one number of test bytes. Whatever else differs inside a race is said in a warning.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bytelap.clock import Budget
from bytelap.errors import BytelapError
from bytelap.report.blocks import clean
from bytelap.report.cautions import race_cautions, report_cautions
from bytelap.report.entries import Entry, entries, grouped, scored

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from bytelap.execution.record import BudgetFacts, CorpusFacts, EvaluationFacts, MachineFacts, RunRecord
    from bytelap.execution.store import StoredRun
    from bytelap.report.references import ReferenceLine


@dataclass(frozen=True)
class Race:
    """What may be ranked together."""

    title: str
    slug: str
    """For the names of its figures; empty if the report has one race only."""
    corpus: CorpusFacts
    budget: BudgetFacts
    evaluation: EvaluationFacts
    test_bytes: int | None
    """Raw bytes that every ranked run scored; None if no run got that far."""
    machines: tuple[str, ...]
    entries: tuple[Entry, ...]
    """Ranked ones first, best first, then the others by name."""
    references: tuple[ReferenceLine, ...]
    cautions: tuple[str, ...]

    @property
    def ranked(self) -> list[Entry]:
        """The entries that have a rank, best first."""
        return [entry for entry in self.entries if entry.rank is not None]

    @property
    def measured_references(self) -> list[tuple[str, float]]:
        """Names and bits per byte of the reference lines that were measured."""
        return [(line.name, line.bits_per_byte) for line in self.references if line.bits_per_byte is not None]

    @property
    def budget_text(self) -> str:
        """`60 s (cpu)`, `2,000 steps`, `5,000,000 tokens`."""
        return _budget_text(self.budget)


@dataclass(frozen=True)
class Report:
    """All that the sections of a report are made from."""

    title: str
    suite: str
    """The suite's path, for the command that repeats it."""
    runs: tuple[StoredRun, ...]
    races: tuple[Race, ...]
    cautions: tuple[str, ...]


def compare(runs: Iterable[StoredRun], references: Sequence[ReferenceLine], suite: str) -> Report:
    """Sort runs into races and rank them.

    Raises:
        BytelapError: there is no run.
    """
    ordered = tuple(sorted(runs, key=_order))
    if not ordered:
        raise BytelapError(f"there are no finished runs of {suite} to report: start them with `bench run {suite}`")
    together = grouped(ordered, lambda run: _race_key(run.record))
    titles = _titles([group[0].record for group in together])
    races = tuple(
        _race(title, slug, group, references)
        for title, slug, group in zip(titles, _slugs(titles), together, strict=True)
    )
    names = sorted({clean(run.record.suite) for run in ordered})
    return Report(" + ".join(names), suite, ordered, races, report_cautions([run.record for run in ordered]))


def machine_text(machine: MachineFacts) -> str:
    """The machine in one line; empty if the run did not get to know it."""
    if not machine.processor and not machine.cores:
        return ""
    cores = f"{machine.cores} core{'s' if machine.cores != 1 else ''}"
    threads = f"{machine.threads} thread{'s' if machine.threads != 1 else ''} a run"
    return clean(", ".join((machine.processor or "unknown processor", cores, machine.device, threads)))


def _budget_text(budget: BudgetFacts) -> str:
    try:
        return str(Budget(budget.seconds, budget.steps, budget.tokens, budget.clock))
    except ValueError:
        return "no valid budget"


def _order(run: StoredRun) -> tuple[str, str, int, str]:
    record = run.record
    return (record.entrant, record.tokenizer.name, record.seed, record.run_id)


def _race_key(record: RunRecord) -> tuple[object, ...]:
    evaluation = record.evaluation
    return (
        (record.corpus.name, record.corpus.hash),
        tuple(record.budget.model_dump().items()),
        (evaluation.context, evaluation.segment, evaluation.limit),
    )


def _titles(first: Sequence[RunRecord]) -> list[str]:
    """Corpus and budget, and more only where that leaves two races with one title."""
    parts: Sequence[Callable[[RunRecord], str]] = (
        lambda record: f"corpus {record.corpus.hash}",
        lambda record: f"context {record.evaluation.context} and segment {record.evaluation.segment} bytes",
        lambda record: f"at most {record.evaluation.limit:,} bytes" if record.evaluation.limit else "all test bytes",
    )
    titles = [clean(f"{record.corpus.name}, {_budget_text(record.budget)}") for record in first]
    shared = {title for title, times in Counter(titles).items() if times > 1}
    alike = [index for index, title in enumerate(titles) if title in shared]
    for part in parts:
        if len({part(first[index]) for index in alike}) > 1:
            for index in alike:
                titles[index] += f", {clean(part(first[index]))}"
    return titles


def _slugs(titles: Sequence[str]) -> list[str]:
    if len(titles) == 1:
        return [""]
    slugs: list[str] = []
    for title in titles:
        words = "".join(char if char.isascii() and char.isalnum() else " " for char in title.lower()).split()
        slug = "-".join(words)[:60] or "race"
        slugs.append(slug if slug not in slugs else f"{slug}-{len(slugs) + 1}")
    return slugs


def _race(title: str, slug: str, runs: Sequence[StoredRun], references: Sequence[ReferenceLine]) -> Race:
    first = runs[0].record
    sizes = Counter(run.record.metrics.test_bytes or 0 for run in runs if scored(run))
    test_bytes = max(sizes, key=lambda size: (sizes[size], size)) if sizes else None
    rows = entries(runs, test_bytes)
    known = [run.record for run in runs if run.record.machine.cores]  # not of runs that died without a record
    machines = tuple(sorted({text for record in known if (text := machine_text(record.machine))}))
    read = [run.record.corpus for run in runs if run.record.corpus.train_bytes]  # not of unavailable entrants
    return Race(
        title=title,
        slug=slug,
        corpus=read[0] if read else first.corpus,
        budget=first.budget,
        evaluation=first.evaluation,
        test_bytes=test_bytes,
        machines=machines,
        entries=rows,
        references=tuple(
            line for line in references if line.corpus == first.corpus.hash and test_bytes in (line.test_bytes, None)
        ),
        cautions=race_cautions(runs, rows, machines, sizes),
    )
