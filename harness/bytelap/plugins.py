"""Discovery of plugins: every distribution's entry points in the group `bytelap`, built-ins by the same door.

A plugin that fails to import is kept as a `BrokenPlugin` and skipped; a name announced twice is an error that
names both packages. The registry is a value that is passed around: nothing is loaded at import.
"""

from __future__ import annotations

import difflib
import importlib.util
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from importlib.metadata import entry_points
from types import ModuleType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import pluggy
from pydantic import BaseModel, ValidationError

from bytelap import hookspecs
from bytelap.errors import BytelapError, Unavailable

if TYPE_CHECKING:
    from bytelap.execution.executors import ExecutorSpec
    from bytelap.model import Model, ModelSpec
    from bytelap.report.sections import SectionSpec
    from bytelap.text.corpus import CorpusSpec
    from bytelap.text.tokenizer import TokenizerSpec
    from bytelap.text.vocabulary import Vocabulary

GROUP = "bytelap"
NAME = r"[a-z0-9][a-z0-9-]{0,59}"


@dataclass(frozen=True)
class Origin:
    """The distribution that a plugin came from."""

    distribution: str
    version: str
    module: str

    def __str__(self) -> str:
        return f"{self.distribution} {self.version} ({self.module})"


@dataclass(frozen=True)
class BrokenPlugin:
    """A plugin that did not import, and why."""

    origin: Origin
    reason: str


T = TypeVar("T", bound="ModelSpec | CorpusSpec | TokenizerSpec | ExecutorSpec | SectionSpec")


@dataclass(frozen=True)
class Catalogue(Generic[T]):
    """Everything of one kind that plugins announce, by name."""

    kind: str
    """What it holds, for messages: `model`, `corpus`, …"""
    specs: Mapping[str, T]
    origins: Mapping[str, Origin]
    broken: Sequence[BrokenPlugin]

    def __getitem__(self, name: str) -> T:
        if name in self.specs:
            return self.specs[name]
        raise BytelapError(self.unknown(name))

    def nearest(self, name: str) -> list[str]:
        """Announced names that look like `name`."""
        return difflib.get_close_matches(name, self.specs, n=3, cutoff=0.5)

    def unknown(self, name: str) -> str:
        """The sentence for a name that nobody announces: nearest names, and plugins that failed."""
        near = self.nearest(name)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(sorted(self.specs))}"
        failed = "".join(f"; plugin {plugin.origin} failed: {plugin.reason}" for plugin in self.broken)
        return f"unknown {self.kind} '{name}': {hint}{failed}"


@dataclass(frozen=True)
class Registry:
    """All plugins of this environment."""

    manager: pluggy.PluginManager
    origins: Mapping[str, Origin]
    broken: Sequence[BrokenPlugin]

    @property
    def models(self) -> Catalogue[ModelSpec]:
        """Entrants by name."""
        return self._collect("model", "bytelap_models")

    @property
    def corpora(self) -> Catalogue[CorpusSpec]:
        """Corpora by name (without an argument)."""
        return self._collect("corpus", "bytelap_corpora")

    @property
    def tokenizers(self) -> Catalogue[TokenizerSpec]:
        """Tokenizer families by name (without a size)."""
        return self._collect("tokenizer", "bytelap_tokenizers")

    @property
    def executors(self) -> Catalogue[ExecutorSpec]:
        """Ways to start run processes by name."""
        return self._collect("executor", "bytelap_executors")

    @property
    def sections(self) -> Catalogue[SectionSpec]:
        """Sections of the report by name."""
        return self._collect("report section", "bytelap_sections")

    def _collect(self, kind: str, hook: str) -> Catalogue[Any]:
        specs: dict[str, Any] = {}
        origins: dict[str, Origin] = {}
        broken = list(self.broken)
        for implementation in getattr(self.manager.hook, hook).get_hookimpls():
            origin = self.origins[implementation.plugin_name]
            try:
                with redirect_stdout(sys.stderr):
                    announced = [(_checked_name(spec), spec) for spec in implementation.function()]
            except (Exception, SystemExit) as error:  # a stranger's hook may raise anything, or return anything
                broken.append(BrokenPlugin(origin, f"{hook}: {_one_line(error)}"))
                continue
            for name, spec in announced:
                if name in specs:
                    raise BytelapError(
                        f"{kind} '{name}' is announced by both {origins[name]} and {origin}: "
                        "uninstall one of them or rename it"
                    )
                specs[name], origins[name] = spec, origin
        return Catalogue(kind, dict(sorted(specs.items())), origins, broken)


def load_plugins(extra: Iterable[tuple[Origin, ModuleType | object]] = ()) -> Registry:
    """Import every installed plugin (and the `extra` ones, for tests) and return the registry."""
    manager = pluggy.PluginManager("bytelap")
    manager.add_hookspecs(hookspecs)
    origins: dict[str, Origin] = {}
    broken: list[BrokenPlugin] = []

    def register(origin: Origin, plugin: ModuleType | object) -> None:
        name = f"{origin.distribution}:{origin.module}"
        if name in origins:  # an editable install can list its metadata twice
            return
        try:
            manager.register(plugin, name=name)
            manager.check_pending()
        except (pluggy.PluginValidationError, ValueError) as error:
            manager.unregister(name=name)
            broken.append(BrokenPlugin(origin, _one_line(error)))
            return
        origins[name] = origin

    for entry in sorted(entry_points(group=GROUP), key=lambda entry: (entry.value, entry.name)):
        distribution = entry.dist
        name, version = (distribution.name, distribution.version) if distribution else ("unknown", "0")
        origin = Origin(name, version, entry.value)
        try:
            with redirect_stdout(sys.stderr):
                plugin = entry.load()
        except (Exception, SystemExit) as error:  # a stranger's import may raise anything; it is reported, not fatal
            broken.append(BrokenPlugin(origin, _one_line(error)))
            continue
        register(origin, plugin)
    for origin, plugin in extra:
        register(origin, plugin)
    return Registry(manager, origins, broken)


def check_requirements(spec: ModelSpec) -> None:
    """Raise `Unavailable` if a package that the entrant needs is not installed."""
    missing = [name for name in spec.requires if importlib.util.find_spec(name) is None]
    if missing:
        raise Unavailable(
            f"{spec.name} needs {', '.join(missing)}, which is not installed: pip install it and run again"
        )


def create_model(
    name: str,
    config: Mapping[str, Any],
    vocabulary: Vocabulary,
    seed: int,
    device: str,
    registry: Registry | None = None,
) -> Model:
    """Build an entrant by name, as a suite would: how one entrant uses another (mixtures).

    Raises:
        BytelapError: unknown name, or a config key that the model does not have.
        Unavailable: a package it needs is not installed.
    """
    spec = (registry or load_plugins()).models[name]
    check_requirements(spec)
    try:
        checked = spec.config.model_validate(dict(config))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise BytelapError(f"{name}: config key '{place}': {first['msg']}") from error
    return spec.load()(checked, vocabulary, seed, device)


def _checked_name(spec: Any) -> str:
    """The name of what a plugin announced. Raises TypeError or ValueError if it is not what its kind needs."""
    if not isinstance(spec.name, str) or not re.fullmatch(NAME, spec.name):
        raise ValueError(f"the name {spec.name!r} should be lower case letters, digits and hyphens")
    for field in ("summary", "paper", "licence", "title"):
        if not isinstance(getattr(spec, field, ""), str):
            raise TypeError(f"{spec.name}: {field} should be text")
    for field in ("load", "create", "render"):
        if not callable(getattr(spec, field, len)):
            raise TypeError(f"{spec.name}: {field} should be a function")
    config = getattr(spec, "config", BaseModel)
    if not (isinstance(config, type) and issubclass(config, BaseModel)):
        raise TypeError(f"{spec.name}: config should be a subclass of ModelConfig or CorpusConfig")
    requires = getattr(spec, "requires", ())
    if isinstance(requires, str) or not all(isinstance(name, str) for name in requires):
        raise TypeError(f"{spec.name}: requires should be a tuple of import names")
    return str(spec.name)


def _one_line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
