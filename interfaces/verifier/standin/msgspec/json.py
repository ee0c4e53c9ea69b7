"""JSON as msgspec reads and writes it (ADR 0019).

Keeps: strict UTF-8; no byte order mark, no comments, nothing behind the document but white space; no half of a
surrogate pair; no number of more than 4,300 characters. Whatever is refused there is refused here, with a DecodeError
or a UnicodeDecodeError; messages differ. It needs CPython: the scanner in Python, of other implementations, takes
``\\u+041`` for an escape.
"""

from __future__ import annotations

import json
from _json import make_scanner
from collections.abc import Callable
from functools import cached_property
from json.encoder import encode_basestring
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


def _text(value: Any, *, ordered: bool) -> str:
    if isinstance(value, str):
        return encode_basestring(value)
    if value is None or isinstance(value, bool):
        return "null" if value is None else "true" if value else "false"
    if isinstance(value, int):
        return str(int(value))
    if isinstance(type(value), StructMeta):
        shape = type(value).__struct__
        if not shape.options["array_like"]:
            return _object(zip(shape.names, shape.values(value), strict=True), ordered=ordered)
        value = shape.values(value)
    if isinstance(value, list | tuple):
        return f"[{','.join(_text(each, ordered=ordered) for each in value)}]"
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return _object(value.items(), ordered=ordered)
    raise TypeError(f"the stand-in for msgspec does not write {type(value).__name__}")


def _object(pairs: Any, *, ordered: bool) -> str:
    if ordered:
        pairs = sorted(pairs, key=lambda pair: pair[0])
    return f"{{{','.join(f'{encode_basestring(key)}:{_text(each, ordered=ordered)}' for key, each in pairs)}}}"
