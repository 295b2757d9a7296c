"""One run, phase by phase, in a process of its own: the heart of bytelap.

`python -m bytelap.execution.run DIRECTORY --cores 0` reads DIRECTORY/plan.json, and ends with DIRECTORY/run.json.
Exit status: 0 the run has ended (whatever its status), 3 somebody else is at it, 4 stopped before its end, to be
resumed.
"""

from __future__ import annotations

import errno
import os
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from bytelap.clock import Clock, Ledger
from bytelap.errors import BytelapError, InvalidScore, Unavailable
from bytelap.execution.keeper import Keeper, Stopped
from bytelap.execution.machine import disturbance, fingerprint, git_state, peak_memory, source_hash
from bytelap.execution.record import (
    BudgetFacts,
    CorpusFacts,
    EvaluationFacts,
    LedgerFacts,
    Metrics,
    PluginFacts,
    RunRecord,
    Status,
    TokenizerFacts,
)
from bytelap.execution.store import RunDirectory
from bytelap.plugins import Registry, check_requirements, load_plugins

if TYPE_CHECKING:
    from bytelap.execution.material import Material
    from bytelap.model import Model, ModelSpec
    from bytelap.suite.plan import RunPlan

ENDED, TAKEN, STOPPED = 0, 3, 4
# A run that meets these can go on from its checkpoint once there is room: they are no fault of the entrant.
DISK_TROUBLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
DISK_WORDS = ("No space left on device", "File too large", "Disk quota exceeded", "Read-only file system")


class Run:
    """State of one run while it is going on."""

    def __init__(self, directory: RunDirectory, cores: list[int]) -> None:
        self.directory = directory
        self.plan = directory.plan()
        self.cores = cores
        self.device = "cuda" if self.plan.resources.gpus else "cpu"
        self.ledger = Ledger()
        self.metrics = Metrics()
        self.notes: dict[str, str | int | float] = {}
        self.calibration: list[tuple[float, float]] = []
        self.resumptions = 0
        self.clock = Clock(self.plan.budget.budget)
        self.material: Material | None = None
        self.plugin = PluginFacts()
        self.started = datetime.now(UTC).isoformat(timespec="seconds")
        self.keeper = Keeper(directory, self.plan.resources.memory, self._end_now)

    def execute(self) -> None:
        """All phases in order; every way a run can end leads to one `run.json`."""
        try:
            status, reason = self._phases()
        except Stopped:
            raise
        except InvalidScore as error:
            status, reason = "invalid", str(error)
        except Unavailable as error:
            status, reason = "unavailable", str(error)
        except OSError as error:
            if error.errno in DISK_TROUBLE:
                raise
            traceback.print_exc()
            status, reason = _classify(error)
        except MemoryError:
            status, reason = "out_of_memory", "the machine has no memory left for this entrant"
        except BytelapError as error:
            status, reason = "failed", str(error)
        except Exception as error:
            traceback.print_exc()
            status, reason = _classify(error)
            if any(words in reason for words in DISK_WORDS):  # from a library that hides the number
                raise OSError(errno.ENOSPC, reason) from error
        self.finish(status, reason)

    def _phases(self) -> tuple[Status, str]:
        with self.phase("import"):
            registry = load_plugins()
            from bytelap.execution import material, results, training  # they import torch

            spec, model_class = self._entrant(registry)
        with self.phase("data"):
            self.material = material.load_material(self.plan, registry)
        with self.phase("build"):
            config = spec.config.model_validate(self.plan.config)
            model = model_class(config, self.material.vocabulary, self.plan.seed, self.device)
        with (
            self.phase("prepare"),
            self.keeper.deadline(
                self.plan.budget.prepare, f"prepare took longer than {self.plan.budget.prepare:g} s (budget.prepare)"
            ),
        ):
            training.prepare(model, self.material.vocabulary, self.plan)
        trained = training.resume(self, model, self.material)
        if not trained:
            training.train(self, model, self.material)
        with self.phase("checkpoint"), self.directory.replacing("model") as folder:
            model.save(folder)
        results.measure_size(self, model)
        with self.keeper.deadline(
            self.plan.budget.evaluate, f"scoring took longer than {self.plan.budget.evaluate:g} s (budget.evaluate)"
        ):
            results.evaluate(self, model, self.material)
        return self._verdict(model)

    def _entrant(self, registry: Registry) -> tuple[ModelSpec, type[Model]]:
        """The entrant's specification and class. Raises Unavailable if something it needs is not here."""
        catalogue = registry.models
        if self.plan.model not in catalogue.specs:
            raise Unavailable(catalogue.unknown(self.plan.model))
        spec, origin = catalogue.specs[self.plan.model], catalogue.origins[self.plan.model]
        self.plugin = PluginFacts(
            distribution=origin.distribution,
            version=origin.version,
            module=origin.module,
            source_hash=source_hash(origin.module),
        )
        check_requirements(spec)
        self._check_device()
        if spec.kind != "model":
            raise Unavailable(f"{spec.name} is of the kind '{spec.kind}', which cannot be raced yet")
        try:
            return spec, spec.load()
        except ImportError as error:
            traceback.print_exc()
            raise Unavailable(f"{origin} did not import: {' '.join(str(error).split())}") from error

    def _verdict(self, model: Model) -> tuple[Status, str]:
        self.notes = dict(model.notes())
        if self.clock.overshoot > self.clock.budget.tolerance:
            return "over_budget", (
                f"training took {self.clock.overshoot:.2f} s more than its budget of {self.clock.budget}; "
                f"{self.clock.budget.tolerance:.2f} s are tolerated"
            )
        return "completed", ""

    def _check_device(self) -> None:
        if self.device == "cuda":
            import torch

            if not torch.cuda.is_available():
                raise Unavailable("the suite asks for a GPU (resources.gpus) but torch sees none on this machine")

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Book a phase in the ledger and tell whoever watches."""
        from bytelap.clock import PHASES

        assert name in PHASES
        self.directory.event("phase", phase=name)
        with self.ledger.phase(name):  # type: ignore[arg-type]
            yield

    def finish(self, status: Status, reason: str) -> None:
        """Write `run.json`."""
        self.directory.finish(self.record(status, reason))
        self.directory.event("ended", status=status, reason=reason)

    def record(self, status: Status, reason: str) -> RunRecord:
        """Everything known about this run at this moment."""
        plan, material = self.plan, self.material
        wall, cpu = self.clock.seconds("wall"), self.clock.seconds("cpu")
        # With several cores, not using all of them says something about the entrant, not about the machine.
        ratio = cpu / wall if wall > 1.0 and len(self.cores) == 1 else None
        commit, dirty = git_state()
        machine = fingerprint(self.device, self.cores, self.calibration).model_copy(update={"cpu_wall_ratio": ratio})
        known: dict[str, Any] = {
            "metrics": self.metrics.model_copy(
                update={"peak_memory_bytes": max(self.keeper.peak_memory, peak_memory())}
            ),
            "ledger": LedgerFacts(wall=dict(self.ledger.wall), cpu=dict(self.ledger.cpu)),  # type: ignore[arg-type]
            "notes": self.notes,
            "plugin": self.plugin,
            "machine": machine,
            "disturbed": disturbance(self.calibration, ratio if plan.budget.clock == "wall" else None, self.device),
            "git_commit": commit,
            "git_dirty": dirty,
            "started": self.started,
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "resumptions": self.resumptions,
        }
        return plan_record(plan, status, reason, material).model_copy(update=known)

    def _end_now(self, status: Status, reason: str) -> NoReturn:
        """Called from the keeper's thread when the entrant cannot be trusted to return."""
        try:
            self.finish(status, reason)
            self.directory.release()
        finally:
            os._exit(ENDED)


def _classify(error: Exception) -> tuple[Status, str]:
    """A status and one line for whatever an entrant raised."""
    try:
        text = str(error)
    except Exception:
        text = "(its message cannot be shown)"
    line = " ".join(f"{type(error).__name__}: {text}".encode("utf-8", "replace").decode().split())[:500]
    if type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in line:
        return "out_of_memory", line
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "bytelap" in frame.filename]
    where = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return "failed", f"{line}{where}; the whole traceback is in log.txt"


def plan_record(plan: RunPlan, status: Status, reason: str, material: Material | None = None) -> RunRecord:
    """A record with all that the plan says; enough for a run whose process did not live to write one."""
    unread = CorpusFacts(
        name=plan.corpus_name, hash=plan.corpus_hash, licence="", train_bytes=0, validation_bytes=0, test_bytes=0
    )
    size = material.vocabulary.size if material else 0
    budget = plan.budget
    return RunRecord(
        run_id=plan.run_id,
        suite=plan.suite,
        status=status,
        reason=reason,
        entrant=plan.entrant,
        model=plan.model,
        config=plan.config,
        seed=plan.seed,
        corpus=material.corpus_facts if material else unread,
        tokenizer=TokenizerFacts(name=plan.tokenizer, hash=plan.tokenizer_hash, size=size),
        budget=BudgetFacts(seconds=budget.train, steps=budget.steps, tokens=budget.tokens, clock=budget.clock),
        evaluation=EvaluationFacts.model_validate(plan.evaluation.model_dump()),
    )


def main(arguments: list[str]) -> int:
    """Entry of the run's process; pinning and environment were set before any import (see `local.py`)."""
    import signal

    import psutil

    directory = RunDirectory(Path(arguments[0]))
    cores = [int(core) for core in arguments[1].split(",") if core] if len(arguments) > 1 else []
    if not directory.claim():
        return TAKEN
    if directory.finished:  # by somebody else, a moment ago
        directory.release()
        return ENDED
    run = Run(directory, cores)
    run.ledger.add("import", time.time() - psutil.Process().create_time(), time.process_time())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: run.keeper.stop_requested.set())
    run.keeper.start()
    try:
        run.execute()
    except Stopped:
        directory.event("stopped")
        return STOPPED
    except OSError as error:
        print(f"cannot write the run's results: {error}", file=sys.stderr)
        with suppress(OSError):
            directory.event("stopped", reason=f"cannot write to {directory.path}: {error.strerror}")
        return STOPPED
    finally:
        run.keeper.close()
        directory.release()
    return ENDED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
