"""What is ranked with what, and what is said about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from bytelap.errors import BytelapError
from bytelap.evaluation.statistics import bootstrap, interval
from bytelap.report.races import Report, compare
from bytelap.report.references import ReferenceLine
from tests.report.runs import load, write_run

if TYPE_CHECKING:
    from pathlib import Path

SUITE = "suites/x.yaml"


def report(root: Path, references: tuple[ReferenceLine, ...] = ()) -> Report:
    return compare(load(root), references, SUITE)


def test_entrants_are_ranked_by_their_mean_over_seeds(tmp_path: Path):
    for seed, score in ((1, 2.2), (2, 2.0)):
        write_run(tmp_path, "steady", 2.11, seed)
        write_run(tmp_path, "lucky", score, seed)
    write_run(tmp_path, "worse", 3.0)
    (race,) = report(tmp_path).races
    assert [(row.rank, row.label, len(row.runs)) for row in race.entries] == [
        (1, "lucky", 2),
        (2, "steady", 2),
        (3, "worse", 1),
    ]
    assert race.entries[0].score is not None
    assert race.entries[0].score.mean == pytest.approx(2.1)


def test_equal_scores_share_a_rank(tmp_path: Path):
    for name, score in (("a", 2.0), ("b", 2.0), ("c", 2.5)):
        write_run(tmp_path, name, score)
    (race,) = report(tmp_path).races
    assert [row.rank for row in race.entries] == [1, 1, 3]


def test_interval_is_the_bootstrap_over_the_stored_segments(tmp_path: Path):
    runs = [write_run(tmp_path, "gpt", 2.0 + 0.01 * seed, seed) for seed in (1, 2, 3)]
    stored = [run.segments() for run in runs]
    bits = np.stack([arrays["bits"] for arrays in stored if arrays is not None])
    expected = interval(bootstrap(bits, np.full(80, 512)), 2.02)
    score = report(tmp_path).races[0].entries[0].score
    assert score is not None
    assert (score.low, score.high) == pytest.approx((expected.low, expected.high))
    assert score.low < 2.02 < score.high


def test_without_segments_the_interval_is_over_seeds(tmp_path: Path):
    for seed in (1, 2, 3):
        run = write_run(tmp_path, "gpt", 2.0 + 0.01 * seed, seed)
        (run.directory / "segments.npz").unlink()
    score = report(tmp_path).races[0].entries[0].score
    assert score is not None
    assert score.low < 2.02 < score.high


def test_runs_that_did_not_complete_stay_visible_below_with_their_reason(tmp_path: Path):
    write_run(tmp_path, "good", 2.5)
    write_run(tmp_path, "cheat", 0.5, status="invalid", reason="not causal:\nthe future changed the past")
    write_run(tmp_path, "late", 2.1, status="over_budget", reason="overshot by 9 s")
    write_run(tmp_path, "gone", None, status="unavailable", reason="needs mamba_ssm")
    write_run(tmp_path, "blank", None, status="failed")
    (race,) = report(tmp_path).races
    assert [(row.label, row.rank, row.reason) for row in race.entries] == [
        ("good", 1, ""),
        ("blank", None, "no reason was recorded"),
        ("cheat", None, "not causal: the future changed the past"),
        ("gone", None, "needs mamba_ssm"),
        ("late", None, "overshot by 9 s"),
    ]


def test_lost_seeds_are_said_and_listed(tmp_path: Path):
    write_run(tmp_path, "shaky", 2.0, 1)
    write_run(tmp_path, "shaky", 2.1, 2)
    write_run(tmp_path, "shaky", None, 3, status="failed", reason="the loss is not finite at step 12")
    (race,) = report(tmp_path).races
    assert [(row.label, row.rank, len(row.runs)) for row in race.entries] == [("shaky", 1, 2), ("shaky", None, 1)]
    assert any("2 of its 3 runs" in caution for caution in race.cautions)


@pytest.mark.parametrize("score", [float("nan"), float("inf"), -5.0])
def test_an_impossible_score_is_not_ranked(tmp_path: Path, score: float):
    write_run(tmp_path, "odd", 2.0, metrics={"bits_per_byte": score})
    (race,) = report(tmp_path).races
    assert race.entries[0].rank is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"corpus": {"name": "wiki", "hash": "f" * 16}}, ""),
        ({"corpus": {"hash": "f" * 16}}, "different contents"),
        ({"budget": {"seconds": 600.0}}, "different training budgets"),
        ({"budget": {"clock": "cpu"}}, "different training budgets or clocks"),
        ({"evaluation": {"context": 64}}, "scored in different ways"),
        ({"evaluation": {"limit": 65_536}}, "scored in different ways"),
    ],
)
def test_what_cannot_be_compared_gets_its_own_table(tmp_path: Path, change: dict[str, object], said: str):
    write_run(tmp_path, "a", 2.0)
    write_run(tmp_path, "b", 2.1, **change)
    both = report(tmp_path)
    assert [[row.rank for row in race.entries] for race in both.races] == [[1], [1]]
    assert len({race.title for race in both.races}) == len({race.slug for race in both.races}) == 2
    assert said in " ".join(both.cautions)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"machine": {"processor": "Another CPU"}}, "2 different machines"),
        ({"machine": {"threads": 8}}, "2 different machines or thread settings"),
        ({"evaluation": {"curve_bytes": 1}}, "validation curves were measured with different settings"),
        ({"tokenizer": {"hash": "e" * 16}}, "trained in 2 different ways"),
    ],
)
def test_what_differs_inside_a_table_is_warned_of(tmp_path: Path, change: dict[str, object], said: str):
    write_run(tmp_path, "a", 2.0)
    assert report(tmp_path).races[0].cautions == ()
    write_run(tmp_path, "b", 2.1, **change)
    (race,) = report(tmp_path).races
    assert said in " ".join(race.cautions)


def test_another_number_of_test_bytes_is_not_ranked_and_said(tmp_path: Path):
    write_run(tmp_path, "a", 2.0)
    write_run(tmp_path, "b", 2.1)
    write_run(tmp_path, "odd", 1.5, segments=70)
    (race,) = report(tmp_path).races
    assert [(row.label, row.rank) for row in race.entries] == [("a", 1), ("b", 2), ("odd", None)]
    assert "35,840 test bytes where the others scored 40,960" in race.entries[2].reason
    assert any("different numbers of test bytes (35,840 and 40,960)" in caution for caution in race.cautions)


def test_bytes_and_tokens_share_a_table_on_the_same_bytes(tmp_path: Path):
    write_run(tmp_path, "gpt", 2.2)
    write_run(tmp_path, "gpt", 2.0, tokenizer={"name": "bpe-1024", "hash": "d" * 16, "size": 1024})
    (race,) = report(tmp_path).races
    assert [(row.rank, row.label, row.name) for row in race.entries] == [
        (1, "gpt · bpe-1024", "gpt"),
        (2, "gpt · byte", "gpt"),
    ]


def test_one_name_with_two_configurations_is_two_entrants(tmp_path: Path):
    write_run(tmp_path, "ngram", 2.1, config={"order": 8, "cut": 0})
    write_run(tmp_path, "ngram", 2.2, config={"order": 5, "cut": 0})
    (race,) = report(tmp_path).races
    assert [row.label for row in race.entries] == ["ngram (order=8)", "ngram (order=5)"]


def test_names_that_only_look_alike_stay_apart(tmp_path: Path):
    write_run(tmp_path, "gpt", 2.1)
    write_run(tmp_path, "gpt\u200b", 2.2)
    labels = [row.label for row in report(tmp_path).races[0].entries]
    assert len(set(labels)) == 2
    assert all(label.isprintable() for label in labels)


def test_one_seed_twice_and_changed_code_are_said(tmp_path: Path):
    write_run(tmp_path, "gpt", 2.1, 1)
    write_run(tmp_path, "gpt", 2.2, 1, plugin={"source_hash": "beef"})
    cautions = " ".join(report(tmp_path).races[0].cautions)
    assert "more than once with one seed" in cautions
    assert "different versions of its code" in cautions


def test_segments_that_do_not_add_up_are_said(tmp_path: Path):
    write_run(tmp_path, "liar", 2.0, metrics={"bits_per_byte": 1.9})
    assert any("do not add up" in caution for caution in report(tmp_path).races[0].cautions)


def test_reference_lines_go_to_the_corpus_and_excerpt_they_were_measured_on(tmp_path: Path):
    write_run(tmp_path, "a", 2.0)
    fitting = ReferenceLine("xz", "0123456789abcdef", 40_960, 2.3)
    others = (
        ReferenceLine("other text", "f" * 16, 40_960, 1.0),
        ReferenceLine("longer", "0123456789abcdef", 50_000, 1),
    )
    (race,) = report(tmp_path, (fitting, *others)).races
    assert race.references == (fitting,)


def test_no_runs_is_one_clear_sentence(tmp_path: Path):
    with pytest.raises(BytelapError, match=r"no finished runs of suites/x\.yaml .* `bench run suites/x\.yaml`"):
        report(tmp_path)
