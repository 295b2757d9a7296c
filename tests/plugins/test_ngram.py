"""The counting entrants: against a literal Kneser-Ney in dictionaries and plain loops, and against the contract."""

from __future__ import annotations

import math
import os
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch

import bytelap_ngram
from bytelap import Budget, BytelapError, Clock, Model, TrainingData, Vocabulary, create_model
from bytelap.plugins import Origin, Registry, load_plugins
from bytelap_ngram.trie import count_ngrams, excerpt

NAMES = ["uniform", "unigram", "ngram"]
ENOUGH = Budget(seconds=60)


@pytest.fixture(scope="module")
def registry() -> Registry:
    # Registered under its real entry point, so that it is not announced twice where bytelap is installed.
    return load_plugins(extra=[(Origin("bytelap", "0.1.0", "bytelap_ngram"), bytelap_ngram)])


@pytest.fixture(scope="module")
def library() -> TrainingData:
    """Real text, 1.5 MB: Python's own library, one document per file."""
    whole = text([path.read_bytes() for path in sorted(Path(os.__file__).parent.glob("*.py"))])
    part = excerpt(whole, 1_500_000)
    return TrainingData(part.tokens, part.offsets, seed=1)


@pytest.fixture(scope="module")
def unseen_text() -> torch.Tensor:
    """(8, 512) bytes that are not in `library`."""
    source = (Path(os.__file__).parent / "json" / "decoder.py").read_bytes()
    return torch.frombuffer(bytearray(source[: 8 * 512]), dtype=torch.uint8).long().view(8, 512)


def text(documents: list[bytes] | list[np.ndarray]) -> TrainingData:
    arrays = [np.frombuffer(d, dtype=np.uint8) if isinstance(d, bytes) else d for d in documents]
    offsets = np.cumsum([0, *map(len, arrays)])
    return TrainingData(np.concatenate(arrays), offsets.astype(np.int64), seed=1)


def vocabulary(size: int) -> Vocabulary:
    width = 1 if size <= 256 else 3
    return Vocabulary("test", tuple(token.to_bytes(width, "little") for token in range(size)))


def train(model: Model, data: TrainingData, budget: Budget = ENOUGH) -> Clock:
    """What the harness does with an entrant."""
    clock = Clock(budget)
    clock.start()
    for step in model.train(data, clock):
        clock.count(step.tokens)
        if clock.expired:
            break
    clock.pause()
    return clock


def trained(
    registry: Registry,
    data: TrainingData,
    vocabulary_size: int = 256,
    budget: Budget = ENOUGH,
    name: str = "ngram",
    **config: object,
) -> Model:
    model = create_model(name, config, vocabulary(vocabulary_size), seed=1, device="cpu", registry=registry)
    train(model, data, budget)
    return model


def bits_per_token(model: Model, tokens: torch.Tensor) -> float:
    log_probability = model.predict(tokens[:, :-1]).gather(2, tokens[:, 1:, None])
    return -float(log_probability.double().mean()) / math.log(2)


class LiteralKneserNey:
    """Chen & Goodman 1999, section 3, as it is written: dictionaries and loops, nothing shared with the entrant."""

    def __init__(self, documents: list[list[int]], vocabulary_size: int, order: int, single: bool) -> None:
        self.vocabulary_size, self.order = vocabulary_size, order
        occurrences: Counter[tuple[int, ...]] = Counter()
        left: defaultdict[tuple[int, ...], set[int]] = defaultdict(set)
        for document in documents:
            for start in range(len(document)):
                for end in range(start + 1, min(start + order, len(document)) + 1):
                    gram = tuple(document[start:end])
                    occurrences[gram] += 1
                    left[gram].add(document[start - 1] if start > 0 else -1)
        longest = max(map(len, occurrences))
        self.count = {gram: n if len(gram) == longest else len(left[gram]) for gram, n in occurrences.items()}
        self.discounts = [[0.0] * 4] + [self._discounts(k, single) for k in range(1, longest + 1)]
        self.after: defaultdict[tuple[int, ...], list[tuple[int, ...]]] = defaultdict(list)
        for gram in self.count:
            self.after[gram[:-1]].append(gram)

    def _discounts(self, k: int, single: bool) -> list[float]:
        n = [sum(1 for gram, c in self.count.items() if len(gram) == k and c == j) for j in range(5)]
        if 0 in n[1:]:
            return [0, 0.5, 1.0, 1.5]
        y = n[1] / (n[1] + 2 * n[2])
        d = [0.0] + ([y] * 3 if single else [j - (j + 1) * y * n[j + 1] / n[j] for j in (1, 2, 3)])
        return d if min(d[1:]) > 0 else [0, 0.5, 1.0, 1.5]

    def distribution(self, context: tuple[int, ...]) -> list[float]:
        lower = self.distribution(context[1:]) if context else [1 / self.vocabulary_size] * self.vocabulary_size
        followers = self.after.get(context, [])
        if not followers:
            return lower
        total = sum(self.count[gram] for gram in followers)
        discount = {gram: self.discounts[len(gram)][min(self.count[gram], 3)] for gram in followers}
        escape = sum(discount.values()) / total
        result = [escape * p for p in lower]
        for gram in followers:
            result[gram[-1]] += (self.count[gram] - discount[gram]) / total
        return result

    def predict(self, row: list[int]) -> list[list[float]]:
        return [self.distribution(tuple(row[max(0, t + 2 - self.order) : t + 1])) for t in range(len(row))]


# --- ngram: is it Kneser-Ney? -------------------------------------------------------------------------------------


def random_documents(vocabulary_size: int, lengths: list[int]) -> list[list[int]]:
    """Zipf-like tokens with repetitions, so that there are n-grams of every count."""
    rng = np.random.default_rng(vocabulary_size)
    drawn = [np.minimum(rng.zipf(1.6, size=length) - 1, vocabulary_size - 2).tolist() for length in lengths]
    return [d + d[: len(d) // 3] for d in drawn]


@pytest.mark.parametrize("discounts", ["modified", "single"])
@pytest.mark.parametrize("order", [1, 2, 3, 5, 8])
@pytest.mark.parametrize(
    ("vocabulary_size", "lengths"), [(2, [30]), (4, [50, 1, 2, 40]), (30, [300, 0, 200, 3]), (256, [600, 500])]
)
def test_ngram_equals_literal_kneser_ney(registry, vocabulary_size, lengths, order, discounts):
    documents = random_documents(vocabulary_size, lengths)
    model = trained(
        registry,
        text([np.array(d, dtype=np.uint8) for d in documents]),
        vocabulary_size,
        order=order,
        discounts=discounts,
    )
    oracle = LiteralKneserNey(documents, vocabulary_size, order, discounts == "single")
    rng = np.random.default_rng(0)
    rows = [
        documents[0][:24],
        rng.integers(vocabulary_size, size=24).tolist(),
    ]  # text that was seen, and text that was not
    expected = np.array([oracle.predict(row) for row in rows])
    np.testing.assert_allclose(model.predict(torch.tensor(rows)).exp().numpy(), expected, rtol=2e-5, atol=1e-9)


def test_ngram_equals_literal_kneser_ney_on_real_text(registry):
    source = Path(os.__file__).read_bytes()
    documents = [source[:6000], source[6000:9000]]
    oracle = LiteralKneserNey([list(d) for d in documents], 256, 5, single=False)
    assert oracle.discounts[5] != [0, 0.5, 1.0, 1.5]  # the discounts are estimated, not the fallback
    row = list(source[9000:9100])
    predicted = trained(registry, text(documents), order=5).predict(torch.tensor([row])).exp().numpy()
    np.testing.assert_allclose(predicted[0], oracle.predict(row), rtol=2e-5, atol=1e-9)


def test_ngram_equals_literal_kneser_ney_on_a_bpe_sized_vocabulary(registry):
    vocabulary_size = 5000
    documents = random_documents(vocabulary_size, [3000, 1000])
    oracle = LiteralKneserNey(documents, vocabulary_size, 4, single=False)
    model = trained(registry, text([np.array(d, dtype=np.uint16) for d in documents]), vocabulary_size, order=4)
    row = documents[1][:8]
    predicted = model.predict(torch.tensor([row])).exp().numpy()
    np.testing.assert_allclose(predicted[0], oracle.predict(row), rtol=2e-5, atol=1e-9)
    np.testing.assert_allclose(predicted.sum(2, dtype=np.float64), 1, atol=1e-5)


def test_ngrams_do_not_span_documents(registry):
    apart, joined = (
        trained(registry, text([b"abcabc", b"xyzxyz"]), order=3),
        trained(registry, text([b"abcabcxyzxyz"]), order=3),
    )
    after_c = torch.tensor([list(b"bc")])
    assert apart.predict(after_c)[0, 1, ord("x")] < joined.predict(after_c)[0, 1, ord("x")]


def test_counts_are_the_same_where_keys_are_too_large_to_be_packed():
    data = text([b"to be or not to be", b"that is the question"])
    for order in (1, 4):
        small = [level for level in count_ngrams(data, 256, order) if level is not None]
        large = [level for level in count_ngrams(data, 2**55, order) if level is not None]
        assert [level.counts.tolist() for level in small] == [level.counts.tolist() for level in large]


def test_text_shorter_than_the_order_is_enough(registry):
    model = trained(registry, text([b"ab", b"", b"a"]), order=32)
    assert float(model.predict(torch.tensor([[ord("a")]]))[0, 0, ord("b")]) > math.log(0.3)


# --- the contract ----------------------------------------------------------------------------------------------------


def test_every_entrant_is_announced_by_the_plugin(registry):
    for name in NAMES:
        spec = registry.models[name]
        assert spec.name == name
        assert issubclass(spec.load(), Model)
        assert all(field.description for field in spec.config.model_fields.values())


def test_uniform_costs_exactly_the_logarithm_of_the_vocabulary(registry, unseen_text):
    model = trained(registry, text([b"abc"]), name="uniform")
    assert bits_per_token(model, unseen_text) == 8.0


def test_unigram_is_the_smoothed_relative_frequency(registry):
    model = trained(registry, text([b"abca"]), name="unigram", alpha=0.25)
    p = model.predict(torch.zeros(2, 3, dtype=torch.int64)).exp()
    assert p.shape == (2, 3, 256)
    assert p[1, 2, ord("a")].item() == pytest.approx(2.25 / (4 + 64))
    assert p[1, 2, 0].item() == pytest.approx(0.25 / (4 + 64))


@pytest.mark.parametrize("name", NAMES)
def test_distributions_sum_to_one_on_seen_and_unseen_text(registry, library, unseen_text, name):
    model = trained(registry, library, name=name, budget=Budget(tokens=200_000))
    noise = torch.from_numpy(np.random.default_rng(0).integers(256, size=(4, 100)))
    for tokens in (unseen_text, noise):
        logits = model.predict(tokens)
        assert torch.isfinite(logits).all()
        assert logits.max() <= 1e-6
        np.testing.assert_allclose(logits.double().exp().sum(2), 1, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_untrained_entrant_knows_nothing(registry, name):
    model = create_model(name, {}, vocabulary(256), seed=1, device="cpu", registry=registry)
    assert bits_per_token(model, torch.arange(20).view(2, 10)) == pytest.approx(8, abs=1e-6)


def test_the_future_changes_nothing_before_it(registry, library, unseen_text):
    model = trained(registry, library, budget=Budget(tokens=200_000))
    changed = unseen_text.clone()
    changed[:, 300] += 1
    before, after = model.predict(unseen_text), model.predict(changed)
    assert torch.equal(before[:, :300], after[:, :300])
    assert not torch.equal(before[:, 300], after[:, 300])
    assert torch.equal(before[:, 307:], after[:, 307:])  # seven tokens later an 8-gram has forgotten it


def test_rows_are_independent(registry, library, unseen_text):
    model = trained(registry, library, budget=Budget(tokens=200_000))
    together = model.predict(unseen_text)
    for row in range(len(unseen_text)):
        assert torch.equal(model.predict(unseen_text[row : row + 1]), together[row : row + 1])


@pytest.mark.parametrize("name", NAMES)
def test_saved_and_loaded_predicts_the_same_and_goes_on_training(registry, library, unseen_text, tmp_path, name):
    model = trained(registry, library, name=name, budget=Budget(tokens=200_000))
    model.save(tmp_path)
    again = create_model(name, {}, vocabulary(256), seed=1, device="cpu", registry=registry)
    again.load(tmp_path)
    assert torch.equal(again.predict(unseen_text), model.predict(unseen_text))
    assert again.size() == model.size()
    train(again, library)
    assert torch.equal(again.predict(unseen_text), trained(registry, library, name=name).predict(unseen_text))


# --- budgets ---------------------------------------------------------------------------------------------------------


def test_more_text_gives_a_lower_loss(registry, library, unseen_text):
    losses = [
        bits_per_token(trained(registry, library, budget=budget), unseen_text)
        for budget in (Budget(tokens=10_000), Budget(tokens=200_000), ENOUGH)
    ]
    assert losses[0] > losses[1] + 0.1 > losses[2] + 0.2


def test_budget_in_seconds_is_not_overshot_and_buys_something(registry, library, unseen_text):
    model = create_model("ngram", {"order": 32}, vocabulary(256), seed=1, device="cpu", registry=registry)
    clock = train(model, library, Budget(seconds=0.5, clock="cpu"))
    assert clock.elapsed < 0.75
    assert 0 < model.notes()["share_counted"] < 1
    assert clock.tokens == model.notes()["tokens_counted"]
    assert bits_per_token(model, unseen_text) < 4


def test_enough_time_counts_all_of_the_text_once(registry, library):
    model = create_model("ngram", {"order": 3}, vocabulary(256), seed=1, device="cpu", registry=registry)
    clock = train(model, library)
    assert clock.tokens == len(library)
    assert model.notes()["share_counted"] == 1
    steps = clock.steps
    assert list(model.train(library, clock)) == []  # nothing is left to learn
    assert clock.steps == steps


@pytest.mark.parametrize("tokens", [1_000, 300_000, 1_000_000])
def test_budget_in_tokens_is_met_exactly(registry, library, tokens):
    model = create_model("ngram", {"order": 3}, vocabulary(256), seed=1, device="cpu", registry=registry)
    clock = train(model, library, Budget(tokens=tokens))
    assert clock.tokens == model.notes()["tokens_counted"] == tokens


def test_budget_in_steps_is_repeatable(registry, library, unseen_text):
    for steps in (1, 5, 15):  # the last two end in the middle of a pass
        first, second = (trained(registry, library, budget=Budget(steps=steps), order=4) for _ in range(2))
        assert torch.equal(first.predict(unseen_text), second.predict(unseen_text))
        assert bits_per_token(first, unseen_text) < 5


def test_part_of_the_text_is_the_beginning_of_every_document(registry):
    model = trained(registry, text([b"ab" * 500, b"xy" * 500]), order=2, budget=Budget(tokens=100))
    p = model.predict(torch.tensor([list(b"ax")])).exp()
    assert p[0, 0, ord("b")] > 0.9
    assert p[0, 1, ord("y")] > 0.9


def test_impossible_order_is_one_sentence(registry):
    with pytest.raises(BytelapError, match="ngram: config key 'order'"):
        create_model("ngram", {"order": 0}, vocabulary(256), seed=1, device="cpu", registry=registry)
