"""The rejects file: every refused row with what was wrong, ready to be repaired and imported again.

CSV (RFC 4180, UTF-8): the seven columns of a behavior file as submitted, then ``line, code, field, message, remedy``,
then ``raw`` for rows that could not be taken apart. An import ignores the further columns, so repairing the first seven
is all there is to do. Texts are quoted, never altered, also when a spreadsheet would take one for a formula.

Keeps: the caller's personal data are readable by their owner alone (mode 0600); no file is ever overwritten. While an
import runs the rows go to ``NAME.partial``, which takes its final name only when the import has read its whole file;
so a file under the final name is complete. What a killed import left behind is replaced by the next one, which reads
the whole file again.
Leaves to others: which rows are refused.
"""

from __future__ import annotations

import csv
import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final

from application.ports.behavior_source import RefusedRow
from domain.behavior import COLUMNS
from domain.errors import LedgerError, Rejected, Unavailable

REJECT_COLUMNS: Final = (*COLUMNS, "line", "code", "field", "message", "remedy", "raw")


class RejectsFile:
    """Context manager; ``write`` takes rows until the block ends.

    When the block ends well the file appears under its name; when it ends with an error ``NAME.partial`` stays.
    Raises ``Rejected`` (``rejects_file_exists``, ``rejects_file_in_use``, ``rejects_folder_missing``) before anything
    is written, ``Unavailable`` (``rejects_file_unwritable``) when the disk or the permissions do not allow it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.partial_path = path.with_name(path.name + ".partial")
        self.count = 0
        self._file: IO[str] | None = None
        self._writer: Any = None

    def __enter__(self) -> RejectsFile:
        if os.path.lexists(self.path):
            raise self._exists()
        try:
            self._file = self._begin()
            self._writer = csv.writer(self._file, lineterminator="\r\n")
            self._writer.writerow(REJECT_COLUMNS)
        except OSError as error:
            raise self._failure(error) from error
        return self

    def write(self, row: RefusedRow) -> None:
        """Keep one refused row."""
        line, *reason = row.refusal
        try:
            self._writer.writerow((*row.columns, line, *reason, row.raw))
        except OSError as error:
            raise self._failure(error) from error
        self.count += 1

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

    def _begin(self) -> IO[str]:
        """The partial file, empty, locked against a second import and readable by its owner alone."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        file = os.fdopen(os.open(self.partial_path, flags, 0o600), "w", encoding="utf-8", newline="")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # An import that finished between our open and our lock has given this very file its final name.
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

    def _exists(self) -> Rejected:
        return Rejected(
            "rejects_file_exists",
            "there is already a file with this name, and the ledger overwrites none",
            field=str(self.path),
            remedy=f"name another file, or move this one away; unsaved rows are in {self.partial_path.name}, if any",
        )

    def _failure(self, error: OSError) -> LedgerError:
        field = str(self.path)
        if isinstance(error, BlockingIOError):
            message = "another import is writing this rejects file"
            return Rejected("rejects_file_in_use", message, field=field, remedy="give every import a name of its own")
        if isinstance(error, FileNotFoundError):
            message = "the folder for the rejects file does not exist"
            return Rejected("rejects_folder_missing", message, field=field, remedy="create it, or name another folder")
        message = f"the rejects file cannot be written: {error.strerror or type(error).__name__}"
        remedy = "check the permissions and the free space of its folder"
        return Unavailable("rejects_file_unwritable", message, field=field, remedy=remedy)
