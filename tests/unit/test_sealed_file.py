"""A sealed file: what comes out is what went in, and whatever is done to the file in between is noticed."""

from __future__ import annotations

import io
import tracemalloc
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Corrupt
from infrastructure import sealed_file
from infrastructure.gm.sm4 import OVERHEAD_BYTES, new_key
from infrastructure.sealed_file import MARK, SealedFile, seal_file

KEY, NAME = new_key(1), b"name"
CHUNK = 16


@pytest.fixture(autouse=True, scope="module")
def small_chunks() -> Iterator[None]:
    """Chunks of a few bytes, so that short files have many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sealed_file, "CHUNK_BYTES", CHUNK)
        patch.setattr(sealed_file, "RECORD_BYTES", CHUNK + OVERHEAD_BYTES)
        yield


def sealed(content: bytes, name: bytes = NAME) -> bytes:
    file = io.BytesIO()
    seal_file(KEY, name, [content], file)
    return file.getvalue()


def opened(file: bytes, name: bytes = NAME) -> bytes:
    with SealedFile(io.BytesIO(file), KEY, name, "here") as found:
        return b"".join(found.chunks())


def broken(file: bytes, name: bytes = NAME) -> bool:
    """Whether opening it says that it is broken, where, and what to do."""
    try:
        opened(file, name)
    except Corrupt as error:
        return error.code == "evidence_broken" and error.field == "here" and bool(error.remedy)
    return False


def records_of(file: bytes) -> list[bytes]:
    size = CHUNK + OVERHEAD_BYTES
    return [file[start : start + size] for start in range(len(MARK), len(file), size)]


CONTENT = bytes(range(CHUNK * 3 + 5))


@given(st.binary(max_size=CHUNK * 5), st.lists(st.integers(0, CHUNK * 5), max_size=6))
def test_what_was_sealed_in_blocks_of_any_length_opens_to_the_same_bytes(content: bytes, cuts: list[int]) -> None:
    edges = sorted({0, len(content), *(cut for cut in cuts if cut < len(content))})
    blocks = [content[a:b] for a, b in pairwise(edges)]
    file = io.BytesIO()
    seal_file(KEY, NAME, blocks, file)
    assert opened(file.getvalue()) == content
    with SealedFile(io.BytesIO(file.getvalue()), KEY, NAME, "") as found:
        assert found.size_bytes == len(content)


@given(
    st.binary(max_size=CHUNK * 4),
    st.lists(st.tuples(st.integers(0, 2), st.integers(-80, 80), st.integers(-1, 80)), max_size=8),
)
def test_it_can_be_read_from_anywhere_as_any_file_can(content: bytes, reads: list[tuple[int, int, int]]) -> None:
    plain = io.BytesIO(content)
    with io.BufferedReader(SealedFile(io.BytesIO(sealed(content)), KEY, NAME, ""), 24) as found:
        assert found.readable()
        assert found.seekable()
        for whence, offset, length in reads:
            base = (0, plain.tell(), len(content))[whence]
            place = max(0, base + offset)
            assert (plain.seek(place), found.seek(place)) == (place, place)
            assert found.read(length) == plain.read(length)
            assert found.tell() == plain.tell()


def test_a_place_before_the_beginning_is_the_beginning() -> None:
    with SealedFile(io.BytesIO(sealed(CONTENT)), KEY, NAME, "") as found:
        assert (found.seek(-5, io.SEEK_CUR), found.seek(-3, io.SEEK_END), found.tell()) == (0, 50, 50)
        assert found.read(2) == CONTENT[50:52]


def test_a_flip_of_any_bit_is_noticed() -> None:
    file = sealed(CONTENT)
    for bit in range(len(file) * 8):
        changed = bytearray(file)
        changed[bit // 8] ^= 1 << bit % 8
        assert broken(bytes(changed)), bit


def test_a_file_cut_anywhere_is_noticed() -> None:
    for content in (CONTENT, CONTENT[: CHUNK * 2], b""):
        file = sealed(content)
        assert [end for end in range(len(file)) if not broken(file[:end])] == []


@given(st.binary(min_size=1, max_size=200))
def test_whatever_is_appended_is_noticed(more: bytes) -> None:
    for content in (CONTENT, CONTENT[: CHUNK * 2], b""):
        assert broken(sealed(content) + more)


def test_chunks_in_any_other_order_left_out_or_repeated_are_noticed() -> None:
    file = sealed(CONTENT)
    one, two, three, four = records_of(file)
    assert MARK + one + two + three + four == file
    for records in (
        (two, one, three, four),
        (one, three, two, four),
        (four, one, two, three),
        (one, two, four),
        (two, three, four),
        (one, two, three),
        (one, two, two, three, four),
        (one, two, three, four, four),
        (one,),
        (),
    ):
        assert broken(MARK + b"".join(records))


def test_chunks_of_another_file_under_the_same_key_are_noticed() -> None:
    mine, other = sealed(CONTENT), sealed(CONTENT, b"other")
    assert broken(other)
    assert broken(mine, b"other")
    for place in range(4):
        records = records_of(mine)
        records[place] = records_of(other)[place]
        assert broken(MARK + b"".join(records))


def test_another_sealing_of_the_same_file_under_another_key_is_noticed() -> None:
    file = io.BytesIO()
    seal_file(new_key(1), NAME, [CONTENT], file)
    assert broken(file.getvalue())


def test_equal_bytes_are_sealed_to_files_that_have_nothing_in_common() -> None:
    one, two = (sealed(bytes(CHUNK * 4)) for _ in range(2))
    pieces = [record[5:] for file in (one, two) for record in records_of(file)]
    assert len(set(pieces)) == len(pieces)


def test_sealing_and_opening_take_no_more_memory_for_a_longer_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealed_file, "CHUNK_BYTES", 1 << 16)
    monkeypatch.setattr(sealed_file, "RECORD_BYTES", (1 << 16) + OVERHEAD_BYTES)
    block, peaks = bytes(1 << 14), []
    for blocks in (100, 3_000):
        path = tmp_path / str(blocks)
        tracemalloc.start()
        with path.open("wb") as file:
            seal_file(KEY, NAME, (block for _ in range(blocks)), file)
        with SealedFile(path.open("rb"), KEY, NAME, "") as found:
            assert sum(len(chunk) for chunk in found.chunks()) == blocks * len(block)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] * 1.2 + 100_000
