"""The budget of training and the clock that spends it; the harness owns both.

`Clock` is what an entrant sees inside `train`. Only the harness starts, pauses and counts it.
`Ledger` books every second of a run under a phase, so that nothing is hidden in an untimed corner.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

ClockKind = Literal["wall", "cpu"]
Phase = Literal["import", "data", "build", "prepare", "train", "checkpoint", "evaluate", "audit"]
PHASES: tuple[Phase, ...] = ("import", "data", "build", "prepare", "train", "checkpoint", "evaluate", "audit")

# Overshoot up to the larger of these is tolerated: one step of an entrant rarely ends exactly at the bell.
TOLERANCE_FRACTION = 0.01
TOLERANCE_SECONDS = 0.25

_READ: dict[ClockKind, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}


@dataclass(frozen=True)
class Budget:
    """How long training may last: exactly one of seconds, steps or tokens."""

    seconds: float | None = None
    steps: int | None = None
    tokens: int | None = None
    clock: ClockKind = "wall"
    """What a second is: of the wall, or of the process's own CPU time (all threads)."""

    def __post_init__(self) -> None:
        given = [value for value in (self.seconds, self.steps, self.tokens) if value is not None]
        if len(given) != 1 or given[0] <= 0:
            raise ValueError("a budget is exactly one of seconds, steps or tokens, and more than zero")

    @property
    def tolerance(self) -> float:
        """Seconds of overshoot that are not held against a run; infinite for budgets in steps or tokens."""
        if self.seconds is None:
            return float("inf")
        return max(TOLERANCE_FRACTION * self.seconds, TOLERANCE_SECONDS)

    def __str__(self) -> str:
        if self.seconds is not None:
            return f"{self.seconds:g} s ({self.clock})"
        return f"{self.steps:,} steps" if self.steps is not None else f"{self.tokens:,} tokens"


class Clock:
    """The training clock. Entrants read `progress`, `remaining`, `elapsed` and `expired`; the rest is the harness's.

    Args:
        budget: what may be spent.
        spent: (wall seconds, CPU seconds) already spent before a resumption.
        synchronise: waits for the device's queued work, so that a reading counts it; does nothing on the CPU.
    """

    def __init__(
        self,
        budget: Budget,
        spent: tuple[float, float] = (0.0, 0.0),
        steps: int = 0,
        tokens: int = 0,
        synchronise: Callable[[], None] = lambda: None,
    ) -> None:
        self.budget = budget
        self._steps = steps
        self._tokens = tokens
        self._spent: dict[ClockKind, float] = {"wall": spent[0], "cpu": spent[1]}
        self._since: dict[ClockKind, float] | None = None
        self._synchronise = synchronise

    # --- what an entrant reads -------------------------------------------------------------------------------

    @property
    def steps(self) -> int:
        """Updates so far."""
        return self._steps

    @property
    def tokens(self) -> int:
        """Training tokens so far."""
        return self._tokens

    @property
    def elapsed(self) -> float:
        """Training seconds spent so far on the budget's clock."""
        return self.seconds(self.budget.clock)

    @property
    def progress(self) -> float:
        """Share of the budget that is spent, from 0 to 1: let schedules follow it, they end exactly at the bell."""
        return min(1.0, self._share())

    @property
    def remaining(self) -> float:
        """Seconds left; for budgets in steps or tokens an estimate from the speed so far (infinite at first)."""
        if self.budget.seconds is not None:
            return max(0.0, self.budget.seconds - self.elapsed)
        share = self._share()
        return max(0.0, self.elapsed * (1.0 - share) / share) if share > 0 else float("inf")

    @property
    def expired(self) -> bool:
        """True once the budget is spent: finish and return from `train`."""
        return self._share() >= 1.0

    # --- what the harness does -------------------------------------------------------------------------------

    def seconds(self, kind: ClockKind) -> float:
        """Seconds of training so far on the given clock, whatever the budget counts."""
        running = 0.0 if self._since is None else _READ[kind]() - self._since[kind]
        return self._spent[kind] + running

    def synchronise(self) -> None:
        """Wait for queued device work, so that the next reading counts it."""
        self._synchronise()

    def start(self) -> None:
        """Let the clock run; device work queued before now is waited for, so that nobody pays for it."""
        self._synchronise()
        self._since = {kind: read() for kind, read in _READ.items()}

    def pause(self) -> None:
        """Stop the clock after all queued device work is done."""
        if self._since is None:
            return
        self._synchronise()
        for kind, read in _READ.items():
            self._spent[kind] += read() - self._since[kind]
        self._since = None

    @contextmanager
    def running(self) -> Iterator[None]:
        """The clock runs inside the `with` block."""
        self.start()
        try:
            yield
        finally:
            self.pause()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """The clock stands still inside the `with` block."""
        self.pause()
        try:
            yield
        finally:
            self.start()

    def count(self, tokens: int) -> None:
        """Book one step of so many tokens."""
        self._steps += 1
        self._tokens += tokens

    @property
    def overshoot(self) -> float:
        """Seconds spent beyond a budget in seconds; zero otherwise."""
        return max(0.0, self.elapsed - self.budget.seconds) if self.budget.seconds is not None else 0.0

    def _share(self) -> float:
        if self.budget.seconds is not None:
            return self.elapsed / self.budget.seconds
        if self.budget.steps is not None:
            return self.steps / self.budget.steps
        assert self.budget.tokens is not None
        return self.tokens / self.budget.tokens


@dataclass
class Ledger:
    """Wall and CPU seconds by phase. Phases do not nest: opening one closes the one that is open for its duration."""

    wall: dict[Phase, float] = field(default_factory=lambda: dict.fromkeys(PHASES, 0.0))
    cpu: dict[Phase, float] = field(default_factory=lambda: dict.fromkeys(PHASES, 0.0))
    _open: list[Phase] = field(default_factory=list)
    _mark: tuple[float, float] | None = None

    @contextmanager
    def phase(self, name: Phase) -> Iterator[None]:
        """Book the time inside the `with` block under `name`; an enclosing phase is suspended meanwhile."""
        self._book()
        self._open.append(name)
        try:
            yield
        finally:
            self._book()
            self._open.pop()

    def add(self, name: Phase, wall: float, cpu: float) -> None:
        """Book seconds that were measured elsewhere (before this ledger existed, or before a resumption)."""
        self.wall[name] += wall
        self.cpu[name] += cpu

    def _book(self) -> None:
        now = (time.perf_counter(), time.process_time())
        if self._open and self._mark is not None:
            self.add(self._open[-1], now[0] - self._mark[0], now[1] - self._mark[1])
        self._mark = now
