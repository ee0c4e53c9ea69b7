"""JSON that somebody wrote who wants two readers to disagree.

Keeps: documents start from an event's own spelling, so that most are nearly right; they are bytes, since much of the
mischief cannot be said in values: keys given twice, numbers in other spellings, halves of characters.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from hypothesis import strategies as st


class Raw(NamedTuple):
    """Bytes that stand for a value, valid or not."""

    content: bytes


ODD = tuple(
    Raw(content)
    for content in (
        *(b"0", b"-0", b"1", b"-1", b"01", b"-01", b"+1", b"-", b"1.", b".5", b"1.0", b"1.5", b"1e2", b"1E+2", b"1e-2"),
        *(b"0.0", b"0e0", b"100e-2", b"1e400", b"-1e400", b"1e999999999", b"NaN", b"Infinity", b"-Infinity", b"nan"),
        *(b"9223372036854775807", b"9223372036854775808", b"-9223372036854775808", b"-9223372036854775809"),
        *(
            b"18446744073709551615",
            b"18446744073709551616",
            b"1" + b"0" * 99,
            b"1_000",
            b"0x10",
            b"1 2",
            b"\xef\xbc\x91",
        ),
        *(b"9" * 4299, b"9" * 4300, b"9" * 4301, b"-" + b"9" * 4299, b"-" + b"9" * 4300, b"1" + b"0" * 5000 + b".0"),
        *(b"true", b"false", b"null", b"True", b"None", b"tru", b"nul", b"truefalse", b"undefined"),
        *(b'""', b'"1"', b'"true"', b'"null"', b'"a', b"'a'", b'"a"b', b'"\\"', b'"\\\\"', b'"\\/\\b\\f\\n\\r\\t\\""'),
        *(
            b'"\\u0061"',
            b'"\\u00e9"',
            b'"\\u0000"',
            b'"\\ud83d\\ude00"',
            b'"\\uD83D\\uDE00"',
            b'"\\ud800"',
            b'"\\udc00"',
        ),
        *(b'"\\ud83d\\u0041"', b'"\\ud83dx"', b'"\\udc00\\ud800"', b'"\\ud800\\ud800"', b'"\\ud83d\\n"', b'"\\u00"'),
        *(b'"\\u+041"', b'"\\u 041"', b'"\\u0_41"', b'"\\u00g0"', b'"\\x41"', b'"\\U0041"', b'"\\\xc3\xa9"', b'"\\u"'),
        *(
            b'"\x00"',
            b'"\x01"',
            b'"\t"',
            b'"\n"',
            b'"\x1f"',
            b'"\x7f"',
            b'"\xc2\x80"',
            b'"\xff"',
            b'"\xc0\x80"',
            b'"\xe2\x80\xa8"',
        ),
        *(b'"\xed\xa0\x80"', b'"\xf4\x90\x80\x80"', b'"\xf0\x9f\x98\x80"', b'"\xf0\x9f\x98"', b'"\xef\xbb\xbf"'),
        *(
            b"[]",
            b"[null]",
            b"[1]",
            b'["a"]',
            b"[[]]",
            b"[,]",
            b"[1,]",
            b"{}",
            b'{"a":1}',
            b'{"a":1,"a":"b"}',
            b"{1:1}",
        ),
        *(
            b'{"a"}',
            b'{"a":}',
            b'{"a":1,}',
            b"{,}",
            b"{'a':1}",
            b"/**/1",
            b"1//",
            b"",
            b" ",
            b"[" * 3000,
            b'{"a":' * 3000,
        ),
        *(b"[" * 200_000, b'{"a":' * 200_000, b"[" * 900 + b"]" * 900, b'{"a":' * 900 + b"1" + b"}" * 900),
    )
)
"""Values of every type, and things that are none, in spellings of every kind."""

_SPACE = st.sampled_from(
    [b"", b"", b"", b"", b" ", b"\n", b"\r\n\t ", b"\x0b", b"\x0c", b"\xc2\xa0", b"\x00", b"\xef\xbb\xbf"]
)
_AROUND = st.sampled_from(
    [b"", b"", b"", b"", b" ", b"\n", b"\x00", b"\xef\xbb\xbf", b"x", b"1", b"{}", b"\xff", b"//", b"\x1e"]
)


def _is_object(tree: Any) -> bool:
    return isinstance(tree, tuple) and not isinstance(tree, Raw)


def _inner(tree: Any) -> list[Any]:
    if _is_object(tree):
        return [value for _, value in tree]
    return tree if isinstance(tree, list) else []


@st.composite
def _bent(draw: st.DrawFn, tree: Any) -> Any:
    """The tree with one thing in it that is different: somewhere below, or here."""
    if len(_inner(tree)) > 0 and draw(st.booleans() | st.just(True)):
        place = draw(st.integers(0, len(_inner(tree)) - 1))
        below = draw(_bent(_inner(tree)[place]))
        if _is_object(tree):
            return (*tree[:place], (tree[place][0], below), *tree[place + 1 :])
        return [*tree[:place], below, *tree[place + 1 :]]
    odd = draw(st.sampled_from(ODD))
    if isinstance(tree, list):
        longer, shorter = [*tree, tree[0] if tree else odd], tree[1:]
        return draw(st.sampled_from([odd, longer, shorter, [*tree, odd], tree[::-1]]))
    if _is_object(tree):
        place = draw(st.integers(0, max(0, len(tree) - 1)))
        (name, value), *_ = tree[place:] or [("a", odd)]
        name = draw(st.sampled_from([name, name, name, name.upper(), name + "\x00", "", "a", "facts", "type"]))
        pair = (name, draw(st.sampled_from([odd, value, "", 0, None])))
        without = (*tree[:place], *tree[place + 1 :])
        return draw(st.sampled_from([odd, (pair, *tree), (*tree, pair), without, tree[::-1], [v for _, v in tree]]))
    return odd


def _text(draw: st.DrawFn, text: str, *, escaped: bool) -> bytes:
    if not escaped or not text:
        return json.dumps(text, ensure_ascii=False).encode()
    some = draw(st.integers(0, len(text) - 1))
    whole = json.dumps(text).encode()
    one = "".join(f"\\u{unit:04x}" for unit in _units(text[some])).encode()
    around = [json.dumps(part, ensure_ascii=False)[1:-1].encode() for part in (text[:some], text[some + 1 :])]
    return draw(st.sampled_from([whole, b'"' + around[0] + one + around[1] + b'"']))


def _units(character: str) -> list[int]:
    encoded = character.encode("utf-16-be")
    return [int.from_bytes(encoded[place : place + 2], "big") for place in range(0, len(encoded), 2)]


def _written(draw: st.DrawFn, tree: Any, *, spaced: bool, escaped: bool) -> bytes:
    """A tree as bytes, in one of the many ways that JSON allows, or nearly."""

    def space() -> bytes:
        return draw(_SPACE) if spaced else b""

    def write(each: Any) -> bytes:
        if isinstance(each, Raw):
            return each.content
        if isinstance(each, str):
            return _text(draw, each, escaped=escaped)
        if isinstance(each, list):
            return b"[" + b",".join(space() + write(value) + space() for value in each) + b"]"
        if isinstance(each, tuple):
            pairs = (
                space() + _text(draw, key, escaped=escaped) + space() + b":" + space() + write(value) + space()
                for key, value in each
            )
            return b"{" + b",".join(pairs) + b"}"
        return json.dumps(each).encode()

    return write(tree)


@st.composite
def documents(draw: st.DrawFn, contents: st.SearchStrategy[bytes]) -> bytes:
    """Bytes near to one of these: as they are, spelled differently, with other values, or broken."""
    tree = json.loads(draw(contents), object_pairs_hook=tuple)
    for _ in range(draw(st.sampled_from([0, 1, 1, 1, 2]))):
        tree = draw(_bent(tree))
    content = _written(draw, tree, spaced=draw(st.booleans()), escaped=draw(st.booleans()))
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        place = draw(st.integers(0, len(content)))
        cut = draw(st.integers(0, 3))
        put = draw(
            st.binary(max_size=2)
            | st.sampled_from([b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"0", b"-", b"\\ud8"])
        )
        content = content[:place] + put + content[place + cut :]
    return draw(_AROUND) + content + draw(_AROUND)


PIECES = (
    *(
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b'"',
        b"\\",
        b"u",
        b"0",
        b"1",
        b"-",
        b".",
        b"e",
        b"+",
        b" ",
        b"\n",
        b"\t",
        b"\x00",
    ),
    *(
        b'"a"',
        b'"b"',
        b'"a":',
        b'"n":',
        b'"\\u0061":',
        b"null",
        b"true",
        b"false",
        b"NaN",
        b"-1",
        b"1.0",
        b"1e2",
        b"\xff",
    ),
    *(
        b"\\ud800",
        b"\\udc00",
        b"\\u0041",
        b"\xed\xa0\x80",
        b"\xc3\xa9",
        b"\xef\xbb\xbf",
        b"9" * 19,
        b"9" * 4300,
        b"0" * 30,
    ),
)

rubble = st.lists(st.sampled_from(PIECES), max_size=12).map(b"".join)
"""Pieces of JSON in any order."""
