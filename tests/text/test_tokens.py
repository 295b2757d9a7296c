"""Token streams on disk: byte tokens are the raw file, others are checked document by document and cached."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bytelap import BytelapError, Corpus, Tokenizer, Vocabulary
from bytelap.text.corpora.files import FileConfig, load_files
from bytelap.text.prepare import prepare_corpus
from bytelap.text.tokenizers.bpe import load_bpe, train_merges
from bytelap.text.tokenizers.byte import ByteTokenizer
from bytelap.text.tokens import encode_split, load_tokens


@pytest.fixture
def corpus(books: Path) -> Corpus:
    return load_files(FileConfig(path=f"{books}/*.txt", validation="part4.txt", test="part5.txt"))


class Scripted(Tokenizer):
    """Bytes, plus what a careless author would do to them."""

    def __init__(self, fault: Callable[[bytes], list[int]], extra: tuple[bytes, ...] = (b"ab",)) -> None:
        self.vocabulary = Vocabulary("careless", (*(bytes([i]) for i in range(256)), *extra))
        self.fault = fault

    def encode(self, text: bytes) -> np.ndarray:
        return np.array(self.fault(text), dtype=np.int64)


def test_byte_tokens_are_the_raw_file_itself(corpus: Corpus):
    stream = load_tokens(corpus, "train", ByteTokenizer())
    assert np.shares_memory(stream.tokens, corpus.splits["train"].data)
    assert stream.tokens.dtype == np.uint8
    assert not (corpus.directory / "tokens").exists()
    assert ByteTokenizer().encode(b"a\xff").tolist() == [97, 255]


def test_bpe_tokens_are_encoded_by_document_and_cached(corpus: Corpus, monkeypatch: pytest.MonkeyPatch):
    tokenizer = load_bpe(corpus, 500)
    split = corpus.splits["train"]
    stream = load_tokens(corpus, "train", tokenizer)
    assert stream.tokens.dtype == np.uint16
    for i in range(len(split.names)):
        part = stream.tokens[stream.offsets[i] : stream.offsets[i + 1]]
        np.testing.assert_array_equal(part, tokenizer.encode(split.document(i)))
    assert tokenizer.vocabulary.lengths[stream.tokens].sum() == len(split)
    monkeypatch.setattr(type(tokenizer), "encode_pieces", None)
    again = load_tokens(corpus, "train", tokenizer)
    np.testing.assert_array_equal(again.tokens, stream.tokens)
    np.testing.assert_array_equal(again.offsets, stream.offsets)


@pytest.mark.parametrize("part", ["tokens", "offsets", "meta.json"])
def test_damaged_token_cache_is_rebuilt(corpus: Corpus, part: str):
    tokenizer = load_bpe(corpus, 300)
    expected = load_tokens(corpus, "test", tokenizer).tokens.copy()
    (file,) = (corpus.directory / "tokens").glob(f"*-test/{part}")
    os.truncate(file, file.stat().st_size - 2)
    np.testing.assert_array_equal(load_tokens(corpus, "test", tokenizer).tokens, expected)


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (lambda text: list(text.lower()), "decoding its tokens gives other bytes"),
        (lambda text: list(text[:-1]), "its tokens hold 19,999 bytes of 20,000"),
        (lambda text: [*text, 10], "decoding its tokens gives other bytes"),
        (lambda text: [256, *text[2:]], "decoding its tokens gives other bytes"),
        (lambda text: [257, *text], "token 257 is not in its vocabulary"),
        (lambda text: [-1, *text], "is not in its vocabulary"),
        (lambda text: [[1]], "not 1-D integers"),
        (lambda text: [], "its tokens hold 0 bytes of 20,000"),
    ],
)
def test_lossy_tokenizer_is_caught_and_nothing_is_cached(corpus: Corpus, fault, sentence: str):
    tokenizer = Scripted(fault)
    excerpt = corpus.splits["validation"].excerpt(20_000)
    for attempt in (lambda: load_tokens(corpus, "validation", tokenizer), lambda: encode_split(excerpt, tokenizer)):
        with pytest.raises(BytelapError) as error:
            attempt()
        assert "tokenizer 'careless' is not lossless on document '" in str(error.value)
        assert "part4.txt'" in str(error.value)
        assert sentence in str(error.value)
    assert not list((corpus.directory / "tokens").rglob("*"))


def test_honest_tokenizer_of_a_stranger_passes(corpus: Corpus):
    def pairs(text: bytes) -> list[int]:
        tokens = list(text.replace(b"ab", b"\x00"))
        return [256 if token == 0 else token for token in tokens]

    tokenizer = Scripted(pairs)
    stream = load_tokens(corpus, "test", tokenizer)
    assert (stream.tokens == 256).sum() == corpus.splits["test"].document(0).count(b"ab") > 0
    assert tokenizer.vocabulary.decode(stream.tokens) == corpus.splits["test"].data.tobytes()


@pytest.mark.parametrize("size", [None, 400])
def test_excerpts_are_the_same_bytes_for_every_tokenizer(corpus: Corpus, size: int | None):
    tokenizer = load_bpe(corpus, size) if size else ByteTokenizer()
    excerpt = corpus.splits["train"].excerpt(5_000)
    stream = encode_split(excerpt, tokenizer)
    assert tokenizer.vocabulary.decode(stream.tokens) == excerpt.data.tobytes()
    assert len(stream.offsets) == len(excerpt.names) + 1 == 5
    for i in range(4):
        part = stream.tokens[stream.offsets[i] : stream.offsets[i + 1]]
        assert tokenizer.vocabulary.decode(part) == excerpt.document(i)


_SCRIPT = """
import resource, sys
from pathlib import Path
import tiktoken
from bytelap.text.corpora.files import FileConfig, load_files
from bytelap.text.tokenizers.bpe import BpeTokenizer
from bytelap.text.tokenizers.byte import ByteTokenizer
from bytelap.text.tokens import load_tokens

def status(key):
    return int(next(line for line in open("/proc/self/status") if line.startswith(key)).split()[1]) * 1024

directory, megabytes, size, allowed = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4]) * 2**20
merges = tuple(bytes.fromhex(line) for line in sys.stdin)
tokenizer = ByteTokenizer() if size == "byte" else BpeTokenizer("bpe", merges)
tokenizer.encode(b"The quick brown fox jumps over the lazy dog.")
config = FileConfig(path=f"{directory}/*", validation="val", test="test")
# A hard limit on private memory: whoever holds the corpus in memory dies. Mapped files do not count.
limit = status("VmData") + allowed
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
before = status("VmHWM")
corpus = load_files(config)
grown = status("VmHWM") - before
assert grown < allowed, f"preparing took {grown:,} bytes"
stream = load_tokens(corpus, "train", tokenizer)
assert len(corpus.splits["train"]) == megabytes * 1_000_000
assert tokenizer.vocabulary.decode(stream.tokens[-1000:]).endswith(b"the end")
"""


@pytest.mark.parametrize(("megabytes", "tokenizer", "allowed"), [(200, "byte", 32), (20, "bpe", 16)])
def test_memory_does_not_grow_with_the_corpus(
    tmp_path: Path, english: bytes, megabytes: int, tokenizer: str, allowed: int
):
    directory = tmp_path / "large"
    directory.mkdir()
    block = english[:499_000] + b"\n" * (500_000 - len(english[:499_000]))
    with (directory / "train").open("wb") as file:
        for _ in range(megabytes * 2 - 1):
            file.write(block)
        file.write(block[:-7] + b"the end")
    (directory / "val").write_bytes(english)
    (directory / "test").write_bytes(english)
    merges = train_merges(np.frombuffer(english[:100_000], np.uint8), 600)
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, str(directory), str(megabytes), tokenizer, str(allowed)],
        input="\n".join(merge.hex() for merge in merges),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_memory_limit_of_the_test_above_is_a_real_one(tmp_path: Path):
    script = _SCRIPT.split("corpus = load_files", maxsplit=1)[0] + "bytes(10 * 2**20)"
    words = [sys.executable, "-c", script, str(tmp_path), "1", "byte", "6"]
    done = subprocess.run(words, input="", capture_output=True, text=True, check=False)
    assert "MemoryError" in done.stderr


def test_unwritable_token_cache_is_one_sentence(corpus: Corpus):
    (corpus.directory / "tokens").write_text("in the way")
    with pytest.raises(BytelapError, match=r"tokens of corpus 'file:.*' cannot be written in .*BYTELAP_CACHE"):
        load_tokens(corpus, "test", load_bpe(corpus, 300))


def test_corpora_with_many_documents_keep_their_boundaries():
    texts = [f"line {i} of text\n".encode() for i in range(3_000)]
    documents = [("train" if i > 1 else ("validation", "test")[i], str(i), text) for i, text in enumerate(texts)]
    corpus = prepare_corpus("lines", "none", documents)
    tokenizer = load_bpe(corpus, 300)
    stream = load_tokens(corpus, "train", tokenizer)
    ends = np.cumsum([len(tokenizer.encode(text)) for text in texts[2:]])
    np.testing.assert_array_equal(stream.offsets, [0, *ends])
