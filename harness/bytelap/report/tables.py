"""The sections in words and numbers: results, validity, ledger, how to repeat it."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING

from bytelap.clock import PHASES
from bytelap.report.blocks import Block, Code, Facts, Heading, Paragraph, Row, Table, clean, sentence

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bytelap.execution.record import RunRecord
    from bytelap.report.entries import Entry
    from bytelap.report.races import Race, Report
    from bytelap.report.references import ReferenceLine

NONE = "–"
READING = (
    "Bits per byte is how many bits an entrant needs on average to encode one byte of text that it has never seen: "
    "lower is better, 8 means that it knows nothing. Every entrant trained for the same budget on the same text, and "
    "all were scored on the identical bytes, so entrants that read bytes and entrants that read larger tokens compare "
    "directly. The number after the budget is all that is ranked; no checkpoint is chosen by looking at the test text."
)
INTERVAL = (
    "The 95 % interval says how far the mean over seeds might move with other seeds and other passages of these test "
    "documents (bootstrap over seeds and segments, widened for few seeds); other documents can differ by more."
)


def results(report: Report) -> Sequence[Block]:
    """One table a race, with everything needed to read it above."""
    blocks: list[Block] = [Paragraph(READING)]
    blocks += [Paragraph(caution, "warning") for caution in report.cautions]
    for race in report.races:
        if len(report.races) > 1:
            blocks.append(Heading(race.title))
        blocks.append(Facts(_facts(race)))
        blocks += [Paragraph(caution, "warning") for caution in race.cautions]
        blocks.append(_results_table(race))
        blocks += [Paragraph(note) for note in _table_notes(race)]
    return blocks


def _facts(race: Race) -> list[tuple[str, str]]:
    corpus, scored = race.corpus, race.test_bytes
    whole = scored is None or scored == corpus.test_bytes
    test = f"{scored or 0:,} bytes" if whole else f"{scored:,} of {corpus.test_bytes:,} bytes (a subset)"
    return [
        ("Corpus", clean(f"{corpus.name}, hash {corpus.hash}, licence: {corpus.licence}")),
        ("Training text", f"{corpus.train_bytes:,} bytes"),
        ("Test text scored", test if scored is not None else "none: no run got that far"),
        ("Budget", f"{race.budget_text} of training; the clock is {_CLOCKS[race.budget.clock]}"),
        (
            "Scoring",
            f"segments of {race.evaluation.segment:,} bytes after {race.evaluation.context:,} bytes of context",
        ),
        ("Machine", "; ".join(race.machines) or "not recorded"),
    ]


_CLOCKS = {"wall": "wall time", "cpu": "CPU time of the run's process, all threads"}

# Title, alignment, how an entry fills it. The rank and the two columns of the score come before, the status after.
_COLUMNS: Sequence[tuple[str, Callable[[Entry], str]]] = (
    ("seeds", lambda entry: str(len(entry.runs))),
    ("nats per token", lambda entry: _fixed(entry.mean("nats_per_token"), 4)),
    ("parameters", lambda entry: short(entry.mean("parameters"))),
    ("state size", lambda entry: short(entry.mean("state_size"))),
    ("tokens seen", lambda entry: short(entry.mean("tokens_seen"))),
    ("bytes seen", lambda entry: _amount(entry.mean("bytes_seen"))),
    ("epochs", lambda entry: _significant(entry.mean("epochs"))),
    ("train seconds", lambda entry: _duration(entry.mean("train_seconds"))),
    ("training speed", lambda entry: _per_second(entry.mean("bytes_per_second"))),
    ("peak memory", lambda entry: _amount(_largest(entry, "peak_memory_bytes"))),
)


def _results_table(race: Race) -> Table:
    several = any(len(entry.runs) > 1 for entry in race.ranked)
    head = ("rank", "entrant", "tokenizer", "bits per byte", *(("95 % interval",) if several else ()))
    columns = (*head, *(title for title, _ in _COLUMNS), "status")
    rows: list[tuple[float, Row]] = []
    for entry in race.ranked:
        score = entry.score.mean if entry.score else math.inf
        rows.append((score, Row(_cells(entry, several), "best" if entry.rank == 1 else "plain")))
    rows += [
        (line.bits_per_byte, Row(_reference_cells(line, len(columns), several), "reference"))
        for line in race.references
        if line.bits_per_byte is not None
    ]
    ordered = [row for _, row in sorted(rows, key=lambda pair: pair[0])]
    others = [Row(_cells(entry, several), "unranked") for entry in race.entries if entry.rank is None]
    return Table(columns, "rll" + "r" * (len(columns) - 4) + "l", [*ordered, *others])


def _cells(entry: Entry, several: bool) -> tuple[str, ...]:
    record, score = entry.records[0], entry.score
    value = f"{score.mean:.4f}" if score else NONE
    if entry.rank is None and score:
        value = f"({value})"
    span = f"{score.low:.4f} to {score.high:.4f}" if score and len(entry.runs) > 1 and entry.rank is not None else NONE
    status = record.status.replace("_", " ") + (f": {entry.reason}" if entry.reason else "")
    return (
        str(entry.rank) if entry.rank is not None else NONE,
        entry.name,
        clean(record.tokenizer.name),
        value + (" †" if entry.disturbed else ""),
        *((span,) if several else ()),
        *(fill(entry) for _, fill in _COLUMNS),
        status,
    )


def _reference_cells(line: ReferenceLine, columns: int, several: bool) -> tuple[str, ...]:
    head = (NONE, line.name, "byte", f"{line.bits_per_byte:.4f}", *((NONE,) if several else ()))
    note = f"compressor; adapts while reading{'; ' + line.note if line.note else ''}"
    return (*head, *([NONE] * (columns - len(head) - 1)), note)


def _table_notes(race: Race) -> list[str]:
    notes = []
    seeds = {len(entry.runs) for entry in race.ranked}
    if seeds - {1}:
        notes.append(INTERVAL + (" Two seeds say little about chance: run three or more." if 2 in seeds else ""))
    if any(entry.disturbed for entry in race.entries):
        notes.append("† The machine was not quiet during a run: see “Validity and notes”.")
    if any(entry.rank is None and entry.score for entry in race.entries):
        notes.append("Scores in parentheses are shown for information and are not ranked.")
    lines = [f"{line.name}: {line.note}." for line in race.references if line.bits_per_byte is None]
    return notes + lines


def validity(report: Report) -> Sequence[Block]:
    """How the runs ended, what disturbed them, what entrants say of themselves."""
    records = [run.record for run in report.runs]
    worst = [r.metrics.normalisation_error for r in records if r.metrics.normalisation_error is not None]
    facts = [("Runs", _counts(records)), ("Code", _code(records))]
    if worst:
        facts.append(("Largest error of normalisation", f"{max(worst):.2g} (log of the sum of probabilities)"))
    blocks: list[Block] = [Facts(facts)]
    uneasy = [record for record in records if record.disturbed]
    if uneasy:
        rows = [Row((_who(record), str(record.seed), sentence(record.disturbed))) for record in uneasy]
        blocks += [
            Paragraph("† During these runs the machine was not quiet:"),
            Table(("run", "seed", "why"), "lrl", rows),
        ]
    ended = [record for record in records if record.status != "completed"]
    if ended:
        rows = [
            Row((_who(record), str(record.seed), record.status.replace("_", " "), sentence(record.reason) or NONE))
            for record in ended
        ]
        table = Table(("run", "seed", "status", "reason"), "lrll", rows)
        blocks += [Paragraph("These runs are not ranked:"), table]
    return [*blocks, *_notes(report)]


def _notes(report: Report) -> list[Block]:
    seen: dict[str, Row] = {}
    for race in report.races:
        for entry in race.entries:
            record = entry.records[0]
            plugin = clean(f"{record.plugin.distribution} {record.plugin.version}") or NONE
            config = ", ".join(f"{key}={value}" for key, value in sorted(record.config.items()))
            notes = ", ".join(f"{key}: {_note(value)}" for key, value in sorted(record.notes.items()))
            cells = (entry.label, clean(record.model), plugin, sentence(config) or "defaults", sentence(notes) or NONE)
            seen.setdefault("\0".join(cells), Row(cells))
    columns = ("entrant", "model", "from", "configuration", "notes")
    return [Table(columns, "lllll", list(seen.values()), summary="What each entrant is")]


def ledger(report: Report) -> Sequence[Block]:
    """Wall seconds of every run by phase."""
    columns = ("run", "seed", *PHASES, "own steps", "overshoot s", "CPU/wall", "GFLOP/s")
    rows = []
    for run in report.runs:
        record, metrics = run.record, run.record.metrics
        own, spent = metrics.own_step_seconds, metrics.train_seconds
        speeds = [speed for _, speed in record.machine.calibration]
        cells = (
            _who(record),
            str(record.seed),
            *(_seconds(record.ledger.wall.get(phase, 0.0)) for phase in PHASES),
            f"{100 * own / spent:.1f} %" if own is not None and spent else NONE,
            _fixed(metrics.overshoot_seconds, 2),
            _fixed(record.machine.cpu_wall_ratio, 2),
            f"{statistics.median(speeds):.0f} ({min(speeds):.0f} to {max(speeds):.0f})" if speeds else NONE,
        )
        rows.append(Row(cells, "plain" if record.status == "completed" else "unranked"))
    text = (
        "Wall seconds of each run by phase. Only training spends the budget; “own steps” is the share of the training "
        "clock that passed inside the entrant's own steps. GFLOP/s is a calibration kernel timed at every pause "
        "(median, lowest to highest): where it varies, the machine's speed varied."
    )
    return [
        Paragraph(text),
        Table(columns, "lr" + "r" * (len(columns) - 2), rows, summary=f"Ledger of {len(rows)} runs"),
    ]


def repeat(report: Report) -> Sequence[Block]:
    """The command that makes this report again."""
    text = "Finished runs are kept, so this only does what is missing. One row a run, for scripts, is in results.csv."
    return [Paragraph(text), Code(f"bench run {clean(report.suite)} && bench report {clean(report.suite)}")]


def _counts(records: Sequence[RunRecord]) -> str:
    ends = sorted({record.status for record in records}, key=lambda status: (status != "completed", status))
    parts = [f"{sum(r.status == end for r in records)} {end.replace('_', ' ')}" for end in ends]
    resumed = sum(record.resumptions > 0 for record in records)
    return ", ".join(parts) + (f"; {resumed} went on after an interruption" if resumed else "")


def _code(records: Sequence[RunRecord]) -> str:
    commits = {clean(r.git_commit)[:12] + (" with uncommitted changes" if r.git_dirty else "") for r in records}
    return "commit " + ", ".join(sorted(commits)) if commits - {""} else "not under version control"


def _who(record: RunRecord) -> str:
    return clean(f"{record.entrant} · {record.tokenizer.name}")


def _note(value: str | float) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def short(value: float | None, gap: str = "") -> str:
    """A count with three digits and k, M or G: 950, 9.5k, 124M."""
    if value is None:
        return NONE
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit * 0.9995:
            return f"{value / limit:.3g}{gap}{unit}"
    return f"{value:.0f}{gap}"


def _amount(value: float | None) -> str:
    return NONE if value is None else f"{short(value, gap=' ')}B"


def _per_second(value: float | None) -> str:
    return f"{_amount(value)}/s" if value else NONE


def _fixed(value: float | None, digits: int) -> str:
    return NONE if value is None else f"{value:.{digits}f}"


def _significant(value: float | None) -> str:
    return NONE if value is None else f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def _duration(value: float | None) -> str:
    return NONE if value is None else f"{value:,.2f}" if value >= 0.005 else "<0.01"


def _seconds(value: float) -> str:
    return f"{value:.2f}" if value < 100 else f"{value:.0f}"


def _largest(entry: Entry, metric: str) -> float | None:
    values = [getattr(record.metrics, metric) for record in entry.records]
    return max((float(value) for value in values if value is not None), default=None)
