"""An export bundle checked by itself: from the values in it to the signed roots, and every credit computed again.

Keeps: a value counts only when the leaf made from it leads to the root that was signed; every stream is shown from its
first event to the version that the signed map holds; the rulebook is walked back from the checkpoint to its first
event; credits, reversals and revision lines are recomputed by the law (``domain.replay``). Nothing that the bundle says
of itself is believed. Memory is flat: what grows with the book is sorted on disk.
The steps are those of ``docs/spec/bundle.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path
from uuid import UUID

from application.verification.bundle_reader import BundleReader
from application.verification.disk_sort import DiskSort, merged
from application.verification.findings import Findings, Step
from application.verification.notes import Trusted, attested
from application.verification.references import References
from application.verification.samples import Samples
from application.verification.signed_acts import ActsFound
from application.verification.verified import Verified
from domain.audit.book_map import Item, map_key, map_root, map_value
from domain.audit.bundle import (
    ABOUT,
    ACCESSES,
    ACCOUNTS,
    BODY,
    CHECKPOINT,
    DOSSIER,
    INTAKES,
    KEYS,
    MAP,
    PERSONAL,
    RULEBOOK,
    SIGNATURE,
    TREE,
    About,
    EventLine,
    parse_about,
    parse_event,
    parse_part,
    parse_subtree,
)
from domain.audit.checkpoint import Checkpoint
from domain.audit.merkle import Folding, Subtree
from domain.audit.note import parse_note, signature_der
from domain.audit.proofs import book_of
from domain.digest import MerkleRoot, new_sm3, sm3_hex
from domain.errors import LedgerError, Rejected
from domain.events.base import Recorded
from domain.events.registry import ACCESS_TOPICS, ACCOUNT_TOPICS, INTAKE_TOPICS, RULEBOOK_TOPICS, TOPICS, decode_shown
from domain.replay import AccountReplay, approved_runs
from domain.revision import Impact, lines_entry
from domain.rulebook import Rulebook
from domain.rulebook_replay import check_rulebook
from domain.signing_keys import SIGNING_KEYS, Verify, key_at, signing_keys
from domain.timeliness import Retention, untimely

Progress = Callable[[str, int], None]
_EVENT_RECORD = 8 + 32 + 8
_ENTRY_RECORD = 32 + 32
_KEY_TOPICS = frozenset(topic for topic, cls in TOPICS.items() if cls.STREAM == "signing keys")
_TELL_EVERY = 10_000


def verify_bundle(path: Path, trusted: Trusted, verify: Verify, progress: Progress | None = None) -> Verified:
    """Check a bundle with the keys that the auditor brought along. Only temporary files are written."""
    result = Verified(Findings())
    with ExitStack() as stack, result.findings.step("file") as step:
        reader = stack.enter_context(BundleReader(path))
        step.checked = len(reader.names)
        _Verification(reader, trusted, verify, result, stack, progress or (lambda *_: None)).run()
    return result


class _Verification:
    def __init__(
        self,
        reader: BundleReader,
        trusted: Trusted,
        verify: Verify,
        result: Verified,
        stack: ExitStack,
        progress: Progress,
    ) -> None:
        self._reader, self._trusted, self._verify, self._result = reader, trusted, verify, result
        self._tell = progress
        self._findings = result.findings
        self._leaves = stack.enter_context(DiskSort(_EVENT_RECORD))
        self._entries = stack.enter_context(DiskSort(_ENTRY_RECORD))
        self._references = stack.enter_context(References(result.findings))
        self._about: About | None = None
        self._book, self._size, self._accounts = b"", 0, 0
        self._rulebook = Rulebook()
        self._samples, self._retention = Samples(), Retention()
        self._acts = result.acts = ActsFound(verify, trusted.pinned)

    def run(self) -> None:
        with self._findings.step("checkpoint") as step:
            self._check_checkpoint(step)
        checkpoint = None if self._result.attested is None else self._result.attested.checkpoint
        if checkpoint is None:
            return  # without a signed root there is nothing to hold anything against
        with self._findings.step("rulebook") as step:
            self._check_rulebook(step, checkpoint)
        with self._findings.step("keys") as step:
            self._check_keys(step, checkpoint)
        with self._findings.step("intakes") as step:
            for stream, events in self._streams(INTAKES, frozenset(INTAKE_TOPICS), step):
                self._state(stream, events, {})
                self._references.intake(step, events)
        with self._findings.step("accesses") as step:
            if ACCESSES in self._reader.names:
                for stream, events in self._streams(ACCESSES, frozenset(ACCESS_TOPICS), step):
                    self._state(stream, events, {})
                    self._result.accesses += len(events)
        with self._findings.step("accounts") as step:
            self._check_accounts(step, checkpoint)
        with self._findings.step("log") as step:
            self._check_tree(step, checkpoint)
        with self._findings.step("map") as step:
            self._check_map(step, checkpoint)
        with self._findings.step("references") as step:
            self._references.check(step, whole=self._result.complete)
        with self._findings.step("dossiers") as step:
            self._check_dossiers(step)
        with self._findings.step("samples") as step:
            self._samples.check(self._reader, self._rulebook, self._findings, step)
        with self._findings.step("acts") as step:
            self._check_acts(step)
        with self._findings.step("about") as step:
            self._check_about(step, checkpoint)

    def _check_checkpoint(self, step: Step) -> None:
        note = self._reader.small(CHECKPOINT)
        found = attested(note, self._trusted, self._verify)
        if self._reader.small(BODY) != parse_note(note)[0]:
            self._findings.add(step, "body_differs", BODY, "not the text of the checkpoint")
        if self._reader.small(SIGNATURE) != signature_der(found.signature):
            self._findings.add(step, "signature_differs", SIGNATURE, "not the log's signature of the checkpoint")
        self._book = book_of(found.checkpoint.origin)
        self._about = parse_about(self._reader.small(ABOUT))
        self._size, self._result.sample_seed = found.checkpoint.size, self._about.sample_seed
        if found.checkpoint.map_position != found.checkpoint.size:
            raise Rejected("map_missing", "the checkpoint has no map of its own size", field=CHECKPOINT)
        self._result.attested = found
        step.checked = 1 + len(found.witnesses)

    def _check_rulebook(self, step: Step, checkpoint: Checkpoint) -> None:
        shown = list(self._timed_events(RULEBOOK, frozenset(RULEBOOK_TOPICS), step))
        events = [each for each, _ in shown]
        by_stream: dict[UUID, list[Recorded]] = {}
        for each in events:
            by_stream.setdefault(each.stream, []).append(each)
        for stream, own in by_stream.items():
            self._check_versions(step, RULEBOOK, own)
            self._state(stream, own, {})
        # Each names the one before it, and the signed checkpoint names the last: none is left out.
        following = checkpoint.rulebook_position
        for each in reversed(events):
            if each.position != following:
                raise _refused(
                    "rulebook_incomplete", f"position {following}", "the chain goes through an event not shown"
                )
            following = each.event.previous
        if following != 0:
            raise _refused("rulebook_incomplete", f"position {following}", "the chain does not end at the first event")
        self._rulebook.extend(events)
        genesis = self._rulebook.genesis
        if genesis is None or genesis.book != str(UUID(bytes=self._book)):
            raise _refused("book_differs", "the first event", "it opens another book than the checkpoint's log is of")
        self._acts.rulebook(events)
        times = {each.position: recorded_us for each, recorded_us in shown}
        for wrong in check_rulebook(events, times):
            text = f"{wrong.what}: booked {wrong.booked}, recomputed {wrong.recomputed}"
            self._findings.add(step, "mismatch", f"{wrong.stream}@{wrong.version} position {wrong.position}", text)

    def _check_keys(self, step: Step, checkpoint: Checkpoint) -> None:
        events = list(self._events(KEYS, _KEY_TOPICS, step))
        self._check_versions(step, KEYS, events)
        if {each.stream for each in events} != {SIGNING_KEYS}:
            raise _refused("key_unknown", KEYS, "these are not the events of the log's signing keys")
        self._state(SIGNING_KEYS, events, {})
        genesis = self._rulebook.genesis
        keys = signing_keys("" if genesis is None else genesis.book, events, self._verify)
        key = key_at(keys, checkpoint.size)
        assert self._result.attested is not None
        if key is None or key.public_key != self._result.attested.signed_by:
            raise _refused(
                "key_unknown", KEYS, "the checkpoint is signed by another key than the log names for its size"
            )

    def _check_accounts(self, step: Step, checkpoint: Checkpoint) -> None:
        result, digest = self._result, new_sm3()
        runs = approved_runs(self._rulebook, checkpoint.size)
        totals = {run.id: (Impact(), MerkleRoot()) for run, _ in runs}
        for stream, events in self._streams(ACCOUNTS, frozenset(ACCOUNT_TOPICS), step):
            self._accounts += 1
            account = AccountReplay(self._rulebook, runs, stream, checkpoint.size)
            balances = account.run(events)
            for wrong in account.mismatches:
                text = f"{wrong.what}: booked {wrong.booked}, recomputed {wrong.recomputed}"
                self._findings.add(step, "mismatch", f"{stream}@{wrong.version} position {wrong.position}", text)
            self._state(stream, events, balances)
            self._references.account(events)
            self._samples.account(result.sample_seed, events)
            self._acts.account(self._rulebook, events)
            for revised in account.revised:
                impact, root = totals[revised.revision]
                impact.add(revised.lines)
                root.add(lines_entry(stream, revised.lines))
            result.accounts += bool(balances)
            result.credits += account.credits
            for behavior, mg in balances.items():
                result.balances[behavior] = result.balances.get(behavior, 0) + mg
                digest.update(f"{stream},{behavior},{mg}\n".encode())
        result.digest = digest.hexdigest()
        result.complete = next(self._reader.lines(TREE), None) is None
        if result.complete:
            for run, _ in runs:
                if run.completed is not None:
                    impact, root = totals[run.id]
                    for name, value in {**impact.as_dict(), "lines_root": root.hex()}.items():
                        if getattr(run.completed, name) != value:
                            text = f"{name}: booked {getattr(run.completed, name)}, recomputed {value}"
                            self._findings.add(step, "mismatch", f"revision {run.id}", text)

    def _check_tree(self, step: Step, checkpoint: Checkpoint) -> None:
        """Leaves made from the values, and subtrees in the place of what is not shown, lead to the signed root."""
        folding = Folding()
        rest = map(parse_subtree, self._reader.lines(TREE))
        for node in merged(self._timed_leaves(step, checkpoint), rest, lambda each: each.number << each.level):
            folding.add(node)
            step.checked += 1
        if folding.root(checkpoint.size) != checkpoint.root:
            raise _refused("not_in_log", "the log's root", "an event shown is not the one that was signed")

    def _timed_leaves(self, step: Step, checkpoint: Checkpoint) -> Iterator[Subtree]:
        """The leaves shown, by position. Time goes on with positions, up to that of the checkpoint."""
        before, latest_us = 0, 0
        for record in self._leaves.sorted():
            position, recorded_us = int.from_bytes(record[:8], "big"), int.from_bytes(record[40:], "big")
            if recorded_us < latest_us:
                text = f"it was recorded before the event at position {before}"
                self._findings.add(step, "time_went_back", f"position {position}", text)
            before, latest_us = position, max(latest_us, recorded_us)
            yield Subtree(0, position - 1, record[8:40])
        # The checkpoint tells when the last event of the log was recorded, be it shown or not.
        if latest_us > checkpoint.recorded_us or (before == checkpoint.size and latest_us < checkpoint.recorded_us):
            text = f"the checkpoint's time is not that of its last event, or lies before that of position {before}"
            self._findings.add(step, "time_went_back", CHECKPOINT, text)

    def _check_map(self, step: Step, checkpoint: Checkpoint) -> None:
        """States made from whole streams, and parts in the place of what is not shown, lead to the signed root."""
        states: Iterator[Item] = ((record[:32], record[32:]) for record in self._entries.sorted())
        rest: Iterator[Item] = map(parse_part, self._reader.lines(MAP))

        def counted(items: Iterable[Item]) -> Iterator[Item]:
            for item in items:
                step.checked += 1
                yield item

        items = merged(states, rest, lambda item: item[0] if isinstance(item[0], bytes) else item[1])
        if map_root(counted(items)) != checkpoint.map_root:
            text = "a stream is not shown to its end, or its events add up to other balances than were signed"
            raise _refused("not_in_map", "the map's root", text)

    def _check_dossiers(self, step: Step) -> None:
        for name in self._reader.names:
            if DOSSIER.fullmatch(name):
                version = self._rulebook.methodologies.get(name.removeprefix("methodologies/").removesuffix(".json"))
                step.checked += 1
                if version is None or sm3_hex(self._reader.small(name)) != version.digest:
                    self._findings.add(step, "dossier_differs", name, "not the document of a methodology of the log")

    def _check_acts(self, step: Step) -> None:
        """Reviews, approvals, withdrawals and erasures are signed by the people in whose names they stand."""
        step.checked = self._acts.total
        for wrong in self._acts.kept:
            text = f"{wrong.name} by {wrong.actor}: {wrong.fault.message}"
            self._findings.add(step, wrong.fault.code, f"position {wrong.position}", text)
        step.wrong = self._acts.wrong

    def _check_about(self, step: Step, checkpoint: Checkpoint) -> None:
        """Nothing here rests on it; but people read it."""
        about, result = self._about, self._result
        found = About(
            checkpoint.origin,
            checkpoint.size,
            self._accounts,
            result.events,
            all_accounts=result.complete and about is not None and about.all_accounts,
            redacted=PERSONAL not in self._reader.names,
            sample_seed=result.sample_seed,
        )
        step.checked = 1
        if about != found:
            raise _refused("about_differs", ABOUT, "it says something else of the bundle than was found in it")

    def _state(self, stream: UUID, events: list[Recorded], balances: dict[str, int]) -> None:
        value = map_value(stream.bytes, events[-1].version, balances.items())
        self._entries.add(map_key(stream.bytes) + value)

    def _streams(self, member: str, topics: frozenset[str], step: Step) -> Iterator[tuple[UUID, list[Recorded]]]:
        """Whole streams in the order of their ids; what is not whole is told."""
        before: UUID | None = None
        for stream, group in groupby(self._events(member, topics, step), key=lambda each: each.stream):
            events = list(group)
            if before is not None and stream <= before:
                raise _refused("order_wrong", f"{member} {stream}", "streams stand once, in the order of their ids")
            before = stream
            self._check_versions(step, member, events)
            yield stream, events

    def _check_versions(self, step: Step, member: str, events: list[Recorded]) -> None:
        before = 0
        for number, each in enumerate(events, start=1):
            if each.version != number:
                text = f"version {each.version} where {number} is expected"
                self._findings.add(step, "stream_incomplete", f"{member} {each.stream}", text)
                return
            if each.position <= before:
                text = f"version {number} stands at position {each.position}, the one before it at {before}"
                self._findings.add(step, "order_wrong", f"{member} {each.stream}", text)
                return
            before = each.position

    def _events(self, member: str, topics: frozenset[str], step: Step) -> Iterator[Recorded]:
        return (each for each, _ in self._timed_events(member, topics, step))

    def _timed_events(self, member: str, topics: frozenset[str], step: Step) -> Iterator[tuple[Recorded, int]]:
        """The events of a member with their times, in microseconds; the leaf of each is kept for the tree."""
        for number, line in enumerate(self._reader.lines(member), start=1):
            self._result.events += 1
            if self._result.events % _TELL_EVERY == 0:
                self._tell(step.name, self._result.events)
            step.checked += 1
            if self._result.events > self._size:
                raise _refused("not_in_log", f"{member} line {number}", "more events are shown than the log has")
            try:
                event = parse_event(line)
                if event.topic not in topics:
                    raise _refused("topic_elsewhere", "", f"an event of topic {event.topic} does not belong here")
                leaf, recorded_us = event.leaf(self._book), event.recorded_us.to_bytes(8, "big")
                self._leaves.add(event.position.to_bytes(8, "big") + leaf + recorded_us)
                recorded = _recorded(event)
                late = untimely(self._rulebook, recorded, event.recorded_us)
                if late is not None:
                    self._findings.add(step, "day_impossible", f"{member} line {number}", late)
                early = self._retention.early(self._rulebook, recorded, event.recorded_us)
                if early is not None:
                    place = f"{recorded.stream}@{recorded.version} position {recorded.position}"
                    self._findings.add(step, "mismatch", place, f"erasure: booked too early, recomputed {early}")
                yield recorded, event.recorded_us
            except LedgerError as error:
                self._findings.add(step, error.code, f"{member} line {number}", error.message)


def _recorded(event: EventLine) -> Recorded:
    facts = decode_shown(event.topic, event.facts)
    return Recorded(UUID(bytes=event.stream), event.version, event.position, facts, None)


def _refused(code: str, place: str, message: str) -> Rejected:
    return Rejected(code, message, field=place, remedy="keep the bundle as evidence and ask who made it")
