"""`file:<path or glob>`: the user's own text, any bytes; a document per file, or cut at a separator."""

from __future__ import annotations

import fnmatch
import glob
import hashlib
from array import array
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Self

import numpy as np
from pydantic import Field, model_validator

from bytelap.errors import BytelapError
from bytelap.text.corpus import Corpus, CorpusConfig, SplitName
from bytelap.text.prepare import prepare_corpus

LICENCE = "the user's own text"
TRAIN, VALIDATION = 0.90, 0.95
"""A document whose content hashes below TRAIN of the range is training, below VALIDATION validation, else test."""
_READER = 1
_BLOCK = 1 << 20
_REMEDY = "give three files or more (a glob), or the option `separator` that cuts files into documents"


class FileConfig(CorpusConfig):
    """Which files, how they are cut into documents, and how these are split."""

    path: str = Field(min_length=1, description="a file, or a glob such as books/*.txt or books/**/*.txt")
    separator: str | None = Field(
        None, min_length=1, description="text between documents, not part of any; default: a document per file"
    )
    validation: str | None = Field(
        None, min_length=1, description="glob over file names or paths: validation files; default: by hash of documents"
    )
    test: str | None = Field(None, min_length=1, description="glob over file names or paths: test files")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.validation is None) != (self.test is None):
            raise ValueError("give both `validation` and `test`, or neither")
        return self


def load_files(config: FileConfig) -> Corpus:
    """Split by `validation` and `test`, else by the hash of each document's bytes: 90/5/5 % of the documents, at
    least one in each, equal documents always on the same side.

    Memory does not grow with the files, except for 8 bytes per document of a hashed split.

    Raises:
        BytelapError: nothing matches, a directory, an unreadable file, fewer than three different documents.
    """
    files = _find(config.path)
    state = _state(files)
    remedy = _REMEDY if config.test is None else "check the globs `validation` and `test`"
    documents = _documents(config, files, state)
    return prepare_corpus(
        f"file:{config.path}", LICENCE, documents, source=f"{_READER} {config!r} {state}", remedy=remedy
    )


def _find(pattern: str) -> list[Path]:
    path = Path(pattern).expanduser()
    if path.is_dir():
        raise BytelapError(f"corpus 'file:{pattern}' is a directory: write file:{path}/* for the files in it")
    if path.exists():
        return [path]
    found = [Path(match) for match in glob.glob(str(path), recursive=True)]  # noqa: PTH207 - absolute globs, too
    files = sorted(file for file in found if not file.is_dir())
    if not files:
        what = "no file matches" if glob.has_magic(pattern) else "there is no file"
        raise BytelapError(f"corpus 'file:{pattern}': {what} {path.absolute()}")
    return files


def _state(files: list[Path]) -> list[tuple[str, int, int]]:
    """Path, size and time of change of every file: equal if they were not touched."""
    try:
        return [(str(file.absolute()), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    except OSError as error:
        raise BytelapError(f"cannot read {error.filename}: {error.strerror}") from error


def _documents(
    config: FileConfig, files: list[Path], state: list[tuple[str, int, int]]
) -> Iterator[tuple[SplitName, str, Iterator[bytes]]]:
    separator = config.separator.encode("utf-8", "surrogateescape") if config.separator else None
    hashed = None if config.test else _hashed_splits(config, files, separator)
    for file in files:
        chosen = hashed or _named_split(config, file)
        for number, document in enumerate(_read(file, separator), start=1):
            yield chosen(), f"{file}#{number}" if separator else str(file), document
    if _state(files) != state:
        raise BytelapError(f"corpus 'file:{config.path}' was changed while it was read: run again")


def _named_split(config: FileConfig, file: Path) -> Callable[[], SplitName]:
    patterns: tuple[tuple[SplitName, str | None], ...] = (("validation", config.validation), ("test", config.test))
    matches = [
        name
        for name, pattern in patterns
        if pattern and (fnmatch.fnmatchcase(file.name, pattern) or fnmatch.fnmatchcase(str(file), pattern))
    ]
    if len(matches) > 1:
        raise BytelapError(f"corpus 'file:{config.path}': {file} matches both `validation` and `test`")
    split: SplitName = matches[0] if matches else "train"
    return lambda: split


def _hashed_splits(config: FileConfig, files: list[Path], separator: bytes | None) -> Callable[[], SplitName]:
    """A function that gives the split of the next document, found by reading everything once before."""
    hashes = array("Q")
    for file in files:
        for document in _read(file, separator):
            digest = hashlib.sha256()
            for chunk in document:
                digest.update(chunk)
            hashes.append(int.from_bytes(digest.digest()[:8], "big"))
    distinct = np.unique(np.frombuffer(hashes, dtype=np.uint64)) if hashes else np.empty(0, np.uint64)
    if len(hashes) > 1 and len(distinct) < 3:
        raise BytelapError(
            f"corpus 'file:{config.path}' has {len(distinct)} different documents, but training, validation and test "
            f"need at least one each: {_REMEDY}"
        )
    # Each split keeps at least one document, whatever the hashes.
    first = min(max(int(np.searchsorted(distinct, int(TRAIN * 2**64))), 1), len(distinct) - 2)
    second = min(max(int(np.searchsorted(distinct, int(VALIDATION * 2**64))), first + 1), len(distinct) - 1)
    coming = iter(hashes)

    def next_split() -> SplitName:
        value = next(coming, None)
        if value is None:
            raise BytelapError(f"corpus 'file:{config.path}' was changed while it was read: run again")
        return "train" if value < distinct[first] else "validation" if value < distinct[second] else "test"

    return next_split


def _read(file: Path, separator: bytes | None) -> Iterator[Iterator[bytes]]:
    """Non-empty documents of a file, each an iterator over its chunks that must be used up before the next."""
    pieces = _pieces(file, separator)
    for first in pieces:
        if first is not None:
            yield chain([first], iter(pieces.__next__, None))


def _pieces(file: Path, separator: bytes | None) -> Iterator[bytes | None]:
    """Chunks of a file without separators; None where a document ends."""
    tail = b""
    overlap = len(separator) - 1 if separator else 0  # a separator may lie across two blocks
    try:
        with file.open("rb") as stream:
            while block := stream.read(_BLOCK):
                *complete, last = (tail + block).split(separator) if separator else [block]
                for document in complete:
                    if document:
                        yield document
                    yield None
                keep = max(len(last) - overlap, 0)
                if keep:
                    yield last[:keep]
                tail = last[keep:]
    except OSError as error:
        raise BytelapError(f"cannot read {file}: {error.strerror}") from error
    if tail:
        yield tail
    yield None
