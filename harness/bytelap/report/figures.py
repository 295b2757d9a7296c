"""The sections in pictures: learning curves, and the final score against parameters and state size."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bytelap.report import style
from bytelap.report.blocks import Block, Heading, Paragraph, Picture
from bytelap.report.curves import draw_curves, seed_curves
from bytelap.report.scatter import Mark, draw_sizes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bytelap.report.races import Race, Report

SIZES = (
    ("parameters", "score-by-parameters", "learned parameters"),
    ("state_size", "score-by-state-size", "state size (numbers carried from one step to the next)"),
)


def curves(report: Report) -> Sequence[Block]:
    """Validation bits per byte over training seconds, one figure a race."""
    blocks: list[Block] = []
    for race in report.races:
        if len(report.races) > 1:
            blocks.append(Heading(race.title))
        lines = [(place, entry.label, seed_curves(entry)) for place, entry in enumerate(race.ranked)]
        shown = [line for line in lines if line[2]]
        if not shown:
            blocks.append(Paragraph("No ranked run has a learning curve."))
            continue
        with style.styled():
            drawing = draw_curves(race, shown)
        several = any(len(found) > 1 for _, _, found in shown)
        caption = (
            f"Validation bits per byte over training time ({race.title}), both axes logarithmic; lower is better. "
            + ("Thick lines are means over seeds, thin lines single seeds. " if several else "")
            + "A dotted line leads from an entrant's last measurement to the end of the budget; ↑ ends above the plot."
            + (" Dashed: what compressors reach on the test text." if race.measured_references else "")
            + _left_out(len(shown))
        )
        alternative = f"Learning curves of {len(shown)} entrants; {shown[0][1]} has the best test score."
        blocks.append(Picture(_name("learning-curves", race), drawing, alternative, caption))
    return blocks


def sizes(report: Report) -> Sequence[Block]:
    """Final bits per byte against parameters and against state size, two figures a race."""
    blocks: list[Block] = []
    for race in report.races:
        if len(report.races) > 1:
            blocks.append(Heading(race.title))
        for metric, file, title in SIZES:
            marks = _marks(race, metric)
            if not marks:
                blocks.append(Paragraph(f"No ranked run says its {title}."))
                continue
            with style.styled():
                drawing = draw_sizes(race, marks, title)
            caption = (
                f"Test bits per byte against {title}, {race.title}; both axes logarithmic, lower is better. "
                + ("Bars are 95 % intervals. " if any(mark.score.high > mark.score.low for mark in marks) else "")
                + "The grey steps join the entrants that no smaller one beats; ↑ lies above the plot."
                + _left_out(len(marks))
            )
            alternative = f"Final score of {len(marks)} entrants against {title}."
            blocks.append(Picture(_name(file, race), drawing, alternative, caption))
    return blocks


def _marks(race: Race, metric: str) -> list[Mark]:
    """The ranked entrants whose size is known."""
    marks = []
    for place, entry in enumerate(race.ranked):
        size = entry.mean(metric)
        if size is not None and size >= 0 and entry.score is not None:
            marks.append(Mark(place, entry.label, size, entry.score))
    return marks


def _name(name: str, race: Race) -> str:
    return f"{name}-{race.slug}" if race.slug else name


def _left_out(entrants: int) -> str:
    return f" The best {style.MOST_LABELLED} of {entrants} are named." if entrants > style.MOST_LABELLED else ""
