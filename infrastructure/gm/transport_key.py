"""The key pair of a recipient, in two files outside any home: the private one sealed under a passphrase, and the PEM.

Keeps: mode 0600; the passphrase is stretched like that of a key store; what the private file says of its public half is
bound to the seal, and tried. No file is overwritten.
"""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path
from typing import Final

import msgspec

from domain.errors import Corrupt, Rejected, Unavailable
from infrastructure.gm import self_test
from infrastructure.gm.private_files import read_private
from infrastructure.gm.root_key import ITERATIONS, MAX_ITERATIONS, MIN_PASSPHRASE_BYTES, stretched
from infrastructure.gm.sm2 import Sm2Key, new_sm2_key
from infrastructure.gm.sm2_format import public_key_to_pem
from infrastructure.gm.sm4 import SM4Key, aad_of, open_sealed, seal

FORMAT: Final = "carbon-ledger/transport-key/1"
PUBLIC_SUFFIX: Final = ".pem"
_HEX = re.compile(r"([0-9a-f]{2})+")


class _Content(msgspec.Struct, forbid_unknown_fields=True):
    format: str
    public_key: str
    salt: str
    iterations: int
    sealed: str


def public_path(path: Path) -> Path:
    """Where the public half of a key stands: beside the private one."""
    return path.with_name(path.name + PUBLIC_SUFFIX)


def new_transport_key(path: Path, passphrase: bytes) -> Sm2Key:
    """A fresh key pair in two new files.

    Raises Rejected ``passphrase_short``, ``transport_key_exists``; Unavailable ``transport_key_unwritable``.
    """
    self_test.run_once()
    if len(passphrase) < MIN_PASSPHRASE_BYTES:
        remedy = f"take {MIN_PASSPHRASE_BYTES} bytes or more; several words drawn at random are good"
        raise Rejected("passphrase_short", "the passphrase is too short", field="passphrase", remedy=remedy)
    key, salt = new_sm2_key(), secrets.token_bytes(16)
    sealed = seal(stretched(passphrase, salt, ITERATIONS), key.exposed(), _aad(key.public_key))
    content = _Content(FORMAT, key.public_key.hex(), salt.hex(), ITERATIONS, sealed.hex())
    # The private half first: a public one that nobody can open for would be worse than none.
    _write_new(path, msgspec.json.format(msgspec.json.encode(content), indent=1) + b"\n", 0o600)
    _write_new(public_path(path), public_key_to_pem(key.public_key).encode(), 0o644)
    return key


def open_transport_key(path: Path, passphrase: bytes) -> Sm2Key:
    """Raises Unavailable ``key_missing``, ``key_exposed``, ``key_damaged``, ``key_wrong``, ``signing_key_damaged``."""
    self_test.run_once()
    try:
        content = msgspec.json.decode(read_private(path), type=_Content)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise _damaged(path) from None
    texts = (content.public_key, content.salt, content.sealed)
    if content.format != FORMAT or not all(map(_HEX.fullmatch, texts)) or not 0 < content.iterations <= MAX_ITERATIONS:
        raise _damaged(path)
    public_key = bytes.fromhex(content.public_key)
    root = stretched(passphrase, bytes.fromhex(content.salt), content.iterations)
    try:
        return Sm2Key(_private(root, bytes.fromhex(content.sealed), public_key), public_key)
    except Rejected:
        raise _damaged(path) from None
    except Corrupt:
        raise Unavailable(
            "key_wrong",
            f"{path} does not open: the passphrase is another one, or the file was changed",
            field=str(path),
            remedy="give the passphrase that it was made with, or restore it from its backup",
        ) from None


def _private(root: SM4Key, sealed: bytes, public_key: bytes) -> bytes:
    return open_sealed(root, sealed, _aad(public_key))


def _aad(public_key: bytes) -> bytes:
    return aad_of(FORMAT.encode(), public_key)


def _write_new(path: Path, content: bytes, mode: int) -> None:
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        remedy = "name another file; no key is overwritten"
        raise Rejected("transport_key_exists", "there is a file of this name", field=str(path), remedy=remedy) from None
    except OSError as error:
        message = f"the key cannot be written: {error.strerror or error}"
        remedy = "name a folder that exists and may be written"
        raise Unavailable("transport_key_unwritable", message, field=str(path), remedy=remedy) from error


def _damaged(path: Path) -> Unavailable:
    remedy = "name the file that `transport-key new` wrote, or restore it from its backup"
    return Unavailable("key_damaged", f"{path} is no transport key of this release", field=str(path), remedy=remedy)
