"""The rejects file: every refused row with what was wrong, ready to be repaired and imported again.

CSV: the seven columns of a behavior file as submitted, then ``line, code, field, message, remedy``, then ``raw`` for
rows that could not be taken apart. An import ignores the further columns, so repairing the first seven is all there is
to do.

Keeps: the caller's personal data are readable by their owner alone, and what a killed import left behind is replaced by
the next one, which reads the whole file again (``private_output``).
Leaves to others: which rows are refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from application.ports.behavior_source import RefusedRow
from domain.behavior import COLUMNS
from infrastructure.private_output import PrivateCsv

REJECT_COLUMNS: Final = (*COLUMNS, "line", "code", "field", "message", "remedy", "raw")


class RejectsFile(PrivateCsv):
    """Context manager; ``write`` takes rows until the block ends. Raises as ``PrivateCsv``."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, REJECT_COLUMNS, "rejects")

    def write(self, row: RefusedRow) -> None:
        """Keep one refused row."""
        line, *reason = row.refusal
        self.put((*row.columns, line, *reason, row.raw))
