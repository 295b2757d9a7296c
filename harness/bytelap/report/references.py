"""Reference lines: what xz and PPMd need for the test text after they have read the training text.

Conditional size: size(train + test) − size(train), in bits per byte of test. Both go on adapting while they read the
test text, which no ranked entrant may, so they are lines to compare with and never rows of the ranking.
"""

from __future__ import annotations

import hashlib
import json
import lzma
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from bytelap.errors import BytelapError
from bytelap.execution.store import write_atomic

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

Text: TypeAlias = bytes | bytearray | memoryview | np.ndarray
"""Raw bytes; an array must be one-dimensional uint8, it may be memory-mapped."""

# xz takes about 1 s a MB: of a longer training text only the end is read, and a longer test text is not measured.
AFFORDABLE = 8 << 20
PPMD_ORDER = 8
PPMD_MEMORY = 1 << 30  # address space; only what the text needs (about 30 bytes a byte) is touched


@dataclass(frozen=True)
class ReferenceLine:
    """One compressor's score on the scored test text of one corpus."""

    name: str
    corpus: str
    """Content hash of the corpus it belongs to."""
    test_bytes: int
    bits_per_byte: float | None
    """None if it was not measured; `note` says why."""
    note: str = ""


def reference_lines(
    train: Text, test: Text, corpus: str, cache: Path | None = None, affordable: int = AFFORDABLE
) -> list[ReferenceLine]:
    """Reference lines of xz (preset 9e) and PPMd (variant H, order 8).

    Args:
        train: the training split.
        test: the test bytes that are scored (the excerpt, if the suite limits evaluation).
        corpus: the corpus's content hash, as in its runs' records.
        cache: a JSON file that remembers results by the hashes of both texts; None: measure every time.
        affordable: the most bytes of either text; of a longer training text the end is read.

    Raises:
        BytelapError: the test text is empty.
    """
    length = len(_array(test))
    before, after = _array(train)[-affordable:].tobytes(), _array(test)[: affordable + 1].tobytes()
    if not after:
        raise BytelapError("reference lines need test text, but the test split is empty: check the corpus")
    note = f"after the last {affordable:,} bytes of the training text" if len(train) > affordable else ""
    if length > affordable:
        skipped = f"not measured: the test text is longer than {affordable:,} bytes"
        return [ReferenceLine(name, corpus, length, None, skipped) for name in COMPRESSORS]
    known = _read(cache)
    texts = f"{hashlib.sha256(before).hexdigest()[:32]}-{hashlib.sha256(after).hexdigest()[:32]}"
    lines, fresh = [], False
    for name, size in COMPRESSORS.items():
        key = f"{name}-{texts}"
        if key not in known:
            whole = before + after
            known[key], fresh = 8 * (size(whole) - size(before)) / length, True
        lines.append(ReferenceLine(name, corpus, length, known[key], note))
    if cache is not None and fresh:
        _write(cache, known)
    return lines


def _xz(data: bytes) -> int:
    return len(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME))


def _ppmd(data: bytes) -> int:
    from pyppmd import Ppmd7Encoder

    encoder = Ppmd7Encoder(PPMD_ORDER, PPMD_MEMORY)
    return len(encoder.encode(data)) + len(encoder.flush())


COMPRESSORS: Mapping[str, Callable[[bytes], int]] = {"xz -9e": _xz, "PPMd order 8": _ppmd}


def _array(text: Text) -> np.ndarray:
    return text if isinstance(text, np.ndarray) else np.frombuffer(text, np.uint8)


def _read(cache: Path | None) -> dict[str, float]:
    try:
        stored = json.loads(cache.read_bytes()) if cache is not None else {}
    except (OSError, ValueError):  # absent, or not ours: it can be measured again
        return {}
    return {str(key): float(value) for key, value in stored.items()} if isinstance(stored, dict) else {}


def _write(cache: Path, known: Mapping[str, float]) -> None:
    with suppress(OSError):  # a cache that cannot be written costs time, not the report
        cache.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(cache, json.dumps(known, indent=1, sort_keys=True).encode())
