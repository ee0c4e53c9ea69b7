"""A methodology file to start from: the metro example of the file format."""

from __future__ import annotations

from typing import Any


def open_row(value: str, region: str = "*") -> dict[str, Any]:
    """A row for all days."""
    return {"region": region, "from": None, "to": None, "value": value}


def metro(**changes: Any) -> dict[str, Any]:
    """The metro methodology with some top-level keys replaced."""
    document: dict[str, Any] = {
        "code": "TRAVEL-METRO",
        "version": 1,
        "behavior": "travel.metro",
        "title": {"en": "Metro ride", "zh": "地铁出行"},
        "inputs": {"quantity": {"unit": "km", "scale": 3, "min": "0.001", "max": "200"}},
        "parameters": {
            "baseline": {"unit": "g/km", "rows": [open_row("104")]},
            "project": {"unit": "g/km", "rows": [open_row("32")]},
        },
        "formula": "quantity * (baseline - project)",
        "result_unit": "g",
        "rounding": "down",
        "utc_offset": "+08:00",
        "late_window_days": 400,
        "caps": [
            {"window": "day", "kind": "mass", "limit": "2000", "unit": "g"},
            {"window": "day", "kind": "count", "limit": 4},
        ],
        "leakage": {"value": "0", "unit": "g", "reason": "not material"},
        "sources": [{"title": "DB11/T 3043-2024", "page": "7", "document_sm3": None, "grade": "C"}],
    }
    return document | changes


def edited(path: str, value: Any) -> dict[str, Any]:
    """The metro methodology with one value put at a path such as ``caps.0.limit``."""
    document = metro()
    *way, last = path.split(".")
    place: Any = document
    for step in way:
        place = place[int(step) if step.isdigit() else step]
    place[int(last) if last.isdigit() else last] = value
    return document


def without(path: str) -> dict[str, Any]:
    """The metro methodology with the value at a path removed."""
    document = metro()
    *way, last = path.split(".")
    place: Any = document
    for step in way:
        place = place[int(step) if step.isdigit() else step]
    del place[last]
    return document
