"""Writes the blocks of a report as Markdown and as one self-contained HTML page. Every text is escaped here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bytelap.report.blocks import Block, Code, Facts, Heading, Paragraph, Picture, Row, Table, clean
from bytelap.report.style import COLOURS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Lighter than on paper, so that thin lines keep their contrast on a dark page.
DARK_COLOURS = ("#5cb3ea", "#ff9a5c", "#4fd0a7", "#e08cc6", "#ecb94b", "#9cd4f5", "#a99cf5")
# An underscore inside a word is only an underscore.
_MARKS = re.compile(r"([\\`*\[\]|~#!$]|(?<!\w)_|_(?!\w))")


@dataclass(frozen=True)
class Section:
    """One section, rendered to blocks."""

    name: str
    title: str
    blocks: Sequence[Block]


def escape_markdown(text: str) -> str:
    """`text` on one line such that Markdown shows exactly its characters, in a table cell too."""
    line = _MARKS.sub(r"\\\1", clean(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))
    line = line.replace("://", "&#58;//").replace("@", "&#64;")  # no link that the author did not make
    line = re.sub(r"www\.", "www&#46;", line, flags=re.IGNORECASE)
    return re.sub(r"^(\d+)([.)])(?=\s|$)", r"\1\\\2", re.sub(r"^([-+=])", r"\\\1", line))  # no list, no heading


def markdown(title: str, sections: Sequence[Section]) -> str:
    """The report as Markdown (GitHub's), figures linked as `figures/<name>.png`."""
    parts = [f"# {escape_markdown(title)}"]
    for section in sections:
        parts.append(f"## {escape_markdown(section.title)}")
        parts += [_markdown(block) for block in section.blocks]
    return "\n\n".join(parts) + "\n"


def html(title: str, sections: Sequence[Section], pictures: Mapping[str, str]) -> str:
    """The report as one page without outside resources; `pictures` are inline SVGs by name."""
    environment = Environment(loader=PackageLoader("bytelap.report", "."), autoescape=True, undefined=StrictUndefined)
    environment.filters["clean"] = clean
    environment.filters["kind"] = lambda block: type(block).__name__
    safe = {name: Markup(picture) for name, picture in pictures.items()}
    page = environment.get_template("page.html")
    return page.render(title=title, sections=sections, pictures=safe, light=COLOURS, dark=DARK_COLOURS) + "\n"


def _markdown(block: Block) -> str:
    match block:
        case Heading(text):
            return f"### {escape_markdown(text)}"
        case Paragraph(text, kind):
            return f"> **Warning.** {escape_markdown(text)}" if kind == "warning" else escape_markdown(text)
        case Facts(items):
            return "\n".join(f"- {escape_markdown(name)}: {escape_markdown(value)}" for name, value in items)
        case Table():
            return _markdown_table(block)
        case Picture(name, _, alternative, caption):
            image = f"![{escape_markdown(alternative)}](figures/{name}.png)"
            return f"{image}\n\n{escape_markdown(caption)} ([SVG](figures/{name}.svg))"
        case Code(text):
            fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", text)), 3)
            return f"{fence}sh\n{text}\n{fence}"


def _markdown_table(table: Table) -> str:
    lines = [
        _markdown_row(Row(table.columns)),
        "|" + "|".join("---:" if side == "r" else "---" for side in table.align) + "|",
    ]
    lines += [_markdown_row(row) for row in table.rows]
    if table.summary:
        summary = clean(table.summary).replace("&", "&amp;").replace("<", "&lt;")
        lines = [f"<details><summary>{summary}</summary>", "", *lines, "", "</details>"]
    return "\n".join(lines)


def _markdown_row(row: Row) -> str:
    mark = {"best": "**", "reference": "*"}.get(row.style, "")
    cells = (escape_markdown(cell) for cell in row.cells)
    return "| " + " | ".join(f"{mark}{cell}{mark}" if cell.strip() else cell for cell in cells) + " |"
