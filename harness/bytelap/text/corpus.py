"""A corpus: documents with a fixed train/validation/test split, memory-mapped, with a licence and a content hash."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

SplitName = Literal["train", "validation", "test"]
_SHORTEST_PIECE = 1024  # bytes of a document in an excerpt, if it has as many
SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")


@dataclass(frozen=True)
class Split:
    """The raw bytes of one split."""

    data: np.ndarray
    """(N,) uint8, memory-mapped, documents one after another without separators."""
    offsets: np.ndarray
    """(D + 1,) int64: document d is data[offsets[d]:offsets[d + 1]]."""
    names: Sequence[str]
    """(D,) names of the documents, for reports; read from the memory map one at a time."""

    def __len__(self) -> int:
        return len(self.data)

    def document(self, index: int) -> bytes:
        """The raw bytes of one document."""
        return self.data[self.offsets[index] : self.offsets[index + 1]].tobytes()

    def excerpt(self, limit: int) -> Split:
        """At most about `limit` bytes: the beginning of every document, in proportion to its length.

        Of many short documents every n-th is taken, so that the pieces stay long enough to be predicted from.
        Cut before tokenisation, so that every tokenizer scores the identical bytes; never inside a UTF-8 character.
        """
        if limit >= len(self):
            return self
        documents = len(self.names)
        shortest = min(len(self) // documents, _SHORTEST_PIECE)  # bytes
        chosen = np.arange(0, documents, max(1, -(-shortest * documents // limit)))
        starts, ends = self.offsets[chosen], self.offsets[chosen + 1]
        total = int((ends - starts).sum())
        pieces: list[np.ndarray] = []
        names: list[str] = []
        for document, start, end in zip(chosen.tolist(), starts.tolist(), ends.tolist(), strict=True):
            stop = start + min((end - start) * limit // total, end - start)
            while start < stop < end and self.data[stop] & 0xC0 == 0x80:  # a UTF-8 continuation byte
                stop -= 1
            if stop > start:
                pieces.append(self.data[start:stop])
                names.append(self.names[document])
        offsets = np.cumsum([0, *map(len, pieces)], dtype=np.int64)
        return Split(np.concatenate([self.data[:0], *pieces]), offsets, tuple(names))


@dataclass(frozen=True)
class Corpus:
    """A corpus that is ready to be read: on disk, hashed, split."""

    name: str
    """As written in the suite: `prose`, `gutenberg:1342+219`, `file:books/*.txt`."""
    licence: str
    hash: str
    """SHA-256 over every split's name, and every document's length and bytes; 16 hexadecimal digits."""
    splits: Mapping[SplitName, Split]
    directory: Path
    """Where it lies in the cache; its tokens are cached beside it."""


class CorpusConfig(BaseModel):
    """Base of every corpus's options: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


@dataclass(frozen=True)
class CorpusSpec:
    """One corpus as a plugin announces it.

    A suite names it `name`, or `name:argument` where `argument` fills the option called `argument_field`,
    or as a mapping `{name: …, option: …}`.
    """

    name: str
    config: type[CorpusConfig]
    load: Callable[[Any], Corpus]
    """(an instance of `config`) -> the corpus, fetched if needed; its BytelapErrors say in a sentence what to do."""
    summary: str
    licence: str
    argument_field: str | None = None
