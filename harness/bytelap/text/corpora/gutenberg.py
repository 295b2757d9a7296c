"""`gutenberg:<ids>`: books of Project Gutenberg by number, for example `gutenberg:1342+219+84`.

Headers and footers are edited now and then, so it is the body between the START and END markers that is hashed. The
hash seen first is kept in the cache, and a body that has changed since is refused.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from pydantic import ConfigDict, Field, model_validator

from bytelap.errors import BytelapError
from bytelap.text.cache import cache_directory, write_file
from bytelap.text.corpora.download import DownloadConfig, download
from bytelap.text.corpora.wheels import normalise
from bytelap.text.corpus import Corpus, SplitName
from bytelap.text.prepare import prepare_corpus

LICENCE = "public domain in the USA (Project Gutenberg); check the law where you are"
_BASE = "https://www.gutenberg.org/cache/epub"
_READER = 1
_IDS = r"^[1-9]\d*(\+[1-9]\d*)*$"
_START = re.compile(rb"\*\*\*\s*START OF TH(?:E|IS) PROJECT GUTENBERG EBOOK.*?\*\*\*", re.DOTALL)
_END = re.compile(rb"\*\*\*\s*END OF TH(?:E|IS) PROJECT GUTENBERG EBOOK")
_TITLE = re.compile(rb"^Title: *(\S[^\r\n]*)", re.MULTILINE)


class GutenbergConfig(DownloadConfig):
    """Which books, and which of them are held out."""

    model_config = ConfigDict(coerce_numbers_to_str=True)

    ids: str = Field(pattern=_IDS, description="numbers of the books, joined by +")
    validation: str | None = Field(
        None, pattern=_IDS, description="numbers of the validation books (default: the last but one)"
    )
    test: str | None = Field(None, pattern=_IDS, description="numbers of the test books (default: the last)")

    @model_validator(mode="after")
    def _check(self) -> Self:
        books, held_out = _numbers(self.ids), _numbers(self.validation) + _numbers(self.test)
        if len(set(books)) < max(len(books), 3):
            raise ValueError("it takes at least three different books, for example gutenberg:1342+219+84")
        if (self.validation is None) != (self.test is None):
            raise ValueError("give both `validation` and `test`, or neither")
        if len(set(held_out)) < len(held_out) or not set(held_out) < set(books):
            raise ValueError("`validation` and `test` must be different books of `ids`, and not all of them")
        return self


def load_gutenberg(config: GutenbergConfig) -> Corpus:
    """One document per book; unless options say otherwise the last is the test, the one before it validation."""
    books = _numbers(config.ids)
    validation = _numbers(config.validation) or books[-2:-1]
    test = _numbers(config.test) or books[-1:]
    splits: dict[str, SplitName] = dict.fromkeys(books, "train")
    splits |= dict.fromkeys(validation, "validation")
    splits |= dict.fromkeys(test, "test")
    mirror = config.mirror or _BASE
    hashes = [_recorded(book) or hashlib.sha256(_fetch(book, mirror)[1]).hexdigest() for book in books]
    return prepare_corpus(
        f"gutenberg:{config.ids}", LICENCE, _documents(splits, mirror), source=f"gutenberg {_READER} {splits} {hashes}"
    )


def _documents(splits: dict[str, SplitName], mirror: str) -> Iterator[tuple[SplitName, str, bytes]]:
    for book, split in splits.items():
        title, body = _fetch(book, mirror)
        yield split, f"{title} (Gutenberg {book})", body


def _fetch(book: str, mirror: str) -> tuple[str, bytes]:
    """(title, body) of a book, compared with what was seen the first time."""
    url, name = f"{mirror.rstrip('/')}/{book}/pg{book}.txt", f"pg{book}.txt"
    cached = cache_directory() / "downloads" / name
    if cached.exists() and _recorded(book) not in (None, _body_hash(cached)):
        cached.unlink()  # damaged since it was downloaded
    path = download(url, name)
    text = path.read_bytes()
    try:
        body = extract_body(text)
    except ValueError as error:
        path.unlink()
        raise BytelapError(f"Gutenberg book {book} at {url}: {error}; it was not kept") from error
    found, recorded = hashlib.sha256(body).hexdigest(), _recorded(book)
    if recorded is None:
        write_file(_record(book), found.encode())
    elif recorded != found:
        path.unlink()
        raise BytelapError(
            f"Gutenberg book {book} at {url} has changed since it was first downloaded (SHA-256 {found}, before "
            f"{recorded}): it was not kept; to accept the new text remove {_record(book)}"
        )
    title = _TITLE.search(text)
    return (title.group(1).decode("utf-8", "replace") if title else "untitled"), body


def extract_body(text: bytes) -> bytes:
    """What stands between the START and END markers, normalised. Raises ValueError if there is no such place."""
    start = _START.search(text)
    end = _END.search(text, start.end()) if start else None
    if start is None or end is None:
        raise ValueError("the file has no START and END markers of Project Gutenberg")
    return normalise(text[start.end() : end.start()])


def _body_hash(path: Path) -> str | None:
    try:
        return hashlib.sha256(extract_body(path.read_bytes())).hexdigest()
    except ValueError:
        return None


def _record(book: str) -> Path:
    return cache_directory() / "gutenberg" / f"{book}.sha256"


def _recorded(book: str) -> str | None:
    return _record(book).read_text() if _record(book).exists() else None


def _numbers(ids: str | None) -> list[str]:
    return ids.split("+") if ids else []
