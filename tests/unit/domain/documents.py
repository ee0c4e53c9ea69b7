"""Methodology and factor files to start from; a test changes what it is about."""

from __future__ import annotations

from typing import Any


def open_row(value: str, region: str = "*", start: str | None = None, end: str | None = None) -> dict[str, Any]:
    """A parameter row of a methodology file."""
    return {"region": region, "from": start, "to": end, "value": value}


def metro(version: int = 1, rate: str | list[dict[str, Any]] = "72", **changes: Any) -> dict[str, Any]:
    """A methodology file: ``quantity`` (km) times ``rate`` (g/km), no caps."""
    rows = [open_row(rate)] if isinstance(rate, str) else rate
    document: dict[str, Any] = {
        "code": "TRAVEL-METRO",
        "version": version,
        "behavior": "travel.metro",
        "title": {"en": "Metro ride", "zh": "地铁出行"},
        "inputs": {"quantity": {"unit": "km", "scale": 3, "min": "0.001", "max": "200"}},
        "parameters": {"rate": {"unit": "g/km", "rows": rows}},
        "formula": "quantity * rate",
        "result_unit": "g",
        "rounding": "down",
        "utc_offset": "+08:00",
        "late_window_days": 36500,
        "caps": [],
        "leakage": {"value": "0", "unit": "g", "reason": "not material"},
        "sources": [{"title": "illustrative", "page": None, "document_sm3": None, "grade": "C"}],
    }
    return document | changes


def power(version: int, rate: str | None = None, **changes: Any) -> dict[str, Any]:
    """Electricity saved, in kWh; ``rate`` in kg/kWh, or the release of a factor set when there is none."""
    grid: dict[str, Any] = {"unit": "kg/kWh"}
    grid |= {"factor_set": "CN-ELEC-AVG"} if rate is None else {"rows": [open_row(rate)]}
    own: dict[str, Any] = {
        "code": "LIVING-POWER-SAVING",
        "behavior": "living.power_saving",
        "title": {"en": "Electricity saved at home", "zh": "家庭节电"},
        "inputs": {"quantity": {"unit": "kWh", "scale": 3, "min": "0.001", "max": "10000"}},
        "parameters": {"grid": grid},
        "formula": "quantity * grid",
        "result_unit": "kg",
    }
    return metro(version, **(own | changes))


def day_cap(grams: str, window: str = "day") -> dict[str, Any]:
    """A mass cap of a methodology file."""
    return {"window": window, "kind": "mass", "limit": grams, "unit": "g"}


def count_cap(limit: int, window: str = "day") -> dict[str, Any]:
    """A count cap of a methodology file."""
    return {"window": window, "kind": "count", "limit": limit}


def factor_row(value: str, region: str = "*", unit: str = "kg/kWh", **changes: Any) -> dict[str, Any]:
    """A row of a factor release file."""
    row: dict[str, Any] = {
        "statistic": "电力平均二氧化碳排放因子",
        "region": region,
        "data_year": 2022,
        "value": value,
        "unit": unit,
        "source": "公告2024年第33号",
        "page": "annex 1",
        "document_sm3": None,
        "grade": "B",
    }
    return row | changes


def release(number: int, *rows: dict[str, Any], name: str = "CN-ELEC-AVG") -> dict[str, Any]:
    """A factor release file."""
    return {"factor_set": name, "release": number, "rows": list(rows)}
