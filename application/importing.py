"""Import of a behavior file: streamed, resumable, every row accounted for (DESIGN 3 Intake, 5, 7).

Keeps: read = credited + duplicates + rejected; a batch is one commit; the same file after a crash goes on where it
was, and its counts are those of an undisturbed run. Where evidence is kept, the bytes are stored before the intake is
opened, hence before the first credit. Of several that import the same bytes at once, one works and the
others wait; what it credited they then answer as duplicates, in intakes of their own.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, nullcontext
from dataclasses import dataclass, field

from application.book import Book
from application.crediting import Crediting
from application.intakes import alone, close_intake, open_intake
from application.ports.behavior_source import BehaviorSource, ParsedRow, RefusedRow, RejectsSink, refuse
from application.ports.evidence import EvidenceStore
from domain.behavior import Behavior, Refusal
from domain.crediting import Credited, Duplicate, Intake
from domain.evidence import ELSEWHERE

BATCH_ROWS = 1_000


@dataclass
class ImportResult:
    """What became of a file. ``credited_mg``: what its credited rows were booked with, in mg.

    ``accounts_opened`` counts those of this run; all other counts are of the whole file, also after a resumed run.
    ``evidence``: stored, present or repaired (``EvidenceStore.keeping``), or elsewhere.
    """

    intake_id: int
    read: int = 0
    credited: int = 0
    duplicates: int = 0
    rejected_by_code: Counter[str] = field(default_factory=Counter)
    credited_mg: int = 0
    accounts_opened: int = 0
    position: int = 0
    seconds: float = 0
    evidence: str = ELSEWHERE

    @property
    def rejected(self) -> int:
        return self.rejected_by_code.total()


def import_behaviors(
    book: Book,
    source: BehaviorSource,
    partner: str,
    *,
    opens_accounts: bool = False,
    evidence: EvidenceStore | None = None,
    rejects: RejectsSink | None = None,
    progress: Callable[[ImportResult], None] | None = None,
    batch_rows: int = BATCH_ROWS,
) -> ImportResult:
    """Import the whole source; returns when every row is durable and accounted for.

    ``evidence``: where its bytes are kept; None: whoever imports it looks after them.
    """
    started = time.monotonic()
    with alone(book, partner, source.digest):
        book.rulebook()
        # Whoever destroys evidence waits until the log names these bytes.
        keeping = nullcontext(ELSEWHERE) if evidence is None else evidence.keeping(source.digest, source.blocks())
        with keeping as said:
            intake = open_intake(
                book,
                partner,
                source.digest,
                source.size_bytes,
                source.format,
                opens_accounts=opens_accounts,
                kept=evidence is not None,
            )
        result = ImportResult(intake.position, evidence=said)
        # Closed before others may go on: a batch may still be on its way when the progress fails.
        with closing(_credited(book, intake, source, batch_rows, result, rejects)) as batches:
            for _ in batches:
                result.seconds = time.monotonic() - started
                if progress is not None:
                    progress(result)
        result.position = close_intake(
            book, intake, result.read, result.credited, result.duplicates, result.rejected_by_code
        )
    result.seconds = time.monotonic() - started
    return result


def _credited(
    book: Book,
    intake: Intake,
    source: BehaviorSource,
    batch_rows: int,
    result: ImportResult,
    rejects: RejectsSink | None,
) -> Generator[None]:
    """Credit batch after batch; ``result`` tells how far it is whenever one is durable."""
    waiting: deque[list[ParsedRow]] = deque()

    def batches() -> Iterator[list[Behavior | Refusal]]:
        for parsed in source.rows(batch_rows):
            waiting.append(parsed)
            yield [row.refusal if isinstance(row, RefusedRow) else row for row in parsed]

    for batch in Crediting(book).credit_all(intake, batches()):
        parsed = waiting.popleft()
        result.position = batch.position
        result.accounts_opened += batch.accounts_opened
        result.read += len(parsed)
        for row, outcome in zip(parsed, batch.outcomes, strict=True):
            if type(outcome) is Credited:
                result.credited += 1
                result.credited_mg += outcome.credited_mg
            elif type(outcome) is Duplicate:
                result.duplicates += 1
            elif type(outcome) is Refusal:
                result.rejected_by_code[outcome.code] += 1
                if rejects is not None:
                    rejects.write(row if isinstance(row, RefusedRow) else refuse(row, *outcome[1:]))
        yield
