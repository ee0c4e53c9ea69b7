"""Numbers, days and names as people read them in a report.

Keeps: a rounded figure is never shown where the exact one is meant; every rounding here is half away from zero, by
integers; a minus is the typographic one, so that it cannot be missed in print.
"""

from __future__ import annotations

from typing import Any, Final

from domain.values import day_number, day_text

UNITS: Final = (("t", 10**9), ("kg", 10**6), ("g", 10**3), ("mg", 1))
MINUS: Final = "−"

_SIGNIFICANT_DIGITS = 4


def count(number: int) -> str:
    """``91,914``, with a typographic minus."""
    return f"{number:,}".replace("-", MINUS)


def exact(mg: int, *, signed: bool = False) -> str:
    """The exact mass: ``15,672,079,172 mg``; ``signed`` marks an increase with a plus."""
    return f"{_plus(mg, signed)}{count(mg)} mg"


def about(mg: int, *, signed: bool = False) -> str:
    """The mass in the unit that suits it, rounded to four digits: ``15.67 t``, ``105.0 g``."""
    if mg == 0:
        return "0 g"
    unit, size = unit_for(mg)
    whole = len(str(abs(mg) // size))
    decimals = min(max(0, _SIGNIFICANT_DIGITS - whole), len(str(size)) - 1)
    return f"{_plus(mg, signed)}{_rounded(mg, size, decimals)} {unit}"


def in_unit(mg: int, size: int) -> str:
    """The mass as an exact multiple of a unit's ``size`` in mg, without idle zeros: 500,000 in kg is ``0.5``."""
    whole, rest = divmod(abs(mg), size)
    fraction = str(rest).rjust(len(str(size)) - 1, "0").rstrip("0") if rest else ""
    return f"{MINUS if mg < 0 else ''}{whole:,}{'.' if fraction else ''}{fraction}"


def unit_for(mg: int) -> tuple[str, int]:
    """The greatest unit that the mass reaches, with its size in mg; mg for 0."""
    return next((unit for unit in UNITS if abs(mg) >= unit[1]), UNITS[-1])


def percent(part: int, whole: int) -> str:
    """``+43.7 %``; empty where there is nothing to compare with."""
    return "" if whole == 0 else f"{_plus(part, True)}{_rounded(part * 100, abs(whole), 1)} %"


def _rounded(value: int, size: int, decimals: int) -> str:
    scaled: int = (2 * abs(value) * 10**decimals + size) // (2 * size)
    whole, rest = divmod(scaled, 10**decimals)
    fraction = f".{rest:0{decimals}d}" if decimals else ""
    return f"{MINUS if value < 0 and scaled else ''}{whole:,}{fraction}"


def _plus(number: int, signed: bool) -> str:
    return "+" if signed and number > 0 else ""


def days(start: str | None, end: str | None) -> str:
    """Half-open civil days as a sentence names them: ``2022-01-01 to 2022-12-31``."""
    last = None if end is None else day_text(day_number(end) - 1)
    if start is None and last is None:
        return "all days"
    if start is None:
        return f"all days up to {last}"
    return f"all days from {start} on" if last is None else f"{start} to {last}"


def region(word: str) -> str:
    """A region code as people read it."""
    return {"*": "every region", "": "no region given"}.get(word, word)


def reason(code: str) -> str:
    """Why a credit has no value, in words."""
    words = {
        "no_factor_for_region": "no factor for the region and day",
        "quantity_out_of_range": "the quantity is outside the version's range",
    }
    return words.get(code, code)


def title(version: dict[str, Any]) -> list[tuple[str, str]]:
    """The version's titles as (language, text), English first, then Chinese, then the others."""
    order = {"en": 0, "zh": 1}
    return sorted(version["title"].items(), key=lambda pair: (order.get(pair[0], 2), pair[0]))


def bin_text(least: int, most: int) -> str:
    """A histogram bin: ``+0.5 to +1 kg`` holds what is at least 0.5 kg and less than 1 kg more."""
    if least == most == 0:
        return "no change"
    low, high = (least, most + 1) if least > 0 else (least - 1, most)
    if least == 1 or most == -1:
        low, high = (0, high) if least > 0 else (low, 0)
    unit, size = unit_for(max(abs(low), abs(high)))
    return f"{_side(low, size)} to {_side(high, size)} {unit}"


def _side(border: int, size: int) -> str:
    return f"{_plus(border, True)}{in_unit(border, size)}"
