"""The rules of the house: which wing imports which, who uses what, how long things are."""

from __future__ import annotations

import ast
import resource
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

HOST = ROOT / "harness" / "bytelap"
CONTRACT = ("errors", "model", "clock", "hookspecs", "plugins")
WINGS = ("contract", "text", "evaluation", "suite", "execution", "neural", "report", "doors")
SOURCES = sorted([*HOST.rglob("*.py"), *(ROOT / "plugins").rglob("*.py")])


def wing(module: str) -> str:
    """The wing that `bytelap.x.y` belongs to."""
    name = module.split(".")[1] if "." in module else ""
    return "contract" if name in CONTRACT else name if name in WINGS else "doors"


def imports(tree: ast.AST) -> Iterator[str]:
    """Modules that are imported at run time, inside functions too; not those under `if TYPE_CHECKING`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
        else:
            yield from imports(node)


def module_name(file: Path) -> str:
    relative = file.relative_to(ROOT / ("harness" if HOST in file.parents else "plugins")).with_suffix("")
    return ".".join(part for part in relative.parts if part != "__init__")


@pytest.mark.parametrize("file", sorted(HOST.rglob("*.py")), ids=lambda file: str(file.relative_to(HOST)))
def test_wings_import_only_from_wings_before_them(file: Path) -> None:
    if file == HOST / "__init__.py":
        return  # the public surface gathers names of the contract and of text
    here = wing(module_name(file))
    for name in imports(ast.parse(file.read_text(encoding="utf-8"))):
        if name.startswith("bytelap."):
            there = wing(name)
            assert WINGS.index(there) <= WINGS.index(here), f"{here} imports {name} of {there}"
            assert there != "neural" or here in ("neural", "doors"), f"{here} imports {name}"


@pytest.mark.parametrize("file", sorted((ROOT / "plugins").rglob("*.py")), ids=lambda file: str(file.relative_to(ROOT)))
def test_built_in_plugins_use_the_public_api_only(file: Path) -> None:
    own = file.relative_to(ROOT / "plugins").parts[0]
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
            if node.module in ("bytelap", "bytelap.neural"):
                assert not any(alias.name.startswith("_") for alias in node.names)
        for name in names:
            if name.startswith("bytelap"):
                assert name in ("bytelap", "bytelap.neural") or name.split(".")[0] == own, f"{name} is not public"


def test_every_plugin_folder_has_an_entry_point_and_the_other_way_round() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = {value.split(".")[0] for value in project["entry-points"]["bytelap"].values()} - {"bytelap"}
    folders = {
        folder.name for folder in (ROOT / "plugins").iterdir() if folder.is_dir() and not folder.name.startswith("__")
    }
    assert named == folders


def test_no_package_where_none_belongs() -> None:
    for place in ("harness", "plugins"):
        assert not (ROOT / place / "__init__.py").exists()


def test_files_and_functions_are_short_and_typed() -> None:
    problems = []
    for file in SOURCES:
        text = file.read_text(encoding="utf-8")
        where = file.relative_to(ROOT)
        if len(text.splitlines()) > 300:
            problems.append(f"{where}: {len(text.splitlines())} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > 45:
                    problems.append(f"{where}: {node.name} has {length} lines")
                if node.returns is None:
                    problems.append(f"{where}: {node.name} has no return type")
        if file.stem in ("utils", "helpers", "misc", "common"):
            problems.append(f"{where}: a drawer for anything")
    assert not problems, "\n".join(problems)


HEAVY = ("torch", "lightgbm", "pandas", "matplotlib", "sklearn", "scipy")


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["run", "--help"],
        ["list", "models"],
        ["list", "corpora"],
        ["list", "suites"],
        ["list", "tokenizers"],
    ],
    ids=" ".join,
)
def test_commands_that_train_nothing_import_nothing_heavy(words: list[str]) -> None:
    code = (
        "import sys\nfrom bytelap.cli import main\n"
        f"sys.argv = ['bench', *{words!r}]\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        f"heavy = [name for name in {HEAVY!r} if name in sys.modules]\nassert not heavy, heavy\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr


def test_importing_bytelap_runs_no_plugin() -> None:
    code = "import sys, bytelap\nassert not [name for name in sys.modules if name.startswith('bytelap_')]"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


def test_every_public_name_is_there() -> None:
    import bytelap

    for name in bytelap.__all__:
        assert getattr(bytelap, name).__module__.startswith(("bytelap", "pluggy")), name
    with pytest.raises(AttributeError):
        _ = bytelap.no_such_name


def test_help_is_quick() -> None:
    """Least CPU time of five; the bound leaves room for a slow machine."""
    least = float("inf")
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "bytelap", "--help"], stdout=subprocess.DEVNULL, check=True, timeout=60)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        least = min(least, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert least < 0.6
