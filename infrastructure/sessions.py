"""Sessions of people who signed in: what signs their cookies, and which of them were ended.

Keeps: the key is 256 random bits in a file of mode 0600, made once, by whichever process comes first; a text that was
signed for one purpose is none for another; a session that was ended stays so until it would have run out, for all
processes that share the home, and across their restarts.
Leaves to the service: what a cookie says.
"""

from __future__ import annotations

import base64
import hmac
import os
import secrets
from pathlib import Path
from typing import Any, Final

import msgspec
from cryptography.hazmat.primitives.hashes import SM3
from cryptography.hazmat.primitives.hmac import HMAC

from domain.digest import sm3_hex
from domain.errors import Unavailable
from infrastructure.gm.private_files import read_private, refuse_writable, write_private

_KEY_BYTES: Final = 32
_MOST_CHARACTERS: Final = 4_000


class Sessions:
    """``key_path``: the key; ``ended``: a folder, made when something is ended first."""

    def __init__(self, key_path: Path, ended: Path) -> None:
        """Raises Unavailable ``key_exposed``, ``key_missing``, ``session_key_damaged``."""
        self._ended = ended
        self._key = _key(key_path)

    def derived(self, purpose: str, text: str) -> str:
        """43 characters that nobody else can know, and that are the same for the same text."""
        return _text(self._mac(purpose, text.encode()))

    def signed(self, purpose: str, told: dict[str, Any]) -> str:
        """As a cookie holds it."""
        content = msgspec.json.encode(told)
        return f"{_text(content)}.{_text(self._mac(purpose, content))}"

    def read(self, purpose: str, signed: str) -> dict[str, Any] | None:
        """What was signed for this purpose; None for anything else."""
        content_text, _, mac_text = signed.partition(".")
        try:
            if len(signed) > _MOST_CHARACTERS:
                raise ValueError
            content = base64.urlsafe_b64decode(content_text + "=" * (-len(content_text) % 4))
        except ValueError:
            return None
        # The text of the code is compared, so that one spelling alone is right.
        if not hmac.compare_digest(_text(self._mac(purpose, content)).encode(), mac_text.encode()):
            return None
        return msgspec.json.decode(content, type=dict[str, Any])

    def end(self, name: str, until_s: int, now_s: int) -> bool:
        """From now on it has ended, durably; whether it had not before. It is forgotten after ``until_s``."""
        self._ended.mkdir(mode=0o700, parents=True, exist_ok=True)
        refuse_writable(self._ended)
        for each in self._ended.iterdir():
            try:
                if each.stat().st_mtime < now_s:
                    each.unlink(missing_ok=True)
            except FileNotFoundError:
                continue  # another process has just done so
        path = self._path(name)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        except FileExistsError:
            return False
        with os.fdopen(descriptor, "wb") as file:
            os.utime(file.fileno(), (until_s, until_s))
            os.fsync(file.fileno())
        folder = os.open(self._ended, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return True

    def has_ended(self, name: str) -> bool:
        """Whether it was ended before its time."""
        return self._path(name).exists()

    def _path(self, name: str) -> Path:
        return self._ended / sm3_hex(name.encode())

    def _mac(self, purpose: str, content: bytes) -> bytes:
        state = HMAC(self._key, SM3())
        state.update(purpose.encode() + b"\x00" + content)
        return state.finalize()


def _key(path: Path) -> bytes:
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        refuse_writable(path.parent)
        beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            write_private(beside, secrets.token_bytes(_KEY_BYTES).hex().encode() + b"\n")
            # A link is made or not: of several processes that begin at once one makes the key.
            os.link(beside, path)
        except FileExistsError:
            pass
        finally:
            beside.unlink(missing_ok=True)
    try:
        key = bytes.fromhex(read_private(path).decode("ascii").strip())
    except ValueError:
        key = b""
    if len(key) != _KEY_BYTES:
        raise Unavailable(
            "session_key_damaged",
            f"{path} holds no key of {_KEY_BYTES} bytes as hex digits",
            field="CARBON_LEDGER_OIDC_SESSION_KEY_FILE",
            remedy="remove it, and a new one is made at the next start: whoever is signed in signs in again",
        )
    return key


def _text(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")
