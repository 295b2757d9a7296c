"""Bad suites: one clear sentence with file, line and column each."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bytelap import BytelapError
from bytelap.suite.loader import loads
from bytelap.suite.schema import Suite, read_suite

GOOD = """\
name: tiny
corpus: prose
tokenizers: [byte, bpe-1024]
budget: {train: 60s}
seeds: [1, 2]
entrants:
  - model: ngram
    config: {order: 8}
  - model: rnn
    grid: {layers: [1, 2]}
"""


def read(tmp_path: Path, text: str) -> Suite:
    file = tmp_path / "s.yaml"
    file.write_text(text)
    return read_suite(file)[0]


def test_good_suite_is_read(tmp_path: Path) -> None:
    suite = read(tmp_path, GOOD)
    assert suite.budget.train == 60.0
    assert suite.corpus == ["prose"]
    assert suite.entrants[1].grid == {"layers": [1, 2]}


@pytest.mark.parametrize(
    ("old", "new", "place", "words"),
    [
        ("budget:", "bugdet:", "4:1", "unknown key 'bugdet': did you mean 'budget'?"),
        ("    grid:", "    gird:", "10:5", "unknown key 'gird': did you mean 'grid'?"),
        ("train: 60s", "trian: 60s", "4:10", "did you mean 'train'?"),
        ("60s", "0s", "4:17", "more than zero"),
        ("60s", "-3", "4:17", "more than zero"),
        ("60s", "sixty", "4:17", "'sixty' should be a number such as 60s or 10m"),
        ("60s", "true", "4:17", "should be a number"),
        ("train: 60s", "train: 60s, steps: 5", "4:9", "exactly one of train, steps, tokens"),
        ("train: 60s", "steps: 0", "4:17", "greater than or equal to 1"),
        ("seeds: [1, 2]", "seeds: [1, 1]", "1:1", "should not repeat a seed"),
        ("seeds: [1, 2]", "seeds: [one]", "5:9", "valid integer"),
        ("seeds: [1, 2]", "seeds: [1, 2]\nname: again", "6:1", "key 'name' is given twice (first on line 1)"),
        ("name: tiny", "name: ../../etc", "1:7", "should match pattern"),
        ("  - model: ngram\n", "  - name: x\n", "7:5", "key 'model' is missing"),
        ("name: tiny\n", "", "1:1", "key 'name' is missing"),
        ("corpus: prose", "corpus: !!python/object/apply:os.system [ls]", "2:9", "tag"),
        ("{layers: [1, 2]}", "{layers: []}", "10:20", "at least 1 item"),
        ("[byte, bpe-1024]", "[byte, bpe-1024", "4:7", "not valid YAML"),
    ],
)
def test_mistake_is_named_with_its_place(tmp_path: Path, old: str, new: str, place: str, words: str) -> None:
    assert old in GOOD
    with pytest.raises(BytelapError) as error:
        read(tmp_path, GOOD.replace(old, new))
    lines = str(error.value).splitlines()
    assert any(f"s.yaml:{place}: " in line and words in line for line in lines), lines


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(BytelapError) as error:
        read(tmp_path, GOOD.replace("seeds:", "sedes:").replace("60s", "never"))
    assert len(str(error.value).splitlines()) == 2


def test_numbers_are_those_of_yaml_1_2() -> None:
    value = loads("{a: 1e-3, b: no, c: 010, d: 12:30, e: .5, f: 1_000, g: yes}", "x").value
    assert value == {"a": 1e-3, "b": "no", "c": 10, "d": "12:30", "e": 0.5, "f": 1000, "g": "yes"}


def test_learning_rate_in_exponent_notation_is_a_number(tmp_path: Path) -> None:
    suite = read(tmp_path, GOOD.replace("{order: 8}", "{learning_rate: 1e-3}"))
    assert suite.entrants[0].config["learning_rate"] == 0.001


@pytest.mark.parametrize("text", ["", "- 1\n", "7", "a: &x {b: *x}", "a: [[[[", "\x00", "a: \t- b", "? {a: 1}\n: 2"])
def test_nonsense_is_one_sentence(tmp_path: Path, text: str) -> None:
    with pytest.raises(BytelapError):
        read(tmp_path, text)


def test_alias_bomb_is_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    with pytest.raises(BytelapError, match="too large"):
        loads("\n".join(lines), "bomb.yaml")


def test_missing_file_and_directory(tmp_path: Path) -> None:
    with pytest.raises(BytelapError, match="no such suite file"):
        read_suite(tmp_path / "none.yaml")
    with pytest.raises(BytelapError, match="is a directory"):
        read_suite(tmp_path)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet=st.sampled_from("abn: -[]{}\n,&*!#|>'\"%@`0123456789.e~\t\\"), max_size=80))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        loads(text, "fuzz.yaml")
    except BytelapError as error:
        assert "fuzz.yaml" in str(error)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_edit_of_a_good_suite_is_read_or_refused(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(GOOD)))
    end = data.draw(st.integers(start, min(len(GOOD), start + 12)))
    text = GOOD[:start] + data.draw(st.text(max_size=6)) + GOOD[end:]
    document = None
    try:
        document = loads(text, "fuzz.yaml")
    except BytelapError:
        return
    from pydantic import ValidationError

    from bytelap.suite.schema import explain

    try:
        Suite.model_validate(document.value)
    except ValidationError as error:
        for line in explain(error, document, (), Suite).splitlines():
            assert line.startswith("fuzz.yaml")
