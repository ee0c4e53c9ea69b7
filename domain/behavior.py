"""The behavior row: seven texts that a partner sends, read strictly into one fact, or refused as ``malformed``.

Keeps: nothing is trimmed, guessed or repaired; a row is read exactly as DESIGN section 5 writes the grammar, or it is
refused with its first offending column, in column order. Equal decimals and equal instants become equal numbers
(``1.0`` = ``1.000``, ``Z`` = ``+00:00``), because sameness of content decides between duplicate and conflict
(DESIGN section 3, Idempotency). Refusals never repeat the submitted text: it may be personal data.
Leaves to others: whether the reference is taken, and every check that needs a methodology, a clock or an account.
A timestamp that lacks only its offset is no refusal here: ``instant_us`` is None, and the caller reports
``timestamp_without_offset`` after it has looked up the reference.

It runs for every row of files with millions of rows. So texts that repeat (quantities, civil dates, times of day,
units, regions) are checked once and remembered in small bounded tables. A table holds only what passed the full check,
so it changes the speed and never the answer.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Final, NamedTuple, TypeVar

from domain.values import EPOCH_ORDINAL, MICROSECONDS_PER_DAY, MICROSECONDS_PER_MINUTE

COLUMNS: Final = ("source_ref", "account_ref", "behavior", "occurred_at", "quantity", "unit", "region")

MAX_REFERENCE_CHARACTERS: Final = 256
MAX_NAME_CHARACTERS: Final = 64
MAX_REGION_CHARACTERS: Final = 32
MAX_QUANTITY_DIGITS: Final = 38

FIRST_INSTANT_US: Final = (date.min.toordinal() - EPOCH_ORDINAL) * MICROSECONDS_PER_DAY
LAST_INSTANT_US: Final = (date.max.toordinal() + 1 - EPOCH_ORDINAL) * MICROSECONDS_PER_DAY - 1


class Behavior(NamedTuple):
    """One well-formed row.

    ``line`` is its place in the intake. ``quantity`` x 10^-``scale`` is the submitted decimal with the trailing zeros
    of its fraction stripped. ``occurred_at`` is the text as submitted, ``instant_us`` the same moment in microseconds
    since 1970-01-01T00:00:00Z, or None when the text names no offset. ``region`` may be empty.
    """

    line: int
    source_ref: str
    account_ref: str
    behavior: str
    occurred_at: str
    instant_us: int | None
    quantity: int
    scale: int
    unit: str
    region: str


class Refusal(NamedTuple):
    """Why one row was not credited: a stable ``code``, the column, and what the sender can do."""

    line: int
    code: str
    field: str
    message: str
    remedy: str


def malformed(line: int, field: str, message: str, remedy: str) -> Refusal:
    """The refusal of a row that breaks the grammar."""
    return Refusal(line, "malformed", field, message, remedy)


def parse_behavior(
    line: int,
    source_ref: str,
    account_ref: str,
    behavior: str,
    occurred_at: str,
    quantity: str,
    unit: str,
    region: str,
) -> Behavior | Refusal:
    """Read the seven columns of one row (DESIGN sections 5 and 6).

    Returns a Refusal with code ``malformed`` for the first column, in column order, that breaks the grammar.
    """
    try:
        # Minutes and seconds apart: 1,500 texts are soon known, the 86,400 of a whole day would each be new once.
        instant_us: int | None = (
            _dates[occurred_at[:10]]
            + _minutes[occurred_at[10:16]]
            + _seconds[occurred_at[16:19]]
            + _shifts[occurred_at[19:]]
        )
    except KeyError:
        instant_us = _read_instant(occurred_at)
    number = _numbers.get(quantity) or _read_number(quantity)
    if (
        # Printable proves more than is asked: no control, no surrogate, no line separator.
        0 < len(source_ref) <= MAX_REFERENCE_CHARACTERS
        and source_ref.isprintable()
        and source_ref.strip() == source_ref
        and 0 < len(account_ref) <= MAX_REFERENCE_CHARACTERS
        and account_ref.isprintable()
        and account_ref.strip() == account_ref
        and behavior in _names
        and number is not None
        and unit in _names
        and region in _regions
        and instant_us is not None
        and FIRST_INSTANT_US <= instant_us <= LAST_INSTANT_US
    ):
        return _tuple_new(
            Behavior,
            (line, source_ref, account_ref, behavior, occurred_at, instant_us, number[0], number[1], unit, region),
        )
    return _read_unusual(line, source_ref, account_ref, behavior, occurred_at, quantity, unit, region)


def columns_of(row: Behavior) -> tuple[str, ...]:
    """The row as text in ``COLUMNS`` order; reading it again gives an equal row."""
    quantity = decimal_text(row.quantity, row.scale)
    return (row.source_ref, row.account_ref, row.behavior, row.occurred_at, quantity, row.unit, row.region)


def decimal_text(value: int, scale: int) -> str:
    """``value`` x 10^-``scale`` in plain digits: 12350 at scale 3 is ``12.350``."""
    if scale == 0:
        return str(value)
    digits = str(abs(value)).rjust(scale + 1, "0")
    return f"{'-' if value < 0 else ''}{digits[:-scale]}.{digits[-scale:]}"


_tuple_new = tuple.__new__

_Number = tuple[int, int]
"""Integer and decimal places."""

# Cc (controls), Cs (lone surrogates, which UTF-8 cannot hold) and the two Unicode line separators.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_NUMBER = re.compile(r"(-?[0-9]+)(?:\.([0-9]+))?")
_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_CLOCK = re.compile(r"T([01][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9])")
# RFC 3339 gives -00:00 the meaning "offset unknown", which is none to count with.
_SHIFT = re.compile(r"(?:\.([0-9]{1,6}))?((?!-00:00)(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9]))?")
_REGION = re.compile(r"[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*")

_NO_INSTANT: Final = LAST_INSTANT_US + 1
"""Stands for "malformed", because None means "well-formed, but without an offset"."""

_COMMON_FRACTION_DIGITS: Final = 3
"""Fractions of up to so many digits repeat often enough to be remembered; finer ones hardly ever do."""

_LIMIT: Final = 65_536
_names: dict[str, bool] = {}
_regions: dict[str, bool] = {"": True}
_numbers: dict[str, _Number] = {}
_dates: dict[str, int] = {}
_minutes: dict[str, int] = {}
_seconds: dict[str, int] = {}
_shifts: dict[str, int] = {}

_V = TypeVar("_V")


def _remember(table: dict[str, _V], text: str, value: _V) -> _V:
    # Starting over is crude, but texts that repeat are soon back, and those that do not were no help.
    if len(table) >= _LIMIT:
        table.clear()
    table[text] = value
    return value


def _read_number(text: str) -> _Number | None:
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None
    whole, fraction = match.groups("")
    if len(whole) + len(fraction) > MAX_QUANTITY_DIGITS + (whole[0] == "-"):
        return None
    fraction = fraction.rstrip("0")
    return _remember(_numbers, text, (int(whole + fraction), len(fraction)))


def _read_instant(text: str) -> int | None:
    """Microseconds since the epoch, None without an offset, ``_NO_INSTANT`` if grammar or calendar is broken."""
    day_us = _dates.get(text[:10])
    if day_us is None:
        day_us = _read_date(text[:10])
    clock_us = _read_clock(text[10:19])
    shift = _SHIFT.fullmatch(text[19:])
    if day_us is None or clock_us is None or shift is None:
        return _NO_INSTANT
    fraction, offset = shift.groups("")
    if offset == "":
        return None
    shift_us = int(fraction.ljust(6, "0")) - _offset_us(offset) if fraction else -_offset_us(offset)
    if len(fraction) <= _COMMON_FRACTION_DIGITS:
        _remember(_shifts, text[19:], shift_us)
    instant_us = day_us + clock_us + shift_us
    return instant_us if FIRST_INSTANT_US <= instant_us <= LAST_INSTANT_US else _NO_INSTANT


def _offset_us(text: str) -> int:
    if text == "Z":
        return 0
    offset_us = (int(text[1:3]) * 60 + int(text[4:6])) * MICROSECONDS_PER_MINUTE
    return -offset_us if text[0] == "-" else offset_us


def _read_clock(text: str) -> int | None:
    match = _CLOCK.fullmatch(text)
    if match is None:
        return None
    hours, minutes, seconds = map(int, match.groups())
    minute_us = _remember(_minutes, text[:6], (hours * 60 + minutes) * MICROSECONDS_PER_MINUTE)
    return minute_us + _remember(_seconds, text[6:], seconds * 1_000_000)


def _read_date(text: str) -> int | None:
    match = _DATE.fullmatch(text)
    if match is None:
        return None
    year, month, day = match.groups()
    try:
        ordinal = date(int(year), int(month), int(day)).toordinal()
    except ValueError:
        return None
    return _remember(_dates, text, (ordinal - EPOCH_ORDINAL) * MICROSECONDS_PER_DAY)


def _read_unusual(
    line: int,
    source_ref: str,
    account_ref: str,
    behavior: str,
    occurred_at: str,
    quantity: str,
    unit: str,
    region: str,
) -> Behavior | Refusal:
    """The full check, column by column: for a text that is new to the tables, uncommon, or wrong."""
    instant_us = _read_instant(occurred_at)
    number = _read_number(quantity) or (0, 0)
    faults = (
        ("source_ref", reference_fault(source_ref)),
        ("account_ref", reference_fault(account_ref)),
        ("behavior", _name_fault(behavior)),
        ("occurred_at", _time_fault(occurred_at) if instant_us == _NO_INSTANT else None),
        ("quantity", _number_fault(quantity)),
        ("unit", _name_fault(unit)),
        ("region", _region_fault(region)),
    )
    for column, fault in faults:
        if fault is not None:
            return malformed(line, column, *fault)
    return Behavior(line, source_ref, account_ref, behavior, occurred_at, instant_us, *number, unit, region)


_Fault = tuple[str, str]
"""What is wrong, and what to do."""


def _text_fault(text: str, longest: int) -> _Fault | None:
    if text == "":
        return "it is empty", "fill in this column"
    if len(text) > longest:
        return f"it has {len(text)} characters; at most {longest} are allowed", "send a shorter text"
    unsafe = _UNSAFE.search(text)
    if unsafe:
        code_point = f"U+{ord(unsafe[0]):04X}"
        return f"it holds the control character {code_point} at position {unsafe.start() + 1}", "remove the character"
    return None


def reference_fault(text: str) -> tuple[str, str] | None:
    """What is wrong with a reference and what to do about it; None when it can be used."""
    fault = _text_fault(text, MAX_REFERENCE_CHARACTERS)
    if fault is None and text != text.strip():
        return "it begins or ends with white space", "remove it; the ledger never trims a reference"
    return fault


def _name_fault(text: str) -> _Fault | None:
    fault = _text_fault(text, MAX_NAME_CHARACTERS)
    if fault is None:
        _remember(_names, text, True)
    return fault


def _region_fault(text: str) -> _Fault | None:
    if text in _regions:
        return None
    if len(text) <= MAX_REGION_CHARACTERS and _REGION.fullmatch(text):
        _remember(_regions, text, True)
        return None
    rule = f"it is not a region code: ASCII letters and digits in parts joined by '-', {MAX_REGION_CHARACTERS} at most"
    return rule, "send a code such as CN-440300, or leave it empty"


def _number_fault(text: str) -> _Fault | None:
    if _read_number(text) is not None:
        return None
    remedy = "send plain ASCII digits with an optional '-' in front and an optional fraction, such as 12.350"
    if text == "":
        return "it is empty", remedy
    if _NUMBER.fullmatch(text):
        return f"it has more than {MAX_QUANTITY_DIGITS} digits", "send fewer digits"
    if "e" in text or "E" in text:
        return "it is not a plain decimal (no exponents)", remedy
    return "it is not a plain decimal", remedy


def _time_fault(text: str) -> _Fault:
    remedy = "send an RFC 3339 time with offset, such as 2026-03-01T08:15:00+08:00"
    if text == "":
        return "it is empty", remedy
    if not _DATE.match(text):
        return "it is not an RFC 3339 time such as 2026-03-02T10:00:00+08:00", remedy
    if text[10:11] in ("t", " ") or text.endswith("z"):
        return "the letters T and Z of a timestamp are written as capitals, and T is no space", remedy
    if text.endswith("-00:00"):
        return "the offset -00:00 means that the offset is unknown", "send the real offset; Z or +00:00 if it is UTC"
    if _read_date(text[:10]) is None:
        return "there is no such day in the calendar", remedy
    if _CLOCK.fullmatch(text[10:19]) and _SHIFT.fullmatch(text[19:]):
        return "the instant lies outside the years 0001 to 9999 in UTC", remedy
    if re.search(r"\.[0-9]{7,}", text):
        return "it has more than 6 fractional digits of a second", "round it to microseconds at the source"
    if text[10:13] == "T24" or text[16:19] == ":60":
        return "24:00 and leap seconds (:60) are not accepted", "send 00:00 of the next day, or second 59"
    return "it is not a timestamp YYYY-MM-DDTHH:MM:SS with an offset (Z or +HH:MM)", remedy
