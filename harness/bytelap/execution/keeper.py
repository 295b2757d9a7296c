"""A thread beside the run: renews the claim, enforces caps, and notices when whoever started the run is gone."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil

from bytelap.execution.record import Status
from bytelap.execution.store import HEARTBEAT_SECONDS, RunDirectory


class Stopped(Exception):  # noqa: N818 (not an error: the run can be resumed)
    """The run was asked to leave; a checkpoint is written."""


class Keeper:
    """Wakes once per second; costs microseconds.

    Args:
        directory: the run whose claim is renewed.
        memory: cap on resident memory in bytes, or None.
        on_limit: called (in this thread) with status and reason when a cap is exceeded; must end the process.
    """

    def __init__(self, directory: RunDirectory, memory: int | None, on_limit: Callable[[Status, str], None]) -> None:
        self._directory = directory
        self._memory = memory
        self._on_limit = on_limit
        self._parent = os.getppid()
        self._deadline: tuple[float, str] | None = None
        self._end = threading.Event()
        self.stop_requested = threading.Event()
        """Set when the run should write a checkpoint and leave: a signal, or the starting process has died."""
        self.peak_memory = 0
        self._thread = threading.Thread(target=self._watch, name="keeper", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._end.set()
        self._thread.join()

    @contextmanager
    def deadline(self, seconds: float, reason: str) -> Iterator[None]:
        """End the run as timed_out if the block takes longer than `seconds` of wall time."""
        self._deadline = (time.monotonic() + seconds, reason)
        try:
            yield
        finally:
            self._deadline = None

    def _watch(self) -> None:
        process = psutil.Process()
        while not self._end.wait(HEARTBEAT_SECONDS):
            self._directory.heartbeat()
            resident = process.memory_info().rss
            self.peak_memory = max(self.peak_memory, resident)
            if self._memory is not None and resident > self._memory:
                self._on_limit(
                    "out_of_memory",
                    f"the process used {resident / 1e9:.2f} GB of memory; the suite allows {self._memory / 1e9:.2f} GB "
                    "(resources.memory)",
                )
            if self._deadline is not None and time.monotonic() > self._deadline[0]:
                self._on_limit("timed_out", self._deadline[1])
            if os.getppid() != self._parent:
                self.stop_requested.set()
