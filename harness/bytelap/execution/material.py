"""The text of a run: what it trains on, and what its curve is measured on."""

from __future__ import annotations

from dataclasses import dataclass

from bytelap.errors import BytelapError
from bytelap.execution.record import CorpusFacts
from bytelap.plugins import Registry
from bytelap.suite.plan import RunPlan
from bytelap.text.corpus import Corpus
from bytelap.text.resolve import resolve_corpus, resolve_tokenizer
from bytelap.text.streams import TokenStream, TrainingData
from bytelap.text.tokenizer import Tokenizer
from bytelap.text.tokens import encode_split, load_tokens
from bytelap.text.vocabulary import Vocabulary


@dataclass(frozen=True)
class Material:
    """The text of a run. Of the corpus, an entrant gets `data` only; the test split is read once, after training."""

    corpus: Corpus
    tokenizer: Tokenizer
    data: TrainingData
    curve: TokenStream
    """The part of the validation split that the curve is measured on."""
    corpus_facts: CorpusFacts
    bytes_per_token: float
    """Mean over the training split."""

    @property
    def vocabulary(self) -> Vocabulary:
        """The tokens of this run."""
        return self.tokenizer.vocabulary


def load_material(plan: RunPlan, registry: Registry) -> Material:
    """Open the corpus and its tokens, which `bench run` has prepared in the cache."""
    spec, config = resolve_corpus(plan.corpus, registry.corpora)
    corpus = spec.load(config)
    if corpus.hash != plan.corpus_hash:
        raise BytelapError(
            f"the corpus {plan.corpus_name} has changed since the suite was planned (hash {corpus.hash}, planned "
            f"{plan.corpus_hash}): run the suite again"
        )
    tokenizers, size = resolve_tokenizer(plan.tokenizer, registry.tokenizers)
    tokenizer = tokenizers.load(corpus, size)
    stream = load_tokens(corpus, "train", tokenizer)
    data = TrainingData(stream.tokens, stream.offsets, seed=plan.seed)
    facts = CorpusFacts(
        name=plan.corpus_name,
        hash=corpus.hash,
        licence=corpus.licence,
        train_bytes=len(corpus.splits["train"]),
        validation_bytes=len(corpus.splits["validation"]),
        test_bytes=len(corpus.splits["test"]),
    )
    curve = encode_split(corpus.splits["validation"].excerpt(plan.evaluation.curve_bytes), tokenizer)
    return Material(corpus, tokenizer, data, curve, facts, facts.train_bytes / max(1, len(stream)))
