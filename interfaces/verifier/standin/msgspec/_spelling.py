"""Structs as our own encoder spells them, recognized by one pattern for each class (ADR 0021).

Keeps: a pattern matches only what the strict reader accepts, with the same value: all fields in their order, without
spaces, escapes and long numbers. That takes half the time; whatever is spelled differently is left to that reader.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from types import NoneType
from typing import Any, NamedTuple, get_args, get_origin

from ._reading import types_of
from ._structs import StructMeta, builder


class Spelling(NamedTuple):
    """How values of one type are spelled."""

    pattern: str
    """With one group, which holds nothing where the value is null."""
    bare: str
    """The same without a group."""
    value: Callable[[Any], Any] | None
    """What makes the value of the group's text; None: it is the text."""


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
    if fields is None or cls.__struct__.options["array_like"] or cls.__struct__.omits:
        return None
    named = [f'"{name}":{each.pattern}' for name, each in zip(cls.__struct__.names, fields, strict=True)]
    match = re.compile(r"\{" + ",".join(named) + r"\}").fullmatch
    build = _builder(cls, fields)

    def read(text: str) -> Any:
        found = match(text)
        return None if found is None else build(found.groups())

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
        return inner and Spelling(f"(?:null|{inner.pattern})", f"(?:null|{inner.bare})", _unless_null(inner.value))
    if get_origin(kind) is tuple and isinstance(arguments[0], StructMeta):
        return _array_of_structs(arguments[0])
    if get_origin(kind) is tuple:
        return _array_of(_spelling(arguments[0]))
    return None


def _unless_null(value: Callable[[Any], Any] | None) -> Callable[[Any], Any] | None:
    if value is None:
        return None
    return lambda text: None if text is None else value(text)


def _array_of(element: Spelling | None) -> Spelling | None:
    if element is None:
        return None
    convert = element.value
    return _array(element.bare, element.pattern, lambda groups: convert(groups[0]) if convert else groups[0])


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
    return _array(bare, pattern, _builder(cls, fields))


def _array(bare: str, pattern: str, value: Callable[[tuple[Any, ...]], Any]) -> Spelling:
    find = re.compile(pattern).finditer
    # No possessive group: Python before 3.11.5 matches what follows its last whole turn (gh-106052), here a comma.
    return _group(
        r"\[", f"(?:{bare}(?:,{bare})*)?", r"\]", lambda text: tuple(value(found.groups()) for found in find(text))
    )


def _builder(cls: StructMeta, fields: Sequence[Spelling]) -> Callable[[Any], Any]:
    """What makes an instance of the groups of a match."""
    names = cls.__struct__.names
    return builder(cls, names, {name: each.value for name, each in zip(names, fields, strict=True) if each.value})
