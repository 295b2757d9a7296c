"""Tokens of a split: encoded once, checked to be lossless document by document, memory-mapped ever after."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from bytelap.errors import BytelapError
from bytelap.text.cache import building, install, write_file
from bytelap.text.corpus import Corpus, Split, SplitName
from bytelap.text.prepare import map_file
from bytelap.text.streams import TokenStream
from bytelap.text.tokenizer import Tokenizer
from bytelap.text.vocabulary import Vocabulary

_BYTES = tuple(bytes([value]) for value in range(256))
_OFFSET = np.dtype("<i8")


def load_tokens(corpus: Corpus, split: SplitName, tokenizer: Tokenizer) -> TokenStream:
    """The tokens of one split, memory-mapped; encoded and cached beside the corpus when asked for the first time.

    With single bytes as tokens the stream is the raw file itself. Memory does not grow with the corpus if the
    tokenizer's `encode_pieces` does not.

    Raises:
        BytelapError: the tokenizer is not lossless on some document, which is named; or the disk cannot be written.
    """
    text, vocabulary = corpus.splits[split], tokenizer.vocabulary
    if vocabulary.token_bytes == _BYTES:
        return TokenStream(text.data, text.offsets)
    final = corpus.directory / "tokens" / f"{vocabulary.name}-{vocabulary.hash}-{split}"
    cached = _read(final, vocabulary, text)
    if cached:
        return cached
    try:
        with building(final.parent) as temporary:
            _write(temporary, text, tokenizer)
            install(temporary, final, lambda path: _read(path, vocabulary, text) is not None)
    except OSError as error:
        raise BytelapError(
            f"tokens of corpus '{corpus.name}' cannot be written in {final.parent}: {error.strerror or error}; "
            "make room there or set BYTELAP_CACHE to another directory"
        ) from error
    stream = _read(final, vocabulary, text)
    if stream is None:
        raise BytelapError(f"the tokens in {final} were changed while they were being written: run again")
    return stream


def encode_split(split: Split, tokenizer: Tokenizer) -> TokenStream:
    """The tokens of a small split (an excerpt), in memory, with the same checks as `load_tokens`."""
    vocabulary = tokenizer.vocabulary
    if vocabulary.token_bytes == _BYTES:
        return TokenStream(split.data, split.offsets)
    pieces, ends = [np.empty(0, vocabulary.dtype)], [0]
    for document in range(len(split.offsets) - 1):
        ends.append(ends[-1])
        for piece in _encode_checked(split, document, tokenizer):
            pieces.append(piece)
            ends[-1] += len(piece)
    return TokenStream(np.concatenate(pieces), np.array(ends, dtype=np.int64))


def _write(directory: Path, split: Split, tokenizer: Tokenizer) -> None:
    total = 0
    with (directory / "tokens").open("wb") as tokens, (directory / "offsets").open("wb") as offsets:
        offsets.write(total.to_bytes(8, "little"))
        for document in range(len(split.offsets) - 1):
            for piece in _encode_checked(split, document, tokenizer):
                tokens.write(piece.tobytes())
                total += len(piece)
            offsets.write(total.to_bytes(8, "little"))
        for file in (tokens, offsets):
            file.flush()
            os.fsync(file.fileno())
    write_file(directory / "meta.json", json.dumps({"tokens": total, "documents": len(split.names)}).encode())


def _read(directory: Path, vocabulary: Vocabulary, split: Split) -> TokenStream | None:
    """The stream in a directory, or None if a file is missing, cut short or belongs to other text."""
    try:
        meta = json.loads((directory / "meta.json").read_bytes())
        tokens = map_file(directory / "tokens", vocabulary.dtype)
        offsets = map_file(directory / "offsets", _OFFSET)
        if len(tokens) != meta["tokens"] or len(offsets) != len(split.offsets) or offsets[-1] != len(tokens):
            return None
        return TokenStream(tokens, offsets)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _encode_checked(split: Split, document: int, tokenizer: Tokenizer) -> Iterator[np.ndarray]:
    """Tokens of one document, each piece decoded again and compared with the raw bytes it stands for."""
    text = split.data[split.offsets[document] : split.offsets[document + 1]]  # (N,) uint8
    position = 0
    for piece in tokenizer.encode_pieces(text):
        tokens = np.asarray(piece)
        if tokens.ndim != 1 or tokens.dtype.kind not in "ui":
            raise _lossy(
                tokenizer, split, document, f"it gave {tokens.dtype} of shape {tokens.shape}, not 1-D integers"
            )
        if len(tokens) and not 0 <= int(tokens.min()) <= int(tokens.max()) < tokenizer.vocabulary.size:
            raise _lossy(tokenizer, split, document, f"token {tokens.max()} is not in its vocabulary")
        length = int(tokenizer.vocabulary.lengths[tokens].sum())
        if tokenizer.vocabulary.decode(tokens) != text[position : position + length].tobytes():
            raise _lossy(tokenizer, split, document, f"decoding its tokens gives other bytes after byte {position:,}")
        position += length
        yield tokens.astype(tokenizer.vocabulary.dtype, copy=False)
    if position != len(text):
        raise _lossy(tokenizer, split, document, f"its tokens hold {position:,} bytes of {len(text):,}")


def _lossy(tokenizer: Tokenizer, split: Split, document: int, what: str) -> BytelapError:
    return BytelapError(
        f"tokenizer '{tokenizer.vocabulary.name}' is not lossless on document '{split.names[document]}': {what}"
    )
