"""The built-in executor: one process per run on this machine, pinned to cores of its own."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from bytelap.errors import BytelapError
from bytelap.execution.executors import Executor, ExecutorSpec, Job
from bytelap.execution.machine import available_cores, available_gpus, thread_environment
from bytelap.hookspecs import hookimpl
from bytelap.suite.schema import Resources

# The process pins itself before it imports anything, so that threads which libraries start at import are pinned too.
BOOTSTRAP = """
import os, sys
cores = {int(core) for core in sys.argv[2].split(",") if core}
if cores and hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, cores)
from bytelap.execution.run import main
sys.exit(main(sys.argv[1:]))
"""

Slot = tuple[tuple[int, ...], tuple[str, ...]]
"""Cores and GPUs that one run gets."""


class LocalJob(Job):
    """A run process on this machine; it gives its slot back when it has ended."""

    def __init__(self, process: subprocess.Popen[bytes], slot: Slot, free: list[Slot]) -> None:
        self._process, self._slot, self._free = process, slot, free
        self._returned = False

    def poll(self) -> int | None:
        """Exit status (negative: killed by that signal), or None while it runs."""
        status = self._process.poll()
        if status is not None and not self._returned:
            self._returned = True
            self._free.append(self._slot)
        return status

    def stop(self, *, force: bool = False) -> None:
        """SIGTERM, or SIGKILL."""
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGKILL if force else signal.SIGTERM)


class LocalExecutor(Executor):
    """Cuts the machine into slots of `cpus` cores (and a GPU each, if asked for).

    Every core has a lock file. A run process inherits the locks of its cores and holds them until it is gone, so two
    `bench run` (or one that was killed and its successor) never put two runs on one core.
    """

    def __init__(self, resources: Resources, jobs: int | None) -> None:
        self._cpus = resources.cpus
        self._free = _slots(resources, jobs)
        self._ready: tuple[Slot, list[int]] | None = None

    def has_room(self) -> bool:
        """True if the cores of some slot are free."""
        for slot in self._free if self._ready is None else []:
            locks = _lock(slot[0])
            if locks is not None:
                self._ready = (slot, locks)
                break
        return self._ready is not None

    def start(self, directory: Path) -> Job:
        """Start a process on the slot that `has_room` found."""
        if not self.has_room() or self._ready is None:
            raise BytelapError("there is no free core for another run")
        (slot, locks), self._ready = self._ready, None
        cores, gpus = slot
        self._free.remove(slot)
        environment = {**os.environ, **thread_environment(self._cpus), "CUDA_VISIBLE_DEVICES": ",".join(gpus)}
        words = [sys.executable, "-c", BOOTSTRAP, str(directory), ",".join(map(str, cores))]
        try:
            with (directory / "log.txt").open("ab") as log:
                # A session of its own: Ctrl-C reaches `bench run` only, which then asks the runs to leave.
                process = subprocess.Popen(
                    words,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    pass_fds=locks,
                )
        finally:
            for lock in locks:
                os.close(lock)
        return LocalJob(process, slot, self._free)


def _lock(cores: tuple[int, ...]) -> list[int] | None:
    """Open, locked files for the cores; None if another process holds one of them."""
    folder = Path(tempfile.gettempdir()) / f"bytelap-cores-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    locks: list[int] = []
    for core in cores:
        lock = os.open(folder / str(core), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        locks.append(lock)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            for held in locks:
                os.close(held)
            return None
    return locks


def _slots(resources: Resources, jobs: int | None) -> list[Slot]:
    cores, gpus = available_cores(), available_gpus()
    if resources.cpus > len(cores):
        raise BytelapError(
            f"resources.cpus is {resources.cpus} but this machine lets bench use {len(cores)}: lower it in the suite"
        )
    if resources.gpus > len(gpus):
        raise BytelapError(
            f"resources.gpus is {resources.gpus} but this machine has {len(gpus)}: set it to 0 in the suite"
        )
    most = len(cores) // resources.cpus
    if resources.gpus:
        most = min(most, len(gpus) // resources.gpus)
    if jobs is not None and jobs > most:
        raise BytelapError(
            f"--jobs {jobs} needs {jobs * resources.cpus} cores at {resources.cpus} per run, but only {most} such runs "
            "fit this machine: runs that share a core would disturb each other"
        )
    slots: list[Slot] = []
    for index in range(most if jobs is None else jobs):
        mine = tuple(cores[index * resources.cpus : (index + 1) * resources.cpus])
        slots.append((mine, tuple(gpus[index * resources.gpus : (index + 1) * resources.gpus])))
    return slots


@hookimpl
def bytelap_executors() -> list[ExecutorSpec]:
    """The executor of this module."""
    return [ExecutorSpec("local", LocalExecutor, "one process per run on this machine, pinned to cores of its own")]
