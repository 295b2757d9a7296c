"""The transformer against torch's own layers, and its training on real text."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch import nn

from bytelap import Budget, BytelapError, Clock, TrainingData, Vocabulary
from bytelap_transformer import GptConfig
from bytelap_transformer.gpt import Gpt

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

BYTES = Vocabulary("byte", tuple(bytes([value]) for value in range(256)))
SMALL = {"layers": 2, "heads": 2, "width": 32, "context": 32, "batch": 8}


def make(seed: int = 1, **changes: object) -> Gpt:
    return Gpt(GptConfig(**{**SMALL, **changes}), BYTES, seed, "cpu")


def data(text: bytes, seed: int = 1) -> TrainingData:
    return TrainingData(np.frombuffer(text, dtype=np.uint8), np.array([0, len(text)]), seed)


def train(model: Gpt, stream: TrainingData, clock: Clock, stop: int | None = None) -> list[float]:
    """Run training until the clock or `stop` steps end it; the losses."""
    losses = []
    for step in model.train(stream, clock):
        clock.count(step.tokens)
        losses.append(step.loss)
        if clock.steps == stop:
            break
    return losses


def weights(model: Gpt) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in model.module.parameters()]


def same(first: Iterable[torch.Tensor], second: Iterable[torch.Tensor]) -> bool:
    return all(torch.equal(one, two) for one, two in zip(first, second, strict=True))


def rows(text: bytes, count: int, length: int) -> torch.Tensor:
    return torch.from_numpy(np.frombuffer(text[: count * length], dtype=np.uint8).astype(np.int64)).view(count, length)


@pytest.mark.parametrize("bias", [True, False])
def test_forward_equals_torchs_encoder_layers_with_the_same_weights(english: bytes, bias: bool):
    model = make(bias=bias)
    for parameter in model.module.parameters():  # away from the initial zeros and ones, so that each part counts
        nn.init.normal_(parameter, std=0.3)
    tokens = rows(english, 4, 32)
    x = model.module.tokens.weight[tokens] + model.module.positions.weight[:32]
    mask = nn.Transformer.generate_square_subsequent_mask(32)
    for block in model.module.blocks:
        layer = nn.TransformerEncoderLayer(
            32, 2, 128, dropout=0.0, activation="gelu", norm_first=True, batch_first=True, bias=bias
        )
        named = {
            "self_attn.in_proj_weight": block.attention.qkv.weight,
            "self_attn.in_proj_bias": block.attention.qkv.bias,
            "self_attn.out_proj.weight": block.attention.out.weight,
            "self_attn.out_proj.bias": block.attention.out.bias,
            "linear1.weight": block.up.weight,
            "linear1.bias": block.up.bias,
            "linear2.weight": block.down.weight,
            "linear2.bias": block.down.bias,
            "norm1.weight": block.attention_norm.weight,
            "norm1.bias": block.attention_norm.bias,
            "norm2.weight": block.perceptron_norm.weight,
            "norm2.bias": block.perceptron_norm.bias,
        }
        layer.load_state_dict({name: tensor for name, tensor in named.items() if tensor is not None})
        x = layer(x, src_mask=mask)
    x = nn.functional.layer_norm(x, (32,), model.module.norm.weight, model.module.norm.bias)
    expected = torch.log_softmax(x @ model.module.tokens.weight.t(), dim=-1)
    torch.testing.assert_close(model.predict(tokens), expected.detach(), atol=1e-4, rtol=1e-4)

    batch = rows(english, 4, 33)
    targets = torch.log_softmax(model.module(batch[:, :-1]), dim=-1).gather(2, batch[:, 1:, None])
    torch.testing.assert_close(model.loss(batch), -targets.mean())


def test_initial_weights_follow_nanogpt():
    model = make(width=128, layers=8, heads=4)
    block = model.module.blocks[3]
    assert float(block.up.weight.detach().std()) == pytest.approx(0.02, rel=0.05)
    assert float(model.module.tokens.weight.detach().std()) == pytest.approx(0.02, rel=0.05)
    for matrix in (block.attention.out.weight, block.down.weight):
        assert float(matrix.detach().std()) == pytest.approx(0.02 / math.sqrt(16), rel=0.05)


def test_predictions_are_normalised_causal_and_row_independent_on_long_rows(english: bytes):
    model = make()
    for parameter in model.module.parameters():
        nn.init.normal_(parameter, std=0.2)
    tokens = rows(english, 3, 150)  # almost five contexts
    before = model.predict(tokens)
    assert before.shape == (3, 150, 256)
    assert before.dtype == torch.float32
    torch.testing.assert_close(before.exp().sum(-1), torch.ones(3, 150), atol=1e-5, rtol=0)
    changed = tokens.clone()
    changed[1, 70:] = 7
    after = model.predict(changed)
    torch.testing.assert_close(after[1, :70], before[1, :70], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(after[1, 70], before[1, 70], atol=1e-2)
    torch.testing.assert_close(after[[0, 2]], before[[0, 2]], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(model.predict(tokens[2:, :101]), before[2:, :101], atol=1e-5, rtol=1e-5)


def test_size_counts_tied_weights_once():
    model = make()
    block = 2 * 32 + 4 * 32 * 32 + 2 * 4 * 32 * 32
    assert model.size().parameters == 256 * 32 + 32 * 32 + 2 * block + 32
    assert model.size().state == 2 * 2 * 32 * 32


def test_width_must_divide_into_heads():
    with pytest.raises(BytelapError, match="width 32 is not a multiple of heads 3"):
        make(heads=3)


@pytest.mark.parametrize(
    ("optimizer", "precision", "rate", "steps"),
    [("adamw", "bf16", 5e-3, 250), ("muon", "fp32", 2e-2, 80), ("lion", "fp32", 2e-3, 250)],
)
def test_training_beats_the_unigram_entropy(english: bytes, optimizer: str, precision: str, rate: float, steps: int):
    counts = np.bincount(np.frombuffer(english, dtype=np.uint8), minlength=256)
    share = counts[counts > 0] / len(english)
    entropy = float(-(share * np.log(share)).sum())
    model = make(optimizer=optimizer, precision=precision, learning_rate=rate)
    held_out, text = english[:8000], english[8000:]
    losses = train(model, data(text), Clock(Budget(steps=steps)))
    assert losses[0] == pytest.approx(math.log(256), rel=0.02)
    tokens = rows(held_out, 10, 800)
    scored = model.predict(tokens[:, :-1]).gather(2, tokens[:, 1:, None])
    assert float(-scored.mean()) < entropy - 0.1


def test_memory_of_the_harness_is_not_needed_to_repeat_a_run(english: bytes):
    """Same seed and steps, same weights, though the second run is evaluated in between and other randomness is used."""
    runs = []
    for disturbed in (False, True):
        model, clock = make(dropout=0.2), Clock(Budget(steps=12))
        for step in model.train(data(english), clock):
            clock.count(step.tokens)
            if disturbed:
                model.predict(rows(english, 2, 50))
                torch.rand(7)
        runs.append(weights(model))
    assert same(*runs)
    other = make(seed=2, dropout=0.2)
    train(other, data(english), Clock(Budget(steps=12)))
    assert not same(runs[0], weights(other))


@pytest.mark.parametrize("optimizer", ["adamw", "muon", "lion", "sparse_lion"])
def test_resumed_training_is_bit_identical(english: bytes, tmp_path: Path, optimizer: str):
    changes = {"optimizer": optimizer, "dropout": 0.1, "average": 0.3, "precision": "bf16"}
    whole = make(**changes)
    train(whole, data(english), Clock(Budget(steps=14)))

    begun, stream = make(**changes), data(english)
    train(begun, stream, Clock(Budget(steps=14)), stop=6)
    begun.save(tmp_path)
    assert not [file for file in tmp_path.iterdir() if file.suffix not in {".safetensors", ".json"}]
    resumed = make(seed=1, **changes)
    resumed.load(tmp_path)
    again = TrainingData(stream.tokens, stream.offsets, stream.seed, dict(stream.positions))
    train(resumed, again, Clock(Budget(steps=14), steps=6))
    assert same(weights(whole), weights(resumed))
    tokens = rows(english, 2, 100)
    assert torch.equal(whole.predict(tokens), resumed.predict(tokens))  # running mean of weights included


def test_a_checkpoint_of_another_shape_is_refused(tmp_path: Path):
    make().save(tmp_path)
    with pytest.raises(BytelapError, match="another shape"):
        make(layers=3).load(tmp_path)


def test_last_update_is_tiny_because_the_rate_is_annealed(english: bytes):
    model, clock = make(weight_decay=0.0), Clock(Budget(steps=50))
    moved = []
    for step in model.train(data(english), clock):
        clock.count(step.tokens)
        moved.append(weights(model)[0])
    sizes = [float((late - early).abs().max()) for early, late in itertools.pairwise(moved)]
    assert sizes[-1] < 0.1 * max(sizes)


def test_a_diverged_run_stops_with_one_sentence(english: bytes):
    model = make(optimizer="lion", learning_rate=1e30, warmup=0.0, clip=0.0, precision="fp32")
    with pytest.raises(BytelapError, match=r"update \d+ with lion at a peak learning rate of 1e\+30: lower"):
        train(model, data(english), Clock(Budget(steps=50)))


def test_preparing_leaves_no_trace(english: bytes, tmp_path: Path):
    model, untouched = make(dropout=0.2), make(dropout=0.2)
    random = torch.get_rng_state()
    noise = np.random.default_rng(0).integers(256, size=5000).astype(np.uint8)
    model.prepare(data(noise.tobytes()))
    assert torch.equal(torch.get_rng_state(), random)
    for name, one in (("a", model), ("b", untouched)):
        (tmp_path / name).mkdir()
        one.save(tmp_path / name)
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()
    assert train(model, data(english), Clock(Budget(steps=4))) == train(
        untouched, data(english), Clock(Budget(steps=4))
    )


def test_averaged_weights_predict_and_last_weights_train_on(english: bytes):
    plain, averaged = make(), make(average=0.5)
    for model in (plain, averaged):
        train(model, data(english), Clock(Budget(steps=20)))
    assert same(weights(plain), weights(averaged))
    tokens = rows(english, 2, 60)
    assert not torch.allclose(plain.predict(tokens), averaged.predict(tokens), atol=1e-3)
    assert same(weights(plain), weights(averaged))  # predicting put the last weights back


def test_notes_say_how_it_was_trained():
    notes = make(optimizer="muon", precision="bf16").notes()
    assert notes["optimizer"] == "muon"
    assert notes["precision"] == "bfloat16"
    assert notes["updates"] == 0
