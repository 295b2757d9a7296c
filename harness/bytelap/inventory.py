"""What `bench list`, `bench show` and `bench doctor` say: collected as plain data first, then printed."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bytelap.errors import BytelapError
from bytelap.execution.machine import available_cores, available_gpus, calibrate
from bytelap.execution.store import RunDirectory, StoredRun, read_runs
from bytelap.plugins import Registry, load_plugins
from bytelap.text.cache import cache_directory

NEEDED = ("torch", "lightgbm", "scikit-learn", "pandas", "matplotlib", "tokenizers", "tiktoken", "pip")
LOW_DISK_BYTES = 2 * 10**9


def _console() -> Console:
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=160)


# --- bench list --------------------------------------------------------------------------------------------------


def inventory(kind: str) -> list[dict[str, Any]]:
    """Everything of one kind: `models`, `corpora`, `tokenizers` or `suites`."""
    if kind == "suites":
        return _suites()
    registry = load_plugins()
    for plugin in registry.broken:
        sys.stderr.write(f"bench: plugin {plugin.origin} failed and is skipped: {plugin.reason}\n")
    if kind == "models":
        return _models(registry)
    if kind == "corpora":
        return [
            {
                "name": name,
                "summary": spec.summary,
                "licence": spec.licence,
                "options": _fields(spec.config),
                "origin": str(registry.corpora.origins[name]),
            }
            for name, spec in registry.corpora.specs.items()
        ]
    return [
        {
            "name": f"{name}-<size>" if spec.sized else name,
            "summary": spec.summary,
            "origin": str(registry.tokenizers.origins[name]),
        }
        for name, spec in registry.tokenizers.specs.items()
    ]


def _models(registry: Registry) -> list[dict[str, Any]]:
    catalogue = registry.models
    return [
        {
            "name": name,
            "kind": spec.kind,
            "summary": spec.summary,
            "paper": spec.paper,
            "requires": list(spec.requires),
            "options": _fields(spec.config),
            "origin": str(catalogue.origins[name]),
        }
        for name, spec in catalogue.specs.items()
    ]


def _fields(config: Any) -> list[dict[str, Any]]:
    """Name, type, default and description of every option."""
    rows = []
    for name, info in config.model_fields.items():
        kind = (
            str(info.annotation).replace("typing.", "")
            if not isinstance(info.annotation, type)
            else info.annotation.__name__
        )
        default = None if info.is_required() else info.get_default(call_default_factory=True)
        rows.append(
            {
                "name": name,
                "type": kind,
                "required": info.is_required(),
                "default": default,
                "description": " ".join((info.description or "").split()),
            }
        )
    return rows


def _suites() -> list[dict[str, Any]]:
    """Suite files in ./suites with their first comment line."""
    rows = []
    for file in sorted(Path("suites").glob("*.y*ml")):
        comments = [
            line.lstrip("# ").rstrip() for line in file.read_text(encoding="utf-8").splitlines() if line.startswith("#")
        ]
        rows.append({"name": str(file), "summary": comments[0] if comments else ""})
    return rows


def print_inventory(kind: str, items: list[dict[str, Any]]) -> None:
    """Print an inventory for people."""
    console = _console()
    if not items:
        console.print(f"no {kind} here" + (": bench looks into ./suites" if kind == "suites" else ""))
    for item in items:
        console.print(Text.assemble((item["name"], "bold"), "  ", item["summary"]))
        facts = [item[key] for key in ("paper", "licence", "origin") if item.get(key)]
        if facts:
            console.print(Text("    " + " · ".join(facts), style="dim"))
        for option in item.get("options", []):
            default = "required" if option["required"] else f"= {option['default']}"
            line = Text.assemble("    ", (option["name"], "cyan"), f" {default}  ", (option["description"], ""))
            console.print(line)


# --- bench show --------------------------------------------------------------------------------------------------


def find_run(name: str, runs: Path) -> RunDirectory:
    """The run that a directory, a run id or the beginning of one names.

    Raises:
        BytelapError: none or several fit.
    """
    if (Path(name) / "plan.json").is_file():
        return RunDirectory(Path(name))
    found = [
        path
        for suite in sorted(runs.glob("*"))
        if suite.is_dir()
        for path in sorted(suite.iterdir())
        if path.name.startswith(name) and (path / "plan.json").is_file()
    ]
    exact = [path for path in found if path.name == name]
    if len(exact or found) == 1:
        return RunDirectory((exact or found)[0])
    if not found:
        raise BytelapError(f"no run '{name}' in {runs}: give a run's id, the beginning of one, or its directory")
    raise BytelapError(
        f"'{name}' fits {len(found)} runs: {', '.join(path.name for path in found[:5])}"
        f"{', …' if len(found) > 5 else ''}: give more of the id"
    )


def print_run(directory: RunDirectory) -> None:
    """Print everything stored about a run."""
    console, record = _console(), directory.record()
    if record is None:
        plan = directory.plan()
        state = "is running" if directory.claimed() else "has not ended; `bench run` of its suite goes on with it"
        console.print(f"{plan.run_id} {state}")
        _print_mapping(console, "plan", plan.model_dump(mode="json"))
        return
    console.print(Text.assemble((record.run_id, "bold"), "  ", record.status, f"  {record.reason}"))
    for title, values in (
        ("metrics", record.metrics.model_dump()),
        ("config", record.config),
        ("notes", record.notes),
        ("corpus", record.corpus.model_dump()),
        ("tokenizer", record.tokenizer.model_dump()),
        ("budget", record.budget.model_dump()),
        ("evaluation", record.evaluation.model_dump()),
        ("plugin", record.plugin.model_dump()),
        ("machine", record.machine.model_dump(exclude={"calibration", "environment", "versions"})),
        ("versions", record.machine.versions),
    ):
        _print_mapping(console, title, values)
    table = Table(title="ledger (seconds)", title_justify="left", box=None)
    for name in ("phase", "wall", "cpu"):
        table.add_column(name, justify="left" if name == "phase" else "right")
    for phase, wall in record.ledger.wall.items():
        table.add_row(phase, f"{wall:.3f}", f"{record.ledger.cpu.get(phase, 0.0):.3f}")
    console.print(table)
    curve = StoredRun(record, directory.path).curve()
    if curve:
        console.print("curve: " + "  ".join(f"{point.seconds:.1f}s {point.bits_per_byte:.3f}" for point in curve))
    console.print(
        Text(
            f"{record.started} to {record.finished}, resumed {record.resumptions} times; {directory.path}", style="dim"
        )
    )


def _print_mapping(console: Console, title: str, values: Mapping[str, Any]) -> None:
    shown = {key: value for key, value in values.items() if value not in (None, "", [], {})}
    if shown:
        console.print(Text(title, style="bold"))
        for key, value in shown.items():
            text = f"{value:,.6g}" if isinstance(value, float) else f"{value:,}" if type(value) is int else str(value)
            console.print(Text(f"  {key:28} {text}"))


# --- bench doctor ------------------------------------------------------------------------------------------------


def examine() -> tuple[dict[str, Any], list[str]]:
    """(facts, problems) of this machine and installation."""
    problems: list[str] = []
    facts: dict[str, Any] = {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cores": len(available_cores()),
        "gpus": len(available_gpus()),
        "core speed": f"{calibrate():.0f} GFLOP/s (float32 matrix product, one calibration kernel)",
    }
    if hasattr(os, "getloadavg"):
        load = os.getloadavg()[0]
        busy = load > 0.5 * facts["cores"]
        facts["load"] = f"{load:.2f}" + (": other programs are busy, timings will suffer" if busy else "")
    for package in NEEDED:
        try:
            facts[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            problems.append(f"{package} is not installed: pip install bytelap again")
    _examine_plugins(facts, problems)
    _examine_disk(facts, problems)
    return facts, problems


def _examine_plugins(facts: dict[str, Any], problems: list[str]) -> None:
    registry = load_plugins()
    facts["plugins"] = ", ".join(sorted(str(origin) for origin in registry.origins.values()))
    problems.extend(f"plugin {plugin.origin} failed: {plugin.reason}" for plugin in registry.models.broken)
    for kind in ("models", "corpora", "tokenizers", "executors", "sections"):
        try:
            facts[f"{kind} announced"] = len(getattr(registry, kind).specs)
        except BytelapError as error:
            problems.append(str(error))


def _examine_disk(facts: dict[str, Any], problems: list[str]) -> None:
    cache = cache_directory()
    facts["cache"] = str(cache)
    for place in {cache, Path.cwd()}:
        existing = next(parent for parent in (place, *place.parents) if parent.exists())
        free = shutil.disk_usage(existing).free
        if free < LOW_DISK_BYTES:
            problems.append(f"only {free / 1e9:.1f} GB are free at {existing}")
        if not os.access(existing, os.W_OK):
            problems.append(f"{existing} cannot be written to")
    facts["finished runs here"] = (
        sum(len(read_runs(path)) for path in Path("runs").glob("*")) if Path("runs").is_dir() else 0
    )


def print_examination(facts: Mapping[str, Any], problems: list[str]) -> None:
    """Print the examination for people."""
    console = _console()
    for key, value in facts.items():
        console.print(Text.assemble((f"{key:22}", "bold"), str(value)))
    for problem in problems:
        console.print(Text(f"problem: {problem}", style="red"))
    console.print(
        Text("all is well" if not problems else f"problems: {len(problems)}", style="green" if not problems else "red")
    )
