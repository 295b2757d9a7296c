"""A vocabulary: the bytes that every token stands for, exactly."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class Vocabulary:
    """The tokens of a run. `token_bytes[i]` are the raw bytes of token i; no token is empty, none occurs twice."""

    name: str
    """The tokenizer's name in the suite: `byte`, `bpe-1024`, …"""
    token_bytes: tuple[bytes, ...]

    @property
    def size(self) -> int:
        """V, the number of tokens."""
        return len(self.token_bytes)

    @cached_property
    def lengths(self) -> np.ndarray:
        """(V,) int64: bytes per token."""
        return np.array([len(token) for token in self.token_bytes], dtype=np.int64)

    @cached_property
    def hash(self) -> str:
        """SHA-256 over the tokens in order, 16 hexadecimal digits."""
        digest = hashlib.sha256()
        for token in self.token_bytes:
            digest.update(len(token).to_bytes(4, "little") + token)
        return digest.hexdigest()[:16]

    @property
    def dtype(self) -> np.dtype:
        """The smallest unsigned integer type that holds every token."""
        return np.dtype(np.min_scalar_type(max(self.size - 1, 0)))

    def decode(self, tokens: np.ndarray) -> bytes:
        """The bytes that a 1-D sequence of tokens stands for."""
        return b"".join([self.token_bytes[token] for token in tokens.tolist()])
