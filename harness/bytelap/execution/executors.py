"""What an executor is: something that starts run processes and says when they have ended.

It knows nothing of models or scores; a run's directory holds everything its process needs, so any shared file
system will do. `local` is built in.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bytelap.suite.schema import Resources


class Job(ABC):
    """One started run process."""

    @abstractmethod
    def poll(self) -> int | None:
        """Exit status (negative: killed by that signal), or None while it runs."""

    @abstractmethod
    def stop(self, *, force: bool = False) -> None:
        """Ask it to write a checkpoint and leave; with `force`, kill it."""


class Executor(ABC):
    """Starts runs; each gets `resources` for itself."""

    @abstractmethod
    def has_room(self) -> bool:
        """True if a further job could start now without sharing cores or GPUs."""

    @abstractmethod
    def start(self, directory: Path) -> Job:
        """Start `python -m bytelap.execution.run` on a run's directory."""


@dataclass(frozen=True)
class ExecutorSpec:
    """One executor as a plugin announces it."""

    name: str
    create: Callable[[Resources, int | None], Executor]
    """(what every run gets, how many at once or None for as many as fit) -> an executor."""
    summary: str
