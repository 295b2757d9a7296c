"""Discovery: every hook is called, mistakes of strangers are reported and end nothing but their own entrants."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from bytelap import BytelapError, ModelConfig, ModelSpec, Unavailable, Vocabulary, create_model, hookimpl
from bytelap.plugins import Origin, load_plugins
from tests.conftest import Bench, Plugin
from tests.execution.entrants import SOURCE

BYTES = Vocabulary("byte", tuple(bytes([index]) for index in range(256)))
HOOK_PLUGIN = '''
import json, os
from bytelap import CorpusConfig, CorpusSpec, Tokenizer, TokenizerSpec, Vocabulary, hookimpl, prepare_corpus
import numpy as np


class Shout(Tokenizer):
    """Two tokens: capitals do not exist, every byte is two nibbles. Lossless."""

    vocabulary = Vocabulary("byte-copy", tuple(bytes([index]) for index in range(256)))

    def encode(self, text):
        return np.frombuffer(text, np.uint8)


def load(config):
    documents = [(split, split, (split.encode() + b" text ") * 400) for split in ("train", "validation", "test")]
    return prepare_corpus("acme-text", "public domain", documents)


@hookimpl
def bytelap_corpora():
    return [CorpusSpec("acme-text", CorpusConfig, load, "a corpus of a plugin", "public domain")]


@hookimpl
def bytelap_tokenizers():
    return [TokenizerSpec("byte-copy", False, lambda corpus, size: Shout(), "bytes again")]


@hookimpl
def bytelap_executors():
    from bytelap.execution.executors import ExecutorSpec
    from bytelap.execution.local import LocalExecutor

    def create(resources, jobs):
        open(os.environ["ACME_LOG"], "a").write("executor\\n")
        return LocalExecutor(resources, jobs)

    return [ExecutorSpec("acme-cluster", create, "local with a log")]


@hookimpl
def bytelap_sections():
    from bytelap.report.blocks import Paragraph
    from bytelap.report.sections import SectionSpec

    def render(report):
        return [Paragraph("A section of the acme plugin.")]

    return [SectionSpec(name="acme", order=900, title="Acme", render=render)]


@hookimpl
def bytelap_run_finished(record):
    open(os.environ["ACME_LOG"], "a").write(f"finished {record.entrant} {record.status}\\n")
'''


def config_class() -> type[ModelConfig]:
    class Empty(ModelConfig):
        """No options."""

    return Empty


def spec(name: str, **changes: object) -> ModelSpec:
    facts = {"config": config_class(), "load": lambda: None, "summary": "s", "paper": "p", **changes}
    return ModelSpec(name=name, **facts)  # type: ignore[arg-type]


def announcing(*specs: ModelSpec) -> SimpleNamespace:
    return SimpleNamespace(bytelap_models=hookimpl(lambda: list(specs)))


def origin(name: str) -> Origin:
    return Origin(name, "1.0", f"{name}_module")


def test_hook_models() -> None:
    registry = load_plugins([(origin("acme"), announcing(spec("acme-net")))])
    assert registry.models["acme-net"].name == "acme-net"
    assert str(registry.models.origins["acme-net"]) == "acme 1.0 (acme_module)"


@pytest.fixture
def acme(plugin: Plugin, tmp_path: Path) -> dict[str, str]:
    plugin(SOURCE)
    return {
        **plugin(HOOK_PLUGIN, module="acme_hooks", distribution="acme-hooks"),
        "ACME_LOG": str(tmp_path / "log"),
        "BYTELAP_CACHE": str(tmp_path / "cache"),
    }


@pytest.fixture
def acme_race(bench: Bench, acme: dict[str, str], write_suite: Callable[..., Path], tmp_path: Path) -> Path:
    """A race on the plugin's corpus, tokenizer and executor; returns the suite."""
    suite = write_suite(
        corpus="acme-text", tokenizers=["byte-copy"], entrants=[{"model": "counter"}], budget={"steps": 5}
    )
    done = bench("run", str(suite), "--executor", "acme-cluster", env=acme)
    assert done.returncode == 0, done.stdout + done.stderr
    return suite


def test_hook_corpora_and_everything_else_in_one_race(bench: Bench, acme: dict[str, str], acme_race: Path) -> None:
    listed = json.loads(bench("list", "corpora", "--json", env=acme).stdout)
    assert any(item["name"] == "acme-text" and "acme-hooks 1.0" in item["origin"] for item in listed)


def test_hook_tokenizers(bench: Bench, acme: dict[str, str]) -> None:
    listed = json.loads(bench("list", "tokenizers", "--json", env=acme).stdout)
    assert any(item["name"] == "byte-copy" for item in listed)


def test_hook_executors(acme_race: Path, tmp_path: Path) -> None:
    assert "executor\n" in (tmp_path / "log").read_text()


def test_hook_run_finished(acme_race: Path, tmp_path: Path) -> None:
    assert "finished counter completed\n" in (tmp_path / "log").read_text()


def test_hook_sections(bench: Bench, acme: dict[str, str], acme_race: Path, tmp_path: Path) -> None:
    done = bench("report", str(acme_race), env=acme)
    assert done.returncode == 0, done.stderr
    assert "A section of the acme plugin." in (tmp_path / "reports" / "small" / "README.md").read_text()


def test_two_packages_with_one_name_are_both_named() -> None:
    registry = load_plugins([(origin("acme"), announcing(spec("net"))), (origin("other"), announcing(spec("net")))])
    with pytest.raises(BytelapError, match=r"'net' is announced by both acme 1.0 .* and other 1.0"):
        _ = registry.models


def test_stranger_cannot_take_the_name_of_a_built_in() -> None:
    registry = load_plugins([(origin("acme"), announcing(spec("ngram")))])
    with pytest.raises(BytelapError, match=r"'ngram' is announced by both"):
        _ = registry.models


@pytest.mark.parametrize("answer", [lambda: 1 / 0, lambda: None, lambda: [object()]], ids=["raises", "none", "junk"])
def test_hook_that_misbehaves_is_reported_and_skipped(answer: Callable[[], object]) -> None:
    registry = load_plugins([(origin("acme"), SimpleNamespace(bytelap_models=hookimpl(answer)))])
    assert "ngram" in registry.models.specs
    assert [str(broken.origin) for broken in registry.models.broken] == ["acme 1.0 (acme_module)"]


@pytest.mark.parametrize(
    "changes",
    [{"config": int}, {"config": None}, {"summary": 5}, {"load": None}, {"requires": "torch"}, {"name": "../x"}],
    ids=str,
)
def test_specification_that_is_not_one_is_reported_and_skipped(changes: dict[str, object]) -> None:
    name = str(changes.pop("name", "net"))
    registry = load_plugins([(origin("acme"), announcing(spec(name, **changes)))])
    assert name not in registry.models.specs
    assert [str(broken.origin) for broken in registry.models.broken] == ["acme 1.0 (acme_module)"]


def test_misspelt_hook_is_reported() -> None:
    def announce() -> list[ModelSpec]:
        return []

    registry = load_plugins([(origin("acme"), SimpleNamespace(bytelap_modles=hookimpl(announce)))])
    assert [str(broken.origin) for broken in registry.broken] == ["acme 1.0 (acme_module)"]
    assert "bytelap_modles" in registry.broken[0].reason


def test_unknown_name_brings_the_nearest() -> None:
    with pytest.raises(BytelapError, match=r"unknown model 'ngrm': did you mean ngram"):
        _ = load_plugins().models["ngrm"]


def test_create_model_checks_options_and_requirements() -> None:
    registry = load_plugins([(origin("acme"), announcing(spec("net", requires=("no_such_package",))))])
    with pytest.raises(Unavailable, match="no_such_package"):
        create_model("net", {}, BYTES, 0, "cpu", registry)
    with pytest.raises(BytelapError, match=r"ngram: config key 'ordr'"):
        create_model("ngram", {"ordr": 3}, BYTES, 0, "cpu")
    assert create_model("uniform", {}, BYTES, 0, "cpu").size().parameters == 0
