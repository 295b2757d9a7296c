"""What a finished run says of itself: the schema of `run.json`, version 1."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from bytelap.clock import ClockKind

Status = Literal["completed", "over_budget", "invalid", "failed", "out_of_memory", "timed_out", "unavailable"]
SCHEMA = 1


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class CorpusFacts(_Part):
    """The corpus of a run. `name` is as written in the suite; sizes are raw bytes of the whole splits."""

    name: str
    hash: str
    licence: str
    train_bytes: int
    validation_bytes: int
    test_bytes: int


class TokenizerFacts(_Part):
    """The tokenizer of a run."""

    name: str
    hash: str
    size: int
    """V, the number of tokens."""


class BudgetFacts(_Part):
    """The training budget: exactly one of seconds, steps, tokens is set."""

    seconds: float | None = None
    steps: int | None = None
    tokens: int | None = None
    clock: ClockKind = "wall"


class EvaluationFacts(_Part):
    """How the run was scored, in raw bytes."""

    context: int
    segment: int
    curve: int
    """Points of the validation curve."""
    curve_bytes: int
    """At most so many bytes of the validation split are scored at each point."""
    limit: int | None = None
    """At most so many bytes of validation and of test were scored at the end; None: all."""


class Metrics(_Part):
    """What was measured; None where a run did not get that far."""

    bits_per_byte: float | None = None
    """On the test split, scored once with the final weights: the number that is ranked."""
    validation_bits_per_byte: float | None = None
    nats_per_token: float | None = None
    test_bytes: int | None = None
    """Raw bytes that were scored: the denominator, the same for every entrant and tokenizer."""
    test_tokens: int | None = None
    parameters: int | None = None
    state_size: int | None = None
    steps: int | None = None
    tokens_seen: int | None = None
    bytes_seen: float | None = None
    """Training tokens seen times the training split's mean bytes per token."""
    epochs: float | None = None
    train_seconds: float | None = None
    """On the budget's clock."""
    train_wall_seconds: float | None = None
    train_cpu_seconds: float | None = None
    own_step_seconds: float | None = None
    """Seconds of the budget spent inside the entrant's own steps, on the budget's clock."""
    overshoot_seconds: float | None = None
    bytes_per_second: float | None = None
    """Training speed: bytes_seen / train_seconds."""
    evaluation_bytes_per_second: float | None = None
    model_bytes: int | None = None
    peak_memory_bytes: int | None = None
    normalisation_error: float | None = None
    """Largest |log of the sum of probabilities| over every scored position."""


class LedgerFacts(_Part):
    """Wall and CPU seconds by phase: import, data, build, prepare, train, checkpoint, evaluate, audit."""

    wall: dict[str, float] = {}
    cpu: dict[str, float] = {}


class PluginFacts(_Part):
    """Where the entrant's code came from."""

    distribution: str = ""
    version: str = ""
    module: str = ""
    source_hash: str = ""


class MachineFacts(_Part):
    """The machine, as far as it matters for timing."""

    processor: str = ""
    cores: int = 0
    memory_bytes: int = 0
    system: str = ""
    python: str = ""
    device: str = "cpu"
    threads: int = 1
    pinned_cores: list[int] = []
    versions: dict[str, str] = {}
    environment: dict[str, str] = {}
    calibration: list[tuple[float, float]] = []
    """(training seconds, GFLOP/s of the calibration kernel) at every evaluation pause."""
    load_average: float = 0.0
    cpu_wall_ratio: float | None = None


class RunRecord(_Part):
    """`run.json`: one run, whatever became of it."""

    schema_version: int = SCHEMA
    run_id: str
    suite: str
    status: Status
    reason: str = ""
    entrant: str
    model: str
    config: dict[str, Any] = {}
    seed: int
    corpus: CorpusFacts
    tokenizer: TokenizerFacts
    budget: BudgetFacts
    evaluation: EvaluationFacts
    metrics: Metrics = Metrics()
    ledger: LedgerFacts = LedgerFacts()
    notes: dict[str, str | int | float] = {}
    plugin: PluginFacts = PluginFacts()
    machine: MachineFacts = MachineFacts()
    disturbed: str = ""
    """Why the machine was not quiet during the run; empty if it was."""
    git_commit: str = ""
    git_dirty: bool = False
    started: str = ""
    finished: str = ""
    resumptions: int = 0


class CurvePoint(_Part):
    """One line of `curve.jsonl`: validation bits per byte at one moment of the budget, clock paused."""

    progress: float
    seconds: float
    """Training seconds on the budget's clock."""
    steps: int
    tokens: int
    bits_per_byte: float
