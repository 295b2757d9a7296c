"""Starts whatever a plan still needs, watches it, and collects the results; leaves no run process behind."""

from __future__ import annotations

import functools
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bytelap.execution.executors import Executor, Job
from bytelap.execution.machine import source_hash
from bytelap.execution.record import RunRecord
from bytelap.execution.run import STOPPED, TAKEN, plan_record
from bytelap.execution.store import RunDirectory, parse_lines
from bytelap.suite.plan import RunPlan

POLL_SECONDS = 0.25
STOP_SECONDS = 60.0  # for a checkpoint after Ctrl-C

State = Literal["waiting", "elsewhere", "running", "ended", "kept", "stopped"]


@dataclass
class Lane:
    """One run of the race as the display sees it."""

    plan: RunPlan
    directory: RunDirectory
    state: State = "waiting"
    """kept: it had ended before; elsewhere: another process is at it; stopped: it can be resumed."""
    phase: str = ""
    progress: float = 0.0
    remaining: float | None = None
    bits_per_byte: float | None = None
    """The newest point of the validation curve."""
    scoring: tuple[str, float] | None = None
    """(split, share) while the final scores are computed."""
    record: RunRecord | None = None
    note: str = ""
    fresh: bool = False
    """Repeat it although it may have ended."""
    job: Job | None = None
    _read: int = 0

    def follow(self) -> None:
        """Read the events that are new."""
        path = self.directory.path / "events.jsonl"
        if not path.exists() or path.stat().st_size == self._read:
            return
        size = path.stat().st_size
        with path.open("rb") as file:
            file.seek(self._read)
            chunk = file.read(size - self._read)
        whole = chunk.rfind(b"\n") + 1
        self._read += whole
        for event in parse_lines(chunk[:whole]):
            self._apply(event)

    def skip_old_events(self) -> None:
        """Events of earlier attempts are history."""
        path = self.directory.path / "events.jsonl"
        self._read = path.stat().st_size if path.exists() else 0

    def _apply(self, event: dict[str, Any]) -> None:
        kind = event.get("event")
        if kind == "phase":
            self.phase = str(event.get("phase", ""))
        elif kind == "progress":
            self.progress, self.remaining = float(event["progress"]), float(event["remaining"])
        elif kind == "curve":
            self.bits_per_byte, self.progress = float(event["bits_per_byte"]), float(event["progress"])
        elif kind == "scoring":
            self.scoring = (str(event["split"]), float(event["share"]))
        elif kind == "stopped" and event.get("reason"):
            self.note = str(event["reason"])


class Race:
    """All runs of a plan.

    Args:
        plans: what to run, in order.
        runs: the directory runs/<suite>.
        executor: starts the processes.
        fresh: repeat runs that have ended.
        watch: called about four times a second and whenever a run's state changes.
    """

    def __init__(
        self,
        plans: Sequence[RunPlan],
        runs: Path,
        executor: Executor,
        *,
        fresh: bool,
        watch: Callable[[Lane | None], None],
    ) -> None:
        self.lanes = [Lane(plan, RunDirectory(runs / plan.run_id)) for plan in plans]
        self._executor, self._watch = executor, watch
        for lane in self.lanes:
            if lane.directory.finished and not fresh:
                lane.state, lane.record = "kept", lane.directory.record()
                continue
            lane.fresh = fresh
            lane.directory.create(lane.plan)

    def outdated(self) -> list[Lane]:
        """Runs that are kept although the entrant's code has changed since."""
        current = functools.cache(source_hash)
        return [
            lane
            for lane in self._in("kept")
            if lane.record is not None and lane.record.plugin.source_hash != current(lane.record.plugin.module)
        ]

    def run(self) -> None:
        """Until every run has ended. On KeyboardInterrupt, runs write checkpoints and leave, and it is raised again."""
        try:
            while self._step():
                time.sleep(POLL_SECONDS)
        except KeyboardInterrupt:
            self._stop()
            raise

    def _step(self) -> bool:
        """Start what fits, look at what runs; False when nothing is left."""
        for lane in self._in("elsewhere"):
            if not lane.directory.claimed():
                lane.state = "kept" if lane.directory.finished else "waiting"
                lane.record = lane.directory.record()
                self._watch(lane)
        for lane in self._in("waiting"):
            if not self._executor.has_room():
                if not self._in("running") and not lane.note:
                    lane.note = "waiting for a free core: another race is on this machine"
                    self._watch(lane)
                break
            self._start(lane)
        for lane in self._in("running"):
            lane.follow()
            self._look(lane)
        self._watch(None)
        return any(self._in("waiting", "running", "elsewhere"))

    def _start(self, lane: Lane) -> None:
        if lane.directory.claimed():
            lane.state, lane.note = "elsewhere", "another process is at this run; waiting for it"
        elif lane.directory.finished and not lane.fresh:  # by another `bench run`, meanwhile
            lane.state, lane.record = "kept", lane.directory.record()
        else:
            if lane.fresh or lane.directory.record() is not None:
                lane.directory.forget()
            lane.fresh = False
            lane.skip_old_events()
            lane.job, lane.state, lane.note = self._executor.start(lane.directory.path), "running", ""
        self._watch(lane)

    def _look(self, lane: Lane) -> None:
        assert lane.job is not None
        status = lane.job.poll()
        if status is None:
            return
        lane.follow()
        lane.record = lane.directory.record()
        if status == TAKEN:
            lane.state = "elsewhere"
        elif lane.record is not None:
            lane.state = "ended"
        else:
            lane.state = "stopped"
            if status not in (STOPPED, -signal.SIGKILL, -signal.SIGTERM):
                self._crashed(lane, status)
            elif status != STOPPED:
                lane.note = f"the run's process was killed by signal {-status}; is there enough memory?"
            lane.note = lane.note or "stopped; the same command goes on from its checkpoint"
        self._watch(lane)

    def _crashed(self, lane: Lane, status: int) -> None:
        """The process is gone without a result, and not because somebody killed it: the entrant's native code, say."""
        how = f"by signal {-status} ({signal.strsignal(-status)})" if status < 0 else f"with status {status}"
        record = plan_record(lane.plan, "failed", f"the run's process ended {how} before it had a result; see log.txt")
        lane.directory.finish(record)
        lane.directory.release()
        lane.record, lane.state = record, "ended"

    def _stop(self) -> None:
        """Ask all runs to leave; kill those that do not within STOP_SECONDS or at a second Ctrl-C."""
        running = list(self._in("running"))
        for lane in running:
            assert lane.job is not None
            lane.job.stop()
        deadline = time.monotonic() + STOP_SECONDS
        try:
            while (
                any(lane.job is not None and lane.job.poll() is None for lane in running)
                and time.monotonic() < deadline
            ):
                time.sleep(0.05)
        except KeyboardInterrupt:
            pass
        for lane in running:
            assert lane.job is not None
            if lane.job.poll() is None:
                lane.job.stop(force=True)
            self._look(lane)

    def _in(self, *states: State) -> list[Lane]:
        return [lane for lane in self.lanes if lane.state in states]
