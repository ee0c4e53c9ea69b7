"""The book map: a plain recursion says what it must be; what is there and what is not are both shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.audit.book_map import (
    EMPTY,
    Entry,
    Item,
    MapPart,
    MapProof,
    balances_bytes,
    map_key,
    map_part,
    map_paths,
    map_rest,
    map_root,
    map_value,
    root_from_path,
)
from domain.digest import sm3_hex
from domain.errors import Corrupt, Rejected
from tests.unit.domain.refusals import refusal


def sm3(content: bytes) -> bytes:
    return bytes.fromhex(sm3_hex(content))


def naive(entries: Sequence[Entry], depth: int = 0) -> bytes:
    """The map by its definition: halves by the next bit of the key."""
    if not entries:
        return bytes(32)
    if len(entries) == 1:
        return sm3(b"\x06" + b"".join(entries[0]))
    halves: list[list[Entry]] = [[], []]
    for entry in entries:
        halves[entry[0][depth // 8] >> 7 - depth % 8 & 1].append(entry)
    return sm3(b"\x05" + naive(halves[0], depth + 1) + naive(halves[1], depth + 1))


# Keys that share long beginnings and keys that share none.
near = st.builds(
    lambda start, end: (start + bytes(32))[:28] + end, st.binary(max_size=2), st.binary(min_size=4, max_size=4)
)
tight = st.integers(0, 31).map(lambda number: number.to_bytes(32, "big"))
far = st.binary(min_size=32, max_size=32)
keys = st.one_of(near, far, tight)
maps = st.dictionaries(keys, st.binary(min_size=32, max_size=32), max_size=30)


@given(maps)
def test_the_root_in_one_pass_is_that_of_the_recursion(content: dict[bytes, bytes]) -> None:
    entries = sorted(content.items())
    assert map_root(iter(entries)) == naive(entries)


@given(maps, st.lists(keys, max_size=10))
def test_every_key_is_shown_to_be_there_or_not(content: dict[bytes, bytes], strangers: list[bytes]) -> None:
    entries = sorted(content.items())
    root = naive(entries)
    proofs = map_paths(iter(entries), [*content, *strangers])
    assert proofs.keys() == {*content, *strangers}
    for key, proof in proofs.items():
        value = content.get(key)
        assert root_from_path(key, value, proof) == root
        assert leads(key, sm3(b"another value"), proof) != root
        if value is not None:
            assert leads(key, None, proof) != root


def leads(key: bytes, value: bytes | None, proof: MapProof) -> bytes | None:
    """The root a proof leads to; None when it is refused."""
    try:
        return root_from_path(key, value, proof)
    except Rejected:
        return None


@given(st.integers(2, 200), st.data())
def test_an_altered_proof_is_refused_or_leads_elsewhere(size: int, data: st.DataObject) -> None:
    content = {sm3(b"k%d" % number): sm3(b"v%d" % number) for number in range(size)}
    entries = sorted(content.items())
    key = data.draw(st.sampled_from([*content, *(sm3(b"x%d" % number) for number in range(50))]))
    proof = map_paths(entries, [key])[key]
    value, root = content.get(key), map_root(entries)
    siblings = proof.siblings
    place, byte = data.draw(st.integers(0, len(siblings) - 1)), data.draw(st.integers(0, 31))
    altered = bytearray(siblings[place])
    altered[byte] ^= 1
    for changed in (
        (*siblings[:place], bytes(altered), *siblings[place + 1 :]),
        (*siblings[:place], *siblings[place + 1 :]),
        (*siblings[:place], root, *siblings[place:]),
        (*siblings, EMPTY),
    ):
        assert leads(key, value, proof._replace(siblings=changed)) != root
    if proof.other is not None:
        assert leads(key, value, proof._replace(other=None)) != root
        assert leads(key, value, proof._replace(other=(proof.other[0], sm3(b"")))) != root


def test_an_empty_map_and_a_map_of_one_need_no_siblings() -> None:
    key, value, absent = map_key(bytes(16)), sm3(b"v"), sm3(b"absent")
    assert map_root([]) == EMPTY == root_from_path(absent, None, map_paths([], [absent])[absent])
    assert map_root([(key, value)]) == sm3(b"\x06" + key + value)
    assert map_paths([(key, value)], [key, absent]) == {key: MapProof(()), absent: MapProof((), (key, value))}


def test_a_value_is_what_the_specification_writes_out() -> None:
    stream = bytes(range(16))
    lines = b"travel.bus,-5\ntravel.metro,1200\n"
    assert balances_bytes([("travel.bus", -5), ("travel.metro", 1200)]) == lines
    head = b"\x04\x01" + stream + bytes([0] * 7 + [3])
    assert map_value(stream, 3, [("travel.bus", -5), ("travel.metro", 1200)]) == sm3(head + sm3(lines))
    assert map_value(stream, 3, []) == sm3(head + sm3(b""))
    assert map_key(stream) == sm3(stream)


KEY, VALUE, HASH = b"\x80" + bytes(31), b"v" * 32, b"h" * 32
BESIDE = b"\x81" + bytes(31)


@pytest.mark.parametrize(
    ("value", "proof", "field"),
    [
        (VALUE, MapProof((HASH,) * 257), "siblings"),
        (VALUE, MapProof((HASH, EMPTY)), "siblings"),
        (VALUE, MapProof((HASH, HASH[1:])), "siblings"),
        (VALUE[1:], MapProof((HASH,)), "siblings"),
        (None, MapProof((HASH,), (BESIDE, VALUE[1:])), "siblings"),
        (VALUE, MapProof((HASH,), (BESIDE, VALUE)), "other"),
        (None, MapProof((HASH,), (KEY, VALUE)), "other"),
        (None, MapProof((HASH,) * 8, (BESIDE, VALUE)), "other"),
    ],
)
def test_a_proof_of_an_impossible_shape_is_refused(value: bytes | None, proof: MapProof, field: str) -> None:
    assert refusal(root_from_path, KEY, value, proof) == ("proof_malformed", field)
    assert root_from_path(KEY, None, MapProof((HASH,) * 7, (BESIDE, VALUE)))


@pytest.mark.parametrize(
    ("act", "field"),
    [
        (lambda: map_key(b"short"), "stream"),
        (lambda: map_value(b"short", 1, []), "stream"),
        (lambda: map_value(bytes(16), -1, []), "version"),
        (lambda: map_value(bytes(16), 1 << 63, []), "version"),
        (lambda: balances_bytes([("", 1)]), "behavior"),
        (lambda: balances_bytes([("b", 1), ("a", 1)]), "behavior"),
        (lambda: balances_bytes([("a", 1), ("a", 1)]), "behavior"),
        (lambda: balances_bytes([("a,b", 1)]), "behavior"),
        (lambda: balances_bytes([("a\nb", 1)]), "behavior"),
        (lambda: balances_bytes([("碳", 1)]), "behavior"),
        (lambda: map_root([(KEY, VALUE), (KEY, VALUE)]), "key"),
        (lambda: map_root([(BESIDE, VALUE), (KEY, VALUE)]), "key"),
        (lambda: map_root([(KEY, VALUE[1:])]), "entry"),
        (lambda: map_paths([], [KEY[1:]]), "key"),
    ],
)
def test_what_is_no_entry_of_the_map_stops_the_line(act: Callable[[], object], field: str) -> None:
    with pytest.raises(Corrupt) as refused:
        act()
    assert (refused.value.code, refused.value.field) == ("map_malformed", field)
    assert refused.value.remedy


# -- parts in the place of their entries -----------------------------------------------------------------------------


def in_parts(entries: Sequence[Entry], depth: int) -> list[Item]:
    """The entries, with one part for all that share ``depth`` bits."""
    shift = 256 - depth
    buckets: dict[int, list[Entry]] = {}
    for entry in entries:
        buckets.setdefault(int.from_bytes(entry[0], "big") >> shift, []).append(entry)
    parts = [map_part(depth, (start << shift).to_bytes(32, "big"), held) for start, held in buckets.items()]
    return [part for part in parts if part is not None]


@given(maps, st.sampled_from([0, 1, 7, 16, 255, 256]))
def test_parts_lead_to_the_same_root_as_their_entries(content: dict[bytes, bytes], depth: int) -> None:
    entries = sorted(content.items())
    assert map_root(in_parts(entries, depth)) == naive(entries)


@given(maps, st.data())
def test_the_rest_of_a_map_and_what_is_shown_of_it_lead_to_the_root(
    content: dict[bytes, bytes], data: st.DataObject
) -> None:
    entries = sorted(content.items())
    wanted = data.draw(st.sets(st.sampled_from([key for key, _ in entries]))) if entries else set()
    rest = list(map_rest(entries, wanted))
    shown: list[Item] = [*rest, *((key, content[key]) for key in wanted)]
    items = sorted(shown, key=lambda item: item.prefix if isinstance(item, MapPart) else item[0])
    assert map_root(items) == naive(entries)
    if not wanted:
        assert rest == ([MapPart(0, EMPTY, naive(entries))] if entries else [])


@given(maps, st.data())
def test_a_path_can_be_made_with_parts_beside_it(content: dict[bytes, bytes], data: st.DataObject) -> None:
    entries = sorted(content.items())
    key = data.draw(st.one_of(keys, st.sampled_from(sorted(content)) if content else keys))
    start = int.from_bytes(key, "big") >> 252
    beside = [each for each in entries if each[0][0] >> 4 != start]
    own = [each for each in entries if each[0][0] >> 4 == start]
    items: list[Item] = [*own, *in_parts(beside, 4)]
    items.sort(key=lambda item: item.prefix if isinstance(item, MapPart) else item[0])
    assert map_paths(items, [key]) == map_paths(entries, [key])


def test_no_entry_makes_no_part() -> None:
    assert map_part(16, EMPTY, []) is None


HASH = sm3(b"")


@pytest.mark.parametrize(
    "items",
    [
        [MapPart(4, bytes(32), HASH), (bytes(31) + b"\1", HASH)],
        [(bytes(32), HASH), MapPart(4, bytes(32), HASH)],
        [MapPart(4, bytes(32), HASH), MapPart(4, bytes(32), HASH)],
        [MapPart(1, b"\x80" + bytes(31), HASH), MapPart(1, bytes(32), HASH)],
        [MapPart(4, b"\x08" + bytes(31), HASH)],
        [MapPart(4, bytes(32), EMPTY)],
        [MapPart(257, bytes(32), HASH)],
        [MapPart(-1, bytes(32), HASH)],
        [MapPart(4, b"", HASH)],
        [MapPart(4, bytes(32), b"")],
    ],
)
def test_parts_that_overlap_or_say_nothing_are_refused(items: list[Item]) -> None:
    with pytest.raises(Corrupt, match="map_malformed"):
        map_root(items)


def test_an_entry_elsewhere_makes_no_part() -> None:
    with pytest.raises(Corrupt, match="map_malformed"):
        map_part(4, bytes(32), [(b"\x10" + bytes(31), HASH)])
