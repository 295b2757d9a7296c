"""Makes a report and puts it in its place: README.md, index.html, results.csv and figures, all or none."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from bytelap.errors import BytelapError
from bytelap.report.blocks import Block, Paragraph, Picture, sentence
from bytelap.report.sections import SectionSpec, bytelap_sections

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from bytelap.execution.store import StoredRun
    from bytelap.report.references import ReferenceLine

FIGURES = "figures"


def write_report(
    runs: Iterable[StoredRun],
    directory: Path,
    reference_lines: Sequence[ReferenceLine] = (),
    *,
    suite: str = "suites/<name>.yaml",
    sections: Iterable[SectionSpec] | None = None,
) -> Path:
    """Write the report of `runs` into `directory` and return the path of its README.md.

    Everything is made before anything is replaced: a report that fails leaves the old one as it was. Other files in
    `directory` are left alone; in its `figures/`, pictures of an earlier report that are no longer made are removed.

    Args:
        runs: what `read_runs` returned.
        reference_lines: see `references.reference_lines`; lines of other corpora are passed over.
        suite: the suite's path, as typed; the report ends with the command that repeats it.
        sections: what the hook `bytelap_sections` gave; None: the built-in ones.

    Raises:
        BytelapError: there are no runs, or the directory cannot be written.
    """
    files = build(runs, reference_lines, suite, bytelap_sections() if sections is None else sections)
    try:
        _replace(directory, files)
    except OSError as error:
        raise BytelapError(
            f"cannot write the report to {directory}: {error.strerror or error}; make room or choose another place"
        ) from error
    return directory / "README.md"


def build(
    runs: Iterable[StoredRun], reference_lines: Sequence[ReferenceLine], suite: str, specs: Iterable[SectionSpec]
) -> dict[str, bytes]:
    """The report's files by their path in its directory."""
    from bytelap.report import page, style
    from bytelap.report.csvfile import results_csv
    from bytelap.report.races import compare

    report = compare(runs, reference_lines, suite)
    sections: list[page.Section] = []
    files: dict[str, bytes] = {}
    inlined: dict[str, str] = {}
    for spec in sorted(specs, key=lambda spec: (spec.order, spec.name)):
        try:
            blocks = list(spec.render(report))
            if not all(isinstance(block, Block) for block in blocks):
                raise TypeError("a section is made of the blocks in bytelap.report.blocks")
            drawn = [block for block in blocks if isinstance(block, Picture)]
            _check_names([*inlined, *(block.name for block in drawn)])
            pictures = {block.name: (style.svg(block.drawing), style.png(block.drawing)) for block in drawn}
        except Exception as error:
            told = sentence(f"This section could not be made: {type(error).__name__}: {error}")
            failed: list[Block] = [Paragraph(told, "warning")]
            sections.append(page.Section(spec.name, spec.title, failed))
            continue
        for name, (svg, png) in pictures.items():
            inlined[name] = style.inline(name, svg)
            files[f"{FIGURES}/{name}.svg"], files[f"{FIGURES}/{name}.png"] = svg, png
        sections.append(page.Section(spec.name, spec.title, blocks))
    title = f"Results of {report.title}"
    files["results.csv"] = results_csv(report.runs).encode()
    files["index.html"] = page.html(title, sections, inlined).encode()
    files["README.md"] = page.markdown(title, sections).encode()
    return files


def _check_names(names: Sequence[str]) -> None:
    for index, name in enumerate(names):
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name):
            raise ValueError(f"a figure's name has lower case, digits and hyphens only, not {name!r}")
        if name in names[:index]:
            raise ValueError(f"two figures are called {name!r}")


def _replace(directory: Path, files: Mapping[str, bytes]) -> None:
    """Write everything beside its place first, then rename file by file; the README comes last."""
    (directory / FIGURES).mkdir(parents=True, exist_ok=True)
    staged: list[tuple[Path, Path]] = []
    try:
        for name, data in files.items():
            final = directory / name
            temporary = final.with_name(f".{final.name}.new")
            staged.append((temporary, final))
            _write_through(temporary, data)
        for temporary, final in staged:
            temporary.replace(final)
    finally:
        for temporary, _ in staged:
            temporary.unlink(missing_ok=True)
    kept = {directory / name for name in files}
    for old in (directory / FIGURES).iterdir():
        if old.suffix in (".png", ".svg") and old not in kept:
            old.unlink()


def _write_through(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
