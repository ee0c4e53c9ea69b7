"""The signed note: a text, an empty line, and one line for each signature (C2SP signed-note, with SM2 and SM3).

Keeps: one spelling of every note; the log signs the text itself, so that ``openssl`` alone can check a signature over a
file of it; a witness signs the text behind two lines with its time, which no checkpoint begins with; a name and key
stand once. A name is ASCII, so that no reader depends on the Unicode tables it was built with.
Leaves to the caller: which keys are trusted, whether a signature is good, and what the text says.
The bytes are specified in ``docs/spec/log.md``.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Iterable
from typing import NamedTuple

from domain.behavior import LAST_INSTANT_US
from domain.digest import new_sm3
from domain.errors import Corrupt

MAX_NOTE_BYTES = 64 * 1024
MAX_SIGNATURES = 16
MAX_NAME_CHARACTERS = 100
KEY_HASH_BYTES = 4
SIGNATURE_BYTES = 64
PUBLIC_KEY_BYTES = 65

TIME_BYTES = 8
LAST_SECOND = LAST_INSTANT_US // 1_000_000

_ALGORITHM = b"\xffcarbon-ledger/sm2-sm3/1"
_COSIGNING = b"\xffcarbon-ledger/cosignature-sm2-sm3/1"
_NAME = re.compile(rf"[!-*,-~]{{1,{MAX_NAME_CHARACTERS}}}")
_LINE = re.compile(rf"\u2014 ({_NAME.pattern}) ([A-Za-z0-9+/]{{91}}=|[A-Za-z0-9+/]{{102}}==)")
_CONTROL = re.compile(rb"[\0-\x09\x0b-\x1f\x7f]")
_REMEDY = "fetch the note again; if it stays so, keep it as evidence and ask its signer"


class NoteSignature(NamedTuple):
    """One signature: the signer's name, the first bytes of a hash that names the key, and r ‖ s.

    ``signed_s``: when a witness signed, in seconds since 1970; None for a signature over the text alone.
    """

    name: str
    key_hash: bytes
    signature: bytes
    signed_s: int | None = None


class Cosignature(NamedTuple):
    """What a witness gave: its line, whose ``signed_s`` is its time, and the key (64 bytes) under which it is good."""

    line: NoteSignature
    public_key: bytes


def is_name(text: str) -> bool:
    """Whether it may name a signer or a log: 1 to 100 printable ASCII characters without space and plus."""
    return _NAME.fullmatch(text) is not None


def key_hash_of(name: str, public_key: bytes) -> bytes:
    """Four bytes that tell a verifier which key to try; they prove nothing."""
    return _key_hash(name, _ALGORITHM, public_key)


def cosigner_hash_of(name: str, public_key: bytes) -> bytes:
    """The same of a key that cosigns."""
    return _key_hash(name, _COSIGNING, public_key)


def _key_hash(name: str, algorithm: bytes, public_key: bytes) -> bytes:
    if not is_name(name):
        raise _malformed("a signer's name is 1 to 100 printable ASCII characters without space and plus", "name")
    if len(public_key) != PUBLIC_KEY_BYTES or public_key[0] != 4:
        raise _malformed(f"a public key has {PUBLIC_KEY_BYTES} bytes and begins with 4 (uncompressed)", "public_key")
    return new_sm3(name.encode("ascii") + b"\n" + algorithm + public_key).digest()[:KEY_HASH_BYTES]


def signed_message(body: bytes) -> bytes:
    """What a signer signs: the text of the note, with its last line end and without the empty line after it."""
    _check_body(body)
    return body


def cosigned_message(body: bytes, signed_s: int) -> bytes:
    """What a witness signs: its time, and the text. As C2SP tlog-cosignature has it, so no text of a checkpoint."""
    _check_body(body)
    _check_second(signed_s)
    return b"cosignature/v1\ntime %d\n" % signed_s + body


def note_of(body: bytes, signatures: Iterable[NoteSignature | tuple[str, bytes, bytes]]) -> bytes:
    """The note: text, empty line, signatures in the order given. Raises Corrupt ``note_malformed``."""
    _check_body(body)
    signed = [each if isinstance(each, NoteSignature) else NoteSignature(*each) for each in signatures]
    _check_signatures(signed)
    lines = [f"\u2014 {each.name} {b64encode(_value(each)).decode('ascii')}\n" for each in signed]
    note = body + b"\n" + "".join(lines).encode()
    if len(note) > MAX_NOTE_BYTES:
        raise _malformed(f"a note has at most {MAX_NOTE_BYTES} bytes, not {len(note)}", "note")
    return note


def signature_der(signature: bytes) -> bytes:
    """The same 64 bytes as a DER SEQUENCE of two INTEGERs, as ``openssl`` reads a signature."""
    half = SIGNATURE_BYTES // 2
    body = b"".join(_der_integer(int.from_bytes(part, "big")) for part in (signature[:half], signature[half:]))
    return b"\x30" + bytes([len(body)]) + body


def parse_note(note: bytes) -> tuple[bytes, list[NoteSignature]]:
    """Text and signatures; refuses everything that ``note_of`` cannot have written."""
    if len(note) > MAX_NOTE_BYTES:
        raise _malformed(f"a note has at most {MAX_NOTE_BYTES} bytes, not {len(note)}", "note")
    text, empty_line, tail = note.rpartition(b"\n\n")
    if not empty_line or not tail.endswith(b"\n"):
        raise _malformed("a note is a text, an empty line and whole lines of signatures", "note")
    body = text + b"\n"
    lines = tail[:-1].split(b"\n", MAX_SIGNATURES)
    signatures = [_signature(line) for line in lines[:MAX_SIGNATURES]]
    if len(lines) > MAX_SIGNATURES:
        raise _malformed(f"a note has at most {MAX_SIGNATURES} signatures", "signature")
    if note_of(body, signatures) != note:
        raise _malformed("a signature line is not in its one spelling", "signature")
    return body, signatures


def _signature(line: bytes) -> NoteSignature:
    found = _LINE.fullmatch(line.decode("utf-8", "replace"))
    if found is None:
        raise _malformed("a signature line is a dash, a name and the base64 of 68 or 76 bytes", "signature")
    value = b64decode(found[2])
    key_hash, time, signature = value[:KEY_HASH_BYTES], value[KEY_HASH_BYTES:-SIGNATURE_BYTES], value[-SIGNATURE_BYTES:]
    return NoteSignature(found[1], key_hash, signature, int.from_bytes(time, "big") if time else None)


def _value(each: NoteSignature) -> bytes:
    time = b"" if each.signed_s is None else each.signed_s.to_bytes(TIME_BYTES, "big")
    return each.key_hash + time + each.signature


def _der_integer(number: int) -> bytes:
    encoded = number.to_bytes(number.bit_length() // 8 + 1, "big")
    return b"\x02" + bytes([len(encoded)]) + encoded


def _check_body(body: bytes) -> None:
    """Whether it may be the text of a note."""
    if len(body) < 2 or not body.endswith(b"\n") or body.startswith(b"\n") or b"\n\n" in body:
        raise _malformed("the text of a note is one or more lines, none of them empty", "body")
    if len(body) > MAX_NOTE_BYTES:
        raise _malformed(f"a note has at most {MAX_NOTE_BYTES} bytes", "body")
    if _CONTROL.search(body):
        raise _malformed("the text of a note has no control characters but line ends", "body")
    try:
        body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _malformed("the text of a note is UTF-8", "body") from error


def _check_signatures(signatures: list[NoteSignature]) -> None:
    if not 0 < len(signatures) <= MAX_SIGNATURES:
        raise _malformed(f"a note has 1 to {MAX_SIGNATURES} signatures, not {len(signatures)}", "signature")
    for each in signatures:
        if not is_name(each.name):
            raise _malformed("a signer's name is 1 to 100 printable ASCII characters without space and plus", "name")
        if len(each.key_hash) != KEY_HASH_BYTES or len(each.signature) != SIGNATURE_BYTES:
            raise _malformed(f"a key hash has {KEY_HASH_BYTES} bytes, a signature {SIGNATURE_BYTES}", "signature")
        if each.signed_s is not None:
            _check_second(each.signed_s)
    if len({(each.name, each.key_hash) for each in signatures}) < len(signatures):
        raise _malformed("a key signs a note once", "signature")


def _check_second(signed_s: int) -> None:
    if not 0 < signed_s <= LAST_SECOND:
        raise _malformed("a witness signs within 1970 to 9999", "time")


def _malformed(message: str, field: str) -> Corrupt:
    return Corrupt("note_malformed", message, field=field, remedy=_REMEDY)
