"""Writes the README's generated table of entrants: `python -m tests.docs`."""

from __future__ import annotations

import re
from pathlib import Path

from bytelap.plugins import load_plugins

README = Path(__file__).parent.parent / "README.md"


def entrants() -> str:
    """One row per built-in entrant."""
    catalogue = load_plugins().models
    rows = [
        f"| `{name}` | {spec.summary}; {spec.paper} |"
        for name, spec in catalogue.specs.items()
        if catalogue.origins[name].distribution == "bytelap"
    ]
    return "\n".join(["| entrant | what it is |", "|---|---|", *rows])


def regenerated(text: str) -> str:
    """The README with its table brought up to date."""
    return re.sub(
        r"<!-- entrants -->\n.*?<!-- /entrants -->",
        lambda _: f"<!-- entrants -->\n\n{entrants()}\n\n<!-- /entrants -->",
        text,
        flags=re.DOTALL,
    )


if __name__ == "__main__":
    README.write_text(regenerated(README.read_text(encoding="utf-8")), encoding="utf-8")
