"""One tree of failures.

Keeps: every failure has a stable ``code``, says where (``field``) and what to do (``remedy``).
``Rejected`` is the caller's to fix, ``Corrupt`` stops the line, ``Unavailable`` is about the surroundings
(server, disk, settings). The command line turns them into exit codes 1, 3 and 4 (2 is wrong usage).
"""

from __future__ import annotations


class LedgerError(Exception):
    """Base of everything the ledger raises on purpose.

    ``code`` is stable and machine-readable; ``message`` says what is wrong; ``field`` names the place
    (a column, a key path, a stream and version), "" when there is none; ``remedy`` says what to do.
    ``after_s``: seconds after which the same may succeed; 0 = time alone does not help, or nobody knows.
    """

    exit_code = 1

    def __init__(self, code: str, message: str, *, field: str = "", remedy: str = "", after_s: int = 0) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = field
        self.remedy = remedy
        self.after_s = after_s

    def __str__(self) -> str:
        place = f" [{self.field}]" if self.field else ""
        remedy = f" ({self.remedy})" if self.remedy else ""
        return f"{self.code}{place}: {self.message}{remedy}"

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.code, self.message, self.field, self.remedy, self.after_s))


def _rebuild(cls: type[LedgerError], code: str, message: str, field: str, remedy: str, after_s: int) -> LedgerError:
    return cls(code, message, field=field, remedy=remedy, after_s=after_s)


class Rejected(LedgerError):
    """The caller asked for something that the rules refuse; nothing was written."""

    exit_code = 1


class Corrupt(LedgerError):
    """What is stored contradicts itself or the rules. Stop, keep the evidence, investigate."""

    exit_code = 3


class Unavailable(LedgerError):
    """The surroundings do not allow it: no server, wrong version, disk full, unsafe setting."""

    exit_code = 4
