"""How `bench run` shows a race: a live table on a terminal, plain lines elsewhere, JSON lines for machines."""

from __future__ import annotations

import json
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from bytelap.execution.race import Lane

PLAIN_SECONDS = 15.0  # between two lines about a run that is going on
STYLES = {
    "completed": "green",
    "over_budget": "yellow",
    "invalid": "red",
    "failed": "red",
    "out_of_memory": "red",
    "timed_out": "red",
    "unavailable": "yellow",
    "stopped": "yellow",
}


def clock_text(seconds: float | None) -> str:
    """`1:05`, `2:03:10`, or a dash."""
    if seconds is None or seconds == float("inf"):
        return "–"
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def outcome(lane: Lane) -> tuple[str, str]:
    """(status word, one sentence or empty) of a run that is over."""
    if lane.record is None:
        return "stopped", lane.note
    return lane.record.status, lane.record.reason


def final_bits(lane: Lane) -> float | None:
    """Bits per byte to show: the test score if there is one, else the newest point of the curve."""
    if lane.record is not None and lane.record.metrics.bits_per_byte is not None:
        return lane.record.metrics.bits_per_byte
    return lane.bits_per_byte


class Display(ABC):
    """Shows lanes while they change."""

    @abstractmethod
    def open(self, lanes: Sequence[Lane]) -> None:
        """The race begins."""

    @abstractmethod
    def update(self, changed: Lane | None) -> None:
        """A lane's state changed, or (None) a quarter of a second has passed."""

    @abstractmethod
    def close(self) -> None:
        """The race is over."""


def make_display(*, as_json: bool) -> Display:
    """The display that suits standard output."""
    if as_json:
        return JsonDisplay()
    console = Console()
    return LiveDisplay(console) if console.is_terminal else PlainDisplay()


class JsonDisplay(Display):
    """One JSON object per line for every run that is over."""

    def open(self, lanes: Sequence[Lane]) -> None:
        for lane in lanes:
            if lane.state == "kept":
                self.update(lane)

    def update(self, changed: Lane | None) -> None:
        if changed is None or changed.state not in ("ended", "kept", "stopped"):
            return
        status, reason = outcome(changed)
        line = {
            "run_id": changed.plan.run_id,
            "entrant": changed.plan.entrant,
            "tokenizer": changed.plan.tokenizer,
            "seed": changed.plan.seed,
            "status": status,
            "reason": reason,
            "kept": changed.state == "kept",
            "bits_per_byte": changed.record.metrics.bits_per_byte if changed.record else None,
            "directory": str(changed.directory.path),
        }
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()

    def close(self) -> None:
        """Every line is out already."""


class PlainDisplay(Display):
    """A line when a run starts, now and then while it goes on, and when it is over."""

    def __init__(self) -> None:
        self._lanes: Sequence[Lane] = ()
        self._told: dict[str, float] = {}

    def open(self, lanes: Sequence[Lane]) -> None:
        self._lanes = lanes
        kept = sum(lane.state == "kept" for lane in lanes)
        self._say(f"{len(lanes)} runs" + (f", {kept} of them done before" if kept else ""))

    def update(self, changed: Lane | None) -> None:
        now = time.monotonic()
        if changed is not None:
            self._told[changed.plan.run_id] = now
            self._say(self._line(changed))
            return
        for lane in self._lanes:
            if lane.state == "running" and now - self._told.get(lane.plan.run_id, now) > PLAIN_SECONDS:
                self._told[lane.plan.run_id] = now
                self._say(self._line(lane))

    def close(self) -> None:
        """Every line is out already."""

    def _line(self, lane: Lane) -> str:
        over = sum(other.state in ("ended", "kept", "stopped") for other in self._lanes)
        head = f"[{over}/{len(self._lanes)}] {lane.plan.entrant} {lane.plan.tokenizer} seed {lane.plan.seed}"
        bits = final_bits(lane)
        number = f", {bits:.4f} bits per byte" if bits is not None else ""
        if lane.state == "running":
            if not lane.phase:
                return f"{head}: starts"
            return f"{head}: {lane.phase} {lane.progress:.0%}{number}, {clock_text(lane.remaining)} left"
        if lane.state in ("waiting", "elsewhere"):
            return f"{head}: {lane.note or lane.state}"
        status, reason = outcome(lane)
        return f"{head}: {status}{number}" + (f" – {reason}" if reason else "")

    def _say(self, line: str) -> None:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


class LiveDisplay(Display):
    """A table that is redrawn in place: what runs, what is over, what waits."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lanes: Sequence[Lane] = ()
        self._live = Live(console=console, auto_refresh=False, transient=True)

    def open(self, lanes: Sequence[Lane]) -> None:
        self._lanes = lanes
        self._live.start()
        self._draw(self._rows_that_fit())

    def update(self, changed: Lane | None) -> None:
        self._draw(self._rows_that_fit())

    def close(self) -> None:
        self._live.stop()
        self._console.print(self._table(list(self._lanes)))

    def _rows_that_fit(self) -> list[Lane]:
        """Running lanes first of all, then the newest that are over, then the next that wait."""
        room = max(4, self._console.height - 6)
        running = [lane for lane in self._lanes if lane.state in ("running", "elsewhere")]
        over = [lane for lane in self._lanes if lane.state in ("ended", "kept", "stopped")]
        waiting = [lane for lane in self._lanes if lane.state == "waiting"]
        keep = max(1, room - len(running) - min(len(waiting), 3))
        shown = over[-keep:] + running + waiting[: max(0, room - len(running) - len(over[-keep:]))]
        return shown[:room]

    def _draw(self, lanes: list[Lane]) -> None:
        over = sum(lane.state in ("ended", "kept", "stopped") for lane in self._lanes)
        foot = Text(f"{over} of {len(self._lanes)} runs over; Ctrl-C stops and loses nothing", style="dim")
        self._live.update(Group(self._table(lanes), foot), refresh=True)

    def _table(self, lanes: list[Lane]) -> Table:
        table = Table(box=None, header_style="bold", pad_edge=False)
        for name in ("entrant", "tokens", "seed", "", "progress"):
            table.add_column(name, no_wrap=True)
        table.add_column("bits/byte", justify="right", no_wrap=True)
        table.add_column("left", justify="right", no_wrap=True)
        table.add_column("", overflow="ellipsis", no_wrap=True, ratio=1)
        for lane in lanes:
            table.add_row(*self._cells(lane))
        return table

    def _cells(self, lane: Lane) -> list[Text | ProgressBar | str]:
        plan, bits = lane.plan, final_bits(lane)
        number = f"{bits:.4f}" if bits is not None else ""
        head: list[Text | ProgressBar | str] = [Text(plan.entrant), Text(plan.tokenizer), str(plan.seed)]
        if lane.state == "running":
            share = lane.scoring[1] if lane.scoring else lane.progress
            phase = f"score {lane.scoring[0]}" if lane.scoring else lane.phase or "start"
            bar = ProgressBar(total=1.0, completed=share, width=24)
            return [*head, Text(phase, style="cyan"), bar, Text(number, style="dim"), clock_text(lane.remaining), ""]
        if lane.state in ("waiting", "elsewhere"):
            return [*head, Text(lane.state, style="dim"), "", "", "", Text(lane.note, style="dim")]
        status, reason = outcome(lane)
        style = STYLES.get(status, "")
        word = f"{status} (before)" if lane.state == "kept" else status
        return [*head, Text(word, style=style), "", Text(number, style="bold"), "", Text(reason, style=style)]
