"""A suite becomes a plan: every run it asks for, checked, with the identity that decides where it is stored."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from bytelap.errors import BytelapError
from bytelap.plugins import Registry
from bytelap.suite.loader import Document
from bytelap.suite.schema import BudgetBlock, Entrant, Evaluation, Resources, Suite, explain, read_suite
from bytelap.text.corpus import Corpus
from bytelap.text.resolve import resolve_corpus, resolve_tokenizer
from bytelap.text.tokenizer import Tokenizer


class RunPlan(BaseModel):
    """One run, completely specified; written to its directory as `plan.json` for the run's own process."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    suite: str
    entrant: str
    model: str
    config: dict[str, Any]
    """Every option of the model, defaults included; empty for a model that is not installed."""
    corpus: str | dict[str, Any]
    corpus_hash: str
    tokenizer: str
    tokenizer_hash: str
    budget: BudgetBlock
    evaluation: Evaluation
    resources: Resources
    seed: int

    @property
    def run_id(self) -> str:
        """Readable, and unique for everything that decides the result."""
        decisive = self.model_dump(mode="json", exclude={"suite", "entrant", "corpus", "tokenizer"})
        for harmless in ("prepare", "evaluate", "checkpoint"):
            del decisive["budget"][harmless]
        digest = hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:12]
        return f"{self.entrant}_{self.tokenizer}_s{self.seed}_{digest}"

    @property
    def corpus_name(self) -> str:
        """The corpus as one word for tables."""
        if isinstance(self.corpus, str):
            return self.corpus
        options = ",".join(f"{key}={value}" for key, value in self.corpus.items() if key != "name")
        return f"{self.corpus.get('name', '?')}:{options}"


@dataclass(frozen=True)
class Plan:
    """All runs of a suite, and the text they need, ready to be read."""

    suite: Suite
    file: Path
    runs: Sequence[RunPlan]
    corpora: Mapping[str, Corpus]
    """By content hash."""


@dataclass(frozen=True)
class _Text:
    """A corpus of the suite with its tokenizers."""

    value: str | dict[str, Any]
    corpus: Corpus
    tokenizers: Mapping[str, Tokenizer]


def make_plan(file: Path, registry: Registry, only: Sequence[str] = (), train: float | None = None) -> Plan:
    """Read a suite, check every entrant, fetch corpora and train tokenizers, and list the runs.

    Args:
        file: the suite.
        registry: the plugins of this environment.
        only: names of entrants (or models) to keep; all if empty.
        train: replaces the training budget by so many seconds.

    Raises:
        BytelapError: anything the user should mend, with its place in the file.
    """
    suite, document = read_suite(file)
    if train is not None:
        suite = suite.model_copy(
            update={"budget": suite.budget.model_copy(update={"train": train, "steps": None, "tokens": None})}
        )
    entrants = _choose(list(_entrants(suite, document, registry)), only, file)
    _check_names(suite, document, registry)
    texts = [_prepare_text(value, suite, document, registry, index) for index, value in enumerate(suite.corpus)]
    # Seeds outermost: entrants of one seed run close in time, so slow drift of the machine hits all alike.
    runs = [
        RunPlan(
            suite=suite.name,
            entrant=name,
            model=model,
            config=config,
            corpus=text.value,
            corpus_hash=text.corpus.hash,
            tokenizer=tokenizer,
            tokenizer_hash=loaded.vocabulary.hash,
            budget=suite.budget,
            evaluation=suite.evaluation,
            resources=suite.resources,
            seed=seed,
        )
        for text in texts
        for seed in suite.seeds
        for tokenizer, loaded in text.tokenizers.items()
        for name, model, config in entrants
    ]
    return Plan(suite, file, runs, {text.corpus.hash: text.corpus for text in texts})


def _entrants(suite: Suite, document: Document, registry: Registry) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(name, model, full configuration) of every entrant, grids unrolled."""
    seen: dict[str, str] = {}
    catalogue = registry.models
    for index, entrant in enumerate(suite.entrants):
        place = document.where(("entrants", index, "model"))
        # A name like no other may belong to a plugin that failed: its entrants become `unavailable` rows.
        if entrant.model not in catalogue.specs and (catalogue.nearest(entrant.model) or not catalogue.broken):
            raise BytelapError(f"{place}: {catalogue.unknown(entrant.model)}")
        for suffix, options in _combinations(entrant):
            name = (entrant.name or entrant.model) + suffix
            if name in seen:
                raise BytelapError(
                    f"{place}: two entrants are called '{name}' (the other: {seen[name]}): give one a name"
                )
            seen[name] = place
            if entrant.model not in catalogue.specs:  # its plugin may be the one that did not import
                yield name, entrant.model, options
                continue
            try:
                checked = catalogue.specs[entrant.model].config.model_validate(options)
            except ValidationError as error:
                raise BytelapError(
                    _explain_config(error, document, index, entrant, catalogue.specs[entrant.model].config)
                ) from None
            yield name, entrant.model, checked.model_dump(mode="json")


def _explain_config(
    error: ValidationError, document: Document, index: int, entrant: Entrant, config: type[BaseModel]
) -> str:
    first = error.errors()[0]["loc"]
    block = "grid" if first and first[0] in entrant.grid else "config"
    text = explain(error, document, ("entrants", index, block), config)
    return "\n".join(f"{line} (model {entrant.model})" for line in text.splitlines())


def _combinations(entrant: Entrant) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every combination of the grid with the suffix that tells it apart."""
    keys = list(entrant.grid)
    for values in itertools.product(*entrant.grid.values()):
        chosen = dict(zip(keys, values, strict=True))
        suffix = "".join(f"-{_word(key)}-{_word(value)}" for key, value in chosen.items())
        yield suffix, {**entrant.config, **chosen}


def _word(value: object) -> str:
    """A value as part of a name: letters, digits, dots, minus and underscores only."""
    text = {True: "on", False: "off"}.get(value, str(value)) if isinstance(value, bool) else str(value)
    return re.sub(r"[^A-Za-z0-9._-]+", ".", text).strip(".")[:40] or "none"


def _choose(
    entrants: list[tuple[str, str, dict[str, Any]]], only: Sequence[str], file: Path
) -> list[tuple[str, str, dict[str, Any]]]:
    if not only:
        return entrants
    known = {name for name, _, _ in entrants} | {model for _, model, _ in entrants}
    for name in only:
        if name not in known:
            raise BytelapError(f"--only {name}: no such entrant in {file}; it has {', '.join(sorted(known))}")
    names = {entrant[0] for entrant in entrants}
    models = set(only) - names  # an entrant's own name goes before its model's
    return [entrant for entrant in entrants if entrant[0] in only or entrant[1] in models]


def _check_names(suite: Suite, document: Document, registry: Registry) -> None:
    """Complain about names and options before anything is downloaded."""
    for index, value in enumerate(suite.corpus):
        with _placed(document, ("corpus", index)):
            resolve_corpus(value, registry.corpora)
    for index, name in enumerate(suite.tokenizers):
        with _placed(document, ("tokenizers", index)):
            resolve_tokenizer(name, registry.tokenizers)


@contextmanager
def _placed(document: Document, path: tuple[str | int, ...]) -> Iterator[None]:
    """Complaints from inside the block get their place in the file; a plugin may raise anything."""
    try:
        yield
    except BytelapError as error:
        raise BytelapError(f"{document.where(path)}: {error}") from None
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise BytelapError(f"{document.where(path)}: cannot be loaded: {reason}") from error


def _prepare_text(
    value: str | dict[str, Any], suite: Suite, document: Document, registry: Registry, index: int
) -> _Text:
    """Fetch a corpus and train its tokenizers; complaints get their place in the file."""
    with _placed(document, ("corpus", index)):
        spec, config = resolve_corpus(value, registry.corpora)
        corpus = spec.load(config)
    tokenizers: dict[str, Tokenizer] = {}
    for number, name in enumerate(suite.tokenizers):
        with _placed(document, ("tokenizers", number)):
            tokenizer, size = resolve_tokenizer(name, registry.tokenizers)
            tokenizers[name] = tokenizer.load(corpus, size)
    return _Text(value, corpus, tokenizers)
