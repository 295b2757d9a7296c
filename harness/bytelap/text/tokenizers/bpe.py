"""Byte-pair encoding: merges learned from the training split with `tokenizers`, text encoded with `tiktoken`.

Sennrich et al. 2016 (https://arxiv.org/abs/1508.07909), on bytes as in GPT-2. Tokens 0 to 255 are the bytes, token
256 + i is the i-th merge. Bytes that are not UTF-8 become single-byte tokens, so any text survives the round trip.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bytelap.text.cache import write_file
from bytelap.text.corpus import Corpus
from bytelap.text.tokenizer import Tokenizer
from bytelap.text.vocabulary import Vocabulary

if TYPE_CHECKING:
    import tiktoken

# GPT-2's pattern with GPT-4's groups of at most three digits. Every character matches, so nothing is lost.
PATTERN = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}{1,3}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
CHUNK = 1 << 16
"""Longest piece of text given to a library at once, in bytes: bounds memory, and the time of pathological text."""
TRAINING_LIMIT = 100_000_000
"""Merges are learned from at most this many bytes, in chunks spread evenly over the training split."""
_VERSION = 1
_INVALID = re.compile("([\udc80-\udcff]+)")  # how Python's surrogateescape marks bytes that are not UTF-8
_SPACE = b" \t\n\r"


class BpeTokenizer(Tokenizer):
    """Encodes chunk by chunk; chunks depend on the document's bytes only and end, where they can, before a space."""

    def __init__(self, name: str, merges: tuple[bytes, ...]) -> None:
        tokens = (*(bytes([value]) for value in range(256)), *merges)
        self.vocabulary = Vocabulary(name, tokens)
        self._encoding: tiktoken.Encoding = _encoding(name, tokens)

    def encode(self, text: bytes) -> np.ndarray:
        pieces = [np.empty(0, self.vocabulary.dtype), *self.encode_pieces(np.frombuffer(text, dtype=np.uint8))]
        return np.concatenate(pieces)

    def encode_pieces(self, text: np.ndarray) -> Iterator[np.ndarray]:
        for chunk in _chunks(text):
            parts = [
                self._encoding.encode_to_numpy(part) if valid else np.frombuffer(_raw(part), dtype=np.uint8)
                for valid, part in _parts(chunk)
            ]
            yield np.concatenate(parts).astype(self.vocabulary.dtype)


def load_bpe(corpus: Corpus, size: int) -> BpeTokenizer:
    """The tokenizer of a corpus with at most `size` tokens (a tiny corpus has fewer merges); trained once, cached."""
    name = f"bpe-{size}"
    recipe = f"{_VERSION} {size} {corpus.hash} {CHUNK} {TRAINING_LIMIT} {PATTERN}"
    path = corpus.directory / "tokenizers" / f"{name}-{hashlib.sha256(recipe.encode()).hexdigest()[:16]}.json"
    merges = _read_merges(path)
    if merges is None:
        merges = train_merges(corpus.splits["train"].data, size)
        record = {
            "version": _VERSION,
            "corpus": corpus.hash,
            "pattern": PATTERN,
            "ranks": {token.hex(): rank for rank, token in enumerate(merges, start=256)},
        }
        write_file(path, json.dumps(record, indent=0).encode())
    return BpeTokenizer(name, merges)


def train_merges(text: np.ndarray, size: int) -> tuple[bytes, ...]:
    """At most `size` - 256 merges, most frequent first, learned from (N,) uint8; the same every time.

    Raises nothing on any bytes: those that are not UTF-8 are left out of the counts.
    """
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False)
    learner.train_from_iterator(_training_text(text), trainer)
    vocabulary: dict[str, int] = learner.get_vocab(with_added_tokens=False)
    letters = _byte_of_letter()
    ordered = sorted((rank, token) for token, rank in vocabulary.items() if len(token) > 1)
    return tuple(bytes(letters[letter] for letter in token) for _, token in ordered)


def _training_text(text: np.ndarray) -> Iterator[str]:
    stride = -(-len(text) // TRAINING_LIMIT)  # every stride-th chunk
    for index, chunk in enumerate(_chunks(text)):
        if index % stride == 0:
            yield from (part for valid, part in _parts(chunk) if valid)


def _encoding(name: str, tokens: tuple[bytes, ...]) -> tiktoken.Encoding:
    import tiktoken

    ranks = {token: rank for rank, token in enumerate(tokens)}
    return tiktoken.Encoding(name, pat_str=PATTERN, mergeable_ranks=ranks, special_tokens={})


def _chunks(text: np.ndarray) -> Iterator[bytes]:
    """(N,) uint8 in pieces of at most CHUNK bytes."""
    start = 0
    while start < len(text):
        block = text[start : start + CHUNK].tobytes()
        if start + CHUNK < len(text):
            block = block[: _cut(block)]
        start += len(block)
        yield block


def _cut(block: bytes) -> int:
    """Where to end a full block: before its last run of white space, else before an unfinished character."""
    space = max(block.rfind(b" "), block.rfind(b"\n"))
    before_space = len(block[: space + 1].rstrip(_SPACE))
    if before_space:
        return before_space
    for back in range(1, 4):
        if block[-back] >= 0xC0:  # first byte of a character of two or more
            return len(block) - back
    return len(block)


def _parts(chunk: bytes) -> Iterator[tuple[bool, str]]:
    """(whether it is UTF-8, text or escaped bytes) in turn."""
    try:
        yield True, chunk.decode()
    except UnicodeDecodeError:
        for index, part in enumerate(_INVALID.split(chunk.decode("utf-8", "surrogateescape"))):
            if part:
                yield index % 2 == 0, part


def _raw(escaped: str) -> bytes:
    return escaped.encode("utf-8", "surrogateescape")


def _byte_of_letter() -> dict[str, int]:
    """GPT-2's printable stand-ins for bytes, as the byte-level pre-tokenizer writes them."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [value for value in range(256) if value not in printable]
    return {chr(value): value for value in printable} | {chr(256 + i): value for i, value in enumerate(others)}


def _read_merges(path: Path) -> tuple[bytes, ...] | None:
    """The cached merges, or None if there are none or the file is damaged."""
    try:
        ranks: dict[str, int] = json.loads(path.read_bytes())["ranks"]
        if list(ranks.values()) != list(range(256, 256 + len(ranks))):
            return None
        return tuple(bytes.fromhex(token) for token in ranks)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
