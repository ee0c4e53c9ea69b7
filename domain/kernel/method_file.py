"""Reads a methodology file (a JSON document) into a ``Method``, or says exactly what is wrong with it.

Keeps: unknown and missing keys, wrong types and numbers where a decimal string belongs are refused; what is accepted
can be computed: names, units, ranges and rows agree with the formula. ``field`` of a refusal is the path in the
document, such as ``parameters.baseline.rows[1].from``.
Leaves to others: reading JSON (which must refuse repeated keys), the life cycle, what may change between versions.
Source: DESIGN section 6 (methodology file).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Protocol, cast

from domain.errors import Rejected
from domain.kernel.decimals import at_scale
from domain.kernel.document import (
    decimal_at,
    integer_at,
    list_at,
    malformed,
    object_at,
    one_of,
    text_at,
)
from domain.kernel.formula import FUNCTIONS, QUANTITY, Expression, names, parse
from domain.kernel.method import Cap, CapKind, Method, Parameter, ParameterRow, Window
from domain.kernel.rounding import ROUNDINGS
from domain.kernel.units import check_units, unit_from_text
from domain.values import AFTER_LAST_DAY, FIRST_DAY, Period, Scaled, day_number

MG_PER_UNIT: Mapping[str, int] = {"g": 1_000, "kg": 1_000_000}
WINDOWS = ("day", "month", "year")
MAX_SCALE = 9
MAX_LATE_WINDOW_DAYS = 36_525
LEAKAGE = "leakage"

_CODE = re.compile(r"[A-Z][A-Z0-9-]{0,63}")
_BEHAVIOR = re.compile(r"[a-z][a-z0-9_]{0,31}(\.[a-z][a-z0-9_]{0,31}){0,3}")
_PARAMETER = re.compile(r"[a-z][a-z0-9_]{0,31}")
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_REGION = re.compile(r"\*|[A-Za-z0-9]{1,16}(-[A-Za-z0-9]{1,16}){0,3}")
_FACTOR_SET = re.compile(r"[A-Z0-9][A-Z0-9-]{0,63}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_OFFSET = re.compile(r"([+-])([0-9]{2}):([0-5][0-9])")
_SM3 = re.compile(r"[0-9a-f]{64}")
_GRADE = re.compile(r"[A-Z]")
_MAX_OFFSET_MINUTES = 14 * 60

_KEYS = frozenset(
    (
        *("code", "version", "behavior", "title", "inputs", "parameters", "formula", "result_unit"),
        *("rounding", "utc_offset", "late_window_days", "caps", "sources"),
    )
)


def method_from_document(document: object) -> Method:
    """The methodology version that a parsed methodology file describes.

    Raises Rejected: ``methodology_malformed`` for the shape of the document, and ``formula_malformed``,
    ``unit_malformed``, ``unit_mismatch_in_formula``, ``formula_name_unknown``, ``parameter_unused``,
    ``parameter_rows_overlap``, ``quantity_range_invalid``, ``cap_invalid``, ``leakage_not_zero`` for its meaning.
    """
    top = object_at(document, "", _KEYS, optional=frozenset((LEAKAGE,)))
    unit, scale, minimum, maximum = _quantity(top["inputs"])
    parameters = _parameters(top["parameters"])
    result_unit = one_of(top["result_unit"], "result_unit", tuple(MG_PER_UNIT))
    formula_text = text_at(top["formula"], "formula")
    formula = _formula(formula_text, parameters, unit, result_unit)
    _check_leakage(top, {parameter.name for parameter in parameters})
    _check_sources(top["sources"])
    return Method(
        code=text_at(top["code"], "code", _CODE),
        version=integer_at(top["version"], "version", 1),
        behavior=text_at(top["behavior"], "behavior", _BEHAVIOR),
        title=_title(top["title"]),
        unit=unit,
        scale=scale,
        minimum=minimum,
        maximum=maximum,
        parameters=parameters,
        formula=formula,
        formula_text=formula_text,
        result_mg=MG_PER_UNIT[result_unit],
        rounding=one_of(top["rounding"], "rounding", tuple(ROUNDINGS)),
        utc_offset_minutes=_offset(top["utc_offset"]),
        late_window_days=integer_at(top["late_window_days"], "late_window_days", 0, MAX_LATE_WINDOW_DAYS),
        caps=_caps(top["caps"]),
    )


class FactorLike(Protocol):
    """What the kernel reads of a row of a factor release; the rest of the row is the release's own."""

    @property
    def region(self) -> str: ...
    @property
    def value(self) -> str: ...
    @property
    def unit(self) -> str: ...


def factor_rows_from(rows: Sequence[FactorLike], unit: str, path: str = "rows") -> tuple[ParameterRow, ...]:
    """The rows of a factor release as rows of a parameter in ``unit``: one value per region, for all days.

    Raises Rejected ``factor_unit_differs``, ``parameter_rows_overlap`` (two rows of one region: which one applies is a
    decision, so it needs two releases) or ``methodology_malformed``.
    """
    found: list[ParameterRow] = []
    for index, row in enumerate(rows):
        at = f"{path}[{index}]"
        if row.unit != unit:
            raise Rejected(
                "factor_unit_differs",
                f"the row is in {row.unit}, the parameter in {unit}",
                field=f"{at}.unit",
                remedy=f"load a release in {unit}, or give the parameter the release's unit",
            )
        region = text_at(row.region, f"{at}.region", _REGION)
        found.append(ParameterRow(region, Period(FIRST_DAY, AFTER_LAST_DAY), decimal_at(row.value, f"{at}.value")))
    if not found:
        raise malformed(path, "the release has no rows", "give at least one row")
    _refuse_overlaps(found, path)
    return tuple(found)


def _unit(value: object, path: str) -> str:
    text = text_at(value, path)
    try:
        unit_from_text(text)
    except Rejected as refusal:
        raise Rejected(refusal.code, refusal.message, field=path, remedy=refusal.remedy) from None
    return text


def _title(value: object) -> dict[str, str]:
    title = object_at(value, "title")
    if not title:
        raise malformed("title", "there is no title", 'give at least one, such as {"en": "Metro ride"}')
    for language in title:
        text_at(language, f"title.{language}", _LANGUAGE)
    return {language: text_at(text, f"title.{language}") for language, text in title.items()}


def _quantity(value: object) -> tuple[str, int, int, int]:
    inputs = object_at(value, "inputs", frozenset((QUANTITY,)))
    path = f"inputs.{QUANTITY}"
    quantity = object_at(inputs[QUANTITY], path, frozenset(("unit", "scale", "min", "max")))
    unit = _unit(quantity["unit"], f"{path}.unit")
    scale = integer_at(quantity["scale"], f"{path}.scale", 0, MAX_SCALE)
    ends: list[int] = []
    for key in ("min", "max"):
        end = at_scale(decimal_at(quantity[key], f"{path}.{key}"), scale)
        if end is None:
            raise _range_invalid(f"{path}.{key}", f"{quantity[key]} has more than {scale} decimals")
        ends.append(end)
    if ends[0] <= 0:
        raise _range_invalid(f"{path}.min", f"{quantity['min']} is not positive")
    if ends[0] > ends[1]:
        raise _range_invalid(f"{path}.max", f"{quantity['max']} is below min")
    return unit, scale, ends[0], ends[1]


def _range_invalid(path: str, message: str) -> Rejected:
    return Rejected(
        "quantity_range_invalid", message, field=path, remedy="use 0 < min <= max, with at most scale decimals"
    )


def _parameters(value: object) -> tuple[Parameter, ...]:
    parameters: list[Parameter] = []
    for name, body in object_at(value, "parameters").items():
        path = f"parameters.{name}"
        text_at(name, path, _PARAMETER)
        if name in (QUANTITY, *FUNCTIONS):
            raise malformed(path, f"{name} is a word of the formula language", "choose another name")
        content = object_at(body, path, frozenset(("unit",)), optional=frozenset(("rows", "factor_set")))
        if ("rows" in content) == ("factor_set" in content):
            raise malformed(path, "values must come from rows or from a factor_set", "give exactly one of the two")
        unit = _unit(content["unit"], f"{path}.unit")
        if "factor_set" in content:
            factor_set = text_at(content["factor_set"], f"{path}.factor_set", _FACTOR_SET)
            parameters.append(Parameter(name, unit, (), factor_set))
        else:
            parameters.append(Parameter(name, unit, _rows(content["rows"], f"{path}.rows"), None))
    return tuple(parameters)


def _rows(value: object, path: str) -> tuple[ParameterRow, ...]:
    rows: list[ParameterRow] = []
    for index, body in enumerate(list_at(value, path)):
        at = f"{path}[{index}]"
        row = object_at(body, at, frozenset(("region", "from", "to", "value")))
        start = _day(row["from"], f"{at}.from", FIRST_DAY)
        end = _day(row["to"], f"{at}.to", AFTER_LAST_DAY)
        if start >= end:
            raise malformed(f"{at}.to", "the row ends before it begins", "use from < to; to is the first day after it")
        region = text_at(row["region"], f"{at}.region", _REGION)
        rows.append(ParameterRow(region, Period(start, end), decimal_at(row["value"], f"{at}.value")))
    if not rows:
        raise malformed(path, "there are no rows", "give at least one row")
    _refuse_overlaps(rows, path)
    return tuple(rows)


def _refuse_overlaps(rows: Sequence[ParameterRow], path: str) -> None:
    order = sorted(range(len(rows)), key=lambda index: (rows[index].region, rows[index].period))
    for earlier, later in pairwise(order):
        first, second = rows[earlier], rows[later]
        if first.region == second.region and second.period.start < first.period.end:
            raise Rejected(
                "parameter_rows_overlap",
                f"rows {earlier} and {later} of region {first.region} share days",
                field=f"{path}[{max(earlier, later)}]",
                remedy="end one row on the day the next begins (to is not included)",
            )


def _day(value: object, path: str, open_side: int) -> int:
    if value is None:
        return open_side
    text = text_at(value, path, _DATE)
    try:
        return day_number(text)
    except ValueError:
        raise malformed(path, f"{text} is not a day of the calendar", "write YYYY-MM-DD, or null for open") from None


def _formula(text: str, parameters: Sequence[Parameter], unit: str, result_unit: str) -> Expression:
    try:
        formula = parse(text)
    except Rejected as refusal:
        message = f"{refusal.message} (character {refusal.field})"
        raise Rejected(refusal.code, message, field="formula", remedy=refusal.remedy) from None
    units = {QUANTITY: unit, **{parameter.name: parameter.unit for parameter in parameters}}
    for name in sorted(names(formula) - units.keys()):
        raise Rejected(
            "formula_name_unknown",
            f"{name} is not a parameter",
            field="formula",
            remedy=f"add parameters.{name}, or correct the name",
        )
    for name in sorted(units.keys() - names(formula)):
        path = "formula" if name == QUANTITY else f"parameters.{name}"
        raise Rejected("parameter_unused", f"the formula does not use {name}", field=path, remedy="use it or remove it")
    check_units(formula, units, result_unit)
    return formula


def _offset(value: object) -> int:
    text = text_at(value, "utc_offset")
    match = _OFFSET.fullmatch(text)
    minutes = int(match[2]) * 60 + int(match[3]) if match else 0
    if match is None or minutes > _MAX_OFFSET_MINUTES or text == "-00:00":
        raise malformed("utc_offset", f"{text!r} is not a UTC offset", "write +HH:MM or -HH:MM, at most 14 hours")
    return -minutes if match[1] == "-" else minutes


def _caps(value: object) -> tuple[Cap, ...]:
    caps: list[Cap] = []
    for index, body in enumerate(list_at(value, "caps")):
        at = f"caps[{index}]"
        cap = object_at(body, at, frozenset(("window", "kind", "limit")), optional=frozenset(("unit",)))
        window = cast(Window, one_of(cap["window"], f"{at}.window", WINDOWS))
        kind = cast(CapKind, one_of(cap["kind"], f"{at}.kind", ("mass", "count")))
        if any((known.window, known.kind) == (window, kind) for known in caps):
            raise _cap_invalid(at, f"there are two {kind} caps per {window}", "keep one of them")
        caps.append(Cap(window, kind, _mass_limit(cap, at) if kind == "mass" else _count_limit(cap, at)))
    return tuple(caps)


def _mass_limit(cap: Mapping[str, object], at: str) -> int:
    if "unit" not in cap:
        raise _cap_invalid(f"{at}.unit", "a mass limit needs a unit", 'add "unit": "g" or "kg"')
    mg_per_unit = MG_PER_UNIT[one_of(cap["unit"], f"{at}.unit", tuple(MG_PER_UNIT))]
    limit = decimal_at(cap["limit"], f"{at}.limit")
    mg = at_scale(Scaled(limit.value * mg_per_unit, limit.scale), 0)
    if mg is None or mg <= 0:
        raise _cap_invalid(f"{at}.limit", f"{cap['limit']} is not a positive whole number of mg", "round the limit")
    return mg


def _count_limit(cap: Mapping[str, object], at: str) -> int:
    if "unit" in cap:
        raise _cap_invalid(f"{at}.unit", "a count has no unit", "remove the unit")
    return integer_at(cap["limit"], f"{at}.limit", 1)


def _cap_invalid(path: str, message: str, remedy: str) -> Rejected:
    return Rejected("cap_invalid", message, field=path, remedy=remedy)


def _check_leakage(top: Mapping[str, object], parameter_names: set[str]) -> None:
    if LEAKAGE in parameter_names:
        if LEAKAGE in top:
            raise malformed(LEAKAGE, "leakage is a parameter of the formula already", "remove one of the two")
        return
    if LEAKAGE not in top:
        raise malformed(LEAKAGE, "leakage is not stated", "state it as 0 with a reason, or put it into the formula")
    leakage = object_at(top[LEAKAGE], LEAKAGE, frozenset(("value", "unit", "reason")))
    one_of(leakage["unit"], f"{LEAKAGE}.unit", tuple(MG_PER_UNIT))
    text_at(leakage["reason"], f"{LEAKAGE}.reason")
    if leakage["value"] != "0":
        raise Rejected(
            "leakage_not_zero",
            f"leakage is {leakage['value']!r}, which no formula subtracts",
            field=f"{LEAKAGE}.value",
            remedy='make leakage a parameter of the formula, or state "0" and why',
        )


def _check_sources(value: object) -> None:
    sources = list_at(value, "sources")
    if not sources:
        raise malformed("sources", "there are no sources", "name the document each value comes from")
    for index, body in enumerate(sources):
        at = f"sources[{index}]"
        source = object_at(body, at, frozenset(("title", "page", "document_sm3", "grade")))
        text_at(source["title"], f"{at}.title")
        text_at(source["grade"], f"{at}.grade", _GRADE)
        if source["page"] is not None:
            text_at(source["page"], f"{at}.page")
        if source["document_sm3"] is not None:
            text_at(source["document_sm3"], f"{at}.document_sm3", _SM3)
