"""`file:`: the user's own text, any bytes, cut and split."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bytelap import BytelapError, Corpus
from bytelap.plugins import Registry
from bytelap.text.corpora import files
from bytelap.text.corpora.files import FileConfig, load_files
from bytelap.text.resolve import resolve_corpus


def _placed(corpus: Corpus) -> dict[bytes, str]:
    """Split of every document."""
    return {split.document(i): name for name, split in corpus.splits.items() for i in range(len(split.names))}


def test_a_document_per_file_any_bytes(tmp_path: Path):
    texts = {f"{i}.bin": bytes(range(256)) * (i + 1) for i in range(5)}
    for name, text in texts.items():
        (tmp_path / name).write_bytes(text)
    (tmp_path / "sub.bin").mkdir()
    corpus = load_files(FileConfig(path=f"{tmp_path}/*.bin"))
    assert sorted(_placed(corpus)) == sorted(texts.values())
    names = [name for split in corpus.splits.values() for name in split.names]
    assert sorted(names) == sorted(str(tmp_path / name) for name in texts)


def test_named_splits(tmp_path: Path, books: Path, registry: Registry):
    value = {"name": f"file:{books}/*.txt", "validation": "part1.txt", "test": f"{books}/part[45].txt"}
    spec, config = resolve_corpus(value, registry.corpora)
    corpus = spec.load(config)
    assert [len(split.names) for split in corpus.splits.values()] == [3, 1, 2]
    assert corpus.splits["validation"].document(0) == (books / "part1.txt").read_bytes()
    with pytest.raises(BytelapError, match=r"part1.txt matches both"):
        load_files(FileConfig(path=f"{books}/*", validation="part1*", test="*1.txt"))
    with pytest.raises(BytelapError, match=r"no test document .*: check the globs `validation` and `test`"):
        load_files(FileConfig(path=f"{books}/*", validation="part1*", test="part9*"))


def test_hashed_split_follows_the_content_alone(tmp_path: Path):
    texts = [f"document {i}".encode() for i in range(2_000)]
    file = tmp_path / "all"
    file.write_bytes(b"\n".join(texts))
    placed = _placed(load_files(FileConfig(path=str(file), separator="\n")))
    for text, split in placed.items():
        place = int.from_bytes(hashlib.sha256(text).digest()[:8], "big") / 2**64
        assert split == ("train" if place < 0.9 else "validation" if place < 0.95 else "test")
    file.write_bytes(b"\n".join(reversed(texts)))
    assert _placed(load_files(FileConfig(path=str(file), separator="\n"))) == placed


@pytest.mark.parametrize("count", range(3, 9))
def test_no_split_of_a_hashed_corpus_is_empty(tmp_path: Path, count: int):
    file = tmp_path / "few"
    for attempt in range(10):
        file.write_text("|".join(f"{attempt} {i}" for i in range(count)))
        corpus = load_files(FileConfig(path=str(file), separator="|"))
        assert all(len(split.names) for split in corpus.splits.values())
        assert sum(len(split.names) for split in corpus.splits.values()) == count


def test_equal_documents_stay_on_one_side(tmp_path: Path):
    file = tmp_path / "copies"
    file.write_text("|".join(["one", "two", "three"] * 50))
    corpus = load_files(FileConfig(path=str(file), separator="|"))
    for split in corpus.splits.values():
        assert len(split.names) == 50
        assert len({split.document(i) for i in range(50)}) == 1


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(max_size=60) | st.lists(st.sampled_from([b"a", b"-", b"--", b"-=-", b"\n"]), max_size=30).map(b"".join),
    st.sampled_from([b"-", b"--", b"-=-", b"\n"]),
    st.integers(1, 7),
)
def test_separators_are_found_wherever_blocks_end(tmp_path: Path, text: bytes, separator: bytes, block: int):
    file = tmp_path / "text"
    file.write_bytes(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "_BLOCK", block)
        documents = [b"".join(chunks) for chunks in files._read(file, separator)]
    assert documents == [part for part in text.split(separator) if part]


def test_untouched_files_are_not_read_again_and_touched_ones_are(books: Path, monkeypatch: pytest.MonkeyPatch):
    config = FileConfig(path=f"{books}/*.txt")
    first = load_files(config)
    with monkeypatch.context() as patch:
        patch.setattr(files, "_read", None)
        assert load_files(config).directory == first.directory
    text = (books / "part0.txt").read_bytes()
    (books / "part0.txt").write_bytes(text[:-1] + b"?")
    assert load_files(config).hash != first.hash
    (books / "part0.txt").write_bytes(text)
    assert load_files(config).hash == first.hash


def test_file_changed_while_it_is_read_is_noticed(books: Path, leftovers, monkeypatch: pytest.MonkeyPatch):
    read = files._read

    def read_and_touch(file: Path, separator: bytes | None):
        os.utime(file, (1, 1))
        return read(file, separator)

    monkeypatch.setattr(files, "_read", read_and_touch)
    with pytest.raises(BytelapError, match="was changed while it was read"):
        load_files(FileConfig(path=f"{books}/*.txt"))
    assert leftovers() == []


def test_paths_that_cannot_be_read_get_one_sentence(tmp_path: Path):
    (tmp_path / "empty").touch()
    (tmp_path / "one").write_text("text")
    for path, sentence in (
        (f"{tmp_path}/no", f"there is no file {tmp_path}/no"),
        (f"{tmp_path}/*.txt", f"no file matches {tmp_path}/*.txt"),
        (f"{tmp_path}", f"is a directory: write file:{tmp_path}/*"),
        (f"{tmp_path}/empty", "is empty, not a single byte"),
        (f"{tmp_path}/one", "has one document, .* give three files or more"),
        ("/proc/self/mem", "cannot read /proc/self/mem: "),
    ):
        with pytest.raises(BytelapError) as error:
            load_files(FileConfig(path=path))
        assert all(part in str(error.value) for part in sentence.split(" .* "))
        assert "\n" not in str(error.value)


def test_two_different_documents_are_too_few(tmp_path: Path):
    (tmp_path / "text").write_text("one|two|one|two")
    with pytest.raises(BytelapError, match=r"has 2 different documents, .* at least one each"):
        load_files(FileConfig(path=str(tmp_path / "text"), separator="|"))


def test_relative_paths_and_home_are_understood(books: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(books.parent)
    monkeypatch.setenv("HOME", str(books.parent))
    relative = load_files(FileConfig(path="books/*.txt"))
    assert load_files(FileConfig(path="~/books/*.txt")).hash == relative.hash
    assert load_files(FileConfig(path="**/part*.txt")).hash == relative.hash
