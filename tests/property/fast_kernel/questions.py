"""One question to a fast kernel about a log, with what the reference answers, and the differences between the two.

Keeps: what the kernel says of an account must be what the reference says, to the milligram and the digest; an account
that the reference finds wrong may not be proven; one that it finds right may be handed to it only where the question
says that numbers leave 63 bits (``wide``) or a row says that the columns cannot hold it.
Leaves to ``stories``, ``traps`` and ``altering``: the logs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from application.ports.archive import CREDITED, IRREGULAR, NONE, Rows
from application.ports.kernel import REASONS, KernelFactory, Lines, Recomputed, RunSums
from domain.digest import sm3_hex
from domain.events.account import BehaviorCredited
from domain.events.base import Recorded
from domain.history import AccountHistory
from domain.replay import AccountReplay, approved_runs
from domain.revision import Scope, lines_for
from domain.rulebook import Rulebook
from domain.values import day_text
from tests.fixtures.columns import rows_of

NO_RULES = Rulebook()
"""Lines rest on the scope and on what is booked alone."""

Streams = Sequence[tuple[UUID, Sequence[Recorded]]]


class Truth(NamedTuple):
    """What the reference says of one account: (mg, credits) by behavior, and by run what it did."""

    balances: dict[str, tuple[int, int]]
    wrong: list[str]
    revised: dict[str, RunSums]


def truth_of(rulebook: Rulebook, stream: UUID, recorded: Sequence[Recorded], until: int, account: int) -> Truth:
    """By ``domain.replay``."""
    replay = AccountReplay(rulebook, approved_runs(rulebook, until), stream, until)
    balances = replay.run(recorded)
    credits = Counter(each.event.behavior for each in recorded if isinstance(each.event, BehaviorCredited))
    revised = {}
    for run, lines in replay.revised:
        before, after = sum(int(line.before_mg) for line in lines), sum(int(line.credited_mg) for line in lines)
        digest = bytes.fromhex(sm3_hex(msgspec.json.encode(list(lines))))
        revised[run] = RunSums(1, int(before != after), len(lines), before, after, [(account, digest)])
    wrong = [f"{each.what} {each.booked} {each.recomputed}" for each in replay.mismatches]
    return Truth({behavior: (mg, credits[behavior]) for behavior, mg in balances.items()}, wrong, revised)


def _fields(line: Any) -> tuple[Any, ...]:
    return msgspec.structs.astuple(line)


class Question:
    """The accounts of a log as they stand at size ``until``."""

    def __init__(self, name: str, rulebook: Rulebook, streams: Streams, until: int, *, wide: bool = False) -> None:
        """``wide``: some numbers leave 63 bits, so accounts may be handed to the reference."""
        self.name = name
        self.rulebook = rulebook
        self.until = until
        self.wide = wide
        cut = [(stream, [each for each in recorded if each.position <= until]) for stream, recorded in streams]
        self.streams = [(stream, recorded) for stream, recorded in cut if recorded]
        self.runs = approved_runs(rulebook, until)

    @cached_property
    def rows(self) -> Rows:
        return rows_of(self.streams)

    @cached_property
    def truths(self) -> list[Truth]:
        """By account index."""
        return [
            truth_of(self.rulebook, stream, recorded, self.until, account)
            for account, (stream, recorded) in enumerate(self.streams)
        ]

    @cached_property
    def irregular(self) -> set[int]:
        """Accounts that the columns cannot hold."""
        return set(self.rows.account[self.rows.kind == IRREGULAR].tolist())

    def ask(self, kernel: KernelFactory) -> Recomputed:
        return kernel(self.rulebook, self.runs, self.rows.names).replay(self.rows, self.until)

    def differences(self, kernel: KernelFactory) -> Iterator[str]:
        """Between the kernel's replay and the reference's."""
        recomputed = self.ask(kernel)
        unproven = set(recomputed.unproven.tolist())
        proven = [account for account in range(len(self.streams)) if account not in unproven]
        for account in proven:
            if self.truths[account].wrong:
                yield f"{self.name}: account {account} accepted: {self.truths[account].wrong[0]}"
        for account in unproven - self.irregular:
            if not self.truths[account].wrong and not self.wide:
                yield f"{self.name}: account {account} handed over without need"
        if any(self.truths[account].wrong for account in proven):
            return
        got = balances_of(recomputed, self.rows)
        for account in proven:
            expected = self.truths[account].balances
            if got.pop(account, {}) != expected:
                yield f"{self.name}: account {account}: {balances_of(recomputed, self.rows)}, expected {expected}"
        if got:
            yield f"{self.name}: balances of accounts that are not proven: {got}"
        for run, _ in self.runs:
            revised = [self.truths[a].revised[run.id] for a in proven if run.id in self.truths[a].revised]
            expected_sums = _added(revised)
            found = recomputed.runs.get(run.id, _added([]))
            if found._replace(digests=sorted(found.digests)) != expected_sums:
                yield f"{self.name}: run {run.id}: {found}, expected {expected_sums}"

    def line_differences(self, kernel: KernelFactory, scope: Scope) -> Iterator[str]:
        """Between the lines of a run as the kernel and as the reference works them out from what is booked."""
        found = kernel(NO_RULES, [], self.rows.names).lines(self.rows, scope)
        unproven = set(found.unproven.tolist())
        got = lines_of(found, self.rows)
        for account, (_, recorded) in enumerate(self.streams):
            where = f"{self.name}: lines of {scope.decision.id} for account {account}"
            if account in unproven:
                if account in got:
                    yield f"{where}, which is not proven: {got[account]}"
                if not self.wide and account not in self.irregular:
                    yield f"{where}: handed over without need"
                continue
            history = AccountHistory().extend(recorded)
            expected = [_fields(line) for line in lines_for(history, scope)]
            if got.get(account, []) != expected:
                yield f"{where}: {got.get(account)}, expected {expected}"
            stands = int(found.balance_mg[account]), int(found.last_version[account])
            if stands != (sum(history.balances().values()), history.version):
                yield f"{where}: account stands at {stands}"


def balances_of(recomputed: Recomputed, rows: Rows) -> dict[int, dict[str, tuple[int, int]]]:
    """(mg, credits) by account index and behavior."""
    found: dict[int, dict[str, tuple[int, int]]] = {}
    columns = (column.tolist() for column in recomputed.balances)
    for account, behavior, mg, credits in zip(*columns, strict=True):
        found.setdefault(account, {})[rows.names.words["behavior"][behavior]] = (mg, credits)
    return found


def lines_of(found: Lines, rows: Rows) -> dict[int, list[tuple[Any, ...]]]:
    """The lines as the events would say them, by account index."""
    said: dict[int, list[tuple[Any, ...]]] = {}
    for index, account in enumerate(found.account.tolist()):
        row, computed = int(found.row[index]), int(found.computed_mg[index])
        credit = int(found.credit[index])
        named = (rows.account[row], rows.kind[row], rows.version[row], rows.region[row], rows.day[row])
        assert named == (account, CREDITED, credit, found.region[index], found.day[index])
        reason = REASONS[found.reason[index]]
        assert (computed == NONE) == bool(reason)
        said.setdefault(account, []).append(
            (
                credit,
                day_text(int(found.day[index])),
                str(found.before_mg[index]),
                None if reason else str(computed),
                str(found.credited_mg[index]),
                reason,
            )
        )
    return said


def _added(sums: Iterable[RunSums]) -> RunSums:
    total = RunSums(0, 0, 0, 0, 0, [])
    for each in sums:
        added = (one + more for one, more in zip(total[:5], each[:5], strict=True))
        total = RunSums._make((*added, [*total.digests, *each.digests]))
    return total._replace(digests=sorted(total.digests))
