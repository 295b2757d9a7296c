"""Training under the clock: warm-up, steps, curve points, checkpoints, resumption."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bytelap.clock import Clock
from bytelap.errors import BytelapError
from bytelap.execution.keeper import Stopped
from bytelap.execution.machine import calibrate
from bytelap.execution.material import Material
from bytelap.execution.record import CurvePoint, Metrics
from bytelap.execution.results import score_stream
from bytelap.execution.store import append_line, read_lines, write_atomic
from bytelap.model import Model, TrainStep
from bytelap.suite.plan import RunPlan
from bytelap.text.streams import TrainingData
from bytelap.text.vocabulary import Vocabulary

if TYPE_CHECKING:
    from bytelap.execution.run import Run

PROGRESS_SECONDS = 1.0  # between two progress events
SYNCHRONISE_SECONDS = 0.05  # at most so much device work is queued before the clock is read again
MOST_TOKENS = 2**50  # in one step
SYNTHETIC_TOKENS = 2**20  # random tokens to warm up on
FIRST_CURVE_POINT = 0.01  # of the budget
# A single step that lasts longer than this multiple of the budget (plus a minute) is a hang, not an overshoot.
HANG_FACTOR, HANG_SECONDS = 2.0, 60.0


def prepare(model: Model, vocabulary: Vocabulary, plan: RunPlan) -> None:
    """Let the entrant warm up on synthetic tokens, and check that it learned nothing."""
    if type(model).prepare is Model.prepare:
        return
    random = np.random.default_rng(0).integers(vocabulary.size, size=SYNTHETIC_TOKENS).astype(vocabulary.dtype)
    data = TrainingData(random, np.array([0, SYNTHETIC_TOKENS]), seed=plan.seed)
    before = _state_hash(model)
    model.prepare(data)
    if _state_hash(model) != before:
        raise BytelapError("prepare changed the model: it is untimed, so whatever learns belongs into train")


def _state_hash(model: Model) -> str:
    """SHA-256 over everything that the model saves."""
    digest = hashlib.sha256()
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder))
        for file in sorted(Path(folder).rglob("*")):
            if file.is_file():
                digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def train(run: Run, model: Model, material: Material) -> None:
    """Run the entrant's `train` under the clock, pausing for the curve and for checkpoints."""
    trainer = _Trainer(run, model, material)
    budget = run.clock.budget
    limit = budget.seconds * HANG_FACTOR + HANG_SECONDS if budget.seconds is not None else 7 * 86_400.0
    reason = f"the entrant did not yield for {limit:.0f} s; its budget is {budget}"
    with run.phase("train"), run.clock.running():
        steps = iter(model.train(material.data, run.clock))
        over = False
        while True:
            with run.keeper.deadline(limit, reason):
                step = trainer.step(steps)
            # Having seen `expired`, an entrant may finish (average, fit a mixture) before it returns, but not go on.
            if step is None or over:
                break
            over = run.clock.expired
            if run.keeper.stop_requested.is_set():
                with run.clock.paused():
                    trainer.save_checkpoint()
                raise Stopped
            trainer.after_step()
        if isinstance(steps, Generator):
            with run.keeper.deadline(limit, reason):
                steps.close()
    trainer.end()


def _check_step(step: object) -> None:
    """A step is a TrainStep with a sensible number of tokens, or None at the end."""
    if step is None:
        return
    if not isinstance(step, TrainStep):
        raise BytelapError(f"train yielded {type(step).__name__} instead of a TrainStep")
    if not isinstance(step.tokens, Integral) or not 0 <= step.tokens <= MOST_TOKENS:
        raise BytelapError(
            f"train yielded TrainStep(tokens={step.tokens!r:.40}): tokens is a whole number, not negative"
        )
    if step.loss is not None and not isinstance(step.loss, int | float):
        raise BytelapError(f"train yielded a TrainStep whose loss is a {type(step.loss).__name__}, not a float or None")


class _Trainer:
    """Counts steps, decides when to look at the curve and when to write a checkpoint."""

    def __init__(self, run: Run, model: Model, material: Material) -> None:
        self.run, self.model, self.material, self.clock = run, model, material, run.clock
        points = run.plan.evaluation.curve
        self.moments = np.geomspace(FIRST_CURVE_POINT, 1.0, points)[:-1] if points > 1 else np.empty(0)
        self.next_moment = int(np.searchsorted(self.moments, self.clock.progress, side="right"))
        self.own_seconds = float(run.metrics.own_step_seconds or 0.0)
        self.last_checkpoint = self.clock.seconds("wall")
        self.last_progress = 0.0
        self.last_synchronised = 0.0
        self.process = os.getpid()
        self.loss: float | None = None

    def step(self, steps: Iterator[TrainStep]) -> TrainStep | None:
        """One update of the entrant."""
        before = self.clock.elapsed
        step = next(steps, None)
        if os.getpid() != self.process:  # the entrant forked, and this is the copy
            os._exit(0)
        _check_step(step)
        now = time.monotonic()
        if step is None or now - self.last_synchronised >= SYNCHRONISE_SECONDS:
            self.clock.synchronise()
            self.last_synchronised = now
        self.own_seconds += self.clock.elapsed - before
        if step is not None:
            self.clock.count(int(step.tokens))
            self.loss = step.loss if step.loss is not None else self.loss
        return step

    def after_step(self) -> None:
        """Look at the curve, write a checkpoint, report progress: whatever is due, while the clock stands still."""
        progress = self.clock.progress
        if self.next_moment < len(self.moments) and self.moments[self.next_moment] <= progress < 1.0:
            self.next_moment = int(np.searchsorted(self.moments, progress, side="right"))
            with self.clock.paused():
                self.measure()
        if self.clock.seconds("wall") - self.last_checkpoint >= self.run.plan.budget.checkpoint:
            with self.clock.paused():
                self.save_checkpoint()
        now = time.monotonic()
        if now - self.last_progress >= PROGRESS_SECONDS:
            self.last_progress = now
            facts: dict[str, float] = {} if self.loss is None else {"loss": self.loss}
            self.run.directory.event(
                "progress",
                progress=progress,
                elapsed=self.clock.elapsed,
                remaining=self.clock.remaining,
                steps=self.clock.steps,
                tokens=self.clock.tokens,
                **facts,
            )

    def measure(self) -> None:
        """One point of the validation curve, and one reading of the calibration kernel."""
        cap = self.run.plan.budget.evaluate
        reason = f"a point of the validation curve took longer than {cap:g} s (budget.evaluate)"
        with self.run.phase("evaluate"), self.run.keeper.deadline(cap, reason):
            result = score_stream(self.run, self.model, self.material, self.material.curve)
            self.run.calibration.append((self.clock.seconds("wall"), calibrate()))
        point = CurvePoint(
            progress=self.clock.progress,
            seconds=self.clock.elapsed,
            steps=self.clock.steps,
            tokens=self.clock.tokens,
            bits_per_byte=result.bits_per_byte,
        )
        append_line(self.run.directory.path / "curve.jsonl", point.model_dump())
        self.run.directory.event("curve", bits_per_byte=result.bits_per_byte, progress=point.progress)

    def save_checkpoint(self, *, trained: bool = False) -> None:
        """Write everything needed to go on after a crash; `trained` if only scoring is left."""
        self.last_checkpoint = self.clock.seconds("wall")
        with self.run.phase("checkpoint"), self.run.directory.replacing("checkpoint") as folder:
            (folder / "model").mkdir()
            self.model.save(folder / "model")
            state = {
                "spent": [self.clock.seconds("wall"), self.clock.seconds("cpu")],
                "steps": self.clock.steps,
                "tokens": self.clock.tokens,
                "positions": self.material.data.positions,
                "curve_points": len(read_lines(self.run.directory.path / "curve.jsonl")),
                "own_step_seconds": self.own_seconds,
                "wall": self.run.ledger.wall,
                "cpu": self.run.ledger.cpu,
                "calibration": self.run.calibration,
                "resumptions": self.run.resumptions,
                "started": self.run.started,
                "trained": trained,
            }
            write_atomic(folder / "state.json", json.dumps(state).encode())

    def end(self) -> None:
        """Training is over: the books, the last point of the curve, and a checkpoint, so that scoring can be redone."""
        self.run.metrics = _books(self.run, self.material, self.own_seconds)
        self.measure()
        self.save_checkpoint(trained=True)


def _books(run: Run, material: Material, own_seconds: float) -> Metrics:
    """What training consumed."""
    clock, seen = run.clock, run.clock.tokens * material.bytes_per_token
    return Metrics(
        steps=clock.steps,
        tokens_seen=clock.tokens,
        bytes_seen=seen,
        epochs=clock.tokens / max(1, len(material.data)),
        train_seconds=clock.elapsed,
        train_wall_seconds=clock.seconds("wall"),
        train_cpu_seconds=clock.seconds("cpu"),
        own_step_seconds=own_seconds,
        overshoot_seconds=clock.overshoot,
        bytes_per_second=seen / clock.elapsed if clock.elapsed > 0 else None,
    )


def resume(run: Run, model: Model, material: Material) -> bool:
    """Continue from the run's checkpoint, if there is one, with the time already spent; True if training was over."""
    checkpoint = run.directory.checkpoint()
    if checkpoint is None:
        run.directory.reset()
        run.clock = Clock(run.plan.budget.budget, synchronise=_synchroniser(run.device))
        return False
    state = json.loads((checkpoint / "state.json").read_bytes())
    with run.phase("checkpoint"):
        model.load(checkpoint / "model")
    wall, cpu = state["spent"]
    run.clock = Clock(run.plan.budget.budget, (wall, cpu), state["steps"], state["tokens"], _synchroniser(run.device))
    material.data.positions.update(state["positions"])
    for phase in run.ledger.wall:
        run.ledger.add(phase, state["wall"][phase], state["cpu"][phase])
    run.metrics = Metrics(own_step_seconds=state["own_step_seconds"])
    run.calibration = [(float(at), float(speed)) for at, speed in state["calibration"]]
    run.resumptions, run.started = state["resumptions"] + 1, state["started"]
    curve = run.directory.path / "curve.jsonl"
    lines = [json.dumps(line) + "\n" for line in read_lines(curve)[: state["curve_points"]]]
    write_atomic(curve, "".join(lines).encode())
    if state["trained"]:
        run.metrics = _books(run, material, state["own_step_seconds"])
    return bool(state["trained"])


def _synchroniser(device: str) -> Callable[[], None]:
    """Waits for a GPU's queued work."""
    if device != "cuda":
        return lambda: None
    import torch

    return torch.cuda.synchronize
