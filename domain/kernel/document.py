"""Typed look-ups in a parsed JSON document, each with a refusal that names the place.

Keeps: a value passes only with exactly the right type (true is not 1, 5 is not "5"); every refusal is Rejected
``methodology_malformed`` with the path and a remedy.
Leaves to others: what the values mean (``method_file``).
Source: DESIGN section 6 (unknown keys are refused; decimals are strings).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from domain.errors import Rejected
from domain.kernel.decimals import MAX_DIGITS, decimal_from_text
from domain.values import Scaled

MAX_TEXT = 2_000
MAX_INTEGER = 2**31 - 1

# Half of a surrogate pair cannot be written as UTF-8, and control characters cannot be read by a person.
_UNREADABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


def malformed(path: str, message: str, remedy: str) -> Rejected:
    """The refusal of a document of the wrong shape."""
    return Rejected("methodology_malformed", message, field=path, remedy=remedy)


def object_at(
    value: object, path: str, required: frozenset[str] | None = None, *, optional: frozenset[str] = frozenset()
) -> dict[str, object]:
    """An object with all ``required`` keys, perhaps ``optional`` ones and no others; any keys if None is required."""
    if type(value) is not dict:
        raise malformed(path, f"expected an object, found {_kind(value)}", "write {...}")
    prefix = f"{path}." if path else ""
    for key in value:
        if type(key) is not str or _UNREADABLE.search(key):
            raise malformed(path, f"the key {key!a} is not a readable text", "write keys as texts")
    if required is not None:
        for key in sorted(value.keys() - required - optional):
            raise malformed(
                f"{prefix}{key}", "unknown key", "remove it; known are " + ", ".join(sorted(required | optional))
            )
        for key in sorted(required - value.keys()):
            raise malformed(f"{prefix}{key}", "the key is missing", f"add {key}")
    return value


def list_at(value: object, path: str) -> list[object]:
    """A list."""
    if type(value) is not list:
        raise malformed(path, f"expected a list, found {_kind(value)}", "write [...]")
    return value


def text_at(value: object, path: str, grammar: re.Pattern[str] | None = None) -> str:
    """A text that is not blank, perhaps of a given grammar."""
    if type(value) is not str:
        raise malformed(path, f"expected a text, found {_kind(value)}", 'write it in quotes: "..."')
    if not value.strip() or len(value) > MAX_TEXT or _UNREADABLE.search(value):
        raise malformed(
            path, "the text is blank, too long or unreadable", f"write 1 to {MAX_TEXT} printable characters"
        )
    if grammar is not None and grammar.fullmatch(value) is None:
        raise malformed(path, f"{value!r} has the wrong form", f"match {grammar.pattern}")
    return value


def one_of(value: object, path: str, choices: Sequence[str]) -> str:
    """One of the given texts."""
    if type(value) is not str or value not in choices:
        raise malformed(path, f"{value!r} is not possible here", "use one of " + ", ".join(choices))
    return value


def integer_at(value: object, path: str, minimum: int, maximum: int = MAX_INTEGER) -> int:
    """A JSON integer inside inclusive limits."""
    if type(value) is not int:
        raise malformed(path, f"expected a whole number, found {_kind(value)}", "write digits without quotes")
    if not minimum <= value <= maximum:
        raise malformed(path, f"{value} is outside {minimum} to {maximum}", f"use {minimum} to {maximum}")
    return value


def decimal_at(value: object, path: str) -> Scaled:
    """A decimal written as a text, such as "0.5703"."""
    if type(value) is not str:
        raise malformed(
            path, f"expected a decimal in quotes, found {_kind(value)}", 'write it as a text, such as "0.5703"'
        )
    decimal = decimal_from_text(value)
    if decimal is None:
        raise malformed(
            path, f"{value[:50]!r} is not a decimal", f'write digits such as "12.5", at most {MAX_DIGITS} of them'
        )
    return decimal


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", int: "a number"}
    return "nothing" if value is None else names.get(type(value), "a number with a fraction")
