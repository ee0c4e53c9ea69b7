"""A file sealed for transport: its recipient gets what went in; any change on the way is refused by its code."""

from __future__ import annotations

import io
import tracemalloc
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import LedgerError, Rejected, Unavailable
from infrastructure.gm import transport_key
from infrastructure.gm.sm2 import new_sm2_key, wrap_for
from infrastructure.gm.sm4 import TAG_BYTES, new_key
from infrastructure.gm.transport import MAX_CHUNK_BYTES, header_of, opened_by, sealed_chunk, sealer_for
from infrastructure.gm.transport_key import new_transport_key, open_transport_key

KEY = new_sm2_key()
CHUNK = 16
RECORD = CHUNK + TAG_BYTES
CONTENT = bytes(range(CHUNK * 3 + 5))
CODES = {
    "not_sealed",
    "seal_format_unknown",
    "seal_header_malformed",
    "sealed_for_another",
    "key_wrap_broken",
    "seal_broken",
}


def sealed(content: bytes, cuts: tuple[int, ...] = ()) -> bytes:
    file = io.BytesIO()
    sealer = sealer_for(KEY.public_key, file, CHUNK)
    edges = sorted({0, len(content), *(cut for cut in cuts if cut < len(content))})
    for first, end in pairwise(edges):
        sealer.write(content[first:end])
    sealer.finish()
    return file.getvalue()


def opened(file: bytes) -> bytes:
    with opened_by(KEY, io.BytesIO(file), "here") as found:
        return b"".join(found.chunks())


def refused(file: bytes) -> str:
    """The code that it is refused with; "" if it opens."""
    try:
        opened(file)
    except LedgerError as error:
        return error.code if error.remedy else "without a remedy"
    return ""


def code_of_key(path: Path, phrase: bytes) -> str:
    """The id of the key in a file, or the code that the file is refused with."""
    try:
        return open_transport_key(path, phrase).key_id
    except Unavailable as error:
        return error.code


def parts_of(file: bytes) -> tuple[bytes, list[bytes]]:
    body = file.index(b"\n\n") + 2
    return file[:body], [file[start : start + RECORD] for start in range(body, len(file), RECORD)]


@given(st.integers(0, 5), st.integers(-1, 1), st.lists(st.integers(0, CHUNK * 6), max_size=5))
def test_what_was_sealed_in_blocks_of_any_length_opens_to_the_same_at_every_border(
    chunks: int, more: int, cuts: list[int]
) -> None:
    content = bytes(each % 251 for each in range(max(0, chunks * CHUNK + more)))
    file = sealed(content, tuple(cuts))
    assert opened(file) == content
    header, records = parts_of(file)
    assert len(records) == max(1, -(-len(content) // CHUNK))
    assert len(file) == len(header) + len(content) + TAG_BYTES * len(records)


def test_a_flip_of_any_byte_is_refused_by_a_code() -> None:
    file = sealed(CONTENT)
    codes = set()
    for place in range(len(file)):
        for bit in (0, 5):
            changed = bytearray(file)
            changed[place] ^= 1 << bit
            codes.add(refused(bytes(changed)))
    assert codes == CODES


def test_a_file_cut_anywhere_or_with_more_behind_is_refused() -> None:
    for content in (CONTENT, CONTENT[: CHUNK * 2], b""):
        file = sealed(content)
        assert [end for end in range(len(file)) if refused(file[:end]) not in CODES] == []
        for more in (b"\0", bytes(TAG_BYTES), bytes(RECORD), parts_of(file)[1][-1], file):
            assert refused(file + more) == "seal_broken"


def test_chunks_in_another_order_left_out_repeated_or_of_another_file_are_refused() -> None:
    (header, (one, two, three, four)), (other, others) = parts_of(sealed(CONTENT)), parts_of(sealed(CONTENT))
    for records in (
        (two, one, three, four),
        (four, two, three, one),
        (one, two, four),
        (two, three, four),
        (one, two, three),
        (one, two, two, three, four),
        (one, two, three, four, four),
        (others[0], two, three, four),
        (one, two, three, others[3]),
        tuple(others),
    ):
        assert refused(header + b"".join(records)) == "seal_broken"
    assert refused(other + one + two + three + four) == "seal_broken"


def test_the_chunk_size_of_another_header_over_the_same_chunks_is_refused() -> None:
    header, records = parts_of(sealed(CONTENT[:5]))
    assert refused(header.replace(b"chunk 16\n", b"chunk 17\n") + records[0]) == "seal_broken"


@pytest.mark.parametrize(
    "size", [b"0", b"016", b"-1", b"1e3", b"", b"99999999", b"9" * 400, b"%d" % (MAX_CHUNK_BYTES + 1)]
)
def test_a_chunk_size_that_nobody_writes_is_refused_before_anything_is_read(size: bytes) -> None:
    header, records = parts_of(sealed(CONTENT))
    changed = header.replace(b"chunk 16\n", b"chunk %b\n" % size) + b"".join(records)
    assert refused(changed) == "seal_header_malformed"


def test_what_is_no_sealed_file_or_of_another_release_is_called_so() -> None:
    assert {refused(each) for each in (b"", b"PK\3\4", b"carbon-ledger sealed file 1\n", CONTENT)} == {"not_sealed"}
    assert refused(sealed(CONTENT).replace(b"transport/1", b"transport/2")) == "seal_format_unknown"


def test_a_wrapped_key_of_another_length_is_refused() -> None:
    header = header_of(KEY.public_key, wrap_for(KEY.public_key, b"seventeen bytes.."), CHUNK)
    assert refused(header + bytes(TAG_BYTES)) == "seal_header_malformed"


def test_a_file_that_was_keyed_again_by_somebody_else_does_not_take_over_its_chunks() -> None:
    _, records = parts_of(sealed(CONTENT))
    own = new_key(0)
    header = header_of(KEY.public_key, wrap_for(KEY.public_key, own.exposed()), CHUNK)
    ours = sealed_chunk(own, header, CONTENT[:CHUNK], 0, False)
    assert refused(header + ours + b"".join(records[1:])) == "seal_broken"


def test_a_file_for_somebody_else_says_for_whom_it_is() -> None:
    file, other = sealed(CONTENT), new_sm2_key()
    with pytest.raises(Rejected) as error:
        opened_by(other, io.BytesIO(file), "here")
    assert (error.value.code, KEY.key_id in error.value.message) == ("sealed_for_another", True)
    renamed = file.replace(KEY.key_id.encode(), other.key_id.encode())
    with pytest.raises(Rejected) as error:
        opened_by(other, io.BytesIO(renamed), "here")
    assert error.value.code == "key_wrap_broken"


def test_equal_files_are_sealed_to_nothing_in_common() -> None:
    (_, one), (_, two) = (parts_of(sealed(bytes(CHUNK * 4))) for _ in range(2))
    assert len({*one, *two}) == 8


def test_sealing_and_opening_take_no_more_memory_for_a_longer_file(tmp_path: Path) -> None:
    block, peaks = bytes(1 << 14), []
    for blocks in (100, 3_000):
        path = tmp_path / str(blocks)
        tracemalloc.start()
        with path.open("wb") as file:
            sealer = sealer_for(KEY.public_key, file, 1 << 16)
            for _ in range(blocks):
                sealer.write(block)
            sealer.finish()
        with opened_by(KEY, path.open("rb"), "") as found:
            assert sum(len(chunk) for chunk in found.chunks()) == blocks * len(block)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] * 1.2 + 100_000


def test_a_key_file_opens_by_its_passphrase_alone_and_any_change_of_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport_key, "ITERATIONS", 10)
    path, phrase = tmp_path / "key", b"a passphrase of mine"
    made = new_transport_key(path, phrase)
    assert open_transport_key(path, phrase).public_key == made.public_key
    assert made.exposed().hex().encode() not in path.read_bytes()
    with pytest.raises(Unavailable, match="passphrase is another one"):
        open_transport_key(path, b"another passphrase")
    right, codes = path.read_bytes(), set()
    for place in range(len(right)):
        changed = bytearray(right)
        changed[place] ^= 1
        path.write_bytes(changed)
        if (code := code_of_key(path, phrase)) != made.key_id:  # a space may become another one
            codes.add(code)
    assert codes == {"key_damaged", "key_wrong"}
    with pytest.raises(Rejected, match="too short"):
        new_transport_key(tmp_path / "other", b"short")
    assert not (tmp_path / "other").exists()
