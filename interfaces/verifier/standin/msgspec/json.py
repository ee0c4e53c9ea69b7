"""JSON as msgspec reads and writes it (ADR 0021).

Keeps: strict UTF-8; no byte order mark, no comments, nothing behind the document but white space; no half of a
surrogate pair; no number of more than 4,300 characters. Whatever is refused there is refused here, with a DecodeError
or a UnicodeDecodeError; messages differ. It needs CPython: the scanner in Python, of other implementations, takes
``\\u+041`` for an escape.
"""

from __future__ import annotations

import json
from _json import make_scanner
from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from json.encoder import encode_basestring
from operator import add, itemgetter
from types import NoneType
from typing import Any

from ._errors import DecodeError, ValidationError
from ._reading import reader
from ._spelling import spelled
from ._structs import StructMeta

_LONGEST_NUMBER = 4300
_SPACE = " \t\n\r"


def _integer(text: str) -> int:
    if len(text) > _LONGEST_NUMBER:
        raise ValidationError("Integer value out of range")
    return int(text)


def _scanner(**options: Any) -> Callable[[str, int], tuple[Any, int]]:
    settings: Any = json.JSONDecoder(object_pairs_hook=tuple, **options)
    return make_scanner(settings)


_SCAN = _scanner()
_SCAN_LONG = _scanner(parse_int=_integer)


def _parsed(text: str) -> Any:
    """Objects as tuples of pairs, arrays as lists."""
    text = text.strip(_SPACE)
    scan = _SCAN if len(text) <= _LONGEST_NUMBER else _SCAN_LONG
    try:
        value, end = scan(text, 0)
    except StopIteration as error:
        raise DecodeError(f"JSON is malformed (character {error.value})") from None
    except (ValueError, RecursionError) as error:
        raise DecodeError(f"JSON is malformed: {error}") from None
    if end != len(text):
        raise DecodeError(f"JSON is malformed: trailing characters (character {end})")
    if "\\u" in text:
        _refuse_half_pairs(value)
    return value


def _refuse_half_pairs(value: Any) -> None:
    """Half of a surrogate pair may have come in by an escape; UTF-8 has none."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise DecodeError("JSON is malformed: half of a surrogate pair") from None


class Decoder:
    """Reads values of one type from bytes. Raises DecodeError, UnicodeDecodeError."""

    def __init__(self, type: Any) -> None:
        self._type = type
        self._read = reader(type)

    @cached_property
    def _spelled(self) -> Callable[[str], Any] | None:
        # Made when it is first needed: patterns take longer to compile than everything else takes to load.
        return spelled(self._type) if isinstance(self._type, StructMeta) else None

    def decode(self, buf: bytes | bytearray | memoryview) -> Any:
        """The value; nothing else may stand in the bytes."""
        text = str(buf, "utf-8")
        if self._spelled is not None:
            value = self._spelled(text)
            if value is not None:
                return value
        return self._read(_parsed(text))


def decode(buf: bytes | bytearray | memoryview, *, type: Any) -> Any:
    """The value of this type. Raises DecodeError, UnicodeDecodeError."""
    return Decoder(type).decode(buf)


class Encoder:
    """Writes values as bytes, always the same ones."""

    def encode(self, obj: Any) -> bytes:
        """JSON without spaces, in UTF-8."""
        return encode(obj)


def encode(obj: Any, *, order: str | None = None) -> bytes:
    """JSON without spaces, in UTF-8; ``order="sorted"`` sorts the keys of objects."""
    if order not in (None, "sorted"):
        raise ValueError(f"no such order: {order!r}")
    return _text(obj, ordered=order is not None).encode()


_SIMPLE: dict[type, Callable[[Any], str]] = {
    str: encode_basestring,
    int: int.__repr__,
    bool: {True: "true", False: "false"}.__getitem__,
    NoneType: {None: "null"}.__getitem__,
}


def _text(value: Any, *, ordered: bool) -> str:
    kind = type(value)
    simple = _SIMPLE.get(kind)
    if simple is not None:
        return simple(value)
    if isinstance(kind, StructMeta):
        shape = kind.__struct__
        if shape.options["array_like"]:
            value = shape.values(value)
        elif shape.omits:
            told = zip(shape.fields, shape.values(value), strict=True)
            # As there: what is the default by its identity, and no equal value of another type.
            value = {field.name: each for field, each in told if each is not field.default}
        else:
            if not ordered:
                return _object(_keys(shape.names), shape.values(value), ordered=False)
            value = dict(zip(shape.names, shape.values(value), strict=True))
    if isinstance(value, list | tuple):
        return f"[{','.join(_texts(value, ordered=ordered))}]"
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        if ordered:
            value = dict(sorted(value.items(), key=itemgetter(0)))
        return _object(_keys(tuple(value)), tuple(value.values()), ordered=ordered)
    raise TypeError(f"the stand-in for msgspec does not write {kind.__name__}")


def _texts(values: Sequence[Any], *, ordered: bool) -> list[str]:
    get = _SIMPLE.get
    return [
        simple(each) if (simple := get(type(each))) is not None else _text(each, ordered=ordered) for each in values
    ]


def _object(keys: Sequence[str], values: Sequence[Any], *, ordered: bool) -> str:
    return f"{{{','.join(map(add, keys, _texts(values, ordered=ordered)))}}}"


@lru_cache(maxsize=1024)
def _keys(names: tuple[str, ...]) -> list[str]:
    return [f"{encode_basestring(name)}:" for name in names]
