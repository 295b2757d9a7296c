"""Whole runs in real processes: results, rules of the clock, lies, and every way to die in the middle."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bytelap.execution.record import RunRecord
from bytelap.execution.store import read_runs
from tests.conftest import Bench, Plugin
from tests.execution.entrants import SOURCE

WriteSuite = Callable[..., Path]


def records(directory: Path) -> dict[str, RunRecord]:
    return {stored.record.entrant: stored.record for stored in read_runs(directory / "runs" / "small")}


def counter(**config: Any) -> dict[str, Any]:
    return {"model": "counter", "config": config}


def named(name: str, **config: Any) -> dict[str, Any]:
    return {"name": name, **counter(**config)}


def test_whole_run(bench: Bench, plugin: Plugin, write_suite: WriteSuite, tmp_path: Path) -> None:
    budget = {"train": "2s", "clock": "cpu"}
    suite = write_suite(entrants=[counter(pace=0.02)], tokenizers=["byte", "bpe-300"], budget=budget, seeds=[3])
    done = bench("run", str(suite), env=plugin(SOURCE))
    assert done.returncode == 0, done.stdout + done.stderr
    stored = read_runs(tmp_path / "runs" / "small")
    assert [run.record.status for run in stored] == ["completed"] * 2
    raw = sum(len(file.read_bytes()) for file in (tmp_path / "books").glob("*.txt"))
    for run in stored:
        record, metrics = run.record, run.record.metrics
        assert record.corpus.train_bytes + record.corpus.validation_bytes + record.corpus.test_bytes == raw
        # The same raw bytes are the denominator whatever the tokens are.
        assert metrics.test_bytes == record.corpus.test_bytes
        segments = run.segments()
        assert segments is not None
        assert segments["bytes"].sum() == metrics.test_bytes
        assert segments["bits"].sum() / metrics.test_bytes == pytest.approx(metrics.bits_per_byte)
        assert 0 < metrics.bits_per_byte < 8
        assert metrics.overshoot_seconds <= 0.25
        assert metrics.own_step_seconds >= 0.98 * metrics.train_seconds  # 99.9 % in runs of a minute
        assert record.ledger.wall["train"] >= 0.99 * metrics.train_wall_seconds
        assert record.plugin.distribution == "acme"
        assert record.machine.threads == 1
        assert len(record.machine.pinned_cores) == 1
        curve = run.curve()
        assert curve[-1].progress == 1.0
        assert [point.seconds for point in curve] == sorted(point.seconds for point in curve)
        assert not (run.directory / "checkpoint").exists()
        assert not (run.directory / "claim.json").exists()
    # A second start does nothing, and says so.
    again = bench("run", str(suite), env=plugin(SOURCE))
    assert again.returncode == 0
    assert "2 of them done before" in again.stdout
    assert [run.record.finished for run in read_runs(tmp_path / "runs" / "small")] == [
        run.record.finished for run in stored
    ]


def test_changed_code_of_an_entrant_is_told(bench: Bench, plugin: Plugin, write_suite: WriteSuite) -> None:
    suite = write_suite(entrants=[counter()], budget={"steps": 5})
    assert bench("run", str(suite), env=plugin(SOURCE)).returncode == 0
    assert "has changed" not in bench("run", str(suite), env=plugin(SOURCE)).stderr
    changed = bench("run", str(suite), env=plugin(SOURCE + "# another version\n"))
    assert "the code of counter has changed since 1 of the runs that are kept; --fresh repeats them" in changed.stderr


def test_score_is_that_of_an_independent_calculation(
    bench: Bench, plugin: Plugin, write_suite: WriteSuite, tmp_path: Path
) -> None:
    """The stored model, read by hand, scored in a plain loop over the raw test bytes."""
    suite = write_suite(
        entrants=[counter()], budget={"steps": 40}, evaluation={"context": 7, "segment": 100, "curve": 1}
    )
    assert bench("run", str(suite), env=plugin(SOURCE)).returncode == 0
    (run,) = read_runs(tmp_path / "runs" / "small")
    counts = np.array(json.loads((run.directory / "model" / "counts.json").read_text()))
    tests = [file.read_bytes() for file in (tmp_path / "books").glob("*.txt")]
    by_size: list[float] = []
    for text in tests:
        bits = 8.0 + sum(-np.log2(counts[a, b] / counts[a].sum()) for a, b in itertools.pairwise(text))
        by_size.append(bits / len(text))
    assert min(abs(value - run.record.metrics.bits_per_byte) for value in by_size) < 1e-5
    assert run.record.metrics.steps == 40
    assert run.record.metrics.tokens_seen == 40 * 256


def test_lies_are_named(bench: Bench, plugin: Plugin, write_suite: WriteSuite, tmp_path: Path) -> None:
    lies = {
        "build": ("failed", "cannot be built"),
        "prepare": ("failed", "prepare changed the model"),
        "crash": ("failed", "ZeroDivisionError: a bug in the entrant"),
        "wrong step": ("failed", "instead of a TrainStep"),
        "negative tokens": ("failed", "tokens is a whole number"),
        "sets the clock": ("failed", "has no setter"),
        "odd message": ("failed", "RuntimeError"),
        "overtime": ("over_budget", "more than its budget"),
        "never stops": ("completed", ""),  # its generator is closed after the bell
        "unnormalised": ("invalid", "instead of 1"),
        "nan": ("invalid", "NaN"),
        "memory": ("out_of_memory", "resources.memory"),
    }
    suite = write_suite(
        entrants=[named(lie.replace(" ", "-"), lie=lie) for lie in lies] + [named("honest")],
        budget={"train": "1s"},
        resources={"memory": "450MB"} if sys.platform == "linux" else {},
    )
    done = bench("run", str(suite), env=plugin(SOURCE))
    assert done.returncode == 1
    found = records(tmp_path)
    assert found["honest"].status == "completed", found["honest"].reason
    for lie, (status, words) in lies.items():
        record = found[lie.replace(" ", "-")]
        assert record.status == status, (lie, record.status, record.reason)
        assert words in record.reason, (lie, record.reason)
        assert "Traceback" not in done.stdout + done.stderr


def test_caps_on_prepare_and_evaluate(bench: Bench, plugin: Plugin, write_suite: WriteSuite, tmp_path: Path) -> None:
    suite = write_suite(
        entrants=[named("sleeper", lie="slow prepare"), named("thinker", lie="slow predict")],
        budget={"train": "0.5s", "prepare": "1s", "evaluate": "1s"},
        evaluation={"curve": 1, "curve_bytes": 1},
    )
    done = bench("run", str(suite), env=plugin(SOURCE))
    assert done.returncode == 1
    found = records(tmp_path)
    assert (found["sleeper"].status, found["thinker"].status) == ("timed_out", "timed_out")
    assert "budget.prepare" in found["sleeper"].reason
    assert "budget.evaluate" in found["thinker"].reason


def test_process_that_dies_is_a_failed_row_and_tried_again(
    bench: Bench, plugin: Plugin, write_suite: WriteSuite, tmp_path: Path
) -> None:
    suite = write_suite(entrants=[counter(lie="exit")], budget={"train": "1s"})
    for _ in range(2):
        done = bench("run", str(suite), env=plugin(SOURCE))
        assert done.returncode == 1
        assert "done before" not in done.stdout
        record = records(tmp_path)["counter"]
        assert record.status == "failed"
        assert "ended with status 7" in record.reason


def test_two_commands_share_one_race(plugin: Plugin, write_suite: WriteSuite, bench: Bench, tmp_path: Path) -> None:
    """Started twice at once, every run happens once, and never two on one core."""
    suite = write_suite(entrants=[counter(pace=0.01)], budget={"steps": 100}, seeds=[1, 2, 3])
    env = plugin(SOURCE)
    first = _start(tmp_path, suite, env)
    second = _start(tmp_path, suite, env)
    assert (first.wait(120), second.wait(120)) == (0, 0)
    stored = read_runs(tmp_path / "runs" / "small")
    assert [run.record.status for run in stored] == ["completed"] * 3
    intervals: dict[int, list[tuple[str, str]]] = {}
    for run in stored:
        events = (run.directory / "events.jsonl").read_text().splitlines()
        assert sum('"ended"' in line for line in events) == 1
        (core,) = run.record.machine.pinned_cores
        intervals.setdefault(core, []).append((run.record.started, run.record.finished))
    for spans in intervals.values():
        for before, after in itertools.pairwise(sorted(spans)):
            assert before[1] <= after[0]


def test_ctrl_c_while_scoring_keeps_the_training(
    plugin: Plugin, write_suite: WriteSuite, bench: Bench, tmp_path: Path
) -> None:
    suite = write_suite(
        entrants=[counter(lie="patient predict")],
        budget={"steps": 20},
        evaluation={"curve": 1, "context": 64, "segment": 64},
    )
    env = plugin(SOURCE)
    process = _start(tmp_path, suite, env)
    _wait_for(lambda: any('"scoring"' in p.read_text() for p in (tmp_path / "runs").glob("small/*/events.jsonl")))
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    assert json.loads(_checkpoints(tmp_path)[0].read_text())["trained"] is True
    done = bench("run", str(suite), env={**env, "ACME_HURRY": "1"})
    assert done.returncode == 0, done.stdout
    events = "".join(p.read_text() for p in (tmp_path / "runs").glob("small/*/events.jsonl"))
    assert events.count('"phase": "train"') == 1
    assert records(tmp_path)["counter"].metrics.steps == 20


def test_steps_budget_repeats_exactly(bench: Bench, plugin: Plugin, write_suite: WriteSuite, tmp_path: Path) -> None:
    suite = write_suite(entrants=[counter(pace=0.0)], budget={"steps": 30})
    bench("run", str(suite), env=plugin(SOURCE))
    first = records(tmp_path)["counter"].metrics.bits_per_byte
    bench("run", str(suite), "--fresh", env=plugin(SOURCE))
    assert records(tmp_path)["counter"].metrics.bits_per_byte == first


def _start(tmp_path: Path, suite: Path, env: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "bytelap", "run", str(suite)],
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(tmp_path), **env},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _wait_for(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def _claims(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "runs" / "small").glob("*/claim.json"))


def _checkpoints(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "runs" / "small").glob("*/checkpoint/state.json"))


def _check_resumed(tmp_path: Path, reference: float) -> None:
    (run,) = read_runs(tmp_path / "runs" / "small")
    assert run.record.status == "completed"
    assert run.record.resumptions >= 1
    assert run.record.metrics.steps == 400
    assert run.record.metrics.bits_per_byte == reference
    assert [point.steps for point in run.curve()] == sorted({point.steps for point in run.curve()})


@pytest.fixture
def long_suite(
    bench: Bench, plugin: Plugin, write_suite: WriteSuite, tmp_path: Path
) -> tuple[Path, dict[str, str], float]:
    """A run of 4 s with checkpoints every 0.5 s, and the score that it has when nobody disturbs it."""
    suite = write_suite(entrants=[counter(pace=0.01)], budget={"steps": 400, "checkpoint": "0.5s"})
    env = plugin(SOURCE)
    assert bench("run", str(suite), "--runs", "undisturbed", env=env).returncode == 0
    (run,) = read_runs(tmp_path / "undisturbed" / "small")
    assert run.record.metrics.bits_per_byte is not None
    return suite, env, run.record.metrics.bits_per_byte


def test_kill_9_of_the_run_process_loses_nothing(
    bench: Bench, tmp_path: Path, long_suite: tuple[Path, dict[str, str], float]
) -> None:
    suite, env, reference = long_suite
    process = _start(tmp_path, suite, env)
    _wait_for(lambda: bool(_checkpoints(tmp_path)))
    os.kill(json.loads(_claims(tmp_path)[0].read_text())["pid"], signal.SIGKILL)
    assert process.wait(30) == 1
    assert not records(tmp_path)
    assert bench("run", str(suite), env=env).returncode == 0
    _check_resumed(tmp_path, reference)


def test_kill_9_of_bench_run_leaves_no_process_and_loses_nothing(
    bench: Bench, tmp_path: Path, long_suite: tuple[Path, dict[str, str], float]
) -> None:
    suite, env, reference = long_suite
    process = _start(tmp_path, suite, env)
    _wait_for(lambda: bool(_checkpoints(tmp_path)))
    process.kill()
    process.wait()
    # The same command at once: it waits until the orphan has noticed, written a checkpoint and left.
    assert bench("run", str(suite), env=env).returncode == 0
    assert not _claims(tmp_path)
    _check_resumed(tmp_path, reference)


def test_ctrl_c_writes_a_checkpoint(
    bench: Bench, tmp_path: Path, long_suite: tuple[Path, dict[str, str], float]
) -> None:
    suite, env, reference = long_suite
    process = _start(tmp_path, suite, env)
    _wait_for(lambda: '"progress"' in "".join(p.read_text() for p in (tmp_path / "runs").glob("small/*/events.jsonl")))
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    assert _checkpoints(tmp_path)
    assert not _claims(tmp_path)
    assert bench("run", str(suite), env=env).returncode == 0
    _check_resumed(tmp_path, reference)


def test_torn_checkpoint_is_not_used(
    bench: Bench, tmp_path: Path, long_suite: tuple[Path, dict[str, str], float]
) -> None:
    """A crash between the two renames of a checkpoint leaves the old one; half-written new ones are ignored."""
    suite, env, reference = long_suite
    process = _start(tmp_path, suite, env)
    _wait_for(lambda: bool(_checkpoints(tmp_path)))
    process.send_signal(signal.SIGINT)
    process.wait(30)
    checkpoint = _checkpoints(tmp_path)[0].parent
    checkpoint.rename(checkpoint.with_name("checkpoint.old"))
    half = checkpoint.with_name("checkpoint.new")
    half.mkdir()
    (half / "state.json").write_text("{")
    assert bench("run", str(suite), env=env).returncode == 0
    _check_resumed(tmp_path, reference)


def test_full_disk_leaves_no_half_written_result(
    bench: Bench, plugin: Plugin, write_suite: WriteSuite, tmp_path: Path
) -> None:
    """Files may grow to 64 KB only, as on a disk that is nearly full: the model does not fit."""
    suite = write_suite(entrants=[counter()])
    env = plugin(SOURCE)
    assert (
        bench("run", str(suite), "--only", "counter", "--runs", "elsewhere", env=env).returncode == 0
    )  # fills the cache
    words = f"ulimit -f 64; exec {sys.executable} -m bytelap run {suite}"
    done = subprocess.run(
        ["bash", "-c", words],
        cwd=tmp_path,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert "File too large" in done.stdout
    assert not list((tmp_path / "runs").glob("small/*/model/*"))
    assert bench("run", str(suite), env=env).returncode == 0
    assert records(tmp_path)["counter"].status == "completed"


def test_unavailable_plugin_becomes_a_row(
    bench: Bench, plugin: Plugin, write_suite: WriteSuite, tmp_path: Path
) -> None:
    plugin("import no_such_package_at_all\n", module="broken_models", distribution="broken")
    env = plugin(SOURCE)
    suite = write_suite(entrants=[counter(), {"model": "mystery"}])
    done = bench("run", str(suite), env=env)
    assert done.returncode == 1
    found = records(tmp_path)
    assert found["counter"].status == "completed"
    assert found["mystery"].status == "unavailable"
    assert "broken 1.0 (broken_models) failed" in found["mystery"].reason
    assert "no_such_package_at_all" in found["mystery"].reason


def test_two_plugins_with_one_name(bench: Bench, plugin: Plugin, write_suite: WriteSuite) -> None:
    plugin(SOURCE)
    env = plugin(SOURCE, module="other_models", distribution="other")
    done = bench("run", str(write_suite(entrants=[counter()])), env=env)
    assert done.returncode == 2
    assert "acme 1.0 (acme_models)" in done.stderr
    assert "other 1.0 (other_models)" in done.stderr
    assert len(done.stderr.splitlines()) == 1
