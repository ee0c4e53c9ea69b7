"""The root key of a home: from a file, from a passphrase, or, for a local home, from a file made beside the store.

Keeps: it never stands in the store itself; it comes from where the environment says, or from where ``keys init`` put
it; a passphrase is stretched with PBKDF2-HMAC-SM3.
"""

from __future__ import annotations

import re
import secrets
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives.hashes import SM3
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

from domain.errors import Unavailable
from infrastructure.gm.private_files import read_private, write_private
from infrastructure.gm.sm4 import KEY_BYTES, SM4Key

ITERATIONS = 200_000
MAX_ITERATIONS = 10_000_000
MIN_PASSPHRASE_BYTES = 12
GENERATED, FILE, PASSPHRASE = "generated", "file", "passphrase"


# One spelling, so that a changed file is a damaged one also where it would give the same key.
_KEY = re.compile(rb"([0-9a-f]{%d})(?:\r?\n)?" % (2 * KEY_BYTES))


class RootSource(NamedTuple):
    """Where the root key comes from: ``kek_file`` or ``passphrase_file`` of the settings, else a generated file."""

    kek_file: Path | None = None
    passphrase_file: Path | None = None

    @property
    def kind(self) -> str:
        """Raises Unavailable ``settings_malformed`` when both are given."""
        if self.kek_file is not None and self.passphrase_file is not None:
            raise Unavailable(
                "settings_malformed",
                "both CARBON_LEDGER_KEK_FILE and CARBON_LEDGER_PASSPHRASE_FILE are set",
                remedy="set the one that this home was made with",
            )
        if self.kek_file is not None:
            return FILE
        return GENERATED if self.passphrase_file is None else PASSPHRASE

    def read(self, generated: Path, salt: bytes, iterations: int) -> SM4Key:
        """Raises Unavailable ``key_missing``, ``key_exposed``, ``key_damaged``."""
        if self.kind == PASSPHRASE and self.passphrase_file is not None:
            return stretched(passphrase_in(self.passphrase_file), salt, iterations)
        path = self.kek_file or generated
        found = _KEY.fullmatch(read_private(path))
        if found is None:
            raise _damaged(path, "a key of 32 hex digits, a to f in lower case, and an end of line at most")
        return SM4Key(bytes.fromhex(found[1].decode()), 0)


def passphrase_in(path: Path) -> bytes:
    """The passphrase that a file holds. Raises Unavailable ``key_missing``, ``key_exposed``, ``key_damaged``."""
    phrase = read_private(path).rstrip(b"\r\n")
    if len(phrase) < MIN_PASSPHRASE_BYTES:
        raise _damaged(path, f"a passphrase of at least {MIN_PASSPHRASE_BYTES} bytes")
    return phrase


def stretched(phrase: bytes, salt: bytes, iterations: int) -> SM4Key:
    """The key of a passphrase."""
    return SM4Key(PBKDF2HMAC(SM3(), KEY_BYTES, salt, iterations).derive(phrase), 0)


def generate(path: Path) -> None:
    """A new root key in a file of its own."""
    write_private(path, secrets.token_hex(KEY_BYTES).encode() + b"\n")


def _damaged(path: Path, expected: str) -> Unavailable:
    remedy = "restore it from its backup; where nothing was sealed with it yet, write one that does"
    return Unavailable("key_damaged", f"{path} does not hold {expected}", remedy=remedy)
