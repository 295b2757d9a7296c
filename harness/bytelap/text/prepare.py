"""Writes a corpus into the cache, streaming: raw bytes per split, document offsets, names and the content hash.

    corpora/<slug>-<hash>/  meta.json  {train,validation,test}.{bin,offsets,names,names-offsets}
    sources/<key>.json      which corpus an already read source became

`.bin` and `.names` hold UTF-8 or raw bytes end to end, the offsets are little-endian int64, one more than documents.
Peak memory is one chunk, whatever the corpus's size; everything is memory-mapped when it is read.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO, overload

import numpy as np

from bytelap.errors import BytelapError
from bytelap.text.cache import building, cache_directory, install, write_file
from bytelap.text.corpus import SPLITS, Corpus, Split, SplitName

Documents = Iterable[tuple[SplitName, str, bytes | Iterable[bytes]]]
"""(split, name of the document, its bytes or chunks of them), in any order; empty documents are left out."""

_FORMAT = 1
_OFFSET = np.dtype("<i8")
_PARTS = ("bin", "offsets", "names", "names-offsets")


def prepare_corpus(
    name: str,
    licence: str,
    documents: Documents,
    *,
    source: str | None = None,
    remedy: str = "give it more documents",
) -> Corpus:
    """Write `documents` into the cache, once, and return the memory-mapped corpus.

    Args:
        name: as in the suite.
        licence: one line for reports.
        documents: read only if `source` is not known yet, so pass a generator. Each is consumed before the next.
        source: identifies what would be read (the reader's version, hashes of pinned files, sizes and times of local
            files): a corpus prepared from the same source before is returned at once.
        remedy: how the user mends a corpus that is too small; ends the error message.

    Raises:
        BytelapError: no text, a single document, a split without documents, or a disk that cannot be written.
    """
    key = _source_key(name, source) if source is not None else None
    known = _find(name, key) if key else None
    if known:
        return known
    parent = cache_directory() / "corpora"
    try:
        with building(parent) as temporary:
            meta = _write(temporary, name, licence, documents, remedy)
            final = parent / f"{_slug(name)}-{meta['hash']}"
            install(temporary, final, lambda path: _read(path) is not None)
        if key:
            write_file(_source_file(key), json.dumps({"directory": final.name}).encode())
        corpus = _read(final)
    except OSError as error:
        raise BytelapError(
            f"corpus '{name}' cannot be prepared in {parent}: {error.strerror or error}; "
            "make room there or set BYTELAP_CACHE to another directory"
        ) from error
    if corpus is None:
        raise BytelapError(f"corpus '{name}' in {final} was changed while it was being prepared: run again")
    return corpus


def _write(directory: Path, name: str, licence: str, documents: Documents, remedy: str) -> dict[str, Any]:
    """Write every file of the corpus and return what `meta.json` says."""
    with ExitStack() as stack:
        writers: dict[SplitName, _SplitWriter] = {
            split: stack.enter_context(_SplitWriter(directory, split)) for split in SPLITS
        }
        for split, title, content in documents:
            writers[split].add(title, [content] if isinstance(content, bytes) else content)
    counts = {split: writer.documents for split, writer in writers.items()}
    _check_documents(name, counts, remedy)
    digest = hashlib.sha256()
    for split, writer in writers.items():
        digest.update(split.encode() + b"\0" + writer.documents.to_bytes(8, "little") + writer.digest.digest())
    meta = {
        "format": _FORMAT,
        "name": name,
        "licence": licence,
        "hash": digest.hexdigest()[:16],
        "documents": counts,
        "sizes": {path.name: path.stat().st_size for path in sorted(directory.iterdir())},
    }
    write_file(directory / "meta.json", json.dumps(meta, indent=1).encode())
    return meta


class _SplitWriter:
    """Appends documents to one split's files, hashing as it goes."""

    def __init__(self, directory: Path, split: SplitName) -> None:
        self.documents = 0
        self.digest = hashlib.sha256()
        self._files: dict[str, BinaryIO] = {part: _file(directory, split, part).open("wb") for part in _PARTS}
        self._bytes = self._names = 0
        self._mark()

    def __enter__(self) -> _SplitWriter:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files.values():
            file.flush()
            os.fsync(file.fileno())
            file.close()

    def add(self, title: str, chunks: Iterable[bytes]) -> None:
        length = 0
        for chunk in chunks:
            self._files["bin"].write(chunk)
            self.digest.update(chunk)
            length += len(chunk)
        if not length:
            return
        self.digest.update(length.to_bytes(8, "little"))
        self.documents += 1
        self._bytes += length
        self._names += self._files["names"].write(title.encode("utf-8", "surrogateescape"))
        self._mark()

    def _mark(self) -> None:
        self._files["offsets"].write(self._bytes.to_bytes(8, "little"))
        self._files["names-offsets"].write(self._names.to_bytes(8, "little"))


class _Names(Sequence[str]):
    """Names of documents, read from the memory map when they are asked for."""

    def __init__(self, data: np.ndarray, offsets: np.ndarray) -> None:
        self._data, self._offsets = data, offsets

    def __len__(self) -> int:
        return len(self._offsets) - 1

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        if isinstance(index, slice):
            return tuple(self[i] for i in range(*index.indices(len(self))))
        i = range(len(self))[index]
        return self._data[self._offsets[i] : self._offsets[i + 1]].tobytes().decode("utf-8", "surrogateescape")


def _read(directory: Path, name: str | None = None) -> Corpus | None:
    """The corpus in a directory, or None if a file is missing, cut short or of another format."""
    try:
        meta = json.loads((directory / "meta.json").read_bytes())
        sizes: Mapping[str, int] = meta["sizes"]
        if meta["format"] != _FORMAT or any((directory / file).stat().st_size != size for file, size in sizes.items()):
            return None
        splits = {split: _read_split(directory, split) for split in SPLITS}
        consistent = all(
            len(splits[split].names) == meta["documents"][split] == len(splits[split].offsets) - 1
            and splits[split].offsets[-1] == len(splits[split])
            for split in SPLITS
        )
        if not consistent:
            return None
        return Corpus(name or str(meta["name"]), str(meta["licence"]), str(meta["hash"]), splits, directory)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _read_split(directory: Path, split: SplitName) -> Split:
    data, names = (map_file(_file(directory, split, part), np.dtype(np.uint8)) for part in ("bin", "names"))
    offsets, places = (map_file(_file(directory, split, part), _OFFSET) for part in ("offsets", "names-offsets"))
    return Split(data, offsets, _Names(names, places))


def map_file(path: Path, dtype: np.dtype) -> np.ndarray:
    """A whole file as a read-only memory-mapped 1-D array (empty files cannot be mapped)."""
    if path.stat().st_size == 0:
        return np.empty(0, dtype)
    return np.asarray(np.memmap(path, dtype=dtype, mode="r"))


def _find(name: str, key: str) -> Corpus | None:
    try:
        directory = json.loads(_source_file(key).read_bytes())["directory"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return _read(cache_directory() / "corpora" / str(directory), name)


def _source_key(name: str, source: str) -> str:
    return hashlib.sha256(f"{_FORMAT}\0{name}\0{source}".encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _source_file(key: str) -> Path:
    return cache_directory() / "sources" / f"{key}.json"


def _check_documents(name: str, counts: Mapping[SplitName, int], remedy: str) -> None:
    total = sum(counts.values())
    if total == 0:
        raise BytelapError(f"corpus '{name}' is empty, not a single byte of text was found: {remedy}")
    if total == 1:
        raise BytelapError(
            f"corpus '{name}' has one document, but training, validation and test need at least one each: {remedy}"
        )
    empty = [split for split in SPLITS if not counts[split]]
    if empty:
        found = ", ".join(f"{split} {counts[split]}" for split in SPLITS)
        raise BytelapError(f"corpus '{name}' has no {' and no '.join(empty)} document ({found}): {remedy}")


def _file(directory: Path, split: SplitName, part: str) -> Path:
    return directory / f"{split}.{part}"


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "corpus"
