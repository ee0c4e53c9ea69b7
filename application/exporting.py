"""The export bundle: everything an auditor needs to check accounts without the ledger, in one file.

Keeps: whole streams and the whole rulebook, whatever is selected: a filter chooses what is judged and never what is
left out of it; the facts are copied as they are stored, so that what leaves is what was signed. It streams: memory does
not grow with the book. Personal facts, where they are not left out, are the operator's word and proven by nothing.
Leaves to the caller: that the file is for its owner alone, has its name when it is complete, and is sealed if that is
asked for; to ``application.verification``: judging. The format is specified in ``docs/spec/bundle.md``.
"""

from __future__ import annotations

import zipfile
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from itertools import islice
from typing import IO, Any, NamedTuple
from uuid import UUID

from application.book_mapping import entry_of, prefix_of
from application.checkpoints import Auditing, Signed, sign
from application.cosignatures import cosigned_note
from application.ports.audit_log import Logged
from application.projections.entries import statement_rows
from application.proofs import nodes_of
from application.tree_walk import recorded_of
from domain.access import EXPORTS, access_stream
from domain.audit import bundle
from domain.audit.book_map import Item, map_key, map_rest
from domain.audit.checkpoint import Checkpoint
from domain.audit.merkle import Subtree, subtrees_without
from domain.audit.note import parse_note
from domain.errors import Rejected
from domain.events.account import BehaviorCredited, ConsentGranted
from domain.events.base import Recorded
from domain.events.intake import IntakeOpened
from domain.events.registry import ACCESS_TOPICS, ACCOUNT_TOPICS, INTAKE_TOPICS, encode_part
from domain.rulebook import Rulebook
from domain.signing_keys import SIGNING_KEYS
from domain.values import day_number
from domain.workings import workings_line

STREAMS_PER_BATCH = 1_000
EVENTS_PER_PAGE = 5_000
Der = Callable[[bytes], bytes]
"""A signature of 64 bytes as DER."""


class Selection(NamedTuple):
    """Which accounts are judged. ``accounts`` None: all; days: those with a credit of a day in [from, to)."""

    accounts: Sequence[UUID] | None = None
    from_day: int | None = None
    to_day: int | None = None

    @property
    def is_all(self) -> bool:
        return self == Selection()


class Exported(NamedTuple):
    """What was written. ``events``: of all members; ``balances``: mg by behavior of the accounts shown, as booked."""

    checkpoint: Checkpoint
    accounts: int
    events: int
    samples: int
    credits: int
    balances: dict[str, int]


def export_bundle(
    auditing: Auditing,
    file: Any,
    selection: Selection,
    der: Der,
    *,
    redacted: bool = False,
    sample_seed: str = "",
    extras: Mapping[str, Callable[[Exported], bytes]] | None = None,
    ask_witnesses: Callable[[Signed], object] | None = None,
    recorded: Callable[[Sequence[UUID] | None], object] | None = None,
    progress: Callable[[int], None] | None = None,
) -> Exported:
    """Write a new bundle to ``file``, of which ``write`` is enough. ``extras``: further members, made when the others
    are written.

    ``ask_witnesses``: has the checkpoint cosigned, while nobody else signs a newer one. ``recorded``: puts on record
    which accounts are about to leave, None for all, before anything does.

    Raises Rejected ``nothing_selected``; Corrupt as ``sign``.
    """
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        export = _Export(auditing, archive, sample_seed, progress or (lambda _: None))
        chosen = None if selection.is_all else export.chosen(selection)
        export.begin(chosen, der, ask_witnesses or (lambda _: None))
        # Of a checkpoint that is signed, and perhaps cosigned, already: the record is not in its own bundle.
        (recorded or (lambda _: None))(chosen)
        exported = export.run(redacted=redacted)
        for name, made in (extras or {}).items():
            export.put(name, made(exported))
    return exported


class _Shown(NamedTuple):
    """The streams shown, by id, when it is not all of them."""

    accounts: list[UUID]
    intakes: list[UUID]
    accesses: list[UUID]


class _Export:
    def __init__(
        self, auditing: Auditing, archive: zipfile.ZipFile, sample_seed: str, progress: Callable[[int], None]
    ) -> None:
        self._auditing, self._zip, self._seed, self._tell = auditing, archive, sample_seed, progress
        self._accounts = self._events = self._credits = 0
        self._balances: dict[str, int] = {}
        # What is shown, to tell what is not: 8 bytes each, and none where all is shown.
        self._positions = array("q")
        self._drawn: list[tuple[bytes, bytes, int]] = []
        self._shown: _Shown | None = None
        self._rulebook = set[UUID]()

    def put(self, name: str, content: bytes) -> None:
        """A small member."""
        self._zip.writestr(name, content)

    def begin(self, chosen: list[UUID] | None, der: Der, ask_witnesses: Callable[[Signed], object]) -> None:
        """The checkpoint and the map: hashes, nothing of anybody. ``chosen``: the accounts, by id; None = all."""
        # The map moves with the next checkpoint that names one: until it is written nobody else signs.
        with self._auditing.log.signing():
            signed = sign(self._auditing, with_map=True)
            self._checkpoint = signed.checkpoint
            shown = None if chosen is None else _Shown(chosen, self._intakes_of(chosen), self._accesses_of(chosen))
            self._shown, self._rulebook = shown, {each.stream for each in self._rulebook_events()}
            self._write_map(shown, self._rulebook)
            ask_witnesses(signed)
            note = cosigned_note(self._auditing, signed)
        body, (own, *_) = parse_note(note)
        for name, content in (
            (bundle.CHECKPOINT, note),
            (bundle.BODY, body),
            (bundle.SIGNATURE, der(own.signature)),
        ):
            self.put(name, content)

    def run(self, *, redacted: bool) -> Exported:
        """All other members of the format."""
        shown = self._shown
        self._write(bundle.RULEBOOK, sorted(self._logged(self._rulebook), key=lambda each: each.position), shown)
        self._write(bundle.KEYS, self._logged([SIGNING_KEYS]), shown)
        self._write(bundle.INTAKES, self._of(None if shown is None else shown.intakes, INTAKE_TOPICS), shown)
        self._write(bundle.ACCESSES, self._of(None if shown is None else shown.accesses, ACCESS_TOPICS), shown)
        self._write(bundle.ACCOUNTS, self._of(None if shown is None else shown.accounts, ACCOUNT_TOPICS), shown)
        self._write_tree(shown)
        if not redacted:
            self._write_personal(shown)
        samples = sorted(self._drawn)[: bundle.SAMPLES_DRAWN]
        self.put(bundle.SAMPLES, b"".join(bundle.sample_line(*each) + b"\n" for each in samples))
        if samples:
            self.put(bundle.WORKINGS, b"".join(self._workings(*each) + b"\n" for each in samples))
        for name, version in self._rules().methodologies.items():
            self.put(f"methodologies/{name}.json", version.document.encode())
        about = bundle.About(
            self._checkpoint.origin,
            self._checkpoint.size,
            self._accounts,
            self._events,
            all_accounts=shown is None,
            redacted=redacted,
            sample_seed=self._seed,
        )
        self.put(bundle.ABOUT, bundle.about_text(about))
        return Exported(
            self._checkpoint,
            self._accounts,
            self._events,
            len(samples),
            self._credits,
            dict(sorted(self._balances.items())),
        )

    def chosen(self, selection: Selection) -> list[UUID]:
        """The accounts selected, by id. Raises Rejected ``nothing_selected``."""
        accounts, start, end = selection
        found = set(accounts or ())
        if start is not None or end is not None:
            found = set()
            among = None if accounts is None else set(accounts)
            journal = self._auditing.book.journal
            for each in journal.log(0, journal.head().size, [BehaviorCredited.TOPIC]):
                if among is None or each.stream in among:
                    day = day_number(each.event.day)
                    if (start is None or day >= start) and (end is None or day < end):
                        found.add(each.stream)
        if not found:
            raise Rejected(
                "nothing_selected", "no account has a credit of these days", field="from", remedy="select other days"
            )
        return sorted(found)

    def _intakes_of(self, accounts: Sequence[UUID]) -> list[UUID]:
        """The intakes that these accounts' credits and consents name."""
        named, evidence = set[int](), set[str]()
        for each in self._logged(accounts):
            event = recorded_of(each).event
            if isinstance(event, BehaviorCredited):
                named.add(event.intake)
            elif isinstance(event, ConsentGranted):
                evidence.add(event.evidence)
        opened = self._auditing.book.journal.log(0, self._checkpoint.size, [IntakeOpened.TOPIC])
        return sorted({e.stream for e in opened if e.position in named or e.event.digest in evidence})

    def _accesses_of(self, accounts: Sequence[UUID]) -> list[UUID]:
        """The streams that say who was shown something of these accounts, and who exported."""
        return sorted({each.stream for each in self._logged([EXPORTS, *map(access_stream, accounts)])})

    def _workings(self, _: bytes, stream: bytes, version: int) -> bytes:
        """The line of a sample."""
        credit = next(each for each in map(recorded_of, self._logged([UUID(bytes=stream)])) if each.version == version)
        position = credit.event.intake
        (intake,) = map(recorded_of, self._auditing.log.logged(position - 1, position))
        return workings_line(self._rules(), credit, intake.event)

    def _rules(self) -> Rulebook:
        return self._auditing.book.rulebook(self._checkpoint.rulebook_position)

    def _rulebook_events(self) -> list[Recorded]:
        return self._auditing.book.journal.rulebook_events(0, self._checkpoint.rulebook_position)

    def _write_map(self, shown: _Shown | None, rulebook: Iterable[UUID]) -> None:
        """The parts of the map in the place of the streams that are not shown."""
        with self._member(bundle.MAP) as member:
            if shown is not None:
                streams = [*shown.accounts, *shown.intakes, *shown.accesses, *rulebook, SIGNING_KEYS]
                keys = [map_key(stream.bytes) for stream in streams]
                for part in map_rest(self._map_items({prefix_of(key) for key in keys}), keys):
                    member.write(bundle.part_line(part) + b"\n")

    def _map_items(self, touched: Set[int]) -> Iterator[Item]:
        """The map, with its streams in the place of the parts that are touched."""
        maps = self._auditing.maps
        for prefix, item in maps.parts():
            if prefix in touched:
                yield from (entry_of(key, state) for key, state in maps.streams([prefix]))
            else:
                yield item

    def _write_tree(self, shown: _Shown | None) -> None:
        """The subtrees in the place of the events that are not shown."""
        with self._member(bundle.TREE) as member:
            if shown is not None:
                node, size = nodes_of(self._auditing), self._checkpoint.size
                places = (position - 1 for position in sorted(self._positions))
                for level, number in subtrees_without(size, places):
                    member.write(bundle.subtree_line(Subtree(level, number, node(level, number))) + b"\n")

    def _write_personal(self, shown: _Shown | None) -> None:
        """Personal facts in clear, as the keys of the accounts open them now."""
        wanted = None if shown is None else set(shown.accounts)
        streams = self._auditing.book.journal.streams(ACCOUNT_TOPICS, self._checkpoint.size, personal=True)
        with self._member(bundle.PERSONAL) as member:
            for stream, recorded in streams:
                if wanted is None or stream in wanted:
                    for each in recorded:
                        if each.personal is not None:
                            place = b'{"stream":"%b","version":%d,"personal":' % (str(stream).encode(), each.version)
                            member.write(place + encode_part(each.personal) + b"}\n")

    def _of(self, streams: Sequence[UUID] | None, topics: Sequence[str]) -> Iterator[Logged]:
        """Some streams, or all of some topics."""
        if streams is None:
            return self._auditing.log.logged_topics(topics, self._checkpoint.size)
        return self._logged(streams)

    def _logged(self, streams: Iterable[UUID]) -> Iterator[Logged]:
        """Whole streams by id, up to the checkpoint."""
        waiting = iter(sorted(streams))
        while batch := list(islice(waiting, STREAMS_PER_BATCH)):
            for each in self._auditing.log.logged_streams(batch):
                if each.position <= self._checkpoint.size:
                    yield each

    def _write(self, name: str, logged: Iterable[Logged], shown: _Shown | None) -> None:
        waiting = iter(logged)
        with self._member(name) as member:
            while page := list(islice(waiting, EVENTS_PER_PAGE)):
                for each in page:
                    member.write(bundle.event_line(*each) + b"\n")
                    self._accounts += name == bundle.ACCOUNTS and each.version == 1
                    if self._seed and each.topic == BehaviorCredited.TOPIC:
                        drawn = bundle.draw(self._seed, each.stream.bytes, each.version)
                        self._drawn.append((drawn, each.stream.bytes, each.version))
                if name == bundle.ACCOUNTS:
                    self._sum(page)
                if shown is not None:
                    self._positions.extend(each.position for each in page)
                self._drawn = sorted(self._drawn)[: bundle.SAMPLES_DRAWN]
                self._events += len(page)
                self._tell(self._events)

    def _sum(self, page: Sequence[Logged]) -> None:
        for row in statement_rows(map(recorded_of, page)):
            self._credits += row.kind == "credited"
            self._balances[row.behavior] = self._balances.get(row.behavior, 0) + row.change_mg

    @contextmanager
    def _member(self, name: str) -> Iterator[IO[bytes]]:
        with self._zip.open(name, "w", force_zip64=True) as member:
            yield member
