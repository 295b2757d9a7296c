"""The entrant `lightgbm`: its parts against literal calculations, the whole against the contract."""

from __future__ import annotations

import math
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch

import bytelap_lightgbm
from bytelap import Budget, BytelapError, Clock, Model, TrainingData, Vocabulary, create_model
from bytelap.plugins import Origin, Registry, load_plugins
from bytelap_lightgbm.boosting import Rows, Softmax
from bytelap_lightgbm.config import LightGBMConfig
from bytelap_lightgbm.features import candidates
from bytelap_lightgbm.ngram import KneserNey
from bytelap_lightgbm.text import excerpt, folds

STEPS = Budget(steps=40)
SMALL = {"positions": 8000}


@pytest.fixture(scope="module")
def registry() -> Registry:
    # Registered under its real entry point, so that it is not announced twice where bytelap is installed.
    return load_plugins(extra=[(Origin("bytelap", "0.1.0", "bytelap_lightgbm"), bytelap_lightgbm)])


@pytest.fixture(scope="module")
def library(english: bytes) -> TrainingData:
    """Nine tenths of the help topics as nine documents."""
    size = len(english) // 10
    return stream([english[part * size : (part + 1) * size] for part in range(9)])


@pytest.fixture(scope="module")
def unseen_text(english: bytes) -> torch.Tensor:
    """(8, 512) bytes of the last tenth."""
    return torch.frombuffer(bytearray(english[-8 * 512 :]), dtype=torch.uint8).long().view(8, 512)


@pytest.fixture(scope="module")
def model(registry: Registry, library: TrainingData) -> Model:
    return trained(registry, library, STEPS, **SMALL)


def stream(documents: list[bytes]) -> TrainingData:
    offsets = np.cumsum([0, *map(len, documents)]).astype(np.int64)
    return TrainingData(np.frombuffer(b"".join(documents), dtype=np.uint8), offsets, seed=1)


def vocabulary(size: int = 256) -> Vocabulary:
    width = 1 if size <= 256 else 2
    return Vocabulary("test", tuple(token.to_bytes(width, "little") for token in range(size)))


def create(registry: Registry, size: int = 256, seed: int = 1, **config: object) -> Model:
    return create_model("lightgbm", config, vocabulary(size), seed=seed, device="cpu", registry=registry)


def run(model: Model, data: TrainingData, budget: Budget) -> Clock:
    """What the harness does with an entrant."""
    clock = Clock(budget)
    with clock.running():
        for step in model.train(data, clock):
            clock.count(step.tokens)
            if clock.expired:
                break
    return clock


def trained(
    registry: Registry, data: TrainingData, budget: Budget, size: int = 256, seed: int = 1, **config: object
) -> Model:
    model = create(registry, size, seed, **config)
    run(model, data, budget)
    return model


def bits(model: Model, tokens: torch.Tensor) -> float:
    chosen = model.predict(tokens[:, :-1]).gather(2, tokens[:, 1:, None])
    return -float(chosen.double().mean()) / math.log(2)


def test_listing_the_entrant_imports_neither_torch_nor_lightgbm() -> None:
    code = "import sys, bytelap_lightgbm as p; p.bytelap_models(); print({'torch', 'lightgbm'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_beats_unigrams_and_its_own_ngrams_on_unseen_text(
    registry: Registry, library: TrainingData, unseen_text: torch.Tensor, model: Model
) -> None:
    counts = np.bincount(unseen_text.numpy().ravel(), minlength=256)
    shares = counts[counts > 0] / counts.sum()
    unigram = -float((shares * np.log2(shares)).sum())
    ngrams_only = bits(trained(registry, library, Budget(steps=1), **SMALL), unseen_text)
    boosted = bits(model, unseen_text)
    assert boosted < unigram - 1.5
    assert boosted < ngrams_only - 0.05


def test_probabilities_are_a_full_distribution(model: Model, unseen_text: torch.Tensor) -> None:
    logs = model.predict(unseen_text[:4])
    assert logs.shape == (4, 512, 256)
    assert logs.dtype == torch.float32
    assert torch.isfinite(logs).all()
    assert torch.logsumexp(logs.double(), dim=2).abs().max() < 1e-5


def test_a_symbol_that_never_occurred_has_the_uniform_share(model: Model, unseen_text: torch.Tensor) -> None:
    unseen = model.predict(unseen_text[:1])[0, :, 255].exp()  # UTF-8 has no byte 255
    assert torch.allclose(unseen, torch.full_like(unseen, LightGBMConfig().uniform / 256))
    context = torch.full((1, 20), 255)
    assert torch.isfinite(model.predict(context)).all()


def test_a_confident_prediction_survives(registry: Registry) -> None:
    """A second softmax over 256 probabilities could never say more than e / (e + 255), about 1 %."""
    model = trained(registry, stream([b"ab" * 10_000]), Budget(steps=8), **SMALL)
    text = torch.tensor([list(b"ab" * 50)])
    chances = model.predict(text[:, :-1]).gather(2, text[:, 1:, None]).exp()
    assert chances[0, 10:].min() > 0.95


def test_trees_do_not_believe_in_counts_of_their_own_targets(registry: Registry) -> None:
    """In random text a counted context says nothing; trees that saw counts of their own targets would trust it."""
    random = np.random.default_rng(0).integers(0, 16, size=120_000).astype(np.uint8)
    data = stream([random[start : start + 20_000].tobytes() for start in range(0, 100_000, 20_000)])
    model = trained(registry, data, Budget(steps=25), **SMALL)
    unseen = torch.from_numpy(random[100_000:].astype(np.int64)).view(20, 1000)
    assert 3.99 < bits(model, unseen) < 4.05


def test_folds_hold_out_whole_short_documents() -> None:
    lengths = [100_000, 60_000, 900_000, 55_000]
    documents = [np.full(length, number) for number, length in enumerate(lengths)]
    found = list(folds(documents, seed=1))
    held = [set(np.unique(part).tolist()) for part, _ in found]
    assert {frozenset(part) for part in held} <= {frozenset({1}), frozenset({3}), frozenset({0}), frozenset({1, 3})}
    assert all(not part & set(np.unique(left).tolist()) for part, (_, left) in zip(held, found, strict=True))
    assert sum(map(len, found[0])) == sum(lengths)


def test_a_single_document_holds_out_its_end() -> None:
    document = np.arange(1_000_000)
    (found,) = folds([document], seed=1)
    assert found[0].tolist() == document[950_000:].tolist()
    assert found[1].tolist() == document[:950_000].tolist()


def test_an_excerpt_begins_every_document_in_proportion(library: TrainingData) -> None:
    parts = excerpt(library, len(library) // 4)
    assert [len(part) for part in parts] == pytest.approx([size / 4 for size in np.diff(library.offsets)], abs=1)


def test_the_past_does_not_depend_on_the_future(model: Model, unseen_text: torch.Tensor) -> None:
    changed = unseen_text[:2].clone()
    changed[:, 300:] = unseen_text[2:4, 300:]
    before, after = model.predict(unseen_text[:2]), model.predict(changed)
    assert torch.equal(before[:, :300], after[:, :300])
    assert not torch.equal(before[:, 300:], after[:, 300:])
    assert torch.equal(model.predict(unseen_text[:2, :300]), before[:, :300])


def test_rows_do_not_depend_on_each_other(model: Model, unseen_text: torch.Tensor) -> None:
    together = model.predict(unseen_text)
    assert torch.equal(model.predict(unseen_text.flip(0)).flip(0), together)
    assert torch.equal(model.predict(unseen_text[3:4]), together[3:4])


def test_saved_and_loaded_it_predicts_the_same_and_learns_on(
    registry: Registry, library: TrainingData, unseen_text: torch.Tensor, tmp_path: Path
) -> None:
    first = trained(registry, library, Budget(steps=6), **SMALL)
    first.save(tmp_path)
    second = create(registry, **SMALL)
    second.load(tmp_path)
    assert torch.equal(second.predict(unseen_text), first.predict(unseen_text))
    assert second.size() == first.size()
    before = bits(second, unseen_text)
    run(second, library, Budget(steps=20))
    assert bits(second, unseen_text) < before
    assert second.notes()["rounds"] > first.notes()["rounds"]
    (tmp_path / "again").mkdir()
    second.save(tmp_path / "again")
    third = create(registry, **SMALL)
    third.load(tmp_path / "again")
    assert torch.equal(third.predict(unseen_text), second.predict(unseen_text))


@pytest.mark.parametrize("seconds", [0.5, 1.5])
def test_training_ends_with_the_budget(registry: Registry, library: TrainingData, seconds: float) -> None:
    model = create(registry)
    clock = run(model, library, Budget(seconds=seconds, clock="cpu"))  # of this process: others do not disturb it
    assert clock.overshoot <= clock.budget.tolerance
    assert model.notes()["rounds"] > 0 or seconds < 1  # half a second is enough to count, hardly to boost
    assert model.notes()["counted_tokens"] > 10_000


def test_one_seed_gives_one_model(registry: Registry, library: TrainingData, unseen_text: torch.Tensor) -> None:
    budget, text = Budget(steps=8), unseen_text[:2]
    first, again, other = (trained(registry, library, budget, seed=seed, positions=4000) for seed in (1, 1, 2))
    prediction = first.predict(text)
    assert torch.equal(again.predict(text), prediction)
    assert not torch.equal(other.predict(text), prediction)


def test_a_budget_in_steps_is_used_to_the_last_step(registry: Registry, library: TrainingData) -> None:
    assert run(create(registry, positions=4000), library, Budget(steps=12)).steps == 12


def test_a_budget_in_tokens_is_kept(registry: Registry, library: TrainingData) -> None:
    clock = run(create(registry, **SMALL), library, Budget(tokens=900_000))
    assert 900_000 <= clock.tokens < 900_000 + 12_000


def test_more_tokens_than_bytes(registry: Registry, english: bytes) -> None:
    """1024 tokens: the bytes, and the commonest pairs of bytes."""
    english = english[:250_000]
    pairs = Counter(english[i : i + 2] for i in range(len(english) - 1))
    merged = {pair: 256 + rank for rank, (pair, _) in enumerate(pairs.most_common(768))}
    tokens, place = [], 0
    while place < len(english):
        token = merged.get(english[place : place + 2])
        tokens.append(english[place] if token is None else token)
        place += 1 if token is None else 2
    cut = len(tokens) - 2048
    data = TrainingData(np.array(tokens[:cut], dtype=np.uint16), np.array([0, cut], dtype=np.int64), seed=1)
    unseen = torch.tensor(tokens[cut:]).view(8, 256)
    model = trained(registry, data, Budget(steps=20), size=1024, positions=4000)
    logs = model.predict(unseen)
    assert logs.shape == (8, 256, 1024)
    assert torch.logsumexp(logs.double(), dim=2).abs().max() < 1e-5
    assert bits(model, unseen) < bits(trained(registry, data, Budget(steps=1), size=1024), unseen)


def test_size_counts_leaves_thresholds_and_ngrams(model: Model) -> None:
    leaves = sum(len(tree) for tree in _leaf_values(model))
    splits = sum(len(tree) - 1 for tree in _leaf_values(model))
    table = model.table  # type: ignore[attr-defined]
    assert model.size().parameters == leaves + splits + table.parameters
    assert model.size().state == LightGBMConfig().window


def _leaf_values(model: Model) -> list[list[str]]:
    text = "".join(booster.model_to_string() for booster in model.trees)  # type: ignore[attr-defined]
    lines = [line for line in text.splitlines() if line.startswith("leaf_value=")]
    return [line.removeprefix("leaf_value=").split() for line in lines]


def test_a_text_that_is_too_short_is_refused(registry: Registry) -> None:
    with pytest.raises(BytelapError, match="lightgbm needs 64"):
        trained(registry, stream([b"too short"]), Budget(steps=1))


def test_ngram_statistics_are_kneser_ney(english: bytes) -> None:
    """Chen and Goodman's recursion with dictionaries, on every context of a short passage."""
    order, size = 3, 256
    text = list(english[:3000])
    table = KneserNey.count(np.array(text), size, order)
    grams = Counter(tuple(text[i : i + order + 1]) for i in range(len(text) - order))
    levels = [grams]
    for _ in range(order):
        levels.insert(0, Counter(gram[1:] for gram in levels[0]))
    probe = list(english[2000:2200]) + list(english[100_000:100_200])
    contexts = table.contexts(np.array([probe])).reshape(order + 1, -1)
    by_order, longest, kinds = table.distributions(contexts)
    for place in range(0, len(probe), 7):
        expected = np.full(size, 1 / size)
        known = 0
        for k, level in enumerate(levels):
            context = tuple(probe[max(0, place - k + 1) : place + 1]) if k else ()
            after = {gram[-1]: n for gram, n in level.items() if gram[:-1] == context and len(context) == k}
            if after:
                known = k
                expected = _interpolate(expected, after, _discounts(level))
            assert kinds[k, place] == len(after)
            np.testing.assert_allclose(by_order[k, place], expected, rtol=1e-4, atol=1e-7)
        assert longest[place] == known


def _interpolate(lower: np.ndarray, after: dict[int, int], discounts: list[float]) -> np.ndarray:
    total = sum(after.values())
    mixed = lower * sum(discounts[min(n, 3)] for n in after.values()) / total
    for symbol, n in after.items():
        mixed[symbol] += (n - discounts[min(n, 3)]) / total
    return mixed


def _discounts(level: Counter[tuple[int, ...]]) -> list[float]:
    seen = Counter(level.values())
    n1, n2, n3, n4 = (max(1, seen[n]) for n in (1, 2, 3, 4))
    y = n1 / (n1 + 2 * n2)
    raw = [1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3]
    return [0.0, *(min(max(d, 0.05 * n), 0.95 * n) for n, d in enumerate(raw, start=1))]


def test_features_remember_what_followed_in_the_same_row(english: bytes) -> None:
    """Feature: the longest context that occurred earlier in the row and was last followed by this candidate."""
    config = LightGBMConfig(order=4, window=100)
    text = np.frombuffer(english, dtype=np.uint8).astype(np.int64)
    table = KneserNey.count(text[:50_000], 256, config.order)
    tokens = text[60_000:60_600].reshape(2, 300)
    parts = list(candidates(table, tokens, config))
    features = np.concatenate([part.features for part in parts])
    symbols = np.concatenate([part.symbol for part in parts])
    sizes = np.cumsum([0, *(len(part.base) for part in parts)])
    positions = np.concatenate([part.position + begin for part, begin in zip(parts, sizes[:-1], strict=True)])
    column = 1 + (config.order - 1) + 1  # after the base, the other orders 1..order - 1 and the symbol
    for index in range(0, len(symbols), 11):
        row, place = divmod(int(positions[index]), 300)
        expected = 0
        for k in range(1, config.order + 1):
            if place + 1 < k:
                continue
            here = tokens[row, place - k + 1 : place + 1].tolist()
            earlier = [p for p in range(k - 1, place) if tokens[row, p - k + 1 : p + 1].tolist() == here]
            if earlier and place - earlier[-1] < config.window and tokens[row, earlier[-1] + 1] == symbols[index]:
                expected = k
        assert features[index, column] == expected


def test_the_gradient_is_that_of_the_multinomial_loss(english: bytes) -> None:
    text = np.frombuffer(english, dtype=np.uint8).astype(np.int64)
    table = KneserNey.count(text[:50_000], 256, 4)
    tokens = text[60_000:60_201].reshape(1, -1)
    rows, (part,) = Rows(), list(candidates(table, tokens[:, :-1], LightGBMConfig(order=4)))
    targets = tokens[0, 1:]
    rows.add(part, targets, np.zeros(len(part.symbol), dtype=np.float32))
    trees = torch.linspace(-1, 1, len(part.symbol), dtype=torch.float64, requires_grad=True)
    weights = torch.from_numpy(part.base.astype(np.float64))
    chosen = (torch.from_numpy(part.position), torch.from_numpy(part.symbol))
    weights = weights.index_put(chosen, weights[chosen] * trees.exp())  # (n, S): base exp(trees), not normalised
    loss = (weights.sum(dim=1).log() - weights[torch.arange(len(targets)), torch.from_numpy(targets)].log()).sum()
    (expected,) = torch.autograd.grad(loss, trees)
    margins = rows.margins[0].astype(np.float64) + trees.detach().numpy()
    gradient, curvature = Softmax(rows)(margins, None)  # type: ignore[arg-type]
    np.testing.assert_allclose(gradient, expected.numpy(), atol=1e-4)
    assert (curvature >= 0).all()
    by_position = defaultdict(float)
    for position, value in zip(part.position.tolist(), gradient.tolist(), strict=True):
        by_position[position] += value
    assert max(by_position.values()) < 1.0 + 1e-4
