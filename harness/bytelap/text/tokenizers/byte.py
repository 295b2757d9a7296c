"""Bytes as tokens."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bytelap.text.tokenizer import Tokenizer
from bytelap.text.vocabulary import Vocabulary


class ByteTokenizer(Tokenizer):
    """Token i is the byte i; encoding copies nothing."""

    def __init__(self) -> None:
        self.vocabulary = Vocabulary("byte", tuple(bytes([value]) for value in range(256)))

    def encode(self, text: bytes) -> np.ndarray:
        return np.frombuffer(text, dtype=np.uint8)

    def encode_pieces(self, text: np.ndarray) -> Iterator[np.ndarray]:
        yield text
