"""A file for its owner alone, which takes its name only when it is complete; as it is, or as CSV (RFC 4180, UTF-8).

Keeps: mode 0600; no file is ever overwritten. While it is written all goes to ``NAME.partial``, so a file under the
final name is complete. What a killed command left behind is replaced by the next one of the same name. In CSV texts are
quoted, never altered, also when a spreadsheet would take one for a formula.
Leaves to others: what is written.
"""

from __future__ import annotations

import csv
import fcntl
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from domain.errors import LedgerError, Rejected, Unavailable
from infrastructure.whole_files import sync_folder


class PrivateOutput:
    """Context manager: what is written until the block ends.

    When the block ends well the file appears under its name; when it ends with an error ``NAME.partial`` stays.
    Raises, for a ``what`` of ``rejects``, ``Rejected`` (``rejects_file_exists``, ``rejects_file_in_use``,
    ``rejects_folder_missing``) before anything is written, ``Unavailable`` (``rejects_file_unwritable``) when the disk
    or the permissions do not allow it.
    """

    def __init__(self, path: Path, what: str) -> None:
        self.path = path
        self.partial_path = path.with_name(path.name + ".partial")
        self._what = what
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Self:
        if os.path.lexists(self.path):
            raise self._exists()
        try:
            self._file = self._begin()
            self._start(self._file)
        except OSError as error:
            raise self._failure(error) from error
        return self

    def _start(self, file: IO[bytes]) -> None:
        """What stands at the beginning."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is None:
            return
        try:
            # The lock goes with the descriptor, so the name is given before it is closed.
            with self._file as file:
                if kind is None:
                    file.flush()
                    os.fsync(file.fileno())
                    self._publish()
        except OSError as failure:
            if kind is None:
                raise self._failure(failure) from failure

    def _begin(self) -> IO[bytes]:
        """The partial file, empty, locked against a second command and readable by its owner alone."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        file = os.fdopen(os.open(self.partial_path, flags, 0o600), "wb")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # A command that finished between our open and our lock has given this very file its final name.
            named = os.path.lexists(self.partial_path)
            if not named or not os.path.samestat(os.fstat(file.fileno()), os.lstat(self.partial_path)):
                raise BlockingIOError
            os.fchmod(file.fileno(), 0o600)
            os.ftruncate(file.fileno(), 0)
        except OSError:
            file.close()
            raise
        return file

    def _publish(self) -> None:
        """Give the partial file its final name, never over another file."""
        try:
            os.link(self.partial_path, self.path)
        except FileExistsError:
            raise self._exists() from None
        except OSError:
            # A file system without hard links (exFAT, some network shares): the check leaves a gap, but no other way.
            if os.path.lexists(self.path):
                raise self._exists() from None
            os.rename(self.partial_path, self.path)
        else:
            os.unlink(self.partial_path)
        sync_folder(self.path.parent)

    def _exists(self) -> Rejected:
        return Rejected(
            f"{self._what}_file_exists",
            "there is already a file with this name, and the ledger overwrites none",
            field=str(self.path),
            remedy=f"name another file, or move this one away; {self.partial_path.name}, if any, is an unfinished one",
        )

    def _failure(self, error: OSError) -> LedgerError:
        field, what = str(self.path), self._what
        if isinstance(error, BlockingIOError):
            message = f"another command is writing this {what} file"
            return Rejected(f"{what}_file_in_use", message, field=field, remedy="give every command a name of its own")
        if isinstance(error, FileNotFoundError):
            message = f"the folder for the {what} file does not exist"
            return Rejected(f"{what}_folder_missing", message, field=field, remedy="create it, or name another folder")
        message = f"the {what} file cannot be written: {error.strerror or type(error).__name__}"
        remedy = "check the permissions and the free space of its folder"
        return Unavailable(f"{what}_file_unwritable", message, field=field, remedy=remedy)


class PrivateBytes(PrivateOutput):
    """``write`` takes bytes; when the block ends with an error nothing stays. Raises as ``PrivateOutput``."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        if kind is not None:
            self.partial_path.unlink(missing_ok=True)

    @property
    def file(self) -> IO[bytes]:
        """The file itself, for whoever goes back in it; while the block lasts."""
        assert self._file is not None
        return self._file

    def write(self, content: bytes) -> None:
        """The next bytes."""
        assert self._file is not None
        try:
            self._file.write(content)
        except OSError as error:
            raise self._failure(error) from error


class PrivateCsv(PrivateOutput):
    """``put`` takes rows. Raises as ``PrivateOutput``."""

    def __init__(self, path: Path, columns: Sequence[str], what: str) -> None:
        super().__init__(path, what)
        self.count = 0
        self._columns = columns
        self._writer: Any = None

    def put(self, cells: Sequence[object]) -> None:
        """Keep one row."""
        try:
            self._writer.writerow(cells)
        except OSError as error:
            raise self._failure(error) from error
        self.count += 1

    def _start(self, file: IO[bytes]) -> None:
        self._writer = csv.writer(_Encoded(file), lineterminator="\r\n")
        self._writer.writerow(self._columns)


class _Encoded:
    """Takes text for a file of bytes."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write(self, text: str) -> int:
        """The next text."""
        return self._file.write(text.encode())
