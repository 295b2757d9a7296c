"""What all tests share: real English text without a download, and the command as users run it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def english() -> bytes:
    """About half a megabyte of real English: the help topics of the Python standard library."""
    from pydoc_data.topics import topics

    return "\n\n".join(topics[name] for name in sorted(topics)).encode()


@pytest.fixture
def books(tmp_path: Path, english: bytes) -> Path:
    """A directory with six text files of real English, about 20 KB each."""
    directory = tmp_path / "books"
    directory.mkdir()
    for index in range(6):
        (directory / f"part{index}.txt").write_bytes(english[index * 20_000 : (index + 1) * 20_000])
    return directory


Bench = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Runs `bench …` as a process in an empty directory; returns what it printed and its exit status."""

    def call(
        *words: str, env: Mapping[str, str] | None = None, cwd: Path | None = None, timeout: float = 300.0
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "bytelap", *words],
            cwd=cwd or tmp_path,
            env={**os.environ, "TMPDIR": str(tmp_path), **(env or {})},  # core locks of its own
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return call


@pytest.fixture
def write_suite(tmp_path: Path, books: Path) -> Callable[..., Path]:
    """Writes a small suite on the `books` fixture; keyword arguments replace its top-level keys."""

    def write(**changes: object) -> Path:
        suite: dict[str, object] = {
            "name": "small",
            "corpus": f"file:{books}/*.txt",
            "budget": {"train": "1s"},
            "evaluation": {"curve": 3, "curve_bytes": 2000, "context": 128, "segment": 128},
            "entrants": [{"model": "unigram"}],
        }
        suite.update(changes)
        file = tmp_path / "small.yaml"
        file.write_text(json.dumps({key: value for key, value in suite.items() if value is not None}))  # JSON is YAML
        return file

    return write


Plugin = Callable[..., dict[str, str]]


@pytest.fixture
def plugin(tmp_path: Path) -> Plugin:
    """Installs a plugin as pip would (a module and its metadata on the path); returns the environment for bench."""

    def install(source: str, module: str = "acme_models", distribution: str = "acme") -> dict[str, str]:
        site = tmp_path / "site"
        metadata = site / f"{distribution.replace('-', '_')}-1.0.dist-info"
        metadata.mkdir(parents=True, exist_ok=True)
        (site / f"{module}.py").write_text(source)
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        (metadata / "entry_points.txt").write_text(f"[bytelap]\n{module} = {module}\n")
        return {"PYTHONPATH": os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])}

    return install
