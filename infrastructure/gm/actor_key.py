"""The key of a person in a file of his own, outside of every home: in clear with mode 0600, or under a passphrase.

Keeps: the file is readable by its owner alone and is never overwritten; under a passphrase, stretched with
PBKDF2-HMAC-SM3, the private half is sealed and bound to the public one.
"""

from __future__ import annotations

import secrets
from pathlib import Path

import msgspec

from domain.errors import Corrupt, Rejected, Unavailable
from infrastructure.gm import root_key
from infrastructure.gm.private_files import read_private, write_private
from infrastructure.gm.root_key import RootSource
from infrastructure.gm.sm2 import Sm2Key, new_sm2_key
from infrastructure.gm.sm4 import aad_of, open_sealed, seal

FORMAT = "carbon-ledger/actor-key/1"
_MAX_ITERATIONS = 10_000_000


class _Content(msgspec.Struct, forbid_unknown_fields=True):
    """The file. ``private``: in hex; sealed where there are ``iterations``."""

    format: str
    public_key: str
    private: str
    salt: str = ""
    iterations: int = 0


def create(path: Path, passphrase_file: Path | None = None) -> Sm2Key:
    """A new key in a new file. Raises Rejected ``file_exists``; Unavailable as the passphrase file."""
    if path.exists():
        raise Rejected(
            "file_exists", "there is a file of this name", field=str(path), remedy="name another; none is overwritten"
        )
    key = new_sm2_key()
    content = _Content(FORMAT, key.public_key.hex(), key.exposed().hex())
    if passphrase_file is not None:
        salt = secrets.token_bytes(16)
        root = RootSource(passphrase_file=passphrase_file).read(path, salt, root_key.ITERATIONS)
        sealed = seal(root, key.exposed(), aad_of(FORMAT.encode(), key.public_key))
        content = _Content(FORMAT, key.public_key.hex(), sealed.hex(), salt.hex(), root_key.ITERATIONS)
    write_private(path, msgspec.json.format(msgspec.json.encode(content), indent=1) + b"\n")
    return key


def read(path: Path, passphrase_file: Path | None = None) -> Sm2Key:
    """The key of a file. Raises Unavailable ``key_missing``, ``key_exposed``, ``actor_key_damaged``, ``key_wrong``."""
    try:
        content = msgspec.json.decode(read_private(path), type=_Content)
        public_key, private = bytes.fromhex(content.public_key), bytes.fromhex(content.private)
        salt = bytes.fromhex(content.salt)
    except (msgspec.MsgspecError, ValueError):
        raise _damaged(path) from None
    if content.format != FORMAT or not 0 <= content.iterations <= _MAX_ITERATIONS:
        raise _damaged(path)
    if content.iterations:
        if passphrase_file is None:
            raise Unavailable(
                "passphrase_missing",
                f"{path} is sealed under a passphrase",
                remedy="name the file that holds it with CARBON_LEDGER_ACTOR_PASSPHRASE_FILE",
            )
        root = RootSource(passphrase_file=passphrase_file).read(path, salt, content.iterations)
        try:
            private = open_sealed(root, private, aad_of(FORMAT.encode(), public_key))
        except Corrupt:
            raise Unavailable(
                "key_wrong", f"{path} does not open: the passphrase is another one, or the file was changed",
                remedy="give the passphrase that it was made with",
            ) from None  # fmt: skip
    try:
        return Sm2Key(private, public_key)
    except Rejected:
        raise _damaged(path) from None


def _damaged(path: Path) -> Unavailable:
    return Unavailable(
        "actor_key_damaged",
        f"{path} is not a key file as `actor key new` makes it",
        remedy="restore it from its backup, or make another key and have it registered",
    )
