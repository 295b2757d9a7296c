"""What a section of the report is, and the built-in ones. A plugin adds its own by the hook `bytelap_sections`.

@hookimpl
def bytelap_sections():
    return [SectionSpec(name="energy", title="Energy", order=35, render=render_energy)]

def render_energy(report: Report) -> Sequence[Block]:       # text, tables and figures, see `blocks.py`
    return [Paragraph(f"{len(report.runs)} runs were metered.")]
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bytelap.hookspecs import hookimpl

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bytelap.report.blocks import Block
    from bytelap.report.races import Report


@dataclass(frozen=True)
class SectionSpec:
    """One section of the report as a plugin announces it."""

    name: str
    """Lower case, digits and hyphens; also the anchor in the page."""
    title: str
    order: int
    """Sections appear from the smallest to the largest; built-in ones are 10, 20, … 60."""
    render: Callable[[Report], Sequence[Block]]
    """Builds its content; heavy packages are imported inside. If it raises, the report says so in its place."""


def _results(report: Report) -> Sequence[Block]:
    from bytelap.report.tables import results

    return results(report)


def _curves(report: Report) -> Sequence[Block]:
    from bytelap.report.figures import curves

    return curves(report)


def _size(report: Report) -> Sequence[Block]:
    from bytelap.report.figures import sizes

    return sizes(report)


def _validity(report: Report) -> Sequence[Block]:
    from bytelap.report.tables import validity

    return validity(report)


def _ledger(report: Report) -> Sequence[Block]:
    from bytelap.report.tables import ledger

    return ledger(report)


def _repeat(report: Report) -> Sequence[Block]:
    from bytelap.report.tables import repeat

    return repeat(report)


@hookimpl
def bytelap_sections() -> Sequence[SectionSpec]:
    """The built-in sections."""
    return [
        SectionSpec("results", "Results", 10, _results),
        SectionSpec("curves", "Learning curves", 20, _curves),
        SectionSpec("size", "Score against size", 30, _size),
        SectionSpec("validity", "Validity and notes", 40, _validity),
        SectionSpec("ledger", "Where the time went", 50, _ledger),
        SectionSpec("repeat", "How to repeat it", 60, _repeat),
    ]
