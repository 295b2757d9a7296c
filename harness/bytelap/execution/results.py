"""After training: sizes, and the final scores."""

from __future__ import annotations

import io
import time
from typing import TYPE_CHECKING

import numpy as np

from bytelap.errors import BytelapError
from bytelap.evaluation.scoring import Score, score
from bytelap.execution.keeper import Stopped
from bytelap.execution.material import Material
from bytelap.execution.store import write_atomic
from bytelap.model import Model
from bytelap.text.corpus import SplitName
from bytelap.text.streams import TokenStream
from bytelap.text.tokens import encode_split, load_tokens

if TYPE_CHECKING:
    from bytelap.execution.run import Run

TELL_SECONDS = 1.0  # between two progress events


def measure_size(run: Run, model: Model) -> None:
    """Parameters, state, and bytes of the saved model."""
    size = model.size()
    files = [file for file in (run.directory.path / "model").rglob("*") if file.is_file()]
    run.metrics = run.metrics.model_copy(
        update={
            "parameters": size.parameters,
            "state_size": size.state,
            "model_bytes": sum(file.stat().st_size for file in files),
        }
    )


def evaluate(run: Run, model: Model, material: Material) -> None:
    """Score validation and test once, with the final weights."""
    validation, _ = _score_split(run, model, material, "validation")
    test, seconds = _score_split(run, model, material, "test")
    buffer = io.BytesIO()
    np.savez_compressed(buffer, bits=test.bits, bytes=test.bytes, document=test.document)
    write_atomic(run.directory.path / "segments.npz", buffer.getvalue())
    run.metrics = run.metrics.model_copy(
        update={
            "bits_per_byte": test.bits_per_byte,
            "validation_bits_per_byte": validation.bits_per_byte,
            "nats_per_token": test.nats_per_token,
            "test_bytes": test.total_bytes,
            "test_tokens": test.tokens,
            "normalisation_error": max(test.normalisation_error, validation.normalisation_error),
            "evaluation_bytes_per_second": test.total_bytes / seconds,
        }
    )


def _score_split(run: Run, model: Model, material: Material, split: SplitName) -> tuple[Score, float]:
    """Score a split and check its denominator against the raw text; also the wall seconds it took."""
    limit = run.plan.evaluation.limit
    with run.phase("data"):
        raw = material.corpus.splits[split]
        raw = raw if limit is None else raw.excerpt(limit)
        stream = (
            load_tokens(material.corpus, split, material.tokenizer)
            if limit is None
            else encode_split(raw, material.tokenizer)
        )
    start = time.perf_counter()
    with run.phase("evaluate"):
        result = score_stream(run, model, material, stream, split)
    if result.total_bytes != len(raw):
        raise BytelapError(
            f"the tokens of the {split} split stand for {result.total_bytes:,} bytes, the text has {len(raw):,}: "
            f"tokenizer {run.plan.tokenizer} is not lossless"
        )
    return result, time.perf_counter() - start


def score_stream(run: Run, model: Model, material: Material, stream: TokenStream, split: str = "") -> Score:
    told = [time.monotonic()]

    def tell(share: float) -> None:
        if run.keeper.stop_requested.is_set() and split:
            raise Stopped  # the checkpoint at the end of training is there
        if split and time.monotonic() - told[0] > TELL_SECONDS:
            told[0] = time.monotonic()
            run.directory.event("scoring", split=split, share=share)

    evaluation = run.plan.evaluation
    return score(model.predict, stream, material.vocabulary, evaluation.context, evaluation.segment, run.device, tell)
