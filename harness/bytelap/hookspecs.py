"""The six hooks. A plugin is a module named by an entry point in the group `bytelap` that implements some of them.

    # bytelap_acme/__init__.py                             # pyproject.toml
    from bytelap import ModelSpec, hookimpl                # [project.entry-points.bytelap]
                                                           # acme = "bytelap_acme"
    @hookimpl
    def bytelap_models():
        return [ModelSpec(name="acme", config=AcmeConfig, load=load_acme, summary="…", paper="…")]

Every hook is called once per command and its results from all plugins are joined; a name given twice is an
error that names both packages. Nothing heavy may be imported before a specification's `load` is called.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from bytelap.execution.executors import ExecutorSpec
    from bytelap.execution.record import RunRecord
    from bytelap.model import ModelSpec
    from bytelap.report.sections import SectionSpec
    from bytelap.text.corpus import CorpusSpec
    from bytelap.text.tokenizer import TokenizerSpec

hookspec = pluggy.HookspecMarker("bytelap")
hookimpl = pluggy.HookimplMarker("bytelap")


@hookspec
def bytelap_models() -> Sequence[ModelSpec]:  # type: ignore[empty-body]
    """Entrants that suites can name. Called when a suite is read and by `bench list models`."""


@hookspec
def bytelap_corpora() -> Sequence[CorpusSpec]:  # type: ignore[empty-body]
    """Corpora that suites can name as `name` or `name:argument`. Called when a suite is read and by `bench list`."""


@hookspec
def bytelap_tokenizers() -> Sequence[TokenizerSpec]:  # type: ignore[empty-body]
    """Tokenizers that suites can name as `name` or `name-<size>`. Called when a suite is read and by `bench list`."""


@hookspec
def bytelap_executors() -> Sequence[ExecutorSpec]:  # type: ignore[empty-body]
    """Ways to start run processes (`local` is built in). Called by `bench run`."""


@hookspec
def bytelap_sections() -> Sequence[SectionSpec]:  # type: ignore[empty-body]
    """Sections of the report, in order of their `order`. Called by `bench report`."""


@hookspec
def bytelap_run_finished(record: RunRecord) -> None:
    """Called by `bench run` for each run that ended, with what `run.json` holds: export it to a tracker here."""
