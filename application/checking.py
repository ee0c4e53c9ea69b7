"""Everything that a live ledger keeps, held against everything else: ``check``.

Keeps: nothing stops at the first finding; each finding has an area, a code, a place and what to do; what can be made
anew from the log is told apart from the log itself. It only reads.
Leaves to each area: how it is compared. What was never written down outside this machine cannot be found here: whoever
can edit database and keys together is found by a witness, or by whoever kept a checkpoint (docs/THREATS.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import NamedTuple

from application import evidence
from application.act_checks import acts_found
from application.book_mapping import PREFIX_BITS, map_states, part_of, prefix_of, stored_root
from application.checkpoints import Auditing, Signed, checked, origin_of
from application.cosignatures import cosigned_note
from application.log_checks import CreditedLines
from application.partner_requests import KeptSignature, kept_signatures
from application.ports.archive import Archive
from application.ports.audit_log import AuditLog, Kept, Logged, StreamState, Wrong
from application.ports.evidence import EvidenceStore
from application.ports.views import Views
from application.replaying import ReplayResult, replay
from application.tree_walk import beginning, log_behind_checkpoint, recorded_of, walk
from application.verification.signed_acts import ActsFound
from domain.audit.book_map import map_key
from domain.audit.merkle import root_of
from domain.errors import LedgerError, Unavailable
from domain.events.account import BehaviorCredited
from domain.events.base import Recorded
from domain.events.registry import decode_shown
from domain.rulebook import Rulebook
from domain.signing_keys import SigningKey
from domain.timeliness import untimely

AREAS = ("guards", "keys", "log", "checkpoints", "lookups", "map", "replay", "acts", "views", "archive", "evidence")
FINDINGS_KEPT = 1_000
_STREAMS_PER_BATCH = 1_000


class Finding(NamedTuple):
    """Something that is not as it should be. ``area``: one of ``AREAS``; ``place``: where, as exactly as is known."""

    area: str
    code: str
    place: str
    message: str
    remedy: str


class Checked(NamedTuple):
    """What a check found. ``findings``: the first 1,000 of ``total``; ``replayed``: None if replay could not begin.

    ``acts``: what people signed and did not sign; None if the rulebook cannot be read.
    """

    size: int
    total: int
    findings: list[Finding]
    replayed: ReplayResult | None
    acts: ActsFound | None


class _Findings:
    def __init__(self) -> None:
        self.count = 0
        self.kept: list[Finding] = []
        self.area = ""

    def add(self, code: str, place: str, message: str, remedy: str) -> None:
        self.count += 1
        if self.count <= FINDINGS_KEPT:
            self.kept.append(Finding(self.area, code, place, message, remedy))

    def add_some(self, total: int, named: Iterable[Wrong]) -> None:
        """Count all, name the first ones."""
        before = self.count
        for wrong in named:
            self.add(*wrong)
        self.count = before + total

    def add_error(self, error: LedgerError) -> None:
        self.add(error.code, error.field or self.area, error.message, error.remedy)

    @contextmanager
    def within(self, area: str) -> Iterator[None]:
        """What is found, or raised, in an area."""
        self.area = area
        try:
            yield
        except LedgerError as error:
            self.add_error(error)
        except Exception as error:  # noqa: BLE001  # one edited number must not hide what else was edited
            self.add("unreadable", area, f"{type(error).__name__}: {error}"[:500], "restore a backup, or report this")


def check(
    auditing: Auditing,
    views: Views,
    archive: Archive | None,
    store: EvidenceStore | None = None,
    progress: Callable[[str], None] | None = None,
) -> Checked:
    """Compare everything with the log, and the log with what was signed. ``archive``: None where there is none.

    ``store``: the evidence store, every file of which is opened. ``progress`` is told each area as it begins.
    """
    found, replayed = _Findings(), None

    def begin(area: str) -> str:
        if progress is not None:
            progress(area)
        return area

    with found.within(begin("guards")):
        for wrong in auditing.log.wrong_guards():
            found.add(*wrong)
    keys = _check_keys(auditing, begin("keys"), found)
    with found.within(begin("log")):
        _check_log(auditing, keys, found)
    with found.within(begin("lookups")):
        for loose in auditing.log.loose_rows():
            found.add_some(loose.total, loose.named)
    with found.within(begin("map")):
        _check_map(auditing, keys, found)
    with found.within(begin("replay")):
        replayed = replay(auditing.book)
        _add_mismatches(replayed, found)
    acts = None
    with found.within(begin("acts")):
        acts = _check_acts(auditing, found)
    with found.within(begin("views")):
        for view in views.check():
            if view.differing:
                text = f"{view.differing} rows differ from the log"
                found.add("view_differs", f"views.{view.view}", text, "run `views rebuild`")
    if archive is not None:
        with found.within(begin("archive")):
            for difference in archive.verify():
                text = f"{difference.what}: archived {difference.archived}, expected {difference.expected}"
                found.add("archive_differs", difference.segment, text, "run `archive rebuild`")
    if store is not None:
        with found.within(begin("evidence")):
            _check_evidence(auditing, store, found)
    return Checked(auditing.log.head().size, found.count, found.kept, replayed, acts)


def _check_evidence(auditing: Auditing, store: EvidenceStore, found: _Findings) -> None:
    """Whether the store holds what the log says, and partners signed what is kept as sent by them."""
    verified = evidence.verify(auditing.book, store)
    found.add_some(verified.total, verified.findings)
    origin = origin_of(auditing.book.journal.book_id().bytes)
    for each in kept_signatures(auditing.book, store, auditing.verifier, origin, auditing.open_kept):
        if isinstance(each, KeptSignature) and each.fault:
            place = f"intake {each.intake}"
            found.add("request_signature_wrong", place, each.fault, "keep the database as evidence; ask the partner")


def _check_keys(auditing: Auditing, area: str, found: _Findings) -> list[SigningKey]:
    """What signs the log, what the key store holds, what accounts are sealed with: each whatever the others say."""
    keys: list[SigningKey] = []
    with found.within(area):
        keys = auditing.keys()
    with found.within(area):
        for error in auditing.key_faults([each.key for each in keys]):
            found.add_error(error)
    with found.within(area):
        for wrong in auditing.log.wrong_account_keys():
            found.add(*wrong)
    return keys


def _check_acts(auditing: Auditing, found: _Findings) -> ActsFound:
    """Whether the people in whose names acts stand have signed them."""
    acts = acts_found(auditing.book, auditing.verifier.verify)
    for wrong in acts.kept:
        fault = wrong.fault
        message = f"{wrong.name} by {wrong.actor}: {fault.message}"
        found.add(fault.code, f"position {wrong.position}", message, "keep the database as evidence; ask the actor")
    found.count += acts.wrong - len(acts.kept)
    return acts


def _add_mismatches(replayed: ReplayResult, found: _Findings) -> None:
    for each in replayed.details:
        found.add(
            "mismatch",
            f"{each.stream}@{each.version} position {each.position}",
            f"{each.what}: booked {each.booked}, recomputed {each.recomputed}",
            "keep the database as evidence; restore the event from a backup",
        )
    found.count += replayed.mismatches - len(replayed.details)


def _check_log(auditing: Auditing, keys: list[SigningKey], found: _Findings) -> None:
    """The tree over all events, subtree by subtree and checkpoint by checkpoint; personal parts open or are erased."""
    log = auditing.log
    head = log.head()
    newest = log.newest()
    kept_until = 0 if newest is None else newest.size
    if newest is not None and newest.size > head.size:
        found.add_error(log_behind_checkpoint(head.size, newest.size))
    good, opening = 0, True
    rulebook, lines = _readable_rulebook(auditing), CreditedLines()
    for grown in walk(log, head, beginning()):
        for subtree in grown.subtrees:
            end = subtree.number + 1 << subtree.level
            if end <= kept_until and log.subtrees(subtree.level, subtree.number, 1) != [subtree.root]:
                found.add(
                    "subtree_differs",
                    f"positions {(subtree.number << subtree.level) + 1} to {end}",
                    "these events are not those that were signed, or views.tree_nodes was edited",
                    "run `checkpoint rebuild`: it fails if it was the events",
                )
        opening = opening and _check_opening(log, grown.page, found)
        for each in grown.page:
            with found.within("log"):
                _check_credit(rulebook, recorded_of(each, decode_shown), each.recorded_us, lines, found)
        found.area = "checkpoints"
        for kept in grown.kept:
            good = _check_kept(auditing, head.book, kept, keys, root_of(grown.frontier), good, found)
        found.area = "log"
    for size in log.loose_cosignatures():
        found.add("cosignature_forged", f"journal.cosignatures {size}", "nothing like it was signed", _ASK_AGAIN)


def _readable_rulebook(auditing: Auditing) -> Rulebook | None:
    """None where it is not: the replay tells why, and the log is looked at all the same."""
    try:
        return auditing.book.rulebook()
    except LedgerError:
        return None


def _check_credit(
    rulebook: Rulebook | None, each: Recorded, recorded_us: int, lines: CreditedLines, found: _Findings
) -> None:
    """What an auditor would refuse of a credit though it is valued rightly: its day, and a line that counts twice."""
    place = f"{each.stream}@{each.version} position {each.position}"
    late = None if rulebook is None else untimely(rulebook, each, recorded_us)
    if late is not None:
        found.add("day_impossible", place, late, _KEEP)
    event = each.event
    if isinstance(event, BehaviorCredited) and not lines.is_new(event.intake, event.line):
        found.add("line_twice", place, f"line {event.line} of intake {event.intake} was credited before", _KEEP)


def _check_opening(log: AuditLog, page: list[Logged], found: _Findings) -> bool:
    """Do the sealed parts open; False where nothing can be opened here: then the tree is looked at all the same."""
    try:
        for code, place, message, remedy in log.unopened(page):
            found.add(code, place, message, remedy)
    except Unavailable as error:
        found.add_error(error)
        return False
    return True


def _check_kept(
    auditing: Auditing,
    book: bytes,
    kept: Kept,
    keys: list[SigningKey],
    root: bytes,
    good: int,
    found: _Findings,
) -> int:
    """One checkpoint; returns the size of the last good one."""
    try:
        checkpoint = checked(auditing.verifier, book, kept, keys)
        cosigned_note(auditing, Signed(checkpoint, kept.note, is_new=False))
    except LedgerError as error:
        found.add_error(error)
        return good
    if checkpoint.root == root:
        return kept.size
    found.add(
        "log_changed",
        f"positions {good + 1} to {kept.size}",
        "an event in these positions is not as it was when it was signed",
        "stop writing, keep the database as evidence, and compare with a backup",
    )
    return good


def _check_map(auditing: Auditing, keys: list[SigningKey], found: _Findings) -> None:
    """The map as of the newest checkpoint that names one, stream by stream, part by part, and its root."""
    kept = auditing.log.newest(with_map=True)
    signed = None if kept is None else checked(auditing.verifier, auditing.log.head().book, kept, keys)
    upto = 0 if kept is None else kept.map_position
    expected_streams, maps = 0, auditing.maps
    states = map_states(auditing.book, upto)
    while batch := dict(islice(states, _STREAMS_PER_BATCH)):
        expected_streams += len(batch)
        by_key = {map_key(state.stream.bytes): state for state in batch.values()}
        stored = dict(maps.streams(sorted({prefix_of(key) for key in by_key})))
        for key, state in by_key.items():
            if stored.get(key) != state:
                was = stored.get(key)
                found.add("map_changed", f"stream {state.stream}", _stream_text(was, state), _REBUILD)
    if maps.count() != expected_streams:
        found.add(
            "map_changed", "views.map_streams", f"{maps.count()} streams, {expected_streams} in the log", _REBUILD
        )
    parts = dict(maps.parts())
    prefixes = sorted(parts)
    for start in range(0, len(prefixes), _STREAMS_PER_BATCH):
        some = prefixes[start : start + _STREAMS_PER_BATCH]
        held: dict[int, dict[bytes, StreamState]] = {prefix: {} for prefix in some}
        for key, state in maps.streams(some):
            held[prefix_of(key)][key] = state
        for prefix, streams in held.items():
            if part_of(prefix, streams) != parts[prefix]:
                found.add("map_changed", f"prefix {prefix:0{PREFIX_BITS // 4}x}", "not its streams' part", _REBUILD)
    if signed is not None and stored_root(maps) != signed.map_root:
        found.add("map_changed", "views.map_parts", "the parts do not lead to the root that was signed", _REBUILD)


def _stream_text(was: StreamState | None, state: StreamState) -> str:
    if was is None:
        return "the stream is not in the map"
    return f"version {was.version} with {was.balances!r}; the log says {state.version} with {state.balances!r}"


_KEEP = "keep the database as evidence; reverse the credit if nothing else explains it"
_ASK_AGAIN = "keep the database as evidence, and ask the witness for its cosignature again"
_REBUILD = "run `checkpoint rebuild`"
