"""Structs as our own encoder spells them, recognized by one pattern for each class (ADR 0019).

Keeps: a pattern matches only what the strict reader accepts, with the same value: all fields in their order, without
spaces, escapes and long numbers. That takes half the time; whatever is spelled differently is left to that reader.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from types import NoneType
from typing import Any, NamedTuple, get_args, get_origin

from ._reading import types_of
from ._structs import StructMeta


class Spelling(NamedTuple):
    """How values of one type are spelled."""

    pattern: str
    """With one group; what the group holds is made a value, and None where it holds nothing."""
    bare: str
    """The same without a group."""
    value: Callable[[str], Any] | None
    """None: the text of the group is the value."""


def _group(before: str, inside: str, after: str, value: Callable[[str], Any] | None) -> Spelling:
    return Spelling(f"{before}({inside}){after}", f"{before}(?:{inside}){after}", value)


_PLAIN = {
    str: _group('"', r'[^"\\\x00-\x1f]*+', '"', None),
    int: _group("", "0|-?[1-9][0-9]{0,99}+", "", int),
    bool: _group("", "true|false", "", "true".__eq__),
}


def spelled(cls: StructMeta) -> Callable[[str], Any] | None:
    """What reads an instance from its one spelling and answers None to any other; None where there is no pattern."""
    fields = _fields(cls)
    if fields is None or cls.__struct__.options["array_like"]:
        return None
    named = [f'"{name}":{each.pattern}' for name, each in zip(cls.__struct__.names, fields, strict=True)]
    match = re.compile(r"\{" + ",".join(named) + r"\}").fullmatch
    build, convert = cls.__struct__.build, _converter(fields)

    def read(text: str) -> Any:
        found = match(text)
        return None if found is None else build(convert(found.groups()))

    return read


def _fields(cls: StructMeta) -> list[Spelling] | None:
    found = [_spelling(kind) for kind in types_of(cls).values()]
    known = [each for each in found if each is not None]
    return known if known and len(known) == len(found) else None


def _spelling(kind: Any) -> Spelling | None:
    arguments = get_args(kind)
    if kind in _PLAIN:
        return _PLAIN[kind]
    if NoneType in arguments:
        inner = _spelling(next(each for each in arguments if each is not NoneType))
        return inner and Spelling(f"(?:null|{inner.pattern})", f"(?:null|{inner.bare})", inner.value)
    if get_origin(kind) is tuple and isinstance(arguments[0], StructMeta):
        return _array_of_structs(arguments[0])
    if get_origin(kind) is tuple:
        return _array_of(_spelling(arguments[0]))
    return None


def _array_of(element: Spelling | None) -> Spelling | None:
    if element is None:
        return None
    convert = _converter([element])
    return _array(element.bare, element.pattern, lambda groups: convert(groups)[0])


def _array_of_structs(cls: StructMeta) -> Spelling | None:
    fields = _fields(cls)
    if fields is None:
        return None
    names, opened, closed = [f'"{name}":' for name in cls.__struct__.names], r"\{", r"\}"
    if cls.__struct__.options["array_like"]:
        names, opened, closed = ["" for _ in names], r"\[", r"\]"
    bare, pattern = (
        opened + ",".join(name + part for name, part in zip(names, parts, strict=True)) + closed
        for parts in ([each.bare for each in fields], [each.pattern for each in fields])
    )
    build, convert = cls.__struct__.build, _converter(fields)
    return _array(bare, pattern, lambda groups: build(convert(groups)))


def _array(bare: str, pattern: str, value: Callable[[tuple[Any, ...]], Any]) -> Spelling:
    find = re.compile(pattern).finditer
    return _group(
        r"\[", f"(?:{bare}(?:,{bare})*+)?", r"\]", lambda text: tuple(value(found.groups()) for found in find(text))
    )


def _converter(fields: Sequence[Spelling]) -> Callable[[Iterable[Any]], list[Any]]:
    """The values of a match's groups."""
    different = [(place, each.value) for place, each in enumerate(fields) if each.value is not None]

    def convert(groups: Iterable[Any]) -> list[Any]:
        values = list(groups)
        for place, value in different:
            if values[place] is not None:
                values[place] = value(values[place])
        return values

    return convert
