"""Evidence of intakes: what the log says of it held against the store, shown, and destroyed when its time is over.

Keeps: destroying is recorded before it is done, and what an interruption left is destroyed by the next; nobody stores
anything meanwhile. Only what the log says is judged: the store cannot speak for itself.
Leaves to ``domain.evidence``: what should be there, and from which day on it may go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import NamedTuple
from uuid import UUID

from application.book import Book
from application.lookups import known_of
from application.ports.behavior_source import ParsedRow, RefusedRow
from application.ports.evidence import EvidenceStore
from application.ports.journal import Append, Moved
from domain.actors import check_actor, check_reason
from domain.behavior import Behavior
from domain.crediting import Known
from domain.errors import LedgerError, Rejected, Unavailable
from domain.events.account import BehaviorCredited, ConsentGranted
from domain.events.intake import IntakeOpened
from domain.events.registry import INTAKE_TOPICS
from domain.evidence import KEPT, Evidence, Received, destroy, due, evidence_of, first_day, name_of
from domain.values import CIVIL_OFFSET_MINUTES, civil_day

FINDINGS_KEPT = 1_000
_FILES_PER_APPEND = 500
_ROWS_PER_BATCH = 1_000
_POSITIONS_PER_QUERY = 10_000


class Finding(NamedTuple):
    """Something about evidence that is not as the log says."""

    code: str
    place: str
    message: str
    remedy: str


class Listed(NamedTuple):
    """An intake and its evidence. ``stored``: the store has it; ``may_go_from``: first day it may be destroyed."""

    intake: Received
    stored: bool
    may_go_from: str


class Verified(NamedTuple):
    """``files``, ``size_bytes``: opened and compared. ``elsewhere``: files that were never here.

    ``unnamed``: stored files that no intake names: an import was interrupted before it began, or the end of the log was
    lost, and they are what can be imported again.
    """

    files: int
    size_bytes: int
    elsewhere: int
    destroyed: int
    unnamed: int
    total: int
    findings: list[Finding]


class Expired(NamedTuple):
    """``files``: destroyed and recorded by this; ``finished``: recorded before; ``unnamed``: never named by the log."""

    files: int
    size_bytes: int
    finished: int
    unnamed: int
    position: int


class ShownLine(NamedTuple):
    """A row of evidence, and the credit that has its reference now."""

    row: ParsedRow
    credit: Known | None


def list_evidence(book: Book, store: EvidenceStore, account: UUID | None = None) -> list[Listed]:
    """Every intake in log order. ``account``: only those that a credit or a consent of this account came with."""
    found = _evidence(book)
    if account is not None:
        events = [each.event for each in book.journal.stream(account)]
        named = {event.intake for event in events if isinstance(event, BehaviorCredited)}
        files = {event.evidence for event in events if isinstance(event, ConsentGranted)}
        named_too = {each.digest for each in found.values() for intake in each.intakes if intake.position in named}
        found = {digest: each for digest, each in found.items() if digest in files | named_too}
    days, retention = _days(book, found.values()), _retention_days(book)
    listed = [
        Listed(intake, store.holds(each.digest), name_of(first_day(days[each.last], retention)))
        for each in found.values()
        for intake in each.intakes
    ]
    return sorted(listed, key=lambda each: each.intake.position)


def find(book: Book, position: int) -> tuple[Received, Evidence]:
    """The intake that is named by its position. Raises Rejected ``intake_unknown``."""
    if any(isinstance(each.event, IntakeOpened) for each in book.journal.log(position - 1, position)):
        for evidence in _evidence(book).values():
            for intake in evidence.intakes:
                if intake.position == position:
                    return intake, evidence
    raise Rejected(
        "intake_unknown",
        f"position {position} of the log is no intake",
        field="intake",
        remedy="`evidence list` names all; `behaviors import` and `account explain` name theirs",
    )


def shown(book: Book, store: EvidenceStore, position: int) -> Listed:
    """One intake. Raises Rejected ``intake_unknown``."""
    intake, evidence = find(book, position)
    day = _days(book, [evidence])[evidence.last]
    return Listed(intake, store.holds(intake.digest), name_of(first_day(day, _retention_days(book))))


def read(store: EvidenceStore, intake: Received) -> Iterator[bytes]:
    """The bytes received; only when the last has come is it known that they are.

    Raises Rejected ``evidence_elsewhere``, ``evidence_destroyed``; Corrupt as ``EvidenceStore.read``.
    """
    _refuse_absent(store, intake)
    return store.read(intake.digest)


def line(book: Book, store: EvidenceStore, intake: Received, number: int) -> ShownLine:
    """One row by its line, as a credit names it. Raises Rejected ``line_unknown``, and as ``read``."""
    _refuse_absent(store, intake)
    for rows in store.source(intake.digest, intake.media).rows(_ROWS_PER_BATCH):
        for row in rows:
            at = row.refusal.line if isinstance(row, RefusedRow) else row.line
            if at == number:
                return ShownLine(row, _credit(book, intake.partner, row) if isinstance(row, Behavior) else None)
    raise Rejected(
        "line_unknown",
        f"no row begins on line {number}",
        field="line",
        remedy="the header is line 1; a row in Parquet is counted from 1, and a row of several lines has its first",
    )


def verify(book: Book, store: EvidenceStore, progress: Callable[[int], None] | None = None) -> Verified:
    """Hold the store against the log: open every file and compare its digest. ``progress``: bytes opened."""
    found: list[Finding] = []
    total = files = size = elsewhere = destroyed = 0
    evidence = _evidence(book)
    days, retention = _days(book, evidence.values()), _retention_days(book)
    for each in evidence.values():
        stored = store.holds(each.digest)
        destroyed += each.is_destroyed
        elsewhere += not (each.is_destroyed or each.is_expected or stored)
        wrong = list(_wrong_records(each, days, retention, stored=stored))
        if not each.is_destroyed and (each.is_expected or stored):
            try:
                length = sum(map(len, store.read(each.digest)))
                files, size = files + 1, size + length
                if length != each.size_bytes:
                    wrong.append(_finding(each, "evidence_size", f"{length} bytes, the log says {each.size_bytes}"))
            except LedgerError as error:
                wrong.append(Finding(error.code, error.field or each.digest, error.message, error.remedy))
            if progress is not None:
                progress(size)
        total += len(wrong)
        found += wrong[: FINDINGS_KEPT - len(found)]
    for fault in store.faults(evidence):
        total += 1
        beside = Finding(fault.code, fault.field or "evidence", fault.message, fault.remedy)
        found += [beside][: FINDINGS_KEPT - len(found)]
    nameless = sum(1 for _ in _unnamed(evidence, store))
    return Verified(files, size, elsewhere, destroyed, nameless, total, found)


def expire(
    book: Book, store: EvidenceStore, before: int, by: str, reason: str, *, with_unnamed: bool = False
) -> Expired:
    """Destroy what was last received before the civil day ``before``, on record, and finish what was interrupted.

    ``with_unnamed``: also what no intake names, which nothing records.

    Raises Rejected ``evidence_retained`` and records nothing when the retention of any of it is not over.
    """
    check_actor(by)
    check_reason(reason)
    # The time of the log, which never goes back as a clock may.
    today = civil_day(max(book.journal.now_us(), book.journal.head().recorded_us), CIVIL_OFFSET_MINUTES)
    files = size = finished = nameless = 0
    with store.still():
        stored, moved = frozenset(store.digests()), True
        found: dict[str, Evidence] = {}
        while moved:
            moved = False
            found = _evidence(book)
            days = _days(book, found.values())
            candidates = iter(due(found.values(), stored, before, today, days.__getitem__, _retention_days(book)))
            while some := list(islice(candidates, _FILES_PER_APPEND)):
                try:
                    events = [event for each in some for event in destroy(each, by, reason)]
                    book.journal.append(Append(events, book.journal.head().rulebook_position))
                except Moved:  # the same bytes were received once more: look again
                    moved = True
                    break
                for each in some:
                    store.destroy(each.digest)
                    files, size = files + 1, size + each.size_bytes
        for digest in sorted(stored):
            if digest in found and found[digest].is_destroyed and store.holds(digest):
                store.destroy(digest)
                finished += 1
            elif digest not in found and with_unnamed:
                store.destroy(digest)
                nameless += 1
    return Expired(files, size, finished, nameless, book.journal.head().size)


def _wrong_records(
    evidence: Evidence, days: Mapping[int, int], retention_days: int, *, stored: bool
) -> Iterator[Finding]:
    """What the log says that cannot be right."""
    if stored and evidence.is_destroyed:
        message = "the log says that it was destroyed, and it is in the store"
        yield _finding(evidence, "evidence_not_destroyed", message, "run `evidence expire`, which finishes it")
    for position in sorted({each.destroyed for each in evidence.intakes if each.destroyed}):
        last = max(each.last for each in evidence.intakes if each.position < position)
        if days[position] < first_day(days[last], retention_days):
            message = f"destroyed at position {position}, before its retention was over"
            yield _finding(evidence, "evidence_destroyed_early", message, "find out who did it: the log names him")


def _finding(evidence: Evidence, code: str, message: str, remedy: str = "compare the log with a backup") -> Finding:
    intakes = ", ".join(str(each.position) for each in evidence.intakes)
    return Finding(code, f"intake {intakes}", message, remedy)


def _refuse_absent(store: EvidenceStore, intake: Received) -> None:
    """Raises Rejected ``evidence_destroyed``, ``evidence_elsewhere``."""
    if intake.destroyed:
        raise Rejected(
            "evidence_destroyed",
            f"it was destroyed when its retention was over, as position {intake.destroyed} of the log says",
            field="intake",
            remedy="nobody can show it any more",
        )
    if intake.evidence != KEPT and not store.holds(intake.digest):
        raise Rejected(
            "evidence_elsewhere",
            "whoever imported it keeps the file himself",
            field="intake",
            remedy=f"ask {intake.partner}, or whoever imported it, for the file whose SM3 is {intake.digest}",
        )


def _credit(book: Book, partner: str, row: Behavior) -> Known | None:
    ref = book.keys.ref(partner, row.source_ref)
    return known_of(book.journal, [ref]).get(ref)


def unnamed(book: Book, store: EvidenceStore) -> list[str]:
    """Digests of stored files that no intake names."""
    return list(_unnamed(_evidence(book), store))


def _unnamed(evidence: Mapping[str, Evidence], store: EvidenceStore) -> Iterator[str]:
    return (digest for digest in store.digests() if digest not in evidence)


def _retention_days(book: Book) -> int:
    genesis = book.rulebook().genesis
    assert genesis is not None
    return genesis.retention_days


def _evidence(book: Book) -> dict[str, Evidence]:
    return evidence_of(book.journal.streams(INTAKE_TOPICS, book.journal.head().size))


def _days(book: Book, evidence: Iterable[Evidence]) -> dict[int, int]:
    """The civil day of each position that tells how long evidence is kept, or that it was destroyed."""
    positions = sorted({p for each in evidence for i in each.intakes for p in (i.last, i.destroyed) if p})
    waiting, days = iter(positions), dict[int, int]()
    while some := list(islice(waiting, _POSITIONS_PER_QUERY)):
        times = book.journal.recorded_at(some)
        days.update((position, civil_day(us, CIVIL_OFFSET_MINUTES)) for position, us in times.items())
    return days


def refuse_lost(book: Book, store: EvidenceStore) -> None:
    """Raises Unavailable ``evidence_lost`` when the log says that the store holds something and it holds nothing.

    To be asked before keys are wrapped again: evidence that is away meanwhile would never open again.
    """
    if next(store.digests(), None) is None and any(each.is_expected for each in _evidence(book).values()):
        raise Unavailable(
            "evidence_lost",
            "the log says that evidence is kept, and the evidence store is empty",
            field="evidence",
            remedy="mount or restore the folder `evidence` of this home first: what is away now would never open again",
        )
