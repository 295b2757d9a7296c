"""The command `bench`: parse, call, print. Exit status: 0 all good, 1 some run failed, 2 wrong usage, 130 Ctrl-C.

Commands that train nothing import neither torch nor lightgbm, pandas or matplotlib (`report` needs the last two).
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from bytelap.display import Display
    from bytelap.execution.race import Lane, Race
    from bytelap.plugins import Registry
    from bytelap.report.references import ReferenceLine
    from bytelap.suite.plan import Plan

app = typer.Typer(
    name="bench",
    help="Race small language models of any kind under the same fixed training time; compare them in bits per byte.",
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

SuiteFile = Annotated[Path, typer.Argument(metavar="SUITE", help="A suite file, for example suites/smoke.yaml.")]
RunsDirectory = Annotated[Path, typer.Option("--runs", metavar="DIR", help="Where runs are stored.")]
Only = Annotated[
    list[str] | None, typer.Option("--only", metavar="NAME", help="Only this entrant or model; repeatable.")
]
BudgetOption = Annotated[
    str | None, typer.Option("--budget", metavar="TIME", help="Train for this long instead, for example 5s or 2m.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


@app.command()
def run(
    suite: SuiteFile,
    runs: RunsDirectory = Path("runs"),
    only: Only = None,
    budget: BudgetOption = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Runs at the same time; as many as fit the cores if not given.")
    ] = None,
    executor: Annotated[str, typer.Option(help="Where run processes are started.")] = "local",
    fresh: Annotated[bool, typer.Option("--fresh", help="Repeat runs that have ended.")] = False,
    as_json: Json = False,
) -> None:
    """Train and score every entrant of SUITE; goes on where it stopped."""
    from bytelap.display import make_display
    from bytelap.execution.race import Race
    from bytelap.plugins import load_plugins

    registry = load_plugins()
    spec = registry.executors[executor]
    plan = _plan(suite, only, budget, registry)
    _check_writable(runs)
    display = make_display(as_json=as_json)
    watch = _watcher(display, registry)
    race = Race(plan.runs, runs / plan.suite.name, spec.create(plan.suite.resources, jobs), fresh=fresh, watch=watch)
    _warn_outdated(race)
    _race(race, display)
    bad = [lane for lane in race.lanes if lane.record is None or lane.record.status != "completed"]
    if not as_json:
        options = _options(runs=runs, only=only, budget=budget)
        typer.echo(f"{len(race.lanes) - len(bad)} of {len(race.lanes)} runs completed; results in {runs}")
        if len(bad) < len(race.lanes):
            typer.echo(f"next: bench report {suite}{options}")
    raise typer.Exit(1 if bad else 0)


@app.command()
def report(
    suite: SuiteFile,
    runs: RunsDirectory = Path("runs"),
    reports: Annotated[Path, typer.Option("--reports", metavar="DIR", help="Where reports are written.")] = Path(
        "reports"
    ),
    only: Only = None,
    budget: BudgetOption = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Every stored run of the suite's name, not only those it plans now.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write tables and figures of SUITE's runs to reports/<suite name>."""
    from bytelap.errors import BytelapError
    from bytelap.execution.store import read_runs
    from bytelap.plugins import load_plugins
    from bytelap.report.write import write_report

    registry = load_plugins()
    plan = _plan(suite, only, budget, registry)
    stored = read_runs(runs / plan.suite.name)
    unread = [str(file.parent) for file in (runs / plan.suite.name).glob("*/run.json") if _unreadable(file)]
    if unread:
        sys.stderr.write(f"bench: {len(unread)} results cannot be read and are left out: {', '.join(unread[:3])}\n")
    words = f"{suite}{_options(runs=runs, only=only, budget=budget)}"
    planned = {item.run_id for item in plan.runs}
    chosen = stored if everything else [item for item in stored if item.record.run_id in planned]
    missing = sorted(planned - {item.record.run_id for item in stored})
    if not chosen:
        others = f" ({len(stored)} with another budget or of other entrants are there)" if stored else ""
        place = runs / plan.suite.name
        raise BytelapError(f"no finished runs of {suite} in {place}{others}: start them with `bench run {words}`")
    sections = registry.sections.specs.values()
    page = write_report(chosen, reports / plan.suite.name, _references(plan), suite=words, sections=sections)
    if as_json:
        typer.echo(json.dumps({"report": str(page), "runs": len(chosen), "missing": missing}))
        return
    typer.echo(f"{page}: {len(chosen)} runs" + (f", {len(missing)} not finished yet" if missing else ""))


@app.command(name="list")
def list_(
    kind: Annotated[Literal["models", "corpora", "tokenizers", "suites"], typer.Argument(help="What to list.")],
    as_json: Json = False,
) -> None:
    """List what is installed: models with every option, corpora, tokenizers, suites."""
    from bytelap.inventory import inventory, print_inventory

    items = inventory(kind)
    if as_json:
        typer.echo(json.dumps(items, indent=1))
    else:
        print_inventory(kind, items)


@app.command()
def show(
    run_name: Annotated[str, typer.Argument(metavar="RUN", help="A run's id, the beginning of one, or its directory.")],
    runs: RunsDirectory = Path("runs"),
    as_json: Json = False,
) -> None:
    """Show everything stored about one run."""
    from bytelap.inventory import find_run, print_run

    directory = find_run(run_name, runs)
    if as_json:
        record = directory.record()
        typer.echo(record.model_dump_json(indent=1) if record else directory.plan().model_dump_json(indent=1))
    else:
        print_run(directory)


@app.command()
def doctor(as_json: Json = False) -> None:
    """Check this machine, the installed plugins and the cache."""
    from bytelap.inventory import examine, print_examination

    facts, problems = examine()
    if as_json:
        typer.echo(json.dumps({"facts": facts, "problems": problems}, indent=1))
    else:
        print_examination(facts, problems)
    raise typer.Exit(1 if problems else 0)


def _watcher(display: Display, registry: Registry) -> Callable[[Lane | None], None]:
    """Shows every change of a race, and hands new results to plugins that export them."""
    finished = registry.manager.hook.bytelap_run_finished

    def watch(lane: Lane | None) -> None:
        display.update(lane)
        if lane is not None and lane.state == "ended" and lane.record is not None:
            try:
                finished(record=lane.record)
            except Exception as error:  # an exporter must not end the race
                sys.stderr.write(f"bench: a plugin's bytelap_run_finished failed: {type(error).__name__}: {error}\n")

    return watch


def _warn_outdated(race: Race) -> None:
    outdated = race.outdated()
    if outdated:
        names = ", ".join(sorted({lane.plan.model for lane in outdated}))
        since = f"since {len(outdated)} of the runs that are kept"
        sys.stderr.write(f"bench: the code of {names} has changed {since}; --fresh repeats them\n")


def _race(race: Race, display: Display) -> None:
    """Run it; Ctrl-C ends with status 130."""
    display.open(race.lanes)
    try:
        race.run()
    except KeyboardInterrupt:
        sys.stderr.write("bench: stopped; nothing is lost, the same command goes on\n")
        raise typer.Exit(130) from None
    finally:
        display.close()


def _plan(suite: Path, only: list[str] | None, budget: str | None, registry: Registry) -> Plan:
    from bytelap.errors import BytelapError
    from bytelap.suite.plan import make_plan
    from bytelap.suite.schema import duration

    train = None
    if budget is not None:
        try:
            train = float(duration(budget))
        except ValueError as error:
            raise BytelapError(f"--budget: {error}") from None
        if not 0 < train < float("inf"):
            raise BytelapError(f"--budget {budget}: should be more than zero and finite")
    for plugin in registry.models.broken:
        sys.stderr.write(f"bench: plugin {plugin.origin} failed and is skipped: {plugin.reason}\n")
    return make_plan(suite, registry, only or (), train)


def _references(plan: Plan) -> list[ReferenceLine]:
    """What xz and PPMd need for the text that the suite scores."""
    from bytelap.report.references import reference_lines
    from bytelap.text.cache import cache_directory

    lines: list[ReferenceLine] = []
    for corpus in plan.corpora.values():
        test, limit = corpus.splits["test"], plan.suite.evaluation.limit
        scored = test if limit is None else test.excerpt(limit)
        known = cache_directory() / "references.json"
        lines += reference_lines(corpus.splits["train"].data, scored.data, corpus.hash, known)
    return lines


def _check_writable(runs: Path) -> None:
    from bytelap.errors import BytelapError

    try:
        runs.mkdir(parents=True, exist_ok=True)
        probe = runs / f".probe-{os.getpid()}"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise BytelapError(f"cannot write to {runs}: {error.strerror}; choose another place with --runs") from None


def _unreadable(file: Path) -> bool:
    from bytelap.execution.store import RunDirectory

    return RunDirectory(file.parent).record() is None


def _options(*, runs: Path, only: list[str] | None, budget: str | None) -> str:
    """The options that `run` and `report` must share to speak of the same runs, as typed."""
    words = [f"--runs {shlex.quote(str(runs))}"] if runs != Path("runs") else []
    words += [f"--only {shlex.quote(name)}" for name in only or ()]
    words += [f"--budget {shlex.quote(budget)}"] if budget else []
    return "".join(f" {word}" for word in words)


def main() -> None:
    """Entry point of `bench`: turns errors that the user can mend into one sentence and status 2."""
    from bytelap.errors import BytelapError

    try:
        app(prog_name="bench")
    except BytelapError as error:
        sys.stderr.write(f"bench: {error}\n")
        raise SystemExit(2) from None
    except BrokenPipeError:  # `bench list models | head`
        with suppress(OSError):
            sys.stdout.close()
        raise SystemExit(0) from None
    except OSError as error:
        sys.stderr.write(f"bench: {error.filename or 'the file system'}: {error.strerror}\n")
        raise SystemExit(2) from None
