"""Figures say what they must, in any state of the runs; ticks are plain; labels do not overlap."""

from __future__ import annotations

import io
import itertools
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import matplotlib as mpl
import matplotlib.image
import pytest

from bytelap.report import style
from bytelap.report.blocks import Paragraph, Picture
from bytelap.report.curves import mean_curve, seed_curves
from bytelap.report.figures import curves, sizes
from bytelap.report.labels import Box, around, stack
from bytelap.report.races import compare
from bytelap.report.references import ReferenceLine
from tests.report.runs import load, write_run

if TYPE_CHECKING:
    from pathlib import Path

LINES = (ReferenceLine("xz -9e", "0123456789abcdef", 40_960, 2.33),)


def pictures(root: Path) -> dict[str, Picture]:
    report = compare(load(root), LINES, "suites/x.yaml")
    return {block.name: block for block in (*curves(report), *sizes(report)) if isinstance(block, Picture)}


def texts(picture: Picture) -> list[str]:
    root = ET.fromstring(style.svg(picture.drawing))
    return [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}text")]


def test_every_entrant_and_reference_is_named_in_every_figure(tmp_path: Path):
    names = [f"entrant-{index}" for index in range(14)]
    for place, name in enumerate(names):
        for seed in (1, 2):
            write_run(tmp_path, name, 2.0 + 0.03 * place + 0.005 * seed, seed, metrics={"parameters": 10**place})
    made = pictures(tmp_path)
    assert sorted(made) == ["learning-curves", "score-by-parameters", "score-by-state-size"]
    for picture in made.values():
        shown = " ".join(texts(picture))
        assert all(name in shown for name in [*names, "xz -9e", "bits per byte"])


def test_png_is_an_image_of_readable_size_with_something_in_it(tmp_path: Path):
    write_run(tmp_path, "gpt", 2.0)
    image = matplotlib.image.imread(io.BytesIO(style.png(pictures(tmp_path)["learning-curves"].drawing)))
    assert image.shape[1] >= 1400
    assert len({tuple(pixel) for pixel in image[::3, ::3].reshape(-1, image.shape[2])}) > 20


def test_sizes_of_zero_stand_apart_from_the_log_axis(tmp_path: Path):
    write_run(tmp_path, "uniform", 2.4, metrics={"parameters": 0, "state_size": 0})
    write_run(tmp_path, "gpt", 2.0, metrics={"parameters": 1_000_000, "state_size": 64})
    shown = texts(pictures(tmp_path)["score-by-parameters"])
    assert {"0", "uniform", "gpt"} <= set(shown)


def test_a_field_of_zeros_and_a_single_flat_score_still_draw(tmp_path: Path):
    write_run(tmp_path, "uniform", 8.0, metrics={"parameters": 0, "state_size": 0})
    assert "uniform" in texts(pictures(tmp_path)["score-by-state-size"])


def test_a_score_far_above_the_others_is_named_at_the_edge(tmp_path: Path):
    write_run(tmp_path, "uniform", 8.0)
    write_run(tmp_path, "gpt", 2.0)
    made = pictures(tmp_path)
    assert "uniform 8.00 ↑" in texts(made["score-by-parameters"])
    assert any(text.startswith("uniform") and "↑" in text for text in texts(made["learning-curves"]))


def test_a_wide_interval_does_not_squeeze_the_figure(tmp_path: Path):
    for seed, score in ((1, 2.0), (2, 2.4)):
        write_run(tmp_path, "shaky", score, seed)
    write_run(tmp_path, "other", 2.6)
    axes = pictures(tmp_path)["score-by-parameters"].drawing.axes[0]
    low, high = axes.get_ylim()
    assert 1.8 < low < 2.2
    assert 2.6 < high < 4


def test_without_curves_or_sizes_a_sentence_stands_in(tmp_path: Path):
    run = write_run(tmp_path, "gpt", 2.0, metrics={"parameters": None, "state_size": None})
    (run.directory / "curve.jsonl").write_text("torn {\n")
    report = compare(load(tmp_path), (), "x")
    said = [block.text for block in (*curves(report), *sizes(report)) if isinstance(block, Paragraph)]
    assert len(said) == 3
    assert not pictures(tmp_path)


def test_many_entrants_keep_the_best_named(tmp_path: Path):
    for index in range(23):
        write_run(tmp_path, f"e{index:02d}", 2.0 + index / 100)
    picture = pictures(tmp_path)["learning-curves"]
    shown = texts(picture)
    assert any(text.startswith("e00") for text in shown)
    assert not any(text.startswith("e22") for text in shown)
    assert "best 21 of 23" in picture.caption


def test_mean_curve_of_seeds_lies_between_them(tmp_path: Path):
    for seed, score in ((1, 2.0), (2, 2.2)):
        write_run(tmp_path, "gpt", score, seed, metrics={"train_seconds": 60.0 + seed})
    found = seed_curves(compare(load(tmp_path), (), "x").races[0].entries[0])
    seconds, bits = mean_curve(found)
    assert seconds[0] == pytest.approx(62 / 200)
    assert seconds[-1] == pytest.approx(61)
    assert found[0][1][-1] < bits[-1] < found[1][1][-2]


def test_drawing_leaves_the_users_settings_alone(tmp_path: Path):
    before = dict(mpl.rcParams)
    write_run(tmp_path, "gpt", 2.0)
    pictures(tmp_path)
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (1.9, 3.3, ["2.0", "2.2", "2.4", "2.6", "2.8", "3.0", "3.2"]),
        (1.8, 8.4, ["2", "3", "4", "5", "6", "8"]),
        (0.3, 600, ["0.3", "1", "3", "10", "30", "100", "300"]),
        (900, 2e9, ["1k", "10k", "100k", "1M", "10M", "100M", "1G"]),
    ],
)
def test_ticks_on_log_axes_are_plain_numbers(low: float, high: float, expected: list[str]):
    assert style.tick_texts(style.log_ticks(low, high)) == expected


@pytest.mark.parametrize("ratio", [1.001, 1.02, 1.3, 2.9, 3.3, 12, 1e3, 1e7, 1e14])
def test_any_range_has_two_to_ten_ticks(ratio: float):
    for low in (0.0137, 1.93, 5e5):
        ticks = style.log_ticks(low, low * ratio)
        assert 2 <= len(ticks) <= 10
        assert all(low <= tick <= low * ratio for tick in ticks)
        assert len(set(style.tick_texts(ticks))) == len(ticks)


def test_stacked_labels_keep_order_distance_and_bounds():
    wanted = [10.0, 11.0, 11.0, 12.0, 60.0, 99.0, 100.0]
    places = stack(wanted, 9.0, 0.0, 100.0)
    ordered = [places[index] for index in sorted(range(7), key=wanted.__getitem__)]
    assert ordered == sorted(ordered)
    assert all(above - below >= 9.0 - 1e-6 for below, above in itertools.pairwise(ordered))
    assert min(ordered) >= 0
    assert max(ordered) <= 100
    assert places[4] == 60.0, "a label with room stays where it wants to be"


def test_labels_around_crowded_points_do_not_overlap():
    points = [(100 + 9 * (index % 4), 100 + 9 * (index // 4)) for index in range(12)]
    boxes = around(points, [(40, 9)] * 12, Box(0, 0, 300, 300), [])
    assert all(one.overlap(two) < 1.0 for one, two in itertools.combinations(boxes, 2)), "more than a square point"
    assert all(box.outside(Box(0, 0, 300, 300)) < 1e-6 for box in boxes)
