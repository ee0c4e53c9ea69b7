"""Factor sets: numbered releases of sourced factor rows.

Keeps (DOMAIN rules 2, 4, 11): a release is immutable; loading makes it known, never applicable; every row names
statistic, region, data year, unit, source, page, document digest and grade.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from domain.actors import check_actor
from domain.digest import sm3_hex
from domain.errors import Rejected
from domain.events.base import NewEvent
from domain.events.rulebook import FactorReleaseLoaded, FactorRow
from domain.rulebook import Rulebook

_NAME = re.compile(r"[A-Z0-9][A-Z0-9-]{0,63}")
_VALUE = re.compile(r"-?[0-9]{1,29}(?:\.[0-9]{1,9})?")
_REGION = re.compile(r"\*|[A-Za-z0-9]{1,16}(?:-[A-Za-z0-9]{1,16}){0,3}")
_SM3 = re.compile(r"[0-9a-f]{64}")


class _ReleaseFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    factor_set: str
    release: int
    rows: list[FactorRow]


def load(rulebook: Rulebook, document: Any, by: str) -> NewEvent:
    """A release from its file ``{"factor_set", "release", "rows": [...]}``.

    Raises Rejected ``factors_malformed`` (field = JSON path), ``release_exists``.
    """
    try:
        file = msgspec.convert(document, _ReleaseFile)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at ")
        raise _malformed(message, path.strip("`").removeprefix("$").removeprefix(".")) from error
    return release(rulebook, file.factor_set, file.release, file.rows, by)


def release(rulebook: Rulebook, factor_set: str, number: int, rows: Sequence[FactorRow], by: str) -> NewEvent:
    """A release from its parts. Raises Rejected as ``load``."""
    if not _NAME.fullmatch(factor_set):
        raise _malformed(f"{factor_set!r} is not a name of capital letters, digits and hyphens", "factor_set")
    if number < 1 or not rows:
        raise _malformed("a release has a number from 1 on and at least one row", "release")
    _check_rows(rows)
    if (factor_set, number) in rulebook.releases:
        raise Rejected(
            "release_exists",
            f"release {number} of {factor_set} was loaded before",
            field="release",
            remedy="a release never changes; load the correction as the next release",
        )
    event = FactorReleaseLoaded(
        previous=rulebook.position,
        factor_set=factor_set,
        release=number,
        rows=tuple(rows),
        digest=digest_of(rows),
        by=check_actor(by),
    )
    return rulebook.record("factor_set", factor_set, event)


def digest_of(rows: Sequence[FactorRow]) -> str:
    """SM3 of the rows as JSON, in their order."""
    return sm3_hex(msgspec.json.encode(rows))


def _check_rows(rows: Sequence[FactorRow]) -> None:
    seen: set[str] = set()
    for index, row in enumerate(rows):
        place = f"rows[{index}]"
        if not _VALUE.fullmatch(row.value):
            raise _malformed(f"{row.value!r} is not a decimal", f"{place}.value")
        if not _REGION.fullmatch(row.region):
            raise _malformed(f"{row.region!r} is not a region", f"{place}.region")
        if row.region in seen:
            raise _malformed(f"a second row for region {row.region}", f"{place}.region")
        if row.document_sm3 is not None and not _SM3.fullmatch(row.document_sm3):
            raise _malformed("the digest is not 64 lower-case hex digits", f"{place}.document_sm3")
        for name in ("statistic", "unit", "source", "page", "grade"):
            text = getattr(row, name)
            if text is not None and (not text.strip() or not text.isprintable()):
                raise _malformed("the text is blank or unreadable", f"{place}.{name}")
        seen.add(row.region)


def _malformed(message: str, field: str) -> Rejected:
    return Rejected("factors_malformed", message, field=field, remedy="compare with the example in docs/formats.md")
