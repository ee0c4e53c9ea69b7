"""Where the members of a zip file lie: the file must be its members, their directory and the end record, and no more.

Keeps: a zip file can be read from its front, member by member, and from its end, by the directory. Here both ways must
find the same members under the same names, in the same bytes: what stands before, between or behind them is refused,
and so is a second directory, a comment at the end, a member within another. So nobody can be shown two things by one
file. Memory does not grow with what the file says of itself.
Leaves to ``bundle_reader``: which members there may be, and unpacking them.
"""

from __future__ import annotations

import os
import zipfile
from struct import Struct
from typing import IO, NamedTuple

MAX_MEMBERS = 10_000
MAX_DIRECTORY_BYTES = 4 * 1024 * 1024

_END = Struct("<4s4H2LH")
_END_64 = Struct("<4sQ2H2L4Q")
_LOCATOR = Struct("<4sLQL")
_LOCAL = Struct("<4s5H3L2H")
_SIZES_64 = Struct("<2Q")
_END_BYTES = _END.size
_TAIL_64 = _END_64.size + _LOCATOR.size
_ENCRYPTED_OR_PATCHED = 0x1 | 0x20 | 0x40 | 0x2000
_SIZES_FOLLOW = 0x8
_SATURATED = 0xFFFFFFFF
_ZIP_64, _TIMESTAMP = 1, 0x5455
"""The extra fields that may be there; others can give a member another name."""


class Member(NamedTuple):
    """One member. ``start``: where its bytes begin; ``packed``: how many there are; ``size``: how many they make."""

    name: str
    start: int
    packed: int
    size: int
    crc: int
    is_deflated: bool


class NotAsWritten(Exception):
    """The file is no zip file that one writer wrote in one go."""


def members_of(file: IO[bytes]) -> list[Member]:
    """The members in the order in which they lie. Raises NotAsWritten, BadZipFile and what reading raises."""
    directory = _check_end(file)
    with zipfile.ZipFile(file) as archive:
        found = sorted(archive.infolist(), key=lambda each: each.header_offset)
    begins = [info.header_offset for info in found] + [directory]
    if begins[0]:
        raise NotAsWritten("something stands before its first member")
    members = []
    for info, following in zip(found, begins[1:], strict=True):
        member = _member(file, info)
        end = member.start + member.packed
        if following != end and not (info.flag_bits & _SIZES_FOLLOW and _is_sizes(file, end, following, member)):
            raise NotAsWritten(f"{member.name[:100]!r} does not end where what follows it begins")
        members.append(member)
    return members


def _check_end(file: IO[bytes]) -> int:
    """Where the directory begins."""
    length = file.seek(0, os.SEEK_END)
    end = length - _END_BYTES
    if end < 0:
        raise NotAsWritten("it is too short")
    mark, disk, _, here, count, size, offset, comment = _END.unpack(_read(file, end, _END_BYTES))
    if mark != b"PK\5\6" or comment:
        raise NotAsWritten("it does not end with the end of its directory: it is cut off, or something follows")
    if end >= _TAIL_64:
        mark_64, _, _, _ = _LOCATOR.unpack(_read(file, end - _LOCATOR.size, _LOCATOR.size))
        if mark_64 == b"PK\6\7":
            end -= _TAIL_64
            mark, _, _, _, disk, _, here, count, size, offset = _END_64.unpack(_read(file, end, _END_64.size))
            if mark != b"PK\6\6":
                raise NotAsWritten("its end does not stand before its locator")
    if disk or here != count or count > MAX_MEMBERS or size > MAX_DIRECTORY_BYTES:
        raise NotAsWritten(f"its directory is of another disk, or longer than {MAX_MEMBERS} members take")
    if offset + size != end:
        raise NotAsWritten("its directory does not end where the end record begins, or something stands before it")
    return int(offset)


def _member(file: IO[bytes], info: zipfile.ZipInfo) -> Member:
    """A member whose own header says the same of it as the directory."""
    name = info.orig_filename
    if info.flag_bits & _ENCRYPTED_OR_PATCHED or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise NotAsWritten(f"{name[:100]!r} is neither stored nor deflated in clear")
    mark, _, flags, method, _, _, crc, packed, size, name_bytes, extra_bytes = _LOCAL.unpack(
        _read(file, info.header_offset, _LOCAL.size)
    )
    rest = _read(file, info.header_offset + _LOCAL.size, name_bytes + extra_bytes)
    if (mark, flags, method, rest[:name_bytes]) != (b"PK\3\4", info.flag_bits, info.compress_type, _bytes(name)):
        raise NotAsWritten(f"{name[:100]!r} has another header than its entry in the directory")
    sizes = _extra(rest[name_bytes:])
    _extra(info.extra)
    if (packed, size) == (_SATURATED, _SATURATED) and len(sizes) == _SIZES_64.size:
        size, packed = _SIZES_64.unpack(sizes)
    told = (crc, packed, size)
    if told != (info.CRC, info.compress_size, info.file_size) and not (
        info.flag_bits & _SIZES_FOLLOW and told == (0, 0, 0)
    ):
        raise NotAsWritten(f"{name[:100]!r} has other sizes than its entry in the directory")
    start = info.header_offset + _LOCAL.size + name_bytes + extra_bytes
    is_deflated = info.compress_type == zipfile.ZIP_DEFLATED
    return Member(name, start, info.compress_size, info.file_size, info.CRC, is_deflated)


def _is_sizes(file: IO[bytes], end: int, following: int, member: Member) -> bool:
    """Whether what lies behind a member is the record of a writer who did not know its sizes before."""
    told = (member.crc, member.packed, member.size)
    forms = [Struct("<L2Q")] if max(told[1:]) > _SATURATED else [Struct("<3L"), Struct("<L2Q")]
    records = [mark + form.pack(*told) for form in forms for mark in (b"", b"PK\7\x08")]
    return end < following <= end + max(map(len, records)) and _read(file, end, following - end) in records


def _extra(fields: bytes) -> bytes:
    """The sizes of 64 bits among the extra fields, of which there may be only those and times."""
    sizes = b""
    while fields:
        kind, length = int.from_bytes(fields[:2], "little"), int.from_bytes(fields[2:4], "little")
        if kind not in (_ZIP_64, _TIMESTAMP) or len(fields) < 4 + length:
            raise NotAsWritten("a member has an extra field that is neither its sizes nor its time")
        if kind == _ZIP_64:
            sizes = fields[4 : 4 + length]
        fields = fields[4 + length :]
    return sizes


def _bytes(name: str) -> bytes:
    return name.encode("ascii", "replace")


def _read(file: IO[bytes], offset: int, length: int) -> bytes:
    file.seek(offset)
    found = file.read(length)
    if len(found) < length:
        raise NotAsWritten("it ends too early")
    return found
