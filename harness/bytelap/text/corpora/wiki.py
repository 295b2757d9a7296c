"""`wiki`: 106 articles of the English Wikipedia as wikitext, 5.7 MB, like enwik8 but of a later dump."""

from __future__ import annotations

import bz2
import hashlib
import io
import zipfile
from collections.abc import Iterator

from bytelap.errors import BytelapError
from bytelap.text.corpora.wheels import Wheel
from bytelap.text.corpus import Corpus, CorpusConfig, SplitName
from bytelap.text.prepare import prepare_corpus

LICENCE = "CC BY-SA, Wikipedia authors; read from the wheel gensim 4.4.0 (LGPL-2.1)"
WHEEL = Wheel("gensim", "4.4.0")  # another file on every platform, so the text inside is pinned instead
MEMBER = "gensim/test/test_data/enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2"
XML_SHA256 = "34c1c63050c87cc8477b9ae36b1cb0edf372612c92938b742e579a7109c20fa4"
_TAG = "{http://www.mediawiki.org/xml/export-0.10/}"
_READER = 1


def load_wiki(config: CorpusConfig) -> Corpus:
    """One document per article, redirects left out; split by the hash of the title."""
    return prepare_corpus("wiki", LICENCE, _documents(), source=f"wiki {_READER} {XML_SHA256}")


def split_of(title: str) -> SplitName:
    """About 90 % of the titles are training, 5 % validation, 5 % test."""
    place = int.from_bytes(hashlib.sha256(title.encode()).digest()[:8], "big") / 2**64
    return "train" if place < 0.90 else "validation" if place < 0.95 else "test"


def _documents() -> Iterator[tuple[SplitName, str, bytes]]:
    path = WHEEL.fetch()
    try:
        with zipfile.ZipFile(path) as wheel:
            xml = bz2.decompress(wheel.read(MEMBER))
    except (zipfile.BadZipFile, KeyError, OSError, ValueError) as error:
        raise BytelapError(f"corpus 'wiki': {path} cannot be read ({error}): remove it and run again") from error
    found = hashlib.sha256(xml).hexdigest()
    if found != XML_SHA256:
        raise BytelapError(
            f"corpus 'wiki': the articles in {path.name} have SHA-256 {found}, not the expected {XML_SHA256}: "
            f"remove {path} and check the package index that pip is set to"
        )
    for title, text in _articles(xml):
        yield split_of(title), title, text.encode() + b"\n"


def _articles(xml: bytes) -> Iterator[tuple[str, str]]:
    """(title, wikitext) of every page in the main namespace that is not a redirect."""
    from xml.etree import ElementTree  # of a file whose hash was just checked

    for _, page in ElementTree.iterparse(io.BytesIO(xml)):
        if page.tag != f"{_TAG}page":
            continue
        title, text = page.findtext(f"{_TAG}title"), page.findtext(f"{_TAG}revision/{_TAG}text")
        if page.findtext(f"{_TAG}ns") == "0" and page.find(f"{_TAG}redirect") is None and title and text:
            yield title, text
        page.clear()
