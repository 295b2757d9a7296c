"""The report as files: complete, escaped, repeatable, and never half-written."""

from __future__ import annotations

import io
import resource
import subprocess
import sys
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from markdown_it import MarkdownIt

from bytelap.errors import BytelapError
from bytelap.report.blocks import Block, Paragraph, Picture, Row, Table, clean
from bytelap.report.csvfile import COLUMNS
from bytelap.report.references import ReferenceLine
from bytelap.report.sections import SectionSpec, bytelap_sections
from bytelap.report.style import blank, styled
from bytelap.report.write import write_report
from tests.report.runs import load, rewrite, write_run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bytelap.report.races import Report

PUBLISHED = [
    "suite",
    "corpus",
    "tokenizer",
    "entrant",
    "model",
    "seed",
    "status",
    "reason",
    "bits_per_byte",
    "validation_bits_per_byte",
    "nats_per_token",
    "parameters",
    "state_size",
    "tokens_seen",
    "bytes_seen",
    "epochs",
    "train_seconds",
    "budget_seconds",
    "clock",
    "bytes_per_second",
    "evaluation_bytes_per_second",
    "model_bytes",
    "peak_memory_bytes",
    "test_bytes",
    "disturbed",
    "run_id",
]
HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "a|b||c",
    "![x](http://evil.example/x.png)",
    "[click](javascript:alert(1))",
    "`code` **bold** _it_ ~~gone~~ a_b_c",
    "&lt;b&gt; &amp; <!-- gone -->",
    "$x^2$ and \\| \\",
    "line\nbreak\r\n# heading",
    "1. list",
    "- item",
    "{{ 7 * 7 }}{% raw %}",
    "</svg></td></table><script>",
    "]]> <![CDATA[",
    "\u202egnp.exe \x07\x1b[31m",
    "日本語 🐌",
]
REFERENCES = (
    ReferenceLine("xz -9e", "0123456789abcdef", 40_960, 2.33),
    ReferenceLine("PPMd order 8", "0123456789abcdef", 40_960, None, "not measured: too long"),
)


class Page(HTMLParser):
    """Collects the elements, the attributes and the texts of table cells."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self._cell = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
            self._cell = True

    def handle_endtag(self, tag: str) -> None:
        self._cell = self._cell and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self._cell:
            self.rows[-1][-1] += data

    @property
    def tags(self) -> set[str]:
        return {tag for tag, _ in self.elements}


def rendered(markdown: str) -> Page:
    """Markdown as a reader's program shows it, raw HTML let through."""
    return Page(MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(markdown))


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    root = tmp_path / "runs"
    for seed in (1, 2):
        write_run(root, "gpt", 2.1 + seed / 100, seed)
        write_run(root, "ngram", 2.075, seed, disturbed="load average 3.1" if seed == 2 else "")
    write_run(root, "cheat", 0.5, status="invalid", reason="not causal at byte 300")
    write_run(root, "gone", None, status="unavailable", reason="needs mamba_ssm")
    return root


def test_report_has_all_its_files_and_says_what_was_raced(runs: Path, tmp_path: Path):
    readme = write_report(load(runs), tmp_path / "out", REFERENCES, suite="suites/byte_1min.yaml")
    made = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*"))
    figures = ["learning-curves", "score-by-parameters", "score-by-state-size"]
    expected = [f"figures/{name}.{ending}" for name in figures for ending in ("png", "svg")]
    assert made == sorted(["README.md", "index.html", "results.csv", *expected])
    text = readme.read_text()
    for fact in (
        "prose, hash 0123456789abcdef, licence: public domain",
        "40,960 bytes",
        "60 s (wall)",
        "Example CPU 3000, 2 cores, cpu, 1 thread a run",
        "bench run suites/byte_1min.yaml && bench report suites/byte_1min.yaml",
        "PPMd order 8: not measured: too long",
        "load average 3.1",
    ):
        assert fact in text, fact
    assert "could not be made" not in text


def test_table_ranks_groups_seeds_and_shows_references_and_failures(runs: Path, tmp_path: Path):
    page = rendered(write_report(load(runs), tmp_path / "out", REFERENCES).read_text())
    table = page.rows[: next(index for index, row in enumerate(page.rows) if row[1] == "gone") + 1]
    assert table[0][:6] == ["rank", "entrant", "tokenizer", "bits per byte", "95 % interval", "seeds"]
    assert [row[:2] for row in table[1:]] == [
        ["1", "ngram"],
        ["2", "gpt"],
        ["–", "xz -9e"],
        ["–", "cheat"],
        ["–", "gone"],
    ]
    assert [row[3] for row in table[1:]] == ["2.0750 †", "2.1150", "2.3300", "(0.5000)", "–"]
    assert [row[-1] for row in table[1:]] == [
        "completed",
        "completed",
        "compressor; adapts while reading",
        "invalid: not causal at byte 300",
        "unavailable: needs mamba_ssm",
    ]
    assert all(len(row) == len(table[0]) for row in table)


def test_a_subset_of_the_test_text_is_said_in_numbers(tmp_path: Path):
    root = tmp_path / "runs"
    write_run(root, "a", 2.0, evaluation={"limit": 40_960}, corpus={"test_bytes": 369_397})
    assert "40,960 of 369,397 bytes (a subset)" in write_report(load(root), tmp_path / "out").read_text()


def test_hostile_text_stays_text_in_markdown_and_html(tmp_path: Path):
    root = tmp_path / "runs"
    for index, text in enumerate(HOSTILE):
        run = write_run(root, f"e{index}", 2.0 + index / 100)
        rewrite(run, entrant=text, disturbed=text, notes={text: text}, suite=HOSTILE[0])
        failed = write_run(root, f"f{index}", None, status="failed")
        rewrite(failed, reason=text, config={text: text})
    page_path = write_report(load(root), tmp_path / "out", REFERENCES, suite=f"suites/{HOSTILE[0]}.yaml")
    markdown = rendered(page_path.read_text())
    page = Page((tmp_path / "out" / "index.html").read_text())
    assert markdown.tags <= {
        *("h1", "h2", "h3", "p", "ul", "li", "table", "thead", "tbody", "tr", "th", "td", "strong", "em", "img", "a"),
        *("blockquote", "pre", "code", "details", "summary"),
    }
    links = {value for _, attrs in markdown.elements for name, value in attrs.items() if name in ("src", "href")}
    assert all(value is not None and value.startswith("figures/") for value in links)
    assert not page.tags & {"script", "img", "iframe", "object", "link", "base", "form"}
    assert not [attrs for _, attrs in page.elements if any(name.startswith("on") for name in attrs)]
    for shown in (markdown, page):
        cells = {cell.strip() for row in shown.rows for cell in row}
        assert not {clean(text) for text in HOSTILE} - cells
        assert not {f"failed: {clean(text)}" for text in HOSTILE} - cells
        widths = {len(row) for row in shown.rows}
        assert widths <= {3, 4, 5, 14, 15, 16}, "no cell was torn in two"
    assert "could not be made" not in page_path.read_text()


def test_page_needs_nothing_from_outside(runs: Path, tmp_path: Path):
    write_report(load(runs), tmp_path / "out")
    page = Page((tmp_path / "out" / "index.html").read_text())
    assert sum(tag == "svg" for tag, _ in page.elements) == 3
    outside = ("src", "href", "xlink:href", "data", "action")
    targets = [value or "" for _, attrs in page.elements for name, value in attrs.items() if name in outside]
    assert all(target.startswith("#") for target in targets)
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids)), "figures do not share ids"
    assert {target[1:] for target in targets} <= set(ids)


def test_results_csv_has_the_published_columns_and_reads_back_exactly(runs: Path, tmp_path: Path):
    stored = load(runs)
    write_report(stored, tmp_path / "out")
    frame = pd.read_csv(tmp_path / "out" / "results.csv", keep_default_na=False, na_values=[""])
    assert list(frame.columns[: len(PUBLISHED)]) == PUBLISHED
    assert list(frame.columns) == list(COLUMNS)
    assert len(frame) == len(stored)
    again = frame.set_index("run_id")
    for run in stored:
        row = again.loc[run.record.run_id]
        assert row["entrant"] == run.record.entrant
        assert row["status"] == run.record.status
        for name in ("bits_per_byte", "train_seconds", "parameters", "normalisation_error", "own_step_seconds"):
            value = getattr(run.record.metrics, name)
            assert pd.isna(row[name]) if value is None else row[name] == value


def test_hostile_text_survives_in_csv(tmp_path: Path):
    root = tmp_path / "runs"
    for index, text in enumerate([*HOSTILE, 'quotes " and, commas']):
        rewrite(write_run(root, f"e{index}", 2.0), entrant=text, reason=text)
    write_report(load(root), tmp_path / "out")
    frame = pd.read_csv(io.StringIO((tmp_path / "out" / "results.csv").read_text()))
    assert set(frame["entrant"]) == {clean(text) for text in [*HOSTILE, 'quotes " and, commas']}


def test_two_writes_are_the_same_bytes(runs: Path, tmp_path: Path):
    for name in ("one", "two"):
        write_report(reversed(load(runs)) if name == "two" else load(runs), tmp_path / name, REFERENCES)
    first = {path.relative_to(tmp_path / "one"): path.read_bytes() for path in (tmp_path / "one").rglob("*.*")}
    second = {path.relative_to(tmp_path / "two"): path.read_bytes() for path in (tmp_path / "two").rglob("*.*")}
    assert first == second


def test_a_full_disk_leaves_the_old_report_as_it_was(runs: Path, tmp_path: Path):
    write_report(load(runs), tmp_path / "out")
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.*")}
    write_run(runs, "new", 1.9)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(BytelapError, match=r"cannot write the report to .*out: .*; make room"):
            write_report(load(runs), tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.*")} == before


def test_a_place_that_cannot_be_written_is_one_clear_sentence(runs: Path, tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BytelapError, match="cannot write the report"):
        write_report(load(runs), tmp_path / "file" / "out")


def test_pictures_of_an_earlier_report_go_and_other_files_stay(runs: Path, tmp_path: Path):
    write_run(runs, "gpt", 2.0, budget={"seconds": 600.0})
    write_report(load(runs), tmp_path / "out")
    assert (tmp_path / "out/figures/learning-curves-prose-600-s-wall.png").exists()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    write_report([run for run in load(runs) if run.record.budget.seconds == 60.0], tmp_path / "out")
    assert not list((tmp_path / "out" / "figures").glob("*-prose-*"))
    assert (tmp_path / "out" / "figures" / "learning-curves.png").exists()
    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"


def _energy(report: Report) -> Sequence[Block]:
    with styled():
        drawing, axes = blank(4, 3)
        axes.plot([1, 2], [3, 4])
        axes.set_title("joules <per> byte")
    table = Table(("entrant", "joules"), "lr", [Row(("<b>x|y", "3"))])
    return [Paragraph(f"{len(report.runs)} runs"), table, Picture("energy", drawing, "energy", "Energy per byte.")]


def _broken(report: Report) -> Sequence[Block]:
    raise ZeroDivisionError(f"<i>{len(report.runs)}</i>")


def test_a_plugins_section_appears_in_its_place_with_text_and_figure(runs: Path, tmp_path: Path):
    mine = SectionSpec("energy", "Energy & more", 25, _energy)
    text = write_report(load(runs), tmp_path / "out", sections=[*bytelap_sections(), mine]).read_text()
    assert text.index("## Learning curves") < text.index("## Energy") < text.index("## Score against size")
    assert (tmp_path / "out" / "figures" / "energy.svg").exists()
    page = (tmp_path / "out" / "index.html").read_text()
    assert "Energy &amp; more" in page
    assert "joules &lt;per&gt; byte" in page


def test_a_plugins_broken_section_is_said_and_spares_the_rest(runs: Path, tmp_path: Path):
    broken = SectionSpec("broken", "Broken", 1, _broken)
    clash = SectionSpec("clash", "Clash", 70, lambda report: [*_energy(report), *_energy(report)])
    odd = SectionSpec("odd", "Odd", 80, lambda report: [report.title])  # type: ignore[list-item]
    text = write_report(load(runs), tmp_path / "out", sections=[*bytelap_sections(), broken, clash, odd]).read_text()
    assert "a section is made of the blocks" in text
    assert "This section could not be made: ZeroDivisionError: &lt;i&gt;6&lt;/i&gt;" in text
    assert "two figures are called" in text
    assert "| rank | entrant |" in text


def test_no_runs_is_one_clear_sentence_and_no_file(tmp_path: Path):
    with pytest.raises(BytelapError, match="no finished runs"):
        write_report([], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_field_of_failures_still_makes_a_report(tmp_path: Path):
    write_run(tmp_path / "runs", "gone", None, status="unavailable", reason="needs mamba_ssm")
    text = write_report(load(tmp_path / "runs"), tmp_path / "out").read_text()
    assert "none: no run got that far" in text
    assert "could not be made" not in text


@pytest.mark.parametrize("references", [(), REFERENCES[:1]])
@pytest.mark.parametrize("score", [0.0, 1e6])
def test_any_score_makes_a_report(tmp_path: Path, score: float, references: tuple[ReferenceLine, ...]):
    write_run(tmp_path / "runs", "odd", score)
    text = write_report(load(tmp_path / "runs"), tmp_path / "out", references).read_text()
    assert "could not be made" not in text


def test_announcing_sections_imports_nothing_heavy():
    heavy = ["matplotlib", "pandas", "scipy", "jinja2", "torch", "lightgbm"]
    code = f"import sys, bytelap.report.sections as s; s.bytelap_sections(); print(set({heavy}) & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
