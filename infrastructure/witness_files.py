"""A witness's home and the folders between it and the log, as files.

Keeps: what is accepted is on the disk, with its folder's entry, before anything goes on; one process at a time holds
the home. Names in a shared folder are not followed anywhere, nothing of any length is read.
The folder and its files are specified in ``docs/spec/log.md``.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from application.ports.witness_home import Known
from domain.errors import Rejected, Unavailable
from domain.signing_keys import SigningKey
from infrastructure.gm.private_files import read_private, write_private
from infrastructure.whole_files import read_stranger, write_whole

FORMAT = 1
INBOX, OUTBOX = "inbox", "outbox"
REQUEST, ANSWER, REFUSAL = "request.json", "cosigned", "refusal.json"
MAX_REQUEST_BYTES = 1024 * 1024
MAX_ANSWER_BYTES = 64 * 1024


class _Key(msgspec.Struct, forbid_unknown_fields=True):
    key: str
    public_key: str
    first_size: int
    last_size: int | None


class _Content(msgspec.Struct, forbid_unknown_fields=True):
    format: int
    name: str
    origin: str
    keys: list[_Key]


class WitnessFiles:
    """Port ``WitnessHome``: ``witness.json``, the note ``accepted``, and ``refusals/``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def exists(self) -> bool:
        """Whether a witness was made here."""
        return self._about.exists()

    def create(self, known: Known) -> None:
        """A new witness. Raises Rejected ``witness_exists``."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self.exclusive():
            if self.exists:
                raise Rejected(
                    "witness_exists",
                    "there is a witness in this home already",
                    field=str(self._folder),
                    remedy="use it, see `witness show`; a second one needs a home of its own",
                )
            self.accept(known.note)
            self._write(known.name, known.origin, known.keys)

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        lock = os.open(self._folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def known(self) -> Known:
        content = self._read()
        keys = [
            SigningKey(each.key, bytes.fromhex(each.public_key), each.first_size, each.last_size)
            for each in content.keys
        ]
        return Known(content.name, content.origin, keys, read_private(self._folder / "accepted"))

    def accept(self, note: bytes) -> None:
        write_private(self._folder / "accepted", note)

    def trust(self, keys: Sequence[SigningKey]) -> None:
        content = self._read()
        self._write(content.name, content.origin, keys)

    def keep_evidence(self, name: str, content: bytes, *, replace: bool = False) -> str:
        path = self._refusals / name
        if replace or not path.exists():
            write_private(path, content)
        return str(path)

    def evidence(self) -> list[str]:
        if not self._refusals.exists():
            return []
        return [str(path) for path in sorted(self._refusals.glob("*.json"), key=lambda path: path.stat().st_mtime_ns)]

    @property
    def _about(self) -> Path:
        return self._folder / "witness.json"

    @property
    def _refusals(self) -> Path:
        return self._folder / "refusals"

    def _write(self, name: str, origin: str, keys: Sequence[SigningKey]) -> None:
        listed = [_Key(each.key, each.public_key.hex(), each.first_size, each.last_size) for each in keys]
        content = _Content(FORMAT, name, origin, listed)
        write_private(self._about, msgspec.json.format(msgspec.json.encode(content), indent=1) + b"\n")

    def _read(self) -> _Content:
        try:
            content = msgspec.json.decode(read_private(self._about), type=_Content)
            if (
                content.format == FORMAT
                and content.keys
                and all(bytes.fromhex(each.public_key) for each in content.keys)
            ):
                return content
        except (msgspec.MsgspecError, ValueError):
            pass
        raise Unavailable(
            "witness_damaged", f"{self._about} is not a witness's of this release", remedy="restore it from its backup"
        )


class FolderOfLog:
    """Port ``LogSide``: it writes into ``inbox`` of a folder and reads ``outbox``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.place = str(folder)

    def answer(self) -> bytes | None:
        return _read(self._folder / OUTBOX / ANSWER, MAX_ANSWER_BYTES)

    def refusal(self) -> bytes | None:
        return _read(self._folder / OUTBOX / REFUSAL, MAX_ANSWER_BYTES)

    def asked(self) -> bytes | None:
        return _read(self._folder / INBOX / REQUEST, MAX_REQUEST_BYTES)

    def ask(self, request: bytes) -> None:
        _write(self._folder / INBOX / REQUEST, request)


class FolderOfWitness:
    """Port ``WitnessSide``."""

    def __init__(self, inbox: Path, outbox: Path) -> None:
        self._inbox, self._outbox = inbox, outbox

    def request(self) -> bytes | None:
        return _read(self._inbox / REQUEST, MAX_REQUEST_BYTES)

    def answer(self, note: bytes) -> None:
        _write(self._outbox / ANSWER, note)

    def refuse(self, refusal: bytes) -> None:
        _write(self._outbox / REFUSAL, refusal)


def _read(path: Path, most: int) -> bytes | None:
    try:
        return read_stranger(path, most)
    except OSError as error:
        raise _failed(path, error) from error


def _write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(exist_ok=True)
        write_whole(path, content, 0o644)
    except OSError as error:
        raise _failed(path, error) from error


def _failed(path: Path, error: OSError) -> Unavailable:
    return Unavailable(
        "folder_failed",
        f"the exchange with the witness does not work: {error.strerror or error}",
        field=str(path),
        remedy="check that the folder is there and can be written to",
    )
