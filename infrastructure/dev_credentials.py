"""Credentials for trying the service out on one machine: a random secret for each role.

Keeps: a secret is shown once, when it is made; the file, of mode 0600, holds SM3 digests, which nobody finds 256 random
bits behind; they are compared in constant time. There are none until somebody makes them.
Leaves to the service: saying loudly that they are there, and listening to this machine alone while they are.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Sequence
from pathlib import Path

import msgspec

from domain.digest import sm3_hex
from domain.errors import Unavailable
from infrastructure.gm.private_files import read_private, refuse_writable, write_private

FORMAT = 1
PREFIX = "dev_"


class _Content(msgspec.Struct, forbid_unknown_fields=True):
    """The file. ``digests``: SM3 of each role's credential."""

    format: int
    digests: dict[str, str]


class DevCredentials:
    """The file of a home; its digests are read again when it was exchanged, and void when it was removed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._digests: dict[str, str] = {}
        self._of: tuple[int, int] | None = None

    @property
    def exist(self) -> bool:
        """Whether somebody made some."""
        return self.path.exists()

    def create(self, roles: Sequence[str]) -> dict[str, str]:
        """New ones, shown here and nowhere else; the old ones are void. Raises Unavailable ``key_exposed``."""
        made = {role: f"{PREFIX}{role}_{secrets.token_hex(32)}" for role in roles}
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        refuse_writable(self.path.parent)
        digests = {role: sm3_hex(credential.encode()) for role, credential in made.items()}
        write_private(self.path, msgspec.json.format(msgspec.json.encode(_Content(FORMAT, digests)), indent=1) + b"\n")
        return made

    def remove(self) -> bool:
        """Make them void; whether there were any."""
        was = self.exist
        self.path.unlink(missing_ok=True)
        return was

    def role_of(self, credential: str) -> str | None:
        """The role that a credential is of. Raises Unavailable ``key_exposed``, ``dev_credentials_damaged``."""
        digest, found = sm3_hex(credential.encode("utf-8", "surrogateescape")), None
        for role, known in self._known().items():
            # All of them are looked at, so that the time taken tells nothing.
            if hmac.compare_digest(digest, known):
                found = role
        return found

    def _known(self) -> dict[str, str]:
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return {}
        if self._of != (found.st_ino, found.st_mtime_ns):
            try:
                content = msgspec.json.decode(read_private(self.path), type=_Content)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                content = _Content(0, {})
            if content.format != FORMAT:
                raise Unavailable(
                    "dev_credentials_damaged",
                    f"{self.path} holds no credentials of this release",
                    field=str(self.path),
                    remedy="run `carbon-ledger dev-credentials create` again",
                )
            self._digests, self._of = content.digests, (found.st_ino, found.st_mtime_ns)
        return self._digests
