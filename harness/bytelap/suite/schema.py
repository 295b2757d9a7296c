"""The schema of a suite: what is raced, on what, for how long. Closed: an unknown key is an error.

`read_suite` turns a YAML file into a frozen `Suite`, or raises one BytelapError with a line per problem.
"""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from bytelap.clock import Budget, ClockKind
from bytelap.errors import BytelapError
from bytelap.suite.loader import Document, load

_DURATION = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_BYTES = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_COUNT = {"k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "B": 10**9}


def _with_unit(value: Any, units: dict[str, Any], example: str) -> Any:
    """`60s` -> 60.0; plain numbers pass. Booleans are not numbers here."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"should be a number such as {example}")
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"\s*([-+]?[0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?)\s*([A-Za-z]*)\s*", value)
    if match is None or (match[2] and match[2] not in units):
        raise ValueError(f"'{value}' should be a number such as {example} (units: {', '.join(units)})")
    return float(match[1]) * units.get(match[2], 1)


def duration(value: Any) -> Any:
    """Seconds from `60s`, `10m`, `1.5h` or a plain number of seconds."""
    return _with_unit(value, _DURATION, "60s or 10m")


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _positive(value: float) -> float:
    if not 0 < value < float("inf"):
        raise ValueError("should be more than zero and finite")
    return value


Duration = Annotated[float, BeforeValidator(duration), AfterValidator(_positive)]
ByteCount = Annotated[int, BeforeValidator(lambda v: _whole(_with_unit(v, _BYTES, "64KB or 8GB"))), Field(ge=1)]
Count = Annotated[int, BeforeValidator(lambda v: _whole(_with_unit(v, _COUNT, "2000 or 5M"))), Field(ge=1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,79}$")]


class _Block(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class BudgetBlock(_Block):
    """For how long: exactly one of `train`, `steps`, `tokens`."""

    train: Duration | None = None
    """Training time: 60s, 10m, 1h."""
    steps: Count | None = None
    """Training updates instead of time: exactly repeatable."""
    tokens: Count | None = None
    """Training tokens instead of time."""
    clock: ClockKind = "wall"
    """What a second of `train` is: of the wall, or of the process's own CPU time."""
    prepare: Duration = 300.0
    """Cap on the untimed preparation (compilation, warm-up)."""
    evaluate: Duration = 1800.0
    """Cap on scoring, in wall seconds."""

    checkpoint: Duration = 60.0
    """Training seconds (wall) between two checkpoints; writing one is not charged."""

    @model_validator(mode="after")
    def _exactly_one(self) -> BudgetBlock:
        if sum(value is not None for value in (self.train, self.steps, self.tokens)) != 1:
            raise ValueError("should have exactly one of train, steps, tokens")
        return self

    @property
    def budget(self) -> Budget:
        """The training budget as the clock wants it."""
        return Budget(seconds=self.train, steps=self.steps, tokens=self.tokens, clock=self.clock)


class Resources(_Block):
    """What every run gets for itself."""

    cpus: int = Field(default=1, ge=1)
    """Cores per run; threads are set to the same number."""
    gpus: int = Field(default=0, ge=0, le=1)
    """CUDA devices per run: 0 or 1."""
    memory: ByteCount | None = None
    """Resident memory per run; a run that needs more ends as out_of_memory."""


class Evaluation(_Block):
    """How runs are scored; all in raw bytes, so that byte and BPE entrants are scored on the same text."""

    context: int = Field(default=512, ge=1)
    """Up to so many bytes of its own document precede every scored segment."""
    segment: int = Field(default=512, ge=1)
    """Bytes per scored segment."""
    curve: int = Field(default=12, ge=1, le=200)
    """Points of the validation curve, log-spaced over the budget; the last is the end."""
    curve_bytes: ByteCount = 32_768
    """At most so many bytes of the validation split are scored at each point of the curve."""
    limit: ByteCount | None = None
    """Score at most so many bytes of validation and of test (the beginning of every document); shown in the report."""


class Entrant(_Block):
    """One entrant, or a grid of them."""

    name: Name | None = None
    """How tables call it; the model's name if not given."""
    model: str
    config: dict[str, Any] = {}
    """Options of the model: `bench list models` shows them."""
    grid: dict[str, Annotated[list[Any], Field(min_length=1)]] = {}
    """Options with lists of values: every combination becomes an entrant."""

    @model_validator(mode="after")
    def _disjoint(self) -> Entrant:
        both = sorted(set(self.config) & set(self.grid))
        if both:
            raise ValueError(f"should have '{both[0]}' in config or in grid, not in both")
        return self


def _as_list(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


class Suite(_Block):
    """A suite: entrants x tokenizers x corpora x seeds under one budget."""

    name: Name
    """Runs go to runs/<name>, the report to reports/<name>."""
    corpus: Annotated[list[str | dict[str, Any]], BeforeValidator(_as_list), Field(min_length=1)] = ["prose"]
    """A corpus, or a list: `prose`, `file:books/*.txt`, `{name: file, path: books/*.txt, separator: …}`."""
    tokenizers: Annotated[list[str], BeforeValidator(_as_list), Field(min_length=1)] = ["byte"]
    """`byte`, `bpe-1024`, …"""
    budget: BudgetBlock
    seeds: Annotated[list[Annotated[int, Field(ge=0, lt=2**31)]], BeforeValidator(_as_list), Field(min_length=1)] = [1]
    """Distinct numbers; each entrant runs once per seed."""
    resources: Resources = Resources()
    evaluation: Evaluation = Evaluation()
    entrants: Annotated[list[Entrant], Field(min_length=1)]

    @model_validator(mode="after")
    def _distinct(self) -> Suite:
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError(f"should not repeat a seed: {self.seeds}")
        return self


def read_suite(path: Path) -> tuple[Suite, Document]:
    """Read and check a suite file.

    Raises:
        BytelapError: one line per problem, each `file:line:column: what is wrong`.
    """
    document = load(path)
    if not isinstance(document.value, dict):
        raise BytelapError(f"{path}:1:1: a suite is a mapping with the keys {', '.join(Suite.model_fields)}")
    try:
        return Suite.model_validate(document.value), document
    except ValidationError as error:
        raise BytelapError(explain(error, document, (), Suite)) from None


def explain(error: ValidationError, document: Document, prefix: tuple[str | int, ...], model: type[BaseModel]) -> str:
    """One line per problem, with its place in the file and, for an unknown key, the nearest valid one."""
    lines = []
    for problem in error.errors():
        path = prefix + tuple(problem["loc"])
        if problem["type"] == "extra_forbidden":
            owner = _owner(model, problem["loc"][:-1])
            lines.append(f"{document.where(path, key=True)}: {_unknown_key(str(path[-1]), owner)}")
            continue
        # pydantic adds names of union members to the path; only what stands in the file is shown
        known = [str(part) for depth, part in enumerate(path, 1) if path[:depth] in document.values]
        name = ".".join(known) or "the suite"
        message = problem["msg"].removeprefix("Value error, ").removeprefix("Input ")
        if problem["type"] == "missing":
            lines.append(f"{document.where(path[:-1])}: key '{path[-1]}' is missing")
            continue
        lines.append(f"{document.where(path)}: {name} {message[0].lower() + message[1:]}")
    return "\n".join(dict.fromkeys(lines))


def _unknown_key(key: str, owner: type[BaseModel] | None) -> str:
    known = list(owner.model_fields) if owner is not None else []
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    hint = f"did you mean '{near[0]}'?" if near else f"the keys here are {', '.join(known) or '(none)'}"
    return f"unknown key '{key}': {hint}"


def _owner(model: type[BaseModel], path: tuple[str | int, ...]) -> type[BaseModel] | None:
    """The pydantic class that describes the block at `path`."""
    current: Any = model
    for part in path:
        if isinstance(part, int):
            continue
        if not (isinstance(current, type) and issubclass(current, BaseModel) and part in current.model_fields):
            return None
        current = _inner_model(current.model_fields[part].annotation)
    return current if isinstance(current, type) and issubclass(current, BaseModel) else None


def _inner_model(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        found = _inner_model(inner)
        if found is not None:
            return found
    return None
