"""The evidence store in a folder: each file sealed under a key of its own, the key wrapped under the KEK of an epoch.

    ab/ab34...ef.sealed    the bytes whose SM3 digest it is, as ``sealed_file`` writes them
    ab/ab34...ef.key       its key, wrapped; bound to the digest
    epoch                  under which KEK the keys are wrapped
    incoming/              what is being stored just now

Keeps: a file takes its name only when it is durable and was read back under its key, so what a killed process leaves
behind lies in ``incoming`` and is removed by the next one. Whoever destroys evidence or wraps keys again is alone; a
process that holds the KEK of another epoch stores nothing. Destroying a key comes before removing the file.
Leaves to the caller: whether a file may go.
"""

from __future__ import annotations

import fcntl
import io
import os
import secrets
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from application.ports.behavior_source import BehaviorSource
from application.ports.evidence import PRESENT, REPAIRED, STORED
from domain.digest import new_sm3
from domain.errors import Corrupt, LedgerError, Rejected, Unavailable
from infrastructure.behavior_files import behaviors_of
from infrastructure.behavior_files.content import StoredContent
from infrastructure.gm.private_files import read_private, write_private
from infrastructure.gm.sm4 import SM4Key, aad_of, key_version, new_key, open_sealed, seal
from infrastructure.sealed_file import CHUNK_BYTES, SealedFile, seal_file
from infrastructure.whole_files import sync_folder

_KEY_VERSION: Final = 1
_IN_USE, _COMMIT = ".in-use", ".commit"


class EvidenceFolder:
    """Evidence store port; see ``application.ports.evidence``. ``kek``: asked anew each time, since it may move on."""

    def __init__(self, folder: Path, kek: Callable[[], SM4Key]) -> None:
        self.folder, self._kek = folder, kek
        self._remove_leftovers()

    @contextmanager
    def keeping(self, digest: str, blocks: Iterable[bytes]) -> Iterator[str]:
        with _written(self.folder):
            self._make_folder()
        with self._locked(_IN_USE, fcntl.LOCK_SH):
            self._check_epoch()
            found = self._present(digest)
            if found != PRESENT:
                with _written(self.folder):
                    self._store(digest, blocks)
            yield found

    @contextmanager
    def still(self) -> Iterator[None]:
        self._make_folder()
        with self._locked(_IN_USE, fcntl.LOCK_EX):
            yield

    def holds(self, digest: str) -> bool:
        return self._sealed(digest).exists()

    def digests(self) -> Iterator[str]:
        for path in sorted(self.folder.glob("[0-9a-f][0-9a-f]")):
            yield from sorted(each.name.removesuffix(".sealed") for each in path.glob("*.sealed"))

    def read(self, digest: str) -> Iterator[bytes]:
        state = new_sm3()
        with _readable(self._sealed(digest)), self._open(digest) as file:
            for chunk in file.chunks():
                state.update(chunk)
                yield chunk
        if state.hexdigest() != digest:
            raise Corrupt(
                "evidence_differs",
                "the file opens, but to other bytes than the intake received",
                field=str(self._sealed(digest)),
                remedy="somebody with the keys of this home put it there: keep it, and restore the right one",
            )

    def faults(self, named: Collection[str]) -> Iterator[LedgerError]:
        try:
            # Where nothing was ever stored there is none.
            if any(path.name != "incoming" for path in self.folder.glob("[!.]*")):
                self._check_epoch()
        except LedgerError as error:
            yield error
        for path in sorted(self._keys()):
            if path.stem not in named:
                try:
                    _unwrapped(self._kek(), path.stem, read_private(path), path)
                except LedgerError as error:
                    yield error

    def source(self, digest: str, media: str) -> BehaviorSource:
        with self._open(digest) as file:
            size = file.size_bytes
        content = StoredContent(self._sealed(digest), digest, size, lambda: self._buffered(digest))
        return behaviors_of(content, media)

    def destroy(self, digest: str) -> None:
        with _written(self.folder):
            for path in (self._key(digest), self._sealed(digest)):
                path.unlink(missing_ok=True)
                if path.parent.is_dir():
                    sync_folder(path.parent)

    def rewrap(self, old: SM4Key, new: SM4Key, leaving: Collection[str] = ()) -> int:
        """Wrap every key under another epoch; returns how many. May be asked for again after an interruption.

        ``leaving``: paths of keys that are left as they are. Raises as ``broken_keys`` tells for any other.
        """
        done = 0
        with self.still():
            # First, so that a process with the old KEK wraps no further key under it.
            write_private(self.folder / "epoch", f"{new.version}\n".encode())
            for path in self._keys():
                if str(path) in leaving:
                    continue
                kek, key = _any_unwrapped((old, new), path)
                if kek is old:
                    self._write_key(path.stem, _wrapped(new, path.stem, key))
                    done += 1
        return done

    def broken_keys(self, old: SM4Key, new: SM4Key) -> Iterator[LedgerError]:
        """Why those keys do not open that neither KEK opens. Raises Unavailable where a key cannot even be read."""
        for path in sorted(self._keys()):
            read_private(path)
            try:
                _any_unwrapped((old, new), path)
            except LedgerError as error:
                yield error

    def _keys(self) -> Iterator[Path]:
        return self.folder.glob("[0-9a-f][0-9a-f]/*.key")

    def _sealed(self, digest: str) -> Path:
        return self.folder / digest[:2] / f"{digest}.sealed"

    def _key(self, digest: str) -> Path:
        return self.folder / digest[:2] / f"{digest}.key"

    def _present(self, digest: str) -> str:
        """Whether the bytes are there and open, and if not, what storing them will be called."""
        if not self.holds(digest):
            return STORED
        try:
            for _ in self.read(digest):
                pass
        except Corrupt:
            return REPAIRED
        return PRESENT

    def _store(self, digest: str, blocks: Iterable[bytes]) -> None:
        key, name = new_key(_KEY_VERSION), bytes.fromhex(digest)
        with self._incoming() as (path, file), self._incoming() as (key_path, key_file):
            seal_file(key, name, blocks, file)
            key_file.write(_wrapped(self._kek(), digest, key))
            _sync(file, key_file)
            self._check_read_back(SealedFile(path.open("rb"), key, name, str(path)), digest)
            with self._locked(_COMMIT, fcntl.LOCK_EX):
                # Somebody may have stored the same bytes meanwhile; his key must not be replaced apart from his file.
                if self._present(digest) != PRESENT:
                    self._sealed(digest).parent.mkdir(mode=0o700, exist_ok=True)
                    # Whichever of the two a crash leaves is named by no event yet, and is replaced when it is needed.
                    key_path.replace(self._key(digest))
                    path.replace(self._sealed(digest))
                    sync_folder(self._sealed(digest).parent)

    def _write_key(self, digest: str, wrapped: bytes) -> None:
        with self._incoming() as (path, file):
            file.write(wrapped)
            _sync(file)
            path.replace(self._key(digest))
            sync_folder(self._key(digest).parent)

    @contextmanager
    def _incoming(self) -> Iterator[tuple[Path, BinaryIO]]:
        """A new file of mode 0600; what has not been given another name when the block ends is removed."""
        path = self.folder / "incoming" / secrets.token_hex(8)
        try:
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                yield path, file
        finally:
            path.unlink(missing_ok=True)

    def _check_read_back(self, file: SealedFile, digest: str) -> None:
        """Raises Rejected ``file_changed``."""
        state = new_sm3()
        with file:
            for chunk in file.chunks():
                state.update(chunk)
        if state.hexdigest() != digest:
            raise Rejected(
                "file_changed",
                "the file changed while it was stored as evidence",
                field=digest,
                remedy="wait until its writer has finished, then import it again",
            )

    def _open(self, digest: str) -> SealedFile:
        where = self._sealed(digest)
        try:
            file = where.open("rb")
        except FileNotFoundError:
            raise Corrupt(
                "evidence_missing",
                "the file is not in the evidence store",
                field=str(where),
                remedy="restore it from its backup; importing the same file again stores it again",
            ) from None
        try:
            return SealedFile(file, self._key_of(digest), bytes.fromhex(digest), str(where))
        except LedgerError:
            file.close()
            raise

    def _buffered(self, digest: str) -> BinaryIO:
        return io.BufferedReader(self._open(digest), CHUNK_BYTES)

    def _key_of(self, digest: str) -> SM4Key:
        path = self._key(digest)
        if not path.exists():
            raise Corrupt(
                "evidence_key_missing",
                "the key of the file is not there, so that nothing opens it",
                field=str(path),
                remedy="restore it from its backup; importing the same file again stores it again",
            )
        return _unwrapped(self._kek(), digest, read_private(path), path)

    def _make_folder(self) -> None:
        if not (self.folder / "incoming").is_dir():
            (self.folder / "incoming").mkdir(mode=0o700, parents=True, exist_ok=True)
            self.folder.chmod(0o700)
        epoch = self.folder / "epoch"
        if not epoch.exists():
            with self._locked(_COMMIT, fcntl.LOCK_EX):
                if not epoch.exists():
                    write_private(epoch, f"{self._kek().version}\n".encode())

    def _check_epoch(self) -> None:
        text = read_private(self.folder / "epoch").decode("ascii", "replace")
        if text != f"{self._kek().version}\n":
            raise Unavailable(
                "keys_moved",
                f"keys of evidence are wrapped under epoch {text.strip()}, the key store is at {self._kek().version}",
                field=str(self.folder / "epoch"),
                remedy="run it again; if it stays, run `keys rewrap` again or put back the newest key store",
            )

    def _remove_leftovers(self) -> None:
        """What killed processes left, unless somebody is storing now."""
        incoming = self.folder / "incoming"
        if incoming.is_dir() and any(incoming.iterdir()):
            with suppress(BlockingIOError), self._locked(_IN_USE, fcntl.LOCK_EX | fcntl.LOCK_NB):
                for path in incoming.iterdir():
                    path.unlink(missing_ok=True)

    @contextmanager
    def _locked(self, name: str, how: int) -> Iterator[None]:
        lock = os.open(self.folder / name, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, how)
            yield
        finally:
            os.close(lock)


def _wrapped(kek: SM4Key, digest: str, key: SM4Key) -> bytes:
    return seal(kek, key.exposed(), _key_aad(digest))


def _unwrapped(kek: SM4Key, digest: str, wrapped: bytes, path: Path) -> SM4Key:
    """Raises Unavailable ``keys_moved``, Corrupt ``evidence_broken``."""
    try:
        if key_version(wrapped) != kek.version:
            raise Unavailable(
                "keys_moved",
                f"this key is wrapped under epoch {key_version(wrapped)}, the key store is at {kek.version}",
                field=str(path),
                remedy="run it again; if it stays, run `keys rewrap` again or put back the newest key store",
            )
        return SM4Key(open_sealed(kek, wrapped, _key_aad(digest)), _KEY_VERSION)
    except (Corrupt, ValueError):
        raise Corrupt(
            "evidence_broken",
            "the wrapped key of the file is not the one that was stored",
            field=str(path),
            remedy="restore it from its backup and keep the changed one; importing the same file again stores it again",
        ) from None


def _any_unwrapped(keks: Sequence[SM4Key], path: Path) -> tuple[SM4Key, SM4Key]:
    """The KEK of several that a key is wrapped under, and the key. Raises as ``_unwrapped``."""
    wrapped = read_private(path)
    kek = next((each for each in keks if wrapped[1:5] == each.version.to_bytes(4, "big")), keks[0])
    return kek, _unwrapped(kek, path.stem, wrapped, path)


def _key_aad(digest: str) -> bytes:
    return aad_of(b"carbon-ledger/evidence-key/1", bytes.fromhex(digest))


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unavailable(
            "evidence_unreadable",
            f"the file cannot be read: {error.strerror or error}",
            field=str(path),
            remedy="check the disk and the permissions of the evidence store",
        ) from error


def _sync(*files: BinaryIO) -> None:
    """Make the contents of files durable at the same time: one commit of the file system does for all of them."""
    for file in files:
        file.flush()
    first, *others = (file.fileno() for file in files)
    with ThreadPoolExecutor(max(1, len(others))) as beside:
        waiting = [beside.submit(os.fsync, each) for each in others]
        os.fsync(first)
        for each in waiting:
            each.result()


@contextmanager
def _written(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unavailable(
            "evidence_not_written",
            f"the evidence store cannot be written: {error.strerror or error}",
            field=str(folder),
            remedy="free space or mend its permissions; or import with --no-evidence and keep the file yourself",
        ) from error
