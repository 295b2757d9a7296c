"""What a tokenizer is: lossless on any bytes, with the exact bytes of every token."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from bytelap.text.corpus import Corpus
from bytelap.text.vocabulary import Vocabulary


class Tokenizer(ABC):
    """Maps bytes to tokens and back without loss."""

    vocabulary: Vocabulary

    @abstractmethod
    def encode(self, text: bytes) -> np.ndarray:
        """Tokens (N,) of `vocabulary.dtype`; `vocabulary.decode` of them gives `text` back, whatever its bytes."""

    def encode_pieces(self, text: np.ndarray) -> Iterator[np.ndarray]:
        """Tokens of a document, (N,) uint8, piece by piece; joined they are exactly `encode` of it.

        Override it to keep memory bounded on huge documents; every piece must end where a token ends.
        """
        yield self.encode(text.tobytes())


@dataclass(frozen=True)
class TokenizerSpec:
    """One family of tokenizers as a plugin announces it: named `name`, or `name-<size>` if `sized`."""

    name: str
    sized: bool
    load: Callable[[Corpus, int | None], Tokenizer]
    """(corpus, vocabulary size) -> a tokenizer; one that must be trained reads `corpus.splits["train"]` only."""
    summary: str
