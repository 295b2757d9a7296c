"""How figures look: colours, line styles, plain tick labels on log axes, files without dates.

The colours are told apart by people with any colour vision (after Okabe and Ito, 2008, darkened for thin lines and
text); from the eighth entrant on the line style tells as well.
"""

from __future__ import annotations

import io
import math
import re
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matplotlib.axes import Axes

INK, MUTED, FAINT, GRID, PAPER = "#1f242b", "#68707c", "#b4bac2", "#e4e7eb", "#fefefe"
COLOURS = ("#0068a8", "#cf5400", "#008f68", "#a8448c", "#b67a00", "#2e93c9", "#5b4bb5")
DASHES: Sequence[Any] = ("-", (0, (5, 2)), (0, (1.5, 1.5)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
# In the page, these colours become variables so that they can follow the reader's light or dark setting.
VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    FAINT: "--faint",
    GRID: "--grid",
    PAPER: "--paper",
    **{colour: f"--series-{index}" for index, colour in enumerate(COLOURS)},
}
# More entrants than this cannot be told apart in one figure: the best keep colour and name, the rest turn grey.
MOST_LABELLED = 21
LONGEST_LABEL = 26
SHOWN_BELOW = 0.93  # of the best score or reference: how far down an interval is followed
SMALLEST = 1e-3  # bits per byte; keeps a log axis finite
_SETTINGS: Any = {  # Any: matplotlib types its settings by name
    "svg.hashsalt": "bytelap",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 8.5,
    "text.parse_math": False,  # an entrant may be called $x$
    "text.color": INK,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.axisbelow": True,
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
    "savefig.facecolor": PAPER,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 3,
    "ytick.major.size": 0,
    "lines.solid_capstyle": "round",
}


@contextmanager
def styled() -> Iterator[None]:
    """The report's settings for as long as the block lasts; the user's own come back after it."""
    with warnings.catch_warnings(), mpl.rc_context():
        # Names in scripts that the font lacks: the page and the SVG still show them.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font", category=UserWarning)
        mpl.rcdefaults()
        mpl.rcParams.update(_SETTINGS)
        yield


def blank(width: float, height: float, right: float = 0.97) -> tuple[Figure, Axes]:
    """A figure of so many inches with one pair of axes, a light grid, and room at the right for labels."""
    figure = Figure(figsize=(width, height), dpi=100)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.62 / width, 0.55 / height, right - 0.62 / width, 1 - 0.68 / height))
    axes.grid(visible=True)
    return figure, axes


def extent(axes: Axes) -> tuple[float, float]:
    """Width and height of the plot's inside in points (1/72 inch)."""
    box = axes.get_window_extent()
    scale = 72 / axes.figure.dpi
    return box.width * scale, box.height * scale


def text_size(axes: Axes, text: str, size: float) -> tuple[float, float]:
    """Width and height in points of a text set in `size`."""
    probe = axes.text(0, 0, text, fontsize=size)
    box = probe.get_window_extent()
    probe.remove()
    scale = 72 / axes.figure.dpi
    return box.width * scale, box.height * scale


def shorten(label: str) -> str:
    """A label that fits beside a plot."""
    return label if len(label) <= LONGEST_LABEL else label[: LONGEST_LABEL - 1] + "…"


def dashed(axes: Axes, value: float) -> None:
    """A reference line."""
    axes.axhline(value, color=MUTED, linewidth=0.9, dashes=(5, 3), zorder=1.5)


def score_range(
    scores: Sequence[float], lows: Sequence[float], highs: Sequence[float], references: Sequence[float], multiple: float
) -> tuple[float, float]:
    """Ends of an axis of scores: what is near the best one, at most `multiple` times as high; wide bars are cut."""
    best = max(min(scores), SMALLEST)
    low = max(min(*lows, *references, best), SHOWN_BELOW * min([*references, best]), SMALLEST)
    high = max(min(max(*highs, best), multiple * best), *references, low)
    pad = max(1.02, math.pow(high / low, 0.05))
    return low / pad, high * pad


def colour(index: int) -> str:
    """The colour of the entrant at a place in the ranking."""
    return COLOURS[index % len(COLOURS)]


def dashes(index: int) -> Any:
    """Its line style."""
    return DASHES[index // len(COLOURS) % len(DASHES)]


def marker(index: int) -> str:
    """Its marker."""
    return MARKERS[(index + index // len(COLOURS)) % len(MARKERS)]


def plain_log(axes: Axes, which: str, low: float, high: float) -> None:
    """Make an axis logarithmic from low to high, with a few plain numbers as ticks: 2.0 2.5 3.0, or 1 10 100."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    if which == "x":
        axes.set_xscale("log")
        axes.set_xlim(low, high)
    else:
        axes.set_yscale("log")
        axes.set_ylim(low, high)
    ticks = log_ticks(low, high)
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_minor_locator(NullLocator())
    texts = dict(zip(ticks, tick_texts(ticks), strict=True))
    axis.set_major_formatter(FuncFormatter(lambda value, _: texts.get(value, "")))


def log_ticks(low: float, high: float) -> list[float]:
    """Three to nine round numbers between low and high that look well spread on a log axis."""
    decades = math.log10(high / low)
    if decades < 0.5:
        steps = [float(value) for value in MaxNLocator(7, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)]
        return [value for value in steps if low <= value <= high]
    grids = ((1, 1.5, 2, 3, 4, 5, 6, 8), (1, 2, 3, 5), (1, 2, 5), (1, 3), (1,))
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for grid in grids:
        ticks = [float(f"{digit}e{power}") for power in exponents for digit in grid]
        inside = [value for value in ticks if low <= value <= high]
        if len(inside) <= 9:
            return inside
    every = -(-len(exponents) // 8)
    return [value for power in exponents[::every] if low <= (value := float(f"1e{power}")) <= high]


def tick_texts(ticks: Sequence[float]) -> list[str]:
    """Plain numbers with equally many decimals where they are small, k, M, G where they are large."""
    if ticks and max(ticks) < 100 and min(ticks) >= 0.5:
        digits = max(len(f"{tick:.6f}".rstrip("0").partition(".")[2]) for tick in ticks)
        return [f"{tick:.{digits}f}" for tick in ticks]
    texts = []
    for tick in ticks:
        limit, unit = next(
            ((size, name) for size, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")) if tick >= size), (1.0, "")
        )
        texts.append(f"{tick / limit:.6g}{unit}")
    return texts


def png(figure: Figure) -> bytes:
    """The figure as PNG, without date or program in its metadata."""
    with styled():
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=200, metadata={"Software": None})
    return file.getvalue()


def svg(figure: Figure) -> bytes:
    """The figure as SVG, the same bytes every time."""
    with styled():
        file = io.BytesIO()
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    lines = (line.rstrip() for line in file.getvalue().decode().splitlines())
    return ("\n".join(lines) + "\n").encode()


def inline(name: str, picture: bytes) -> str:
    """An SVG file made fit for standing inside a page: scalable, own ids, colours as variables."""
    text = picture.decode()
    text = text[text.index("<svg") :]
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r'\1 width="100%" role="img"', text, count=1)
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'href="#', f'href="#{name}-', text)
    text = re.sub(r"url\(#", f"url(#{name}-", text)
    return re.sub("|".join(VARIABLES), lambda found: f"var({VARIABLES[found[0]]})", text)
