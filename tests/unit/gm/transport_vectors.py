"""The example and the vectors of docs/spec/transport.md, made by the code that the document describes.

Keeps: what is random in a sealed file (its key, and what SM2 draws to wrap it) was drawn once and stands here.
"""

from __future__ import annotations

import json

from infrastructure.gm import vectors
from infrastructure.gm.sm4 import TAG_BYTES, SM4Key
from infrastructure.gm.transport import header_of, sealed_chunk

CHUNK = 16
OWN_KEY = bytes(range(16))
WRAPPED = bytes.fromhex(
    "3079022100ec454cc990cdee5c87c4b27c0082a5d4524aadd0f2ed0178d7581f6f3ad9d1560220648b80a98fdb85065246954aef1aee45f2c9"
    "88c052687295f5e8be5d8ab8f4d70420987680adc42c65f2ff0b4a2c8db1e62e9e7a3aee4526563a7270759d8b511ae7041006ed8480d0b070"
    "6e8a2f3e5992a700cb"
)
PLAIN = b"a file of 40 bytes, sealed in 3 records."


def header(chunk_bytes: int = CHUNK) -> bytes:
    return header_of(vectors.SM2_PUBLIC, WRAPPED, chunk_bytes)


def records(plain: bytes, chunk_bytes: int = CHUNK) -> list[bytes]:
    chunks = [plain[start : start + chunk_bytes] for start in range(0, len(plain), chunk_bytes)] or [b""]
    key, last = SM4Key(OWN_KEY, 0), len(chunks) - 1
    return [sealed_chunk(key, header(chunk_bytes), chunk, n, n == last) for n, chunk in enumerate(chunks)]


def sealed(plain: bytes, chunk_bytes: int = CHUNK) -> bytes:
    return header(chunk_bytes) + b"".join(records(plain, chunk_bytes))


def refused() -> list[tuple[str, bytes, str]]:
    """What was done to the first file, the file, and the code that it is refused with."""
    one, two, three = records(PLAIN)
    begin, right = header(), sealed(PLAIN)
    return [
        ("nothing but the header", begin, "seal_broken"),
        ("cut between records", begin + one + two, "seal_broken"),
        ("cut within a record", right[:-1], "seal_broken"),
        ("records exchanged", begin + two + one + three, "seal_broken"),
        ("a record twice", begin + one + one + two + three, "seal_broken"),
        ("an empty record behind the end", right + bytes(TAG_BYTES), "seal_broken"),
        ("another chunk size over the same records", header(17) + one + two + three, "seal_broken"),
        ("a chunk size of 16777217", header(16_777_217) + one + two + three, "seal_header_malformed"),
        ("a zero before the chunk size", right.replace(b"chunk 16", b"chunk 016"), "seal_header_malformed"),
        ("another recipient", right.replace(b"to ", b"to 0", 1).replace(_last_of_id(), b"\n", 1), "sealed_for_another"),
        ("the last byte of the wrapped key changed", right.replace(b"cb\n\n", b"cc\n\n", 1), "key_wrap_broken"),
        ("another version", right.replace(b"transport/1", b"transport/2", 1), "seal_format_unknown"),
    ]


def _last_of_id() -> bytes:
    """The last digit of the id, with the end of its line."""
    return header().splitlines(keepends=True)[2][-2:]


def example() -> str:
    """The file that the document begins with."""
    return header().decode() + "".join(f"{record.hex()}\n" for record in records(PLAIN))


def vector_text() -> str:
    cases = [(PLAIN, CHUNK), (PLAIN[:32], CHUNK), (b"", CHUNK), (PLAIN, 1 << 20)]
    return json.dumps(
        {
            "private_key": vectors.SM2_PRIVATE.hex(),
            "public_key": vectors.SM2_PUBLIC.hex(),
            "file_key": OWN_KEY.hex(),
            "opened": [{"plain": plain.hex(), "sealed": sealed(plain, chunk).hex()} for plain, chunk in cases],
            "refused": [{"what": what, "sealed": file.hex(), "code": code} for what, file, code in refused()],
        },
        indent=1,
    )
