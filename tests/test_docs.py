"""Documentation that cannot drift: commands, hooks, entrants, links and snippets are checked against the code."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
import typer

from bytelap import hookspecs
from bytelap.cli import app
from bytelap.plugins import load_plugins
from bytelap.suite.loader import loads
from bytelap.suite.schema import Suite, read_suite
from tests.conftest import ROOT, Bench, Plugin
from tests.docs import regenerated

README = (ROOT / "README.md").read_text(encoding="utf-8")
PLUGINS = (ROOT / "plugins" / "README.md").read_text(encoding="utf-8")
HOOKS = sorted(name for name in vars(hookspecs) if name.startswith("bytelap_"))
COMMANDS = sorted(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


def test_readme_has_exactly_the_two_commands() -> None:
    lines = re.findall(r"^\s*(pip install -c constraints\.txt.*)$", README, re.MULTILINE)
    assert lines == [
        "pip install -c constraints.txt -e . && bench run suites/smoke.yaml && bench report suites/smoke.yaml",
        "pip install -c constraints.txt -e '.[test]' && pytest",
    ]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_in_the_readme_and_has_help(command: str) -> None:
    assert re.search(rf"`bench {command}\b", README)
    assert typer.main.get_command(app).commands[command].help  # type: ignore[attr-defined]


def test_readme_names_no_command_that_does_not_exist() -> None:
    assert set(re.findall(r"`bench (\w+)", README)) <= set(COMMANDS)


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_documented_and_has_a_test(hook: str) -> None:
    assert f"`{hook}`" in PLUGINS
    assert getattr(hookspecs, hook).__doc__
    tests = "\n".join(file.read_text(encoding="utf-8") for file in (ROOT / "tests").rglob("test_*.py"))
    assert f"def test_hook_{hook.removeprefix('bytelap_')}" in tests


def test_there_are_six_hooks_on_one_screen() -> None:
    assert len(HOOKS) == 6
    assert len((ROOT / "harness/bytelap/hookspecs.py").read_text(encoding="utf-8").splitlines()) <= 65


def test_table_of_entrants_is_current() -> None:
    assert regenerated(README) == README, "run `python -m tests.docs`"


def test_every_option_of_every_entrant_is_described() -> None:
    for name, spec in load_plugins().models.specs.items():
        assert spec.summary, name
        assert spec.paper, name
        for option, info in spec.config.model_fields.items():
            assert info.description, f"{name}.{option}"


@pytest.mark.parametrize("page", ["README.md", "plugins/README.md", "CONTRIBUTING.md"])
def test_links_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        if "://" not in target:
            assert ((ROOT / page).parent / target).exists(), target


@pytest.mark.parametrize("file", sorted((ROOT / "suites").glob("*.yaml")), ids=lambda file: file.name)
def test_every_suite_is_valid_and_names_only_what_exists(file: Path) -> None:
    suite, _ = read_suite(file)
    assert suite.name == file.stem
    catalogue = load_plugins().models
    for entrant in suite.entrants:
        options = {**entrant.config, **{key: values[0] for key, values in entrant.grid.items()}}
        catalogue[entrant.model].config.model_validate(options)
    assert file.read_text(encoding="utf-8").startswith("# "), "the first comment is what `bench list suites` shows"


def test_smoke_suite_has_every_built_in_entrant() -> None:
    suite, _ = read_suite(ROOT / "suites" / "smoke.yaml")
    assert {entrant.model for entrant in suite.entrants} >= set(load_plugins().models.specs)
    assert suite.tokenizers == ["byte", "bpe-1024"]


def test_yaml_snippets_of_the_readme_are_valid_suites() -> None:
    snippets = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    assert snippets
    for snippet in snippets:
        Suite.model_validate(loads(snippet, "README.md").value)
    for mapping in re.findall(r"`corpus: (\{.*?\})`", README):
        assert loads(mapping, "README.md").value["name"] == "file"


def test_plugin_of_the_documentation_runs(bench: Bench, plugin: Plugin, tmp_path: Path, books: Path) -> None:
    (source,) = re.findall(r"<!-- plugin -->\n```python\n(.*?)```", PLUGINS, re.DOTALL)
    (project,) = re.findall(r"```toml\n(.*?)```", PLUGINS, re.DOTALL)
    assert tomllib.loads(project)["project"]["entry-points"]["bytelap"] == {"acme_bigram": "acme_bigram"}
    suite = tmp_path / "bigram.yaml"
    suite.write_text(
        f"name: bigram\ncorpus: 'file:{books}/*.txt'\nbudget: {{steps: 40}}\n"
        "entrants: [{model: bigram}, {model: unigram}]\n"
    )
    done = bench("run", str(suite), "--json", env=plugin(source, module="acme_bigram", distribution="acme-bigram"))
    assert done.returncode == 0, done.stdout + done.stderr
    bits = {line["entrant"]: line["bits_per_byte"] for line in map(json.loads, done.stdout.splitlines())}
    assert bits["bigram"] < bits["unigram"] < 8
