"""Corpora in the cache: whole, hashed, found again, rebuilt if damaged, safe against concurrency and kill -9."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bytelap import BytelapError, Corpus
from bytelap.text.corpus import SplitName
from bytelap.text.prepare import prepare_corpus

DOCUMENTS: list[tuple[SplitName, str, bytes]] = [
    ("test", "fin", b"the end \xff\xfe"),
    ("train", "one", b"first"),
    ("validation", "été", "là-bas".encode()),
    ("train", "two", b"second\n\x00"),
]


def _prepare(source: str | None = None, name: str = "tiny") -> Corpus:
    return prepare_corpus(name, "none", iter(DOCUMENTS), source=source)


def test_documents_are_stored_byte_for_byte_in_order(cache: Path):
    corpus = _prepare()
    assert {split: list(data.names) for split, data in corpus.splits.items()} == {
        "train": ["one", "two"],
        "validation": ["été"],
        "test": ["fin"],
    }
    train = corpus.splits["train"]
    assert [train.document(i) for i in range(2)] == [b"first", b"second\n\x00"]
    assert train.data.tobytes() == b"firstsecond\n\x00"
    assert train.offsets.tolist() == [0, 5, 13]
    assert train.offsets.dtype == np.int64
    assert train.names[-1] == "two"
    assert train.names[0:2] == ("one", "two")
    assert corpus.directory.parent == cache / "corpora"


def test_chunks_and_whole_documents_give_the_same_corpus():
    def chunked() -> Iterator[tuple[SplitName, str, list[bytes]]]:
        for split, name, text in DOCUMENTS:
            yield split, name, [text[:3], b"", text[3:]]

    assert prepare_corpus("tiny", "none", chunked()).hash == _prepare().hash


def test_hash_is_of_split_names_lengths_and_bytes():
    digest = hashlib.sha256()
    for split in ("train", "validation", "test"):
        texts = [text for where, _, text in DOCUMENTS if where == split]
        inner = hashlib.sha256(b"".join(text + len(text).to_bytes(8, "little") for text in texts))
        digest.update(split.encode() + b"\0" + len(texts).to_bytes(8, "little") + inner.digest())
    assert _prepare().hash == digest.hexdigest()[:16]


@pytest.mark.parametrize(
    "change",
    [
        lambda documents: [*documents[:3], ("validation", "two", documents[3][2])],  # another split
        lambda documents: [documents[0], ("train", "one", b"firs"), documents[2], ("train", "two", b"tsecond\n\x00")],
        lambda documents: [*documents[:3], ("train", "two", b"second\n\x01")],
    ],
)
def test_hash_changes_with_split_boundary_and_bytes(change):
    assert prepare_corpus("tiny", "none", change(list(DOCUMENTS))).hash != _prepare().hash


def test_known_source_is_not_read_again():
    first = _prepare(source="v1")

    def unreadable() -> Iterator[tuple[SplitName, str, bytes]]:
        raise AssertionError("read again")
        yield

    again = prepare_corpus("tiny", "none", unreadable(), source="v1")
    assert (again.hash, again.directory) == (first.hash, first.directory)
    with pytest.raises(AssertionError, match="read again"):
        prepare_corpus("tiny", "none", unreadable(), source="v2")


@pytest.mark.parametrize("part", ["train.bin", "train.offsets", "test.names", "meta.json"])
@pytest.mark.parametrize("damage", ["cut", "removed"])
def test_damaged_corpus_is_noticed_and_rebuilt(part: str, damage: str):
    file = _prepare(source="v1").directory / part
    if damage == "cut":
        os.truncate(file, file.stat().st_size - 1)
    else:
        file.unlink()
    mended = _prepare(source="v1")
    assert mended.splits["train"].data.tobytes() == b"firstsecond\n\x00"
    assert not list(mended.directory.parent.glob(".building*"))


@pytest.mark.parametrize(
    ("documents", "sentence"),
    [
        ([], "'tiny' is empty, not a single byte .*: add more"),
        ([("train", "a", b""), ("test", "b", b"")], "'tiny' is empty"),
        ([("train", "a", b"text")], "has one document, but training, validation and test need .*: add more"),
        ([("train", "a", b"x"), ("test", "b", b"y")], r"no validation document \(train 1, validation 0, test 1\)"),
        ([("test", "a", b"x"), ("test", "b", b"y")], "no train and no validation document"),
    ],
)
def test_too_few_documents_are_refused_and_leave_nothing(cache: Path, documents, sentence: str):
    with pytest.raises(BytelapError, match=sentence):
        prepare_corpus("tiny", "none", documents, source="v1", remedy="add more")
    assert not [path for path in cache.rglob("*") if path.is_file() or path.name.startswith(".building")]


def test_unwritable_cache_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    blocked = tmp_path / "file"
    blocked.write_text("not a directory")
    monkeypatch.setenv("BYTELAP_CACHE", str(blocked))
    with pytest.raises(BytelapError, match=r"cannot be prepared in .*BYTELAP_CACHE"):
        _prepare()


_SCRIPT = """
import sys, time, pathlib
from bytelap.text.prepare import prepare_corpus
def documents():
    for split in ("train", "validation", "test"):
        yield split, split, (bytes([65 + i]) * 100_000 for i in range(20))
    pathlib.Path(sys.argv[2]).touch()
    time.sleep(float(sys.argv[1]))
print(prepare_corpus("race", "none", documents(), source="v1").hash)
"""


def test_processes_that_prepare_at_once_agree(cache: Path, tmp_path: Path):
    command = [sys.executable, "-c", _SCRIPT, "0.3", str(tmp_path / "flag")]
    racers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    hashes = {racer.communicate(timeout=60)[0] for racer in racers}
    assert [racer.returncode for racer in racers] == [0] * 4
    assert len(hashes) == 1
    assert len(list((cache / "corpora").iterdir())) == 1


def test_killed_preparation_leaves_no_corpus_and_is_cleared_away_later(cache: Path, tmp_path: Path):
    flag = tmp_path / "flag"
    victim = subprocess.Popen([sys.executable, "-c", _SCRIPT, "60", str(flag)])
    while not flag.exists():
        time.sleep(0.01)
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    (ruin,) = (cache / "corpora").iterdir()
    assert ruin.name.startswith(".building")
    assert not (cache / "sources").exists()
    os.utime(ruin, (0, 0))  # as if it had happened long ago
    _prepare()
    assert not ruin.exists()


def test_excerpt_takes_the_beginning_of_every_long_document():
    texts = {"a": b"a" * 30_000, "b": "é".encode() * 30_000}
    documents = [("train", name, text) for name, text in texts.items()]
    split = prepare_corpus("x", "none", [*documents, *DOCUMENTS]).splits["train"].excerpt(10_001)
    assert list(split.names)[:2] == ["a", "b"]
    assert len(split) <= 10_001
    assert abs(len(split.document(1)) - 2 * len(split.document(0))) < 10
    assert split.document(1).decode() == "é" * (len(split.document(1)) // 2)


def test_excerpt_of_many_short_documents_takes_some_nearly_whole():
    texts = [f"document number {i:05d}, to be read whole".encode() for i in range(5_000)]
    documents = [("train", str(i), text) for i, text in enumerate(texts)]
    split = prepare_corpus("x", "none", [*documents, *DOCUMENTS]).splits["train"].excerpt(4_000)
    assert 3_000 < len(split) <= 4_000
    for i, name in enumerate(split.names):
        assert texts[int(name)].startswith(split.document(i))
        assert len(split.document(i)) > 0.9 * len(texts[int(name)])
