"""docs/BENCHMARKS.md: sections that are measured one without the other, then what people write.

Keeps: a run replaces the sections that it measured and leaves every other word as it was; everything from the line
"notes" on belongs to people.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

NOTES: Final = "<!-- notes -->"
SECTIONS: Final = ("crediting", "scale", "auditing", "serving")
"""In the order of the document."""

_TITLE = """# Benchmarks

<!-- Made by `make bench`. Each section is written anew by the runs that measure it (`make bench ARGS="--only scale"`
measures one alone); what stands below the line "notes" is kept. -->"""


def document(measured: Mapping[str, str], former: str) -> str:
    """The document with these sections (by name) instead of the former ones."""
    body, marker, notes = former.partition(NOTES)
    kept = _sections(body)
    parts = [_TITLE]
    for name in SECTIONS:
        text = measured.get(name) or kept.get(name)
        if text:
            parts.append(f"{_line(name)}\n\n{text.strip()}")
    return "\n\n".join(parts) + f"\n\n{NOTES}{notes if marker else chr(10)}"


def _sections(body: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in reversed(SECTIONS):
        body, line, text = body.partition(_line(name))
        if line:
            found[name] = text
    if not found and body.strip():
        # Made before there were sections: all of it, without its title, is about crediting.
        found["crediting"] = body.partition("-->")[2]
    return found


def _line(name: str) -> str:
    return f"<!-- section: {name} -->"
