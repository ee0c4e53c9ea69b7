"""The demo catalogue: methodologies with public values, source and grade each.

Illustrative: load your own certified table.
"""

from __future__ import annotations

import json
from importlib.resources import files


def documents() -> list[object]:
    """All methodology documents of the catalogue, by code and version."""
    entries = (entry for entry in files(__name__).iterdir() if entry.name.endswith(".json"))
    return [json.loads(entry.read_text(encoding="utf-8")) for entry in sorted(entries, key=lambda e: e.name)]
