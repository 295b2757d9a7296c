"""`enwik8`, `text8` and `tinyshakespeare`: well-known single files, downloaded, cut in the customary 90/5/5."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from bytelap.text.corpora.download import DownloadConfig, download
from bytelap.text.corpus import Corpus, CorpusSpec, SplitName
from bytelap.text.prepare import prepare_corpus

_READER = 1
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Archive:
    """One file of text at a URL, plain or inside a zip."""

    name: str
    base: str
    """URL of the directory that holds it; the option `mirror` replaces it."""
    file: str
    sha256: str
    """Of the file as downloaded."""
    licence: str
    summary: str
    member: str | None = None
    """The text's name inside the zip."""

    def load(self, config: DownloadConfig) -> Corpus:
        """The first 90 % of the bytes are training, the next 5 % validation, the last 5 % test; one document each."""
        source = f"{self.name} {_READER} {self.sha256} {self.member}"
        return prepare_corpus(self.name, self.licence, self._documents(config), source=source)

    @property
    def spec(self) -> CorpusSpec:
        """What the plugin announces."""
        load: Callable[[DownloadConfig], Corpus] = self.load
        return CorpusSpec(self.name, DownloadConfig, load, self.summary, self.licence)

    def _documents(self, config: DownloadConfig) -> Iterator[tuple[SplitName, str, Iterator[bytes]]]:
        url = f"{(config.mirror or self.base).rstrip('/')}/{self.file}"
        path = download(url, f"{self.name}{Path(self.file).suffix}", self.sha256)
        if self.member is None:
            with path.open("rb") as text:
                yield from self._cut(text, path.stat().st_size)
        else:
            with zipfile.ZipFile(path) as archive, archive.open(self.member) as text:
                yield from self._cut(cast("BinaryIO", text), archive.getinfo(self.member).file_size)

    def _cut(self, text: BinaryIO, size: int) -> Iterator[tuple[SplitName, str, Iterator[bytes]]]:
        first, second = size * 90 // 100, size * 95 // 100
        yield "train", f"{self.name}, first 90 %", _blocks(text, first)
        yield "validation", f"{self.name}, next 5 %", _blocks(text, second - first)
        yield "test", f"{self.name}, last 5 %", _blocks(text, size - second)


def _blocks(text: BinaryIO, length: int) -> Iterator[bytes]:
    """The next `length` bytes."""
    while length and (block := text.read(min(_BLOCK, length))):
        length -= len(block)
        yield block


ARCHIVES = (
    Archive(
        name="enwik8",
        base="http://mattmahoney.net/dc",
        file="enwik8.zip",
        sha256="547994d9980ebed1288380d652999f38a14fe291a6247c157c3d33d4932534bc",
        licence="CC BY-SA and GFDL, Wikipedia authors",
        summary="the first 100 MB of an English Wikipedia dump of 2006, cut 90/5/5 MB; downloads 36 MB",
        member="enwik8",
    ),
    Archive(
        name="text8",
        base="http://mattmahoney.net/dc",
        file="text8.zip",
        sha256="a6640522afe85d1963ad56c05b0ede0a0c000dddc9671758a6cc09b7a38e5232",
        licence="CC BY-SA and GFDL, Wikipedia authors",
        summary="100 MB of Wikipedia reduced to the letters a to z and spaces, cut 90/5/5 MB; downloads 31 MB",
        member="text8",
    ),
    Archive(
        name="tinyshakespeare",
        base="https://raw.githubusercontent.com/karpathy/char-rnn/6f9487a6fe5b420b7ca9afb0d7c078e37c1d1b4e/data/tinyshakespeare",
        file="input.txt",
        sha256="86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
        licence="public domain text; file of the char-rnn repository (MIT)",
        summary="1.1 MB of Shakespeare's plays as in char-rnn and nanoGPT, cut 90/5/5; downloads 1.1 MB",
    ),
)
