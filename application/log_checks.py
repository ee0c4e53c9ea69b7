"""What stands beside the log must agree with it: head, commits, references, account names, snapshots, intakes.

Keeps: replay recomputes values; this compares the tables that live crediting relies on with the log, so that whoever
edits one of them is found. Read in batches of streams: memory stays flat.
Leaves to the Merkle log (issue: provable): an edit of both sides at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from uuid import UUID

from application.book import Book
from domain.account import Account
from domain.erasure import last_entry, refuse_retained
from domain.errors import LedgerError, Rejected
from domain.events.account import AccountOpened, BehaviorCredited, ConsentGranted, PersonalDataErased
from domain.events.base import Recorded
from domain.events.intake import IntakeClosed, IntakeOpened
from domain.events.registry import RULEBOOK_TOPICS
from domain.intakes import credits_miscounted, is_named_after_its_bytes, rows_unaccounted
from domain.replay import Mismatch
from domain.rulebook_replay import check_rulebook
from domain.streams import BOOK

Streams = Sequence[tuple[UUID, Sequence[Recorded]]]


def check_head(book: Book, upto: int) -> Iterator[Mismatch]:
    """Positions are 1, 2, 3 ... up to the head, and commits end where the head does."""
    head = book.journal.head()
    count, first, last = book.journal.span(2**63 - 1)
    # Others may append meanwhile: what was counted then ends somewhere between two looks at the head.
    if (count, first) != (last, min(1, last)) or not head.size <= last <= book.journal.head().size:
        yield _beside(last, "positions", f"{count} events from {first} to {last}", f"1 to {head.size}")
    wrong = book.journal.wrong_commit()
    if wrong:
        yield _beside(wrong, "commit time", f"the commit that ends at {wrong}", "later than the one before it")
    if upto and book.journal.recorded_at([head.size]).get(head.size) != head.recorded_us:
        yield _beside(head.size, "commit time", "the last commit's", "the head's")


def check_rulebook_events(book: Book, upto: int) -> Iterator[Mismatch]:
    """The chain from the head back to genesis holds every rulebook event of the log: none is withheld. Those up to a
    position are what their rules give."""
    head = book.journal.head()
    events = book.journal.rulebook_events(0, head.rulebook_position)
    chain = [each.position for each in events]
    inlog = [each.position for each in book.journal.log(0, head.size, RULEBOOK_TOPICS)]
    for position in sorted(set(chain) ^ set(inlog)):
        yield _beside(position, "rulebook chain", "left out" if position in inlog else "not in the log", "in both")
    yield from check_rulebook((each for each in events if each.position <= upto), book.journal.recorded_at(chain))


_LINES_AS_BITS = 1 << 30
"""No file has more rows; a line beyond it was made up, and is remembered by itself."""


class IntakeChecks:
    """Intakes against the credits that name them."""

    def __init__(self, book: Book, upto: int) -> None:
        self._partners: dict[int, str] = {}
        self._closed: dict[int, IntakeClosed] = {}
        self._digests: set[str] = set()
        self._named: Counter[int] = Counter()
        self.wrong: list[Mismatch] = []
        topics = (IntakeOpened.TOPIC, IntakeClosed.TOPIC)
        for stream, recorded in book.journal.streams(topics, upto):
            for each in recorded:
                self._add(stream, each)

    def _add(self, stream: UUID, each: Recorded) -> None:
        event = each.event
        if isinstance(event, IntakeOpened):
            self._partners[each.position] = event.partner
            self._digests.add(event.digest)
            self._opened = each.position
            if not is_named_after_its_bytes(stream, event):
                self.wrong.append(
                    _at(each, "intake", f"{event.partner} {event.digest}", "what its stream is named after")
                )
        else:
            self._closed[self._opened] = event
            unaccounted = rows_unaccounted(event)
            if unaccounted is not None:
                self.wrong.append(_at(each, *unaccounted))

    @property
    def partners(self) -> Mapping[int, str]:
        """The partner of each intake, by the intake's position."""
        return self._partners

    def check(self, each: Recorded) -> Iterator[Mismatch]:
        """One event of an account."""
        event = each.event
        if isinstance(event, BehaviorCredited):
            self._named[event.intake] += 1
            if not self.fits(event.intake, event.partner):
                yield self.misfit(each.stream, each.version, each.position, event.intake, event.partner)
            elif event.intake > each.position:
                yield _at(each, "intake", f"opened at {event.intake}", "before its first credit")
        elif isinstance(event, ConsentGranted) and event.basis == "imported" and event.evidence not in self._digests:
            yield _at(each, "evidence", event.evidence, "the digest of an intake")

    def fits(self, intake: int, partner: str) -> bool:
        """Whether a credit that names this intake and partner is right about them."""
        return self._partners.get(intake) == partner

    def misfit(self, stream: UUID, version: int, position: int, intake: int, partner: str) -> Mismatch:
        """A credit that does not fit the intake it names."""
        named = self._partners.get(intake, "no such intake")
        return Mismatch(stream, version, position, "intake", f"{partner} {intake}", named)

    def add_credits(self, intake: int, credits: int) -> None:
        """Count credits that name an intake, when they are not checked one by one."""
        self._named[intake] += credits

    def finish(self) -> Iterator[Mismatch]:
        """What was counted, against the credits there are."""
        for position, closed in self._closed.items():
            wrong = credits_miscounted(closed.read, closed.credited, self._named[position], all_shown=True)
            if wrong is not None:
                yield _beside(position, *wrong)


class CreditedLines:
    """Which lines of which intakes were credited: a bit for each, so that millions of rows are a few megabytes."""

    def __init__(self) -> None:
        self._bits: dict[int, bytearray] = {}
        self._far: set[tuple[int, int]] = set()

    def is_new(self, intake: int, line: int) -> bool:
        """Whether this line is seen for the first time."""
        if not 0 <= line < _LINES_AS_BITS:
            far = (intake, line) in self._far
            self._far.add((intake, line))
            return not far
        bits = self._bits.setdefault(intake, bytearray())
        place, bit = line >> 3, 1 << (line & 7)
        if place >= len(bits):
            # By a half, so that a long file does not copy its bits for every line.
            bits.extend(bytes(max(place + 1 - len(bits), len(bits) >> 1)))
        before = bits[place] & bit
        bits[place] |= bit
        return not before


def check_names(book: Book, streams: Streams) -> Iterator[Mismatch]:
    """The look-ups by reference and by account lead to the events that took them, and keys fit the clear text."""
    credits = [e for _, recorded in streams for e in recorded if isinstance(e.event, BehaviorCredited)]
    places = book.journal.ref_positions([bytes.fromhex(each.event.ref) for each in credits])
    for each in credits:
        place = places.get(bytes.fromhex(each.event.ref))
        if place != each.position:
            yield _at(each, "reference", f"leads to {place}", str(each.position))
        if each.personal is not None:
            key = book.keys.ref(each.event.partner, each.personal.source_ref).hex()
            if key != each.event.ref:
                yield _at(each, "reference", each.event.ref, f"{key}, the key of the reference in clear")
    opened = [e for _, r in streams for e in r if isinstance(e.event, AccountOpened)]
    keys = {e.stream: book.keys.account(e.personal.account_ref) for e in opened if e.personal is not None}
    found = book.journal.find_accounts(list(keys.values()))
    wrong = [each for each in opened if each.stream not in keys or found.get(keys[each.stream]) != each.stream]
    # Somebody may be erased while this goes on: the heads say who is by now.
    heads = book.journal.accounts([each.stream for each in wrong])
    for each in wrong:
        if each.stream in heads and heads[each.stream].status == "erased":
            continue
        if each.stream in keys:
            yield _at(each, "account name", f"leads to {found.get(keys[each.stream])}", str(each.stream))
        else:
            yield _at(each, "personal part", "does not open", "a key of the account, or a receipt of its erasure")


def check_erasures(book: Book, streams: Streams) -> Iterator[Mismatch]:
    """Whoever has a receipt is erased indeed, and was not before the law allowed it."""
    erased = [(r, e) for _, r in streams for e in r if isinstance(e.event, PersonalDataErased)]
    if not erased:
        return
    named = book.journal.named([receipt.stream for _, receipt in erased])
    genesis = book.rulebook().genesis
    assert genesis is not None
    for recorded, receipt in erased:
        if receipt.stream in named:
            yield _at(receipt, "erasure", "a reference still leads to the account", "none")
        if any(each.personal is not None for each in recorded):
            yield _at(receipt, "erasure", "the account's key is still there", "none")
        last = last_entry(each for each in recorded if each.position < receipt.position)
        times = book.journal.recorded_at([last, receipt.position])
        if len(times) < 2:
            continue  # positions beyond the commits are reported by check_head
        try:
            refuse_retained(times[last], genesis.retention_days, times[receipt.position])
        except Rejected as refused:
            yield _at(receipt, "erasure", "before the retention period was over", refused.message)


def check_snapshots(book: Book, streams: Streams) -> Iterator[Mismatch]:
    """A stored snapshot is what folding the stream gives at its version: live crediting starts from it."""
    stored = book.journal.snapshots([stream for stream, _ in streams])
    for stream, recorded in streams:
        if stream not in stored:
            continue
        version, state = stored[stream]
        try:
            folded = Account(stream).extend(each for each in recorded if each.version <= version)
            same = folded.version < version or folded.snapshot() == state
        except (LedgerError, ValueError, KeyError):
            continue  # what cannot be folded is reported by the replay of the stream itself
        if not same:
            yield Mismatch(stream, version, 0, "snapshot", "another state", "the stream folded to this version")


def _at(each: Recorded, what: str, booked: str, recomputed: str) -> Mismatch:
    return Mismatch(each.stream, each.version, each.position, what, booked, recomputed)


def _beside(position: int, what: str, booked: str, recomputed: str) -> Mismatch:
    return Mismatch(BOOK, 0, position, what, booked, recomputed)
