"""A whole book in memory: the domain does everything, and this is only the paper it writes on.

Keeps: every event goes through its stored bytes (encoded, then decoded) before anybody folds it; positions are
1, 2, 3 ...; one writer, so nothing ever moves between deciding and recording.
Leaves to others: concurrency, durability, files; those are tested where they live.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

import msgspec

from domain import account as account_rules
from domain import decisions, erasure, factors, methodology, opening
from domain import revision as revisions
from domain.account import Account
from domain.applicability import ChangeOfHand
from domain.behavior import Behavior, Refusal, columns_of, parse_behavior
from domain.crediting import Batch, Credited, Intake, Known, Outcome, Row
from domain.digest import MerkleRoot, new_sm3, sm3_hex
from domain.events import account as events
from domain.events.base import Event, NewEvent, Personal, Recorded, RulebookEvent
from domain.events.intake import IntakeClosed, IntakeOpened
from domain.events.registry import encode, recorded
from domain.events.rulebook import RevisionCompleted
from domain.evidence import KEPT, Evidence, destroy, due, evidence_of
from domain.history import AccountHistory
from domain.instants import instant_of, instant_text
from domain.replay import AccountReplay, Mismatch, approved_runs
from domain.revision import LINES_PER_EVENT, Impact
from domain.rulebook import Rulebook
from domain.rulebook_replay import check_rulebook
from domain.screening import Rules
from domain.streams import stream_id
from domain.values import CIVIL_OFFSET_MINUTES, civil_day, day_number

E = TypeVar("E", bound=Event)

PARTNER = "metro-co"
LIFE_CYCLE = (
    ("reviewed", methodology.review, "rita"),
    ("certified", methodology.certify, "carl"),
    ("published", methodology.publish, "paul"),
)


def trip(
    source_ref: str,
    account_ref: str = "ann",
    *,
    at: str = "2026-01-05T08:00:00+08:00",
    quantity: str = "1",
    behavior: str = "travel.metro",
    unit: str = "km",
    region: str = "",
    line: int = 0,
) -> Behavior:
    """A well-formed behavior row; ``World.send`` gives it its line."""
    row = parse_behavior(line, source_ref, account_ref, behavior, at, quantity, unit, region)
    assert isinstance(row, Behavior), row
    return row


def saving(source_ref: str, account_ref: str = "ann", **changes: Any) -> Behavior:
    """The same for electricity saved."""
    return trip(source_ref, account_ref, **({"behavior": "living.power_saving", "unit": "kWh"} | changes))


def key_of(*names: str) -> bytes:
    """Stands for the keyed hash of a name."""
    return new_sm3("\0".join(names).encode()).digest()[:16]


class Entry(NamedTuple):
    """One stored row of the log."""

    recorded: Recorded
    topic: str
    recorded_us: int
    state: bytes


class Replayed(NamedTuple):
    """What a replay found. ``digest``: SM3 over the balances (DESIGN 7)."""

    mismatches: list[Mismatch]
    balances: dict[UUID, dict[str, int]]
    digest: str
    credits: int
    accounts: dict[UUID, AccountReplay]

    @property
    def found(self) -> list[tuple[int, str]]:
        """Version and kind of each mismatch."""
        return [(m.version, m.what) for m in self.mismatches]


class World:
    """A book with one writer. ``now`` is the clock; it stands still unless a test moves it."""

    def __init__(self, now: str = "2026-03-01T00:00:00Z", book: str = "town") -> None:
        self.now_us = instant_of(now)
        self.log: list[Entry] = []
        self.streams: dict[UUID, list[Recorded]] = {}
        self.rulebook = Rulebook()
        self.account_ids: dict[bytes, UUID] = {}
        self.refs: dict[bytes, Known] = {}
        self.append(opening.open_book(self.rulebook, book, "simulated", "00", 0, signed_acts=False))

    def tell(self, now: str) -> None:
        """Set the clock."""
        self.now_us = instant_of(now)

    # -- the log -----------------------------------------------------------------------------------------------

    @property
    def size(self) -> int:
        return len(self.log)

    @property
    def next_us(self) -> int:
        """The instant with which the next commit is recorded."""
        return max(self.now_us, self.log[-1].recorded_us + 1) if self.log else self.now_us

    def append(self, *new: NewEvent) -> int:
        """Record the events in one commit; returns the position of the last."""
        recorded_us = self.next_us
        for one in new:
            held = self.streams.setdefault(one.stream, [])
            assert one.version == len(held) + 1, f"version {one.version} after {len(held)} events"
            state = encode(one.event, one.personal)
            each = recorded(one.stream, one.version, self.size + 1, one.event.TOPIC, state)
            self.log.append(Entry(each, one.event.TOPIC, recorded_us, state))
            held.append(each)
            if isinstance(each.event, RulebookEvent):
                self.rulebook.extend([each])
        return self.size

    def act(self, decided: NewEvent | tuple[NewEvent, list[ChangeOfHand]]) -> list[ChangeOfHand]:
        """Record what a rule of the domain decided; returns what changed hands, if it says so."""
        new, changes = (decided, []) if isinstance(decided, NewEvent) else decided
        self.append(new)
        return changes

    def all_of(self, kind: type[E]) -> list[E]:
        """Every event of one class, in log order."""
        return [entry.recorded.event for entry in self.log if isinstance(entry.recorded.event, kind)]

    # -- the rulebook ------------------------------------------------------------------------------------------

    def draft(self, document: dict[str, Any], by: str = "dora") -> str:
        self.act(methodology.draft(self.rulebook, document, by))
        return f"{document['code']}@{document['version']}"

    def publish(self, document: dict[str, Any], upto: str = "published") -> str:
        """Through the life cycle by four people, up to a state; returns CODE@V."""
        name = self.draft(document)
        for state, step, actor in LIFE_CYCLE:
            if self.rulebook.methodologies[name].state == upto:
                break
            self.act(step(self.rulebook, name, actor))
            assert self.rulebook.methodologies[name].state == state
        return name

    def load(self, document: dict[str, Any]) -> None:
        self.act(factors.load(self.rulebook, document, "fred"))

    def propose(
        self,
        name: str,
        start: str | None = None,
        end: str | None = None,
        region: str = "*",
        releases: dict[str, int] | None = None,
        *,
        leave_gap: bool = False,
    ) -> str:
        self.act(
            decisions.propose(self.rulebook, name, start, end, region, releases or {}, "alice", leave_gap=leave_gap)
        )
        return f"D{len(self.rulebook.proposals)}"

    def approve(self, decision: str, by: str = "bob") -> list[ChangeOfHand]:
        return self.act(decisions.approve(self.rulebook, decision, by, self.next_us))

    def decide(self, name: str, *period_and_region: Any, **more: Any) -> str:
        """Propose and approve; returns the decision id."""
        decision = self.propose(name, *period_and_region, **more)
        self.approve(decision)
        return decision

    def introduce(self, document: dict[str, Any], *period_and_region: Any, **more: Any) -> str:
        """Publish and decide; returns CODE@V."""
        name = self.publish(document)
        self.decide(name, *period_and_region, **more)
        return name

    def withdraw(self, name: str, *, leave_gap: bool = False) -> list[ChangeOfHand]:
        self.act(methodology.propose_withdrawal(self.rulebook, name, "alice"))
        return self.act(methodology.approve_withdrawal(self.rulebook, name, "bob", leave_gap=leave_gap))

    # -- accounts ----------------------------------------------------------------------------------------------

    def account_id(self, account_ref: str = "ann") -> UUID:
        return self.account_ids[key_of("account", account_ref)]

    def account_streams(self) -> list[UUID]:
        """Every account, by id."""
        return sorted(stream for stream, held in self.streams.items() if held[0].event.STREAM == "account")

    def head(self, account_ref: str = "ann") -> Account:
        return self.head_of(self.account_id(account_ref))

    def head_of(self, account_id: UUID) -> Account:
        return Account(account_id).extend(self.streams[account_id])

    def history(self, account_ref: str = "ann") -> AccountHistory:
        return self.history_of(self.account_id(account_ref))

    def history_of(self, account_id: UUID) -> AccountHistory:
        """What is recorded of the account; nothing where it is only being opened."""
        return AccountHistory().extend(self.streams.get(account_id, []))

    def open_account(self, account_ref: str, account_id: UUID, kind: str = "individual") -> None:
        self.append(NewEvent(account_id, 1, *account_rules.open_account(kind, account_ref)))
        self.account_ids[key_of("account", account_ref)] = account_id

    def on_account(self, act: Event | tuple[Event, Personal], account_ref: str = "ann") -> int:
        """Record one decided event of an account, with its personal part if it has one; returns its version."""
        stream = self.account_id(account_ref)
        version = len(self.streams[stream]) + 1
        self.append(NewEvent(stream, version, *(act if isinstance(act, tuple) else (act,))))
        return version

    def erase(self, account_ref: str = "ann", ground: str = "consent-withdrawn") -> UUID:
        """Ask for it and approve it; afterwards nobody finds the account by its reference."""
        self.on_account(erasure.request(self.head(account_ref), "olga", ground, "as the letter says"), account_ref)
        self.on_account(erasure.erase(self.head(account_ref), "otto", 1), account_ref)
        account_id = self.account_ids.pop(key_of("account", account_ref))
        self.streams[account_id] = [each._replace(personal=None) for each in self.streams[account_id]]
        self.refs.update(
            (ref, known._replace(personal=None)) for ref, known in self.refs.items() if known.account == account_id
        )
        return account_id

    def grant(
        self,
        account_ref: str = "ann",
        scope: tuple[str, ...] = ("*",),
        start: str | None = None,
        end: str | None = None,
        basis: str = "direct",
    ) -> int:
        granted = events.ConsentGranted(
            scope=scope,
            terms_version="2026-01",
            basis=basis,
            valid_from=start,
            valid_to=end,
            evidence=sm3_hex(b"signed form"),
            asserter=None,
        )
        return self.on_account((granted, events.ConsentGrantedPersonal(asserter=account_ref)), account_ref)

    def intake(self, partner: str = PARTNER, *, opens: bool = True, content: str = "") -> Intake:
        """Open an intake. ``content`` stands for the bytes received."""
        digest = sm3_hex(f"{partner} {self.size} {content}".encode())
        opened = IntakeOpened(
            partner=partner,
            digest=digest,
            size_bytes=len(content.encode()),
            media="csv",
            received_at=instant_text(self.now_us),
            evidence=KEPT,
        )
        position = self.append(NewEvent(stream_id("intake", f"{partner}\0{digest}"), 1, opened))
        return Intake(partner, position, digest, self.now_us, opens)

    def credit(self, intake: Intake, rows: Iterable[Behavior | Refusal]) -> Sequence[Outcome]:
        """One batch, decided on the log as it stands and recorded."""
        keyed = [
            row
            if isinstance(row, Refusal)
            else Row(row, key_of("ref", intake.partner, row.source_ref), key_of("account", row.account_ref))
            for row in rows
        ]
        known = {row.ref: self.refs[row.ref] for row in keyed if isinstance(row, Row) and row.ref in self.refs}
        heads = {key: self.head_of(stream) for key, stream in self.account_ids.items()}
        batch = Batch(Rules(self.rulebook), intake, heads, self.history_of)
        outcomes = batch.decide(keyed, known, self.now_us, self.log[-1].recorded_us)
        first = self.size
        self.append(*batch.events)
        self.account_ids.update(batch.openings)
        for ref, index in batch.refs:
            each = self.log[first + index].recorded
            self.refs[ref] = Known(each.stream, each.version, each.position, each.event, each.personal)
        return outcomes

    def send(self, *rows: Behavior | Refusal, partner: str = PARTNER, opens: bool = True) -> Sequence[Outcome]:
        """A whole intake of one batch: opened, credited, closed."""
        lined = [
            parse_behavior(line, *columns_of(row)) if isinstance(row, Behavior) else row
            for line, row in enumerate(rows, start=2)
        ]
        content = "\n".join(",".join(columns_of(row)) for row in lined if isinstance(row, Behavior))
        intake = self.intake(partner, opens=opens, content=content)
        outcomes = self.credit(intake, lined)
        refused = sorted(outcome.code for outcome in outcomes if isinstance(outcome, Refusal))
        credited = sum(isinstance(outcome, Credited) for outcome in outcomes)
        closed = IntakeClosed(
            read=len(rows),
            credited=credited,
            duplicates=len(rows) - credited - len(refused),
            rejected=len(refused),
            rejected_by_code={code: refused.count(code) for code in sorted(set(refused))},
        )
        self.append(NewEvent(stream_id("intake", f"{partner}\0{intake.digest}"), 2, closed))
        return outcomes

    def append_to(self, stream: UUID, event: Event) -> int:
        """Record one event at the end of a stream."""
        return self.append(NewEvent(stream, len(self.streams[stream]) + 1, event))

    def evidence(self) -> dict[str, Evidence]:
        """What the log says of the bytes received."""
        return evidence_of((s, e) for s, e in self.streams.items() if isinstance(e[0].event, IntakeOpened))

    def day_of(self, position: int) -> int:
        """The civil day of a position's record."""
        return civil_day(self.log[position - 1].recorded_us, CIVIL_OFFSET_MINUTES)

    def expire(self, before: str) -> int:
        """Record that old evidence is destroyed; returns of how many files."""
        today = civil_day(self.now_us, CIVIL_OFFSET_MINUTES)
        found = due(self.evidence().values(), (), day_number(before), today, self.day_of, 0)
        for each in found:
            self.append(*destroy(each, "olga", "its retention is over"))
        return len(found)

    def credited(self, *rows: Behavior, **more: Any) -> list[int]:
        """The same, where every row must be credited; returns the credited mg."""
        outcomes = self.send(*rows, **more)
        assert all(isinstance(outcome, Credited) for outcome in outcomes), outcomes
        return [outcome.credited_mg for outcome in outcomes if isinstance(outcome, Credited)]

    def reverse(self, source_ref: str, partner: str = PARTNER) -> int:
        """Reverse a credit, after what a pending run owes the account; returns the reversed mg."""
        known = self.refs[key_of("ref", partner, source_ref)]
        account = self.head_of(known.account)
        owed: list[Event] = []
        for run in self.rulebook.pending_runs():
            owed += revisions.pending_revision(account, run, revisions.scope_of(self.rulebook, run), self.history_of)
        for event in owed:
            self.append(NewEvent(known.account, len(self.streams[known.account]) + 1, event))
        worth = self.history_of(known.account).credits[known.version].worth
        reversed_ = events.BehaviorReversed(
            credit=known.version,
            behavior=known.facts.behavior,
            day=known.facts.day,
            reversed_mg=str(worth),
            by="olga",
        )
        why = account_rules.because("sent by mistake")
        self.append(NewEvent(known.account, len(self.streams[known.account]) + 1, reversed_, why))
        return worth

    # -- revisions ---------------------------------------------------------------------------------------------

    def plan(
        self,
        name: str,
        start: str | None = None,
        end: str | None = None,
        region: str = "*",
        releases: dict[str, int] | None = None,
    ) -> str:
        """Plan a run at the log as it stands; returns its id."""
        run = revisions.draft_run(self.rulebook, name, start, end, region, releases or {}, "alice", self.size)
        impact = Impact()
        scope = revisions.scope_of(self.rulebook, run)
        for stream in self.account_streams():
            lines = revisions.lines_for(self.history_of(stream), scope)
            if lines:
                impact.add(lines)
        report = {
            "methodology": name,
            "from": start,
            "to": end,
            "region": region,
            "releases": releases or {},
            "as_of": run.as_of,
            "left_out": revisions.left_out(self.rulebook, run),
            "changes": [methodology.describe(change) for change in revisions.changes_by(self.rulebook, run)],
            "not_valued": impact.not_valued,
            **impact.as_dict(),
        }
        self.act(revisions.plan(self.rulebook, run, start, end, report))
        return run.id

    def approve_run(self, run: str, by: str = "bob") -> None:
        self.act(revisions.approve(self.rulebook, run, by))

    def apply_run(self, run_id: str, *account_refs: str, lines_per_event: int = LINES_PER_EVENT) -> None:
        """Give the accounts (default: all) their lines; those that have them are left alone."""
        run = self.rulebook.revisions[run_id]
        scope = revisions.scope_of(self.rulebook, run)
        for stream in [self.account_id(ref) for ref in account_refs] or self.account_streams():
            history = self.history_of(stream)
            if run_id in history.revised:
                continue
            parts = revisions.revision_events(run, revisions.lines_for(history, scope), lines_per_event)
            version = len(self.streams[stream])
            self.append(*(NewEvent(stream, version + n, part) for n, part in enumerate(parts, start=1)))

    def complete(self, run_id: str) -> RevisionCompleted:
        run = self.rulebook.revisions[run_id]
        impact, root = Impact(), MerkleRoot()
        for stream in self.account_streams():
            lines = booked_lines(self.streams[stream], run_id)
            if lines:
                impact.add(lines)
                root.add(revisions.lines_entry(stream, lines))
        new = revisions.complete(self.rulebook, run, impact, root.hex())
        self.append(new)
        assert isinstance(new.event, RevisionCompleted)
        return new.event

    def revise(self, name: str, *period_and_region: Any, **more: Any) -> RevisionCompleted:
        """Plan, approve, apply and complete."""
        run = self.plan(name, *period_and_region, **more)
        self.approve_run(run)
        self.apply_run(run)
        return self.complete(run)

    # -- looking back ------------------------------------------------------------------------------------------

    def events(self) -> list[Recorded]:
        return [entry.recorded for entry in self.log]

    def times(self) -> dict[int, int]:
        """When each position was recorded."""
        return {entry.recorded.position: entry.recorded_us for entry in self.log}

    def altered(self, position: int, **changes: Any) -> list[Recorded]:
        """The log with some facts of one event changed, as somebody with access to the table could do it."""
        log = self.events()
        each = log[position - 1]
        event = msgspec.structs.replace(each.event, **changes)
        log[position - 1] = Recorded(each.stream, each.version, each.position, event, each.personal)
        return log

    def replayed(self, log: list[Recorded] | None = None, until: int | None = None) -> Replayed:
        return replayed(self.events() if log is None else log, self.times(), until)


def booked_lines(stream: Iterable[Recorded], run_id: str) -> list[events.RevisedLine]:
    """What a run booked in one account."""
    return [
        line
        for each in stream
        if isinstance(each.event, events.FactorRevised) and each.event.revision == run_id
        for line in each.event.lines
    ]


def replayed(log: list[Recorded], recorded_us: Mapping[int, int], until: int | None = None) -> Replayed:
    """Recompute the first ``until`` events of a log from its rulebook and its facts."""
    upto = log[-1].position if until is None else until
    rulebook = Rulebook()
    rules = [each for each in log if isinstance(each.event, RulebookEvent)]
    rulebook.extend(rules)
    streams: dict[UUID, list[Recorded]] = {}
    for each in log:
        if each.event.STREAM == "account" and each.position <= upto:
            streams.setdefault(each.stream, []).append(each)
    runs = approved_runs(rulebook, upto)
    accounts = {stream: AccountReplay(rulebook, runs, stream, upto) for stream in sorted(streams)}
    balances = {stream: account.run(streams[stream]) for stream, account in accounts.items()}
    lines = sorted(f"{stream},{behavior},{mg}\n" for stream, sums in balances.items() for behavior, mg in sums.items())
    mismatches = check_rulebook((each for each in rules if each.position <= upto), recorded_us)
    mismatches += [mismatch for account in accounts.values() for mismatch in account.mismatches]
    digest = sm3_hex("".join(lines).encode())
    return Replayed(mismatches, balances, digest, sum(account.credits for account in accounts.values()), accounts)
