"""A file that a stranger made is refused with a code, in bounded memory, and never shows two readers two things."""

from __future__ import annotations

import io
import json
import struct
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from application.verification import bundle_reader, zip_layout
from application.verification.bundle_reader import BundleReader, is_zip
from domain.audit.bundle import MAX_LINE_BYTES, OPTIONAL, REQUIRED
from domain.errors import Rejected
from infrastructure.gm import self_test, vectors
from infrastructure.gm.sm2 import new_sm2_key
from infrastructure.gm.sm2_format import public_key_to_pem
from interfaces.cli.main import main

Change = Callable[[bytes], bytes]
MEMBERS = {name: f"{name}\n".encode() for name in REQUIRED}
DEFLATED, STORED = zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED


def zipped(members: dict[str, bytes] = MEMBERS, method: int = DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


class Pipe(io.RawIOBase):
    """Somewhere to write to where nobody can go back."""

    def __init__(self) -> None:
        self.content = b""

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        self.content += bytes(data)  # type: ignore[call-overload]
        return len(bytes(data))  # type: ignore[call-overload]


def piped(force_zip64: bool = False) -> bytes:
    """As a writer writes it who does not know the sizes before."""
    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", DEFLATED) as archive:
        for name, content in {**MEMBERS, "accounts.jsonl": b""}.items():
            with archive.open(name, "w", force_zip64=force_zip64) as member:
                member.write(content)
    return pipe.content


def read_all(path: Path) -> dict[str, bytes]:
    with BundleReader(path) as reader:
        return {name: b"".join(line + b"\n" for line in reader.lines(name)) for name in reader.names}


def refusal(tmp_path: Path, content: bytes) -> str:
    """Why a file is refused: by the reader, and by the command line without a traceback."""
    path, key = tmp_path / "hostile.zip", tmp_path / "log.pem"
    path.write_bytes(content)
    key.write_text(public_key_to_pem(new_sm2_key().public_key))
    said, told = io.StringIO(), io.StringIO()
    with redirect_stdout(said), redirect_stderr(told):
        assert main(["verify", str(path), "--key", str(key), "--json"]) == 3
    answer = json.loads(said.getvalue())
    assert (answer["ok"], "Traceback" in told.getvalue()) == (False, False)
    # A member is read when it is asked for; what these hold would be refused as well.
    assert {each["code"] for each in answer["findings"]} <= {"bundle_malformed", "note_malformed"}
    with pytest.raises(Rejected) as refused:
        read_all(path)
    assert refused.value.code == "bundle_malformed"
    assert refused.value.remedy
    return refused.value.message


@pytest.mark.parametrize(
    "content",
    [
        zipped(),
        zipped(method=STORED),
        zipped(dict(reversed(MEMBERS.items()))),
        zipped({**MEMBERS, "report.html": b"\n", "methodologies/TRAVEL-METRO@12.json": b"{}\n"}),
    ],
    # Named, for the bytes hold the time they were made at, and every process must give a test the same name.
    ids=["deflated", "stored", "turned round", "with what may be there"],
)
def test_a_bundle_in_any_order_stored_or_deflated_is_read(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "good.zip").write_bytes(content)
    found = read_all(tmp_path / "good.zip")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert found == {name: archive.read(name) for name in archive.namelist()}


@pytest.mark.parametrize("force_zip64", [False, True])
def test_a_bundle_from_a_writer_who_told_the_sizes_behind_is_read(tmp_path: Path, force_zip64: bool) -> None:
    (tmp_path / "good.zip").write_bytes(piped(force_zip64))
    assert read_all(tmp_path / "good.zip") == {**MEMBERS, "accounts.jsonl": b""}


def test_a_bundle_with_a_directory_of_64_bits_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 100)
    content = zipped()
    monkeypatch.undo()
    assert b"PK\6\6" in content
    (tmp_path / "good.zip").write_bytes(content)
    assert read_all(tmp_path / "good.zip") == MEMBERS
    assert "locator" in refusal(tmp_path, content.replace(b"PK\6\6", b"PK\6\5"))


@pytest.mark.parametrize(
    "name",
    [
        "../accounts.jsonl",
        "/etc/passwd",
        "C:\\accounts.jsonl",
        "methodologies/",
        "methodologies/../x@1.json",
        "methodologies/A@0.json",
        "Accounts.jsonl",
        "accounts.jsonl ",
        "accounts.jsonl\0.txt",
        "__MACOSX/._accounts.jsonl",
        "accounts․jsonl",
    ],
)
def test_a_name_that_is_no_member_is_refused_and_nothing_is_written(tmp_path: Path, name: str) -> None:
    raw = name.encode()
    content = zipped({**MEMBERS, "x" * len(raw): b""}).replace(b"x" * len(raw), raw)
    before = {path.name for path in tmp_path.parent.iterdir()}
    assert refusal(tmp_path, content)
    assert {path.name for path in tmp_path.parent.iterdir()} == before
    assert {path.name for path in tmp_path.iterdir()} == {"hostile.zip", "log.pem"}


def entry_at(content: bytes, name: bytes, *, central: bool) -> int:
    """Where the header of a member begins."""
    place = content.rindex(name) if central else content.index(name)
    return place - (46 if central else 30)


def patched(name: bytes, local: tuple[int, bytes] | None, central: tuple[int, bytes] | None) -> Change:
    """Bytes of a member's two headers, from an offset in each."""

    def change(content: bytes) -> bytes:
        altered = bytearray(content)
        for where, is_central in ((local, False), (central, True)):
            if where is not None:
                start = entry_at(content, name, central=is_central) + where[0]
                altered[start : start + len(where[1])] = where[1]
        assert bytes(altered) != content
        return bytes(altered)

    return change


FLAGS, METHOD, CRC, SIZE = (6, 8), (8, 10), (14, 16), (22, 24)
"""Offsets in the local header and in the entry of the directory."""
NAME = b"accounts.jsonl"


def both(offsets: tuple[int, int], value: bytes) -> Change:
    return patched(NAME, (offsets[0], value), (offsets[1], value))


def with_end(**changes: int) -> Change:
    """Numbers of the end record."""
    fields = ("disk", "start_disk", "here", "count", "size", "offset", "comment")

    def change(content: bytes) -> bytes:
        told = dict(zip(fields, struct.unpack("<4H2LH", content[-18:]), strict=True)) | changes
        return content[:-18] + struct.pack("<4H2LH", *told.values())

    return change


def cut(content: bytes, name: bytes = NAME) -> tuple[int, int]:
    """Where the packed bytes of a deflated member begin and end."""
    start = content.index(name) + len(name)
    (packed,) = struct.unpack_from("<L", content, content.index(name) - 30 + 18)
    return start, start + packed


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda c: c[: len(c) // 2], "cut off"),
        (lambda c: c[:-1], "cut off"),
        (lambda c: c[:3], "too short"),
        (lambda c: c + b"\0", "follows"),
        (lambda c: c + b"<html>", "follows"),
        (lambda c: with_end(comment=2)(c) + b"hi", "follows"),
        (with_end(comment=2), "follows"),
        (lambda c: b"#!/bin/sh\n" + c, "before"),
        (lambda c: c + c, "before"),
        (lambda c: zipped({**MEMBERS, "accounts.jsonl": b"other\n"}) + c, "before"),
        (with_end(count=20_000, here=20_000), "directory"),
        (with_end(count=3), "directory"),
        (with_end(size=1 << 30), "directory"),
        (with_end(size=10), "directory"),
        (with_end(offset=10), "directory"),
        (with_end(disk=1), "directory"),
        (with_end(count=0, here=0, size=0, offset=0), "before"),
        (both(FLAGS, b"\1\0"), "in clear"),
        (both(FLAGS, b"\x41\0"), "in clear"),
        (patched(NAME, (FLAGS[0], b"\1\0"), None), "another header"),
        (both(METHOD, b"\x0c\0"), "nor deflated"),
        (both(METHOD, b"\x0e\0"), "nor deflated"),
        (both(METHOD, b"\x09\0"), "nor deflated"),
        (patched(NAME, (METHOD[0], b"\0\0"), None), "another header"),
        (both(CRC, b"\1\2\3\4"), "does not unpack"),
        (patched(NAME, (CRC[0], b"\1\2\3\4"), None), "other sizes"),
        (patched(NAME, None, (CRC[1], b"\1\2\3\4")), "other sizes"),
        (both(SIZE, b"\3\0\0\0"), "more than it says"),
        (both(SIZE, b"\xff\xff\0\0"), "does not unpack"),
        (patched(NAME, (30, b"a/counts.jsonl"), None), "another header"),
        (lambda c: c.replace(NAME, b"samples.jsonl "), "no member"),
        (lambda c: c[: cut(c)[0]] + b"\xff" * 4 + c[cut(c)[0] + 4 :], "cannot be read"),
    ],
)  # fmt: skip
def test_a_zip_file_that_is_not_as_one_writer_writes_it_is_refused(tmp_path: Path, change: Change, word: str) -> None:
    assert word in refusal(tmp_path, change(zipped()))


@given(st.sampled_from([zipped(), zipped(method=STORED), piped(), piped(force_zip64=True)]), st.data())
def test_a_zip_file_with_bytes_changed_is_refused_or_holds_the_same(content: bytes, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(content) - 1))
    end = data.draw(st.integers(start, min(len(content), start + 4)))
    changed = content[:start] + data.draw(st.binary(max_size=4)) + content[end:]
    with tempfile.TemporaryDirectory() as folder:
        whole, altered = Path(folder, "whole.zip"), Path(folder, "altered.zip")
        whole.write_bytes(content)
        altered.write_bytes(changed)
        expected = read_all(whole)
        try:
            assert read_all(altered) == expected
        except Rejected as refused:
            event(refused.code)


def test_a_program_in_front_is_refused_also_where_every_offset_counts_it(tmp_path: Path) -> None:
    file = io.BytesIO(b"#!/bin/sh\n")
    with zipfile.ZipFile(file, "a", DEFLATED) as archive:
        for name, content in MEMBERS.items():
            archive.writestr(name, content)
    offset, _ = struct.unpack("<LH", file.getvalue()[-6:])
    assert file.getvalue()[offset : offset + 4] == b"PK\1\2"
    assert "before" in refusal(tmp_path, file.getvalue())


def test_an_extra_field_that_could_give_another_name_is_refused(tmp_path: Path) -> None:
    def with_extra(kind: int, value: bytes) -> bytes:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", DEFLATED) as archive:
            for name, content in MEMBERS.items():
                info = zipfile.ZipInfo(name)
                info.extra = struct.pack("<2H", kind, len(value)) + value if name == "accounts.jsonl" else b""
                archive.writestr(info, content, DEFLATED)
        return file.getvalue()

    assert "extra field" in refusal(tmp_path, with_extra(0x7075, b"\1" + bytes(4) + b"../x"))
    assert "extra field" in refusal(tmp_path, with_extra(0x9901, bytes(7)))
    (tmp_path / "good.zip").write_bytes(with_extra(0x5455, b"\1" + bytes(4)))
    assert read_all(tmp_path / "good.zip") == MEMBERS


def test_a_member_that_stands_twice_within_another_or_apart_is_refused(tmp_path: Path) -> None:
    twice = zipped({**MEMBERS, "xccounts.jsonl": b"other\n"}).replace(b"xccounts", b"accounts")
    assert "twice" in refusal(tmp_path, twice)
    content = zipped()
    place = struct.pack("<L", entry_at(content, b"keys.jsonl", central=False))
    assert "end" in refusal(tmp_path, patched(NAME, None, (42, place))(content))
    start, _ = cut(content)
    gap = content[:start] + b"hidden" + content[start:]
    assert refusal(tmp_path, gap)
    # The same gap, with every offset behind it moved, as somebody who hides something would do it.
    altered = bytearray(with_end(offset=struct.unpack("<L", content[-6:-2])[0] + 6)(gap))
    directory = altered.index(b"PK\1\2")
    while (found := altered.find(b"PK\1\2", directory)) >= 0:
        (offset,) = struct.unpack_from("<L", altered, found + 42)
        altered[found + 42 : found + 46] = struct.pack("<L", offset + 6 if offset >= start else offset)
        directory = found + 46
    assert "does not end where" in refusal(tmp_path, bytes(altered))


def test_bytes_behind_the_end_of_a_deflated_member_are_refused(tmp_path: Path) -> None:
    made = zipped(method=STORED)
    start = made.index(NAME) + len(NAME)
    packed = MEMBERS["accounts.jsonl"]
    # An empty deflate stream, and the rest behind it.
    hidden = b"\3\0" + packed[2:]
    content = bytearray(made[:start] + hidden + made[start + len(packed) :])
    for central, method, crc in ((False, 8, 14), (True, 10, 16)):
        entry = entry_at(bytes(content), NAME, central=central)
        content[entry + method : entry + method + 2] = b"\x08\0"
        content[entry + crc : entry + crc + 12] = struct.pack("<3L", 0, len(packed), 0)
    assert "stands behind its end" in refusal(tmp_path, bytes(content))
    # Blocks of nothing, none of which is the last one.
    content[start : start + len(packed)] = b"\0\0\0\xff\xff" * (len(packed) // 5)
    assert "it has no end" in refusal(tmp_path, bytes(content))


def test_a_missing_member_is_named(tmp_path: Path) -> None:
    for name in REQUIRED:
        assert refusal(tmp_path, zipped({each: content for each, content in MEMBERS.items() if each != name})) == (
            f"{name} is missing"
        )
    assert not set(OPTIONAL) & set(MEMBERS)


@pytest.mark.parametrize("method", [DEFLATED, STORED])
def test_a_file_that_unpacks_to_much_more_than_it_is_takes_neither_memory_nor_time(
    tmp_path: Path, method: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    bomb = zipped({**MEMBERS, "accounts.jsonl": b"\n" * (1 << 24)})
    assert "500 times" in refusal(tmp_path, bomb)
    # One that lies about its size, as bombs do.
    small = both(SIZE, struct.pack("<L", 1 << 12))(bomb)
    assert "more than it says" in refusal(tmp_path, small)
    monkeypatch.setattr(bundle_reader, "MAX_LINE_BYTES", 1 << 20)
    monkeypatch.setattr(bundle_reader, "MAX_RATIO", 2_000)
    path = tmp_path / "long.zip"
    for content in (b"x" * (3 << 20), b"x" * ((1 << 20) + 1) + b"\n", b"x\n" + b"x" * ((1 << 20) + 1) + b"\n"):
        path.write_bytes(zipped({**MEMBERS, "accounts.jsonl": content}, method))
        with BundleReader(path) as reader, pytest.raises(Rejected, match="has a line of more than"):
            list(reader.lines("accounts.jsonl"))
    assert MAX_LINE_BYTES > 2 * zip_layout.MAX_DIRECTORY_BYTES


def test_a_small_member_that_is_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.zip"
    path.write_bytes(zipped({**MEMBERS, "checkpoint": bytes(5 << 20)}, STORED))
    with BundleReader(path) as reader, pytest.raises(Rejected, match="has more than"):
        reader.small("checkpoint")


def test_a_member_that_ends_within_a_line_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "half.zip"
    path.write_bytes(zipped({**MEMBERS, "accounts.jsonl": b"{}\n{"}))
    with BundleReader(path) as reader, pytest.raises(Rejected, match="ends within a line"):
        list(reader.lines("accounts.jsonl"))


def test_more_members_than_a_bundle_may_have_are_not_even_listed(tmp_path: Path) -> None:
    many = {f"methodologies/A@{number}.json": b"" for number in range(1, 10_001)}
    assert "members" in refusal(tmp_path, zipped({**MEMBERS, **many}, STORED))


@pytest.mark.parametrize("content", [b"", b"\0", b"P", b"{", b"\xff\xfe{}", b"[" * 100_000, b"null", b"1e999"])
def test_a_file_that_is_neither_bundle_nor_proof_is_refused(tmp_path: Path, content: bytes) -> None:
    path, key, said = tmp_path / "file", tmp_path / "log.pem", io.StringIO()
    path.write_bytes(content)
    key.write_text(public_key_to_pem(new_sm2_key().public_key))
    assert not is_zip(path)
    with redirect_stdout(said):
        assert main(["verify", str(path), "--key", str(key), "--json"]) == 3
    answer = json.loads(said.getvalue())
    assert (answer["ok"], answer["code"]) == (False, "proof_malformed")
    assert len(answer["message"]) <= 600


def test_nothing_is_verified_by_algorithms_that_give_other_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, key, said = tmp_path / "file", tmp_path / "log.pem", io.StringIO()
    path.write_bytes(zipped())
    key.write_text(public_key_to_pem(new_sm2_key().public_key))
    monkeypatch.setattr(vectors, "SM3", ((b"abc", "0" * 64),))
    self_test.run_once.cache_clear()
    with redirect_stdout(said):
        assert main(["verify", str(path), "--key", str(key), "--json"]) == 4
    assert json.loads(said.getvalue())["error"]["code"] == "crypto_self_test_failed"
