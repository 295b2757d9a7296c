"""What a section of the report is made of. Markdown and HTML are written from the same blocks.

All text is plain: the writers escape it, so that no entrant's name and no error message can break a table or
inject markup. Nothing heavy is imported here.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure as Drawing

LONGEST_SENTENCE = 240


def clean(text: str) -> str:
    """One line without control characters, direction overrides and unpaired surrogates."""
    whole = text.encode("utf-8", "replace").decode("utf-8")
    kept = (" " if char.isspace() else char for char in whole)
    return " ".join("".join(char for char in kept if unicodedata.category(char) not in ("Cc", "Cf", "Co")).split())


def sentence(text: str) -> str:
    """`text` as one line of at most LONGEST_SENTENCE characters: its first sentence if the whole is longer."""
    line = clean(text)
    if len(line) <= LONGEST_SENTENCE:
        return line
    first = re.split(r"(?<=[.!?]) ", line, maxsplit=1)[0]
    return first if len(first) <= LONGEST_SENTENCE else line[: LONGEST_SENTENCE - 1] + "…"


@dataclass(frozen=True)
class Heading:
    """A heading inside a section."""

    text: str


@dataclass(frozen=True)
class Paragraph:
    """One paragraph; a `warning` is set off so that it cannot be missed."""

    text: str
    kind: Literal["plain", "warning"] = "plain"


@dataclass(frozen=True)
class Facts:
    """Short labelled facts, one a line."""

    items: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Row:
    """One row of a table: `reference` is set in italics, `unranked` is greyed, `best` is bold."""

    cells: Sequence[str]
    style: Literal["plain", "best", "reference", "unranked"] = "plain"


@dataclass(frozen=True)
class Table:
    """A table; `align` has one letter a column, l or r. With a `summary` it is folded under that line."""

    columns: Sequence[str]
    align: str
    rows: Sequence[Row]
    summary: str = ""


@dataclass(frozen=True)
class Picture:
    """A figure; written as `figures/<name>.png` and `.svg`, and inlined in the page."""

    name: str
    """Lower case, digits and hyphens; unique in the report."""
    drawing: Drawing
    """A matplotlib figure that was made without pyplot."""
    alternative: str
    """What it shows, for those who cannot see it."""
    caption: str


@dataclass(frozen=True)
class Code:
    """A command or listing, verbatim."""

    text: str


Block: TypeAlias = Heading | Paragraph | Facts | Table | Picture | Code
