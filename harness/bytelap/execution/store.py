"""A run's directory: the only truth about the run. Every file appears whole (temp + fsync + rename) or not at all.

plan.json       what to run, written before the run starts
claim.json      who is at it; its age is the heartbeat
events.jsonl    what happens, one record per line, one `write` per record
curve.jsonl     validation bits per byte over the budget
checkpoint/     everything needed to go on after a crash; removed at the end
segments.npz    bits and bytes of every scored segment of the test split
model/          the final model
run.json        the result; exists only when the run has ended
log.txt         whatever the run's process printed
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from pydantic import ValidationError

from bytelap.errors import BytelapError
from bytelap.execution.record import SCHEMA, CurvePoint, RunRecord
from bytelap.suite.plan import RunPlan

HEARTBEAT_SECONDS = 1.0
CLAIM_EXPIRES_SECONDS = 60.0
# These ended because of the entrant, and would end so again; the others are tried again by the next `bench run`.
FINAL: frozenset[str] = frozenset({"completed", "over_budget", "invalid"})


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole or not at all, whatever happens meanwhile."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def append_line(path: Path, record: Mapping[str, Any]) -> None:
    """Append one JSON record with a single `write`, so that a crash tears at most the last line."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, (json.dumps(record) + "\n").encode())
    finally:
        os.close(descriptor)


def parse_lines(data: bytes) -> list[dict[str, Any]]:
    """The records of JSON lines; torn or foreign lines are skipped."""
    records = []
    for line in data.splitlines():
        with suppress(ValueError, RecursionError):
            record = json.loads(line)
            if isinstance(record, dict):
                records.append(record)
    return records


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The records of a JSON-lines file; empty if it cannot be read."""
    try:
        return parse_lines(path.read_bytes())
    except OSError:
        return []


@dataclass(frozen=True)
class RunDirectory:
    """The directory of one run."""

    path: Path

    def create(self, plan: RunPlan) -> None:
        """Make the directory and write the plan."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            write_atomic(self.path / "plan.json", plan.model_dump_json(indent=1).encode())
        except OSError as error:
            raise BytelapError(
                f"cannot write {self.path}: {error.strerror}; choose another place with --runs"
            ) from None

    def plan(self) -> RunPlan:
        """What to run. Raises BytelapError if the file is not a plan."""
        try:
            return RunPlan.model_validate_json((self.path / "plan.json").read_bytes())
        except (OSError, ValueError) as error:
            raise BytelapError(f"{self.path / 'plan.json'} is not a plan that this version of bytelap wrote") from error

    def record(self) -> RunRecord | None:
        """The result, or None if the run has not ended (or its file is not ours)."""
        try:
            data = json.loads((self.path / "run.json").read_bytes())
            if data["schema_version"] > SCHEMA:
                return None
            return RunRecord.model_validate(data)
        except (OSError, ValueError, KeyError, TypeError, RecursionError):  # a ValidationError is a ValueError
            return None

    @property
    def finished(self) -> bool:
        """True if the run ended in a way that repeating would not change."""
        record = self.record()
        return record is not None and record.status in FINAL

    def finish(self, record: RunRecord) -> None:
        """Write the result; from here on the run has ended."""
        write_atomic(self.path / "run.json", record.model_dump_json(indent=1).encode())
        if record.status in FINAL:
            for name in ("checkpoint", "checkpoint.old", "checkpoint.new"):
                shutil.rmtree(self.path / name, ignore_errors=True)

    def event(self, kind: str, **facts: str | float | int) -> None:
        """Tell whoever watches."""
        append_line(self.path / "events.jsonl", {"time": time.time(), "event": kind, **facts})

    def forget(self) -> None:
        """Remove everything that earlier attempts left, but the plan and the log."""
        for name in ("run.json", "curve.jsonl", "segments.npz", "events.jsonl"):
            (self.path / name).unlink(missing_ok=True)
        for name in ("model", "checkpoint", "checkpoint.old", "checkpoint.new"):
            shutil.rmtree(self.path / name, ignore_errors=True)

    def reset(self) -> None:
        """Remove the results of an attempt that left no checkpoint to go on from."""
        for name in ("curve.jsonl", "segments.npz"):
            (self.path / name).unlink(missing_ok=True)

    @contextmanager
    def replacing(self, name: str) -> Iterator[Path]:
        """A fresh directory to fill; it takes the place of `name` when the block ends without an error."""
        fresh, old, final = (self.path / f"{name}{suffix}" for suffix in (".new", ".old", ""))
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir()
        try:
            yield fresh
            for file in fresh.rglob("*"):
                if file.is_file():
                    with file.open("rb") as opened:
                        os.fsync(opened.fileno())
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)
            raise
        shutil.rmtree(old, ignore_errors=True)
        if final.exists():
            final.rename(old)
        fresh.rename(final)
        shutil.rmtree(old, ignore_errors=True)

    def checkpoint(self) -> Path | None:
        """The newest whole checkpoint, if there is one; a crash between two renames leaves only the old one."""
        for name in ("checkpoint", "checkpoint.old"):
            if (self.path / name / "state.json").is_file():
                return self.path / name
        return None

    # --- claims ------------------------------------------------------------------------------------------------

    def claim(self) -> bool:
        """Take the run for this process; False if a living process has it. A dead one's claim is taken over."""
        process = psutil.Process()
        mine = {"host": socket.gethostname(), "pid": process.pid, "born": process.create_time()}
        with (self.path / ".claim.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # two processes must not take over one dead claim
            if self.claimed():
                return False
            write_atomic(self.path / "claim.json", json.dumps(mine).encode())
        return True

    def claimed(self) -> bool:
        """True if a living process works on this run."""
        path = self.path / "claim.json"
        try:
            age = time.time() - path.stat().st_mtime
            claim = json.loads(path.read_bytes())
        except FileNotFoundError:
            return False
        except (OSError, ValueError):
            return False
        if claim.get("host") == socket.gethostname():
            with suppress(psutil.Error):
                process = psutil.Process(int(claim.get("pid", -1)))
                alive = process.status() != psutil.STATUS_ZOMBIE
                return bool(alive and abs(process.create_time() - float(claim.get("born", 0))) < 1.0)
            return False
        return age < CLAIM_EXPIRES_SECONDS

    def heartbeat(self) -> None:
        """Renew the claim."""
        with suppress(OSError):
            os.utime(self.path / "claim.json")

    def release(self) -> None:
        """Give the claim back."""
        with suppress(OSError):
            (self.path / "claim.json").unlink()


@dataclass(frozen=True)
class StoredRun:
    """A run that has ended, as reports read it."""

    record: RunRecord
    directory: Path

    def curve(self) -> list[CurvePoint]:
        """Validation bits per byte over the budget; unreadable lines are skipped."""
        points = []
        for line in read_lines(self.directory / "curve.jsonl"):
            with suppress(ValidationError):
                points.append(CurvePoint.model_validate(line))
        return points

    def segments(self) -> Mapping[str, np.ndarray] | None:
        """Arrays `bits`, `bytes`, `document`, one entry per scored test segment; None if there are none."""
        try:
            with np.load(self.directory / "segments.npz", allow_pickle=False) as file:
                arrays = {name: file[name] for name in ("bits", "bytes", "document")}
        except Exception:
            return None
        sizes = {array.shape for array in arrays.values()}
        return arrays if len(sizes) == 1 and arrays["bits"].ndim == 1 else None


def read_runs(directory: Path) -> list[StoredRun]:
    """All ended runs below runs/<suite>, by name; directories that are not runs are passed over."""
    if not directory.is_dir():
        return []
    found = []
    for path in sorted(directory.iterdir()):
        record = RunDirectory(path).record()
        if record is not None:
            found.append(StoredRun(record, path))
    return found
