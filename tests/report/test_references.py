"""Reference lines against direct calls of the compressors."""

from __future__ import annotations

import json
import lzma
from typing import TYPE_CHECKING

import numpy as np
import pyppmd
import pytest

from bytelap.errors import BytelapError
from bytelap.report.references import reference_lines

if TYPE_CHECKING:
    from pathlib import Path


def xz(data: bytes) -> int:
    return len(lzma.compress(data, format=lzma.FORMAT_XZ, preset=9 | lzma.PRESET_EXTREME))


def ppmd(data: bytes) -> int:
    encoder = pyppmd.Ppmd7Encoder(max_order=8, mem_size=64 << 20)
    size = len(encoder.encode(data) + encoder.flush())
    decoder = pyppmd.Ppmd7Decoder(max_order=8, mem_size=64 << 20)
    encoder = pyppmd.Ppmd7Encoder(max_order=8, mem_size=64 << 20)
    assert decoder.decode(encoder.encode(data) + encoder.flush(), len(data)) == data
    return size


def test_conditional_size_is_what_the_compressors_add_for_the_test_text(english: bytes):
    train, test = english[:120_000], english[120_000:150_000]
    lines = {line.name: line for line in reference_lines(train, test, "hash")}
    assert lines["xz -9e"].bits_per_byte == pytest.approx(8 * (xz(train + test) - xz(train)) / len(test))
    assert lines["PPMd order 8"].bits_per_byte == pytest.approx(8 * (ppmd(train + test) - ppmd(train)) / len(test))
    assert all(line.corpus == "hash" and line.test_bytes == 30_000 for line in lines.values())
    assert 1.0 < (lines["PPMd order 8"].bits_per_byte or 0) < (lines["xz -9e"].bits_per_byte or 0) < 4.0


def test_arrays_and_bytes_give_the_same_lines(english: bytes):
    train, test = english[:20_000], english[20_000:25_000]
    arrays = reference_lines(np.frombuffer(train, np.uint8), np.frombuffer(test, np.uint8), "hash")
    assert arrays == reference_lines(train, test, "hash")


def test_cache_is_read_for_the_same_texts_only(tmp_path: Path, english: bytes):
    cache, train, test = tmp_path / "deep" / "references.json", english[:20_000], english[20_000:25_000]
    first = reference_lines(train, test, "hash", cache)
    stored = json.loads(cache.read_text())
    assert len(stored) == 2
    cache.write_text(json.dumps(dict.fromkeys(stored, 1.25)))
    assert {line.bits_per_byte for line in reference_lines(train, test, "hash", cache)} == {1.25}
    other = reference_lines(train + b"!", test, "hash", cache)
    assert all(line.bits_per_byte != 1.25 for line in other)
    cache.write_text("{ torn")
    assert reference_lines(train, test, "hash", cache) == first


def test_unwritable_cache_costs_nothing_but_time(tmp_path: Path, english: bytes):
    (tmp_path / "file").write_text("not a directory")
    assert len(reference_lines(english[:5_000], english[5_000:6_000], "hash", tmp_path / "file" / "cache.json")) == 2


def test_too_long_a_test_text_is_left_out_with_a_note():
    lines = reference_lines(b"abc", b"abcd", "hash", affordable=3)
    assert all(line.bits_per_byte is None and "not measured" in line.note for line in lines)


def test_long_training_text_is_read_from_its_end_and_said_so(english: bytes):
    test, filler = english[:3_000], bytes(10_000)
    forgotten, known = (
        reference_lines(train, test, "hash", affordable=10_000)[0] for train in (test + filler, filler + test)
    )
    assert "after the last 10,000 bytes" in forgotten.note
    assert (known.bits_per_byte or 0) < 0.5 < (forgotten.bits_per_byte or 0)


def test_empty_test_text_is_one_clear_sentence():
    with pytest.raises(BytelapError, match="test split is empty"):
        reference_lines(b"abc", b"", "hash")
