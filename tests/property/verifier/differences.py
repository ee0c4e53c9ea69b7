"""Every document that differs in one place from a good one: not drawn, so that nothing thought of is left to chance."""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import NoneType
from typing import Any, get_args, get_origin

import msgspec

from tests.property.verifier.hostile import ODD

_NEAR_SPACE = (
    b" ",
    b"\t",
    b"\n",
    b"\r",
    b"\x00",
    b"\x0b",
    b"\x0c",
    b"\x1f",
    b"\xc2\xa0",
    b"\xef\xbb\xbf",
    b"\xe2\x80\xa8",
    b"//",
    b"#",
)
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^{}\[\],:"]+')


def differences(kind: Any) -> Iterator[bytes]:
    """Every document that differs in one place from one that is good for this type, and some good ones."""
    good = _samples(kind)[0]
    tokens = _TOKEN.findall(good)
    for place in range(len(tokens) + 1):
        for space in _NEAR_SPACE:
            yield b"".join((*tokens[:place], space, *tokens[place:]))
    yield from _different(kind)


def _different(kind: Any) -> Iterator[bytes]:
    yield from (odd.content for odd in ODD)
    yield from _samples(kind)
    if get_origin(kind) is tuple:
        element = get_args(kind)[0]
        one, two = _samples(element)
        yield from (b"[%b,%b,%b]" % (one, two, one), b"[%b,]" % one, b"[,%b]" % one, b"[%b%b]" % (one, two))
        yield from (b"[%b,%b]" % (one, each) for each in _different(element))
    elif isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        as_array = kind.__struct_config__.array_like
        fields = [(field.encode_name.encode(), field.type) for field in msgspec.structs.fields(kind)]
        parts = [b"%b" % _samples(t)[0] if as_array else _pair(name, _samples(t)[0]) for name, t in fields]
        opened, closed = (b"[", b"]") if as_array else (b"{", b"}")
        for changed in _changed(fields, parts, as_array=as_array):
            yield opened + b",".join(changed) + closed


def _changed(fields: list[tuple[bytes, Any]], parts: list[bytes], *, as_array: bool) -> Iterator[list[bytes]]:
    yield parts[::-1]
    yield [*parts, b"1" if as_array else b'"unknown":1']
    yield [*parts, b""]
    for place, (name, kind) in enumerate(fields):
        before, after = parts[:place], parts[place + 1 :]
        yield [*before, *after]
        for each in _different(kind):
            yield [*before, each if as_array else _pair(name, each), *after]
        one, two = _samples(kind)
        if not as_array:
            escaped = b"\\u%04x" % name[0] + name[1:]
            for key in (name.upper(), escaped, name + b" ", b"\\" + name, name + b"\\u0000", name + b"\\ud800"):
                yield [*before, _pair(key, one), *after]
            for first, second in ((one, two), (two, one), (b"{}", one), (one, b"[]"), (b"1.5", one)):
                yield [*before, _pair(name, first), *after, _pair(name, second)]


def _pair(name: bytes, value: bytes) -> bytes:
    return b'"%b":%b' % (name, value)


def _samples(kind: Any) -> tuple[bytes, bytes]:
    """Two different values of a type."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        fields = [(field.encode_name.encode(), _samples(field.type)) for field in msgspec.structs.fields(kind)]
        if kind.__struct_config__.array_like:
            made = [b"[%b]" % b",".join(samples[which] for _, samples in fields) for which in (0, 1)]
        else:
            made = [b"{%b}" % b",".join(_pair(n, samples[which]) for n, samples in fields) for which in (0, 1)]
        return made[0], made[1]
    if get_origin(kind) is tuple:
        one, two = _samples(get_args(kind)[0])
        return b"[%b]" % one, b"[%b,%b]" % (two, one)
    if get_origin(kind) is dict:
        return b'{"k":1}', b'{"k":2,"l":3,"k":4}'
    if NoneType in get_args(kind):
        return b"null", _samples(next(each for each in get_args(kind) if each is not NoneType))[0]
    simple: dict[Any, tuple[bytes, bytes]] = {str: (b'"x"', b'"y"'), int: (b"7", b"8"), bool: (b"true", b"false")}
    return simple[kind]
