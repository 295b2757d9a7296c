"""BPE against independent calculations: lossless on any bytes, the right merges, the same every time."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from bytelap import Corpus
from bytelap.text.corpora.files import FileConfig, load_files
from bytelap.text.tokenizers import bpe
from bytelap.text.tokenizers.bpe import PATTERN, BpeTokenizer, load_bpe, train_merges


@pytest.fixture(scope="module")
def tokenizer(english: bytes) -> BpeTokenizer:
    return BpeTokenizer("bpe-600", train_merges(np.frombuffer(english[:200_000], np.uint8), 600))


@pytest.fixture
def corpus(books: Path) -> Corpus:
    return load_files(FileConfig(path=f"{books}/*.txt"))


_TEXT = st.text(alphabet=st.sampled_from("the and e\n\t 19'll.é漢😀\u00a0\u0301"), max_size=80).map(str.encode)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.binary(max_size=40) | _TEXT | st.text(max_size=20).map(lambda text: text.encode()), max_size=6).map(
        b"".join
    ),
    st.integers(5, 40),
)
def test_any_bytes_survive_the_round_trip_however_they_are_cut(tokenizer: BpeTokenizer, text: bytes, chunk: int):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bpe, "CHUNK", chunk)
        pieces = list(tokenizer.encode_pieces(np.frombuffer(text, np.uint8)))
    for tokens in (np.concatenate([np.empty(0, np.uint16), *pieces]), tokenizer.encode(text)):
        assert tokens.dtype == tokenizer.vocabulary.dtype == np.uint16
        assert tokenizer.vocabulary.decode(tokens) == text
        assert tokenizer.vocabulary.lengths[tokens].sum() == len(text)


def test_bytes_that_are_not_utf8_are_single_tokens(tokenizer: BpeTokenizer):
    surrogate = "\ud800".encode("utf-8", "surrogatepass")
    assert tokenizer.encode(b"\xff\xfe\x80" + surrogate).tolist() == [0xFF, 0xFE, 0x80, *surrogate]


def _reference_encode(text: str, merges: tuple[bytes, ...]) -> list[int]:
    """Textbook BPE: in every piece join the pair of lowest rank, leftmost first, until none is left."""
    ranks = {bytes([i]): i for i in range(256)} | {token: i for i, token in enumerate(merges, start=256)}
    tokens: list[int] = []
    for piece in regex.findall(PATTERN, text):
        parts = [bytes([byte]) for byte in piece.encode()]
        while True:
            pairs = [(ranks.get(a + b, 1 << 30), i) for i, (a, b) in enumerate(itertools.pairwise(parts))]
            rank, i = min(pairs, default=(1 << 30, 0))
            if rank == 1 << 30:
                break
            parts[i : i + 2] = [parts[i] + parts[i + 1]]
        tokens += [ranks[part] for part in parts]
    return tokens


def test_encoding_is_textbook_bpe_in_spite_of_chunks(tokenizer: BpeTokenizer, english: bytes, monkeypatch):
    text = english[200_000:212_000] + " Ça, c'était l'été… 12345 \u00a0 \r\n\n  ”".encode()
    expected = _reference_encode(text.decode(), tokenizer.vocabulary.token_bytes[256:])
    assert tokenizer.encode(text).tolist() == expected
    monkeypatch.setattr(bpe, "CHUNK", 500)
    assert tokenizer.encode(text).tolist() == expected


def test_every_merge_was_the_most_frequent_pair(english: bytes):
    text = english[:30_000]
    merges = train_merges(np.frombuffer(text, np.uint8), 256 + 60)
    words = Counter(tuple(bytes([byte]) for byte in word.encode()) for word in regex.findall(PATTERN, text.decode()))
    assert len(merges) == 60
    for merge in merges:
        pairs: Counter[tuple[bytes, bytes]] = Counter()
        for word, count in words.items():
            for pair in itertools.pairwise(word):
                pairs[pair] += count
        made = {pair: count for pair, count in pairs.items() if b"".join(pair) == merge}
        pair = max(made, key=made.__getitem__)
        assert made[pair] == max(pairs.values())
        words = Counter({_join(word, pair): count for word, count in words.items()})


def _join(word: tuple[bytes, ...], pair: tuple[bytes, bytes]) -> tuple[bytes, ...]:
    joined: list[bytes] = []
    for part in word:
        if joined and (joined[-1], part) == pair:
            joined[-1] += part
        else:
            joined.append(part)
    return tuple(joined)


_TRAIN = """
import sys, numpy as np
from bytelap.text.tokenizers.bpe import train_merges
from pydoc_data.topics import topics
text = "".join(topics[name] for name in sorted(topics)).encode()[:150_000]
print([merge.hex() for merge in train_merges(np.frombuffer(text, np.uint8), 700)])
"""


def test_training_is_the_same_in_every_process_and_with_any_number_of_threads():
    outputs = {
        subprocess.run(
            [sys.executable, "-c", _TRAIN],
            env={**os.environ, "PYTHONHASHSEED": seed, "RAYON_NUM_THREADS": threads, "TOKENIZERS_PARALLELISM": "true"},
            capture_output=True,
            check=True,
        ).stdout
        for seed, threads in (("1", "1"), ("2", "2"), ("3", "4"))
    }
    assert len(outputs) == 1


def test_training_reads_the_training_split_only(tmp_path: Path, english: bytes):
    hashes = set()
    for variant, held_out in enumerate((english[100_000:150_000], b"zq" * 50_000)):
        directory = tmp_path / str(variant)
        directory.mkdir()
        for name, text in (("train", english[:100_000]), ("val", held_out), ("test", held_out[:-2])):
            (directory / name).write_bytes(text)
        corpus = load_files(FileConfig(path=f"{directory}/*", validation="val", test="test"))
        hashes.add(load_bpe(corpus, 400).vocabulary.hash)
    assert len(hashes) == 1


def test_trained_once_then_read_from_the_cache_and_again_if_damaged(corpus: Corpus, monkeypatch: pytest.MonkeyPatch):
    first = load_bpe(corpus, 300).vocabulary
    (file,) = (corpus.directory / "tokenizers").iterdir()
    record = json.loads(file.read_text())
    assert (record["pattern"], record["corpus"]) == (PATTERN, corpus.hash)
    assert [bytes.fromhex(token) for token in record["ranks"]] == list(first.token_bytes[256:])
    with monkeypatch.context() as patch:
        patch.setattr(bpe, "train_merges", None)
        assert load_bpe(corpus, 300).vocabulary == first
    for damage in ("", "{}", "[1]", file.read_text()[:200], file.read_text().replace(": 256", ": 257")):
        file.write_text(damage)
        assert load_bpe(corpus, 300).vocabulary == first


def test_tiny_and_binary_corpora_have_smaller_vocabularies():
    assert train_merges(np.frombuffer(b"ab ab", np.uint8), 5_000) in ((b"ab", b" ab"), (b"ab",))
    assert train_merges(np.frombuffer(b"\xff\xfe" * 50, np.uint8), 300) == ()


def test_long_training_text_is_sampled_evenly(english: bytes, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bpe, "CHUNK", 1_000)
    monkeypatch.setattr(bpe, "TRAINING_LIMIT", 50_000)
    text = np.frombuffer(english[:200_000], np.uint8)
    sample = list(bpe._training_text(text))
    assert 45_000 < sum(len(chunk.encode()) for chunk in sample) <= 51_000
    places = [0]
    for chunk in sample:  # the text repeats itself, so each is looked for after the one before
        places.append(english.index(chunk.encode(), places[-1]))
    assert max(np.diff(places)) < 5_000
    assert places[-1] > 190_000


@pytest.mark.parametrize("unit", [b"a", b" ", b"\n", b"\x80", b"1", "\u00a0".encode(), "😀".encode(), b"a " * 9])
def test_monotonous_text_is_encoded_in_bounded_time(tokenizer: BpeTokenizer, unit: bytes):
    text = unit * (300_000 // len(unit))
    assert tokenizer.vocabulary.decode(tokenizer.encode(text)) == text


def test_vocabulary_of_random_bytes_and_text_alike_counts_bytes_exactly(tokenizer: BpeTokenizer, english: bytes):
    text = np.random.default_rng(0).bytes(50_000) + english[:50_000]
    tokens = tokenizer.encode(text)
    assert tokenizer.vocabulary.lengths[tokens].sum() == len(text)
    assert len(tokenizer.encode(english[:50_000])) < 50_000 / 2
