"""Every act of the use cases, twice: as the ledger does it and as the model does it.

Keeps: both sides get the same plain facts; answers are plain values that can be compared.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from application import accounts, erasing, methodologies, revising
from application.importing import import_behaviors
from application.intakes import close_intake, open_intake
from application.ports.behavior_source import ParsedRow, RefusedRow
from domain import crediting
from domain.behavior import Behavior, parse_behavior
from domain.behavior import Refusal as RowRefusal
from tests.simulation import erasing as model_erasing
from tests.simulation.comparing import counts_of
from tests.simulation.law import Decision, Outcome, Refused, Run
from tests.simulation.model import Model
from tests.simulation.plain import Release, Report, Version
from tests.simulation.stage import Act, Refusal, Turn, Writer, plainly

SETTLED = ("credited", "duplicate")


def _text(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def draft(version: Version) -> Act:
    def ledger(writer: Writer) -> None:
        methodologies.import_methodology(writer.book, version.document(), "ann")

    return plainly(f"draft {version.name}", ledger, lambda model: model.draft(version))


def publish(name: str) -> Act:
    """Review, certify, publish: three appends."""

    def ledger(writer: Writer) -> None:
        for step, (act, by) in enumerate(
            ((methodologies.review, "bob"), (methodologies.certify, "cid"), (methodologies.publish, "dee"))
        ):
            writer.step = step
            act(writer.book, name, by)

    def on_model(model: Model, answer: Any, turn: Turn) -> Any:
        for step, act in enumerate((model.review, model.certify, model.publish)):
            turn(step - 1, step)  # each act looks once more after it was done
            try:
                act(name)
            except Refused as refused:
                return answer if isinstance(answer, Refusal) and answer.code in refused.codes else refused.codes
        return None

    return Act(f"publish {name}", ledger, on_model)


def load(release: Release) -> Act:
    def ledger(writer: Writer) -> None:
        methodologies.import_factors(writer.book, release.document(), "ann")

    return plainly(f"load {release.factor_set} {release.number}", ledger, lambda model: model.load(release))


@dataclass(frozen=True)
class Terms:
    """What a decision or a run says."""

    version: Version
    start: date | None
    end: date | None
    region: str
    releases: dict[str, int]


def propose(terms: Terms, *, leave_gap: bool) -> Act:
    version, start, end, region, releases = terms.version, terms.start, terms.end, terms.region, terms.releases

    def ledger(writer: Writer) -> str:
        return methodologies.propose_decision(
            writer.book,
            version.name,
            _text(start),
            _text(end),
            "ann",
            region=region,
            releases=releases,
            leave_gap=leave_gap,
        )[0]

    def on_model(model: Model) -> str:
        name = f"D{len(model.proposals) + 1}"
        model.propose(Decision(name, version, start, end, region, releases, "ann", leave_gap))
        return name

    return plainly(f"propose {version.name} {region} {start} {end}", ledger, on_model)


def approve(name: str, by: str) -> Act:
    def ledger(writer: Writer) -> None:
        methodologies.approve_decision(writer.book, name, by)

    return plainly(f"approve {name}", ledger, lambda model: model.approve(name, by))


def propose_withdrawal(name: str) -> Act:
    def ledger(writer: Writer) -> None:
        methodologies.propose_withdrawal(writer.book, name, "ann")

    return plainly(f"propose withdrawal {name}", ledger, lambda model: model.propose_withdrawal(name, "ann"))


def approve_withdrawal(name: str, by: str, *, leave_gap: bool) -> Act:
    def ledger(writer: Writer) -> None:
        methodologies.approve_withdrawal(writer.book, name, by, leave_gap=leave_gap)

    return plainly(f"withdraw {name}", ledger, lambda model: model.approve_withdrawal(name, by, leave_gap=leave_gap))


def plan(terms: Terms) -> Act:
    version, start, end, region, releases = terms.version, terms.start, terms.end, terms.region, terms.releases

    def ledger(writer: Writer) -> tuple[str, dict[str, int]]:
        planned = revising.plan(
            writer.book, version.name, _text(start), _text(end), "ann", region=region, releases=releases
        )
        return planned.revision_id, {key: int(value) for key, value in planned.impact.items()}

    def run_of(model: Model) -> Run:
        return Run(f"R{len(model.runs) + 1}", version, start, end, region, releases, "ann")

    def on_model(model: Model) -> tuple[str, dict[str, int]]:
        run = run_of(model)
        return run.id, model.plan(run)

    plain = plainly(f"plan {version.name} {region} {start} {end}", ledger, on_model)

    def with_others(model: Model, answer: Any, turn: Turn) -> Any:
        """The impact is that of the log when planning began; a rulebook that moved meanwhile makes it stale."""
        earlier = turn()
        if earlier is None:
            return plain.model(model, answer, turn)
        if answer == Refusal("plan_stale") and earlier.moved != model.moved:
            return answer
        before = plain.model(earlier, answer, Turn(earlier, None))
        if isinstance(answer, Refusal) and before == answer:
            return answer
        after = plain.model(model, answer, turn)
        as_of_before = isinstance(before, tuple) and isinstance(after, tuple) and answer == (after[0], before[1])
        return answer if as_of_before else after

    return Act(plain.name, ledger, with_others)


def approve_run(name: str, by: str) -> Act:
    def ledger(writer: Writer) -> None:
        revising.approve(writer.book, name, by)

    return plainly(f"approve {name}", ledger, lambda model: model.approve_run(name, by))


def apply(name: str) -> Act:
    def ledger(writer: Writer) -> dict[str, int]:
        done = revising.apply(writer.book, name)
        masses = {"before_mg": int(done.before_mg), "after_mg": int(done.after_mg), "delta_mg": int(done.delta_mg)}
        counts = {"accounts": done.accounts, "changed_accounts": done.changed_accounts, "credits": done.credits}
        return counts | masses

    def model(book: Model, answer: Any, turn: Turn) -> Any:
        def step() -> None:
            turn()

        run = plainly("", ledger, lambda model: model.apply(name, step))
        return run.model(book, answer, Turn(book, None))

    return Act(f"apply {name}", ledger, model)


def open_account(ref: str) -> Act:
    def ledger(writer: Writer) -> None:
        accounts.open_account(writer.book, ref)

    return plainly(f"open {ref}", ledger, lambda model: model.open_account(ref))


def grant(ref: str, scope: tuple[str, ...], start: datetime | None, end: datetime | None) -> Act:
    def ledger(writer: Writer) -> None:
        accounts.grant_consent(
            writer.book,
            ref,
            scope=scope,
            terms_version="1",
            valid_from=None if start is None else start.isoformat(),
            valid_to=None if end is None else end.isoformat(),
            evidence="0" * 64,
            by="ann",
        )

    return plainly(f"grant {ref} {scope} {start} {end}", ledger, lambda model: model.grant(ref, scope, start, end))


def withdraw_consent(ref: str) -> Act:
    def ledger(writer: Writer) -> None:
        accounts.withdraw_consent(writer.book, ref, "ann", "asked")

    return plainly(f"withdraw consent {ref}", ledger, lambda model: model.withdraw_consent(ref))


def set_status(ref: str, doing: str) -> Act:
    """``doing``: freeze, unfreeze or close."""

    def ledger(writer: Writer) -> None:
        getattr(accounts, doing)(writer.book, ref, "ann", "asked")

    def on_model(model: Model) -> None:
        getattr(model, doing)(ref)

    return plainly(f"{doing} {ref}", ledger, on_model)


def reverse(ref: str, partner: str, source_ref: str) -> Act:
    def ledger(writer: Writer) -> int:
        return accounts.reverse(writer.book, ref, source_ref, "ann", "wrong", partner)[1]

    return plainly(f"reverse {ref} {source_ref}", ledger, lambda model: model.reverse(ref, partner, source_ref))


def ask_erasure(ref: str) -> Act:
    def ledger(writer: Writer) -> None:
        erasing.request(writer.book, ref, "ann", "asked")

    return plainly(f"ask to erase {ref}", ledger, lambda model: model_erasing.ask(model, ref))


def approve_erasure(ref: str, by: str) -> Act:
    def ledger(writer: Writer) -> None:
        erasing.approve(writer.book, ref, by)

    return plainly(f"erase {ref}", ledger, lambda model: model_erasing.approve(model, ref, by))


@dataclass(frozen=True)
class File:
    """A partner's file. ``opens_accounts``: whether the partner speaks for people without an account."""

    partner: str
    digest: str
    reports: tuple[Report, ...]
    opens_accounts: bool


def parsed(report: Report) -> ParsedRow:
    row = parse_behavior(*report)
    return row if isinstance(row, Behavior) else RefusedRow(row, tuple(str(column) for column in report[1:]))


class _Source:
    """The file as a source of rows; tells the writer how far it has come."""

    format = "csv"

    def __init__(self, file: File, writer: Writer) -> None:
        self.digest = file.digest
        self.size_bytes = self.bytes_read = len(file.reports)
        self._file = file
        self._writer = writer

    def blocks(self) -> Iterator[bytes]:
        return iter(())

    def rows(self, batch_rows: int) -> Iterator[list[ParsedRow]]:
        for start in range(0, len(self._file.reports), batch_rows):
            self._writer.step += 1
            yield [parsed(report) for report in self._file.reports[start : start + batch_rows]]
        self._writer.step += 1


class _Rejects:
    def __init__(self) -> None:
        self.codes: dict[int, str] = {}

    def write(self, row: RefusedRow) -> None:
        self.codes[row.refusal.line] = row.refusal.code


def import_file(file: File, batch_rows: int) -> Act:
    """A whole file by the import, in batches."""

    def ledger(writer: Writer) -> tuple[Any, ...]:
        rejects = _Rejects()
        done = import_behaviors(
            writer.book,
            _Source(file, writer),
            file.partner,
            opens_accounts=file.opens_accounts,
            rejects=rejects,
            batch_rows=batch_rows,
        )
        by_code = tuple(sorted(done.rejected_by_code.items()))
        return (done.read, done.credited, done.duplicates, done.rejected, by_code), done.credited_mg, rejects.codes

    def model(book: Model, answer: Any, turn: Turn) -> tuple[Any, ...]:
        refused = answer[2] if answer is not None else {}
        turn(0)
        intake = book.open_intake(file.partner, file.digest, opens_accounts=file.opens_accounts)
        outcomes: list[Outcome] = []
        starts = range(0, len(file.reports), batch_rows)
        earlier, used = None, 0
        for step, start in enumerate(starts, start=1):
            batch = file.reports[start : start + batch_rows]
            fired = turn(step - 1, step, step + 1)  # the next batch is decided while this one is appended
            if fired is not None:
                earlier = fired
            forced = {}
            if earlier is not None and used < 2:
                # Refused on the book as it was before others acted: this batch, or the next, which is decided ahead.
                used += 1
                before = earlier.credit(intake, batch, {})
                given = {index: refused.get(report.line) for index, report in enumerate(batch)}
                forced = {i: code for i, code in given.items() if code is not None and before[i].answer == code}
            outcomes += book.credit(intake, batch, forced)
        turn()
        counts = counts_of([outcome.answer for outcome in outcomes])
        book.close_intake(intake, counts)
        answers = {r.line: o.answer for r, o in zip(file.reports, outcomes, strict=True) if o.answer not in SETTLED}
        return counts, sum(outcome.mg or 0 for outcome in outcomes), answers

    return Act(f"import {file.digest} {[r.line for r in file.reports]} by {batch_rows}", ledger, model)


def send(file: File, *, closes: bool) -> Act:
    """A request: one batch, by a process that keeps accounts in its cache."""

    def ledger(writer: Writer) -> list[Outcome]:
        intake = open_intake(
            writer.book, file.partner, file.digest, len(file.reports), "request", opens_accounts=file.opens_accounts
        )
        writer.step = 1
        rows = [parsed(report) for report in file.reports]
        answered = writer.crediting.credit(intake, [r.refusal if isinstance(r, RefusedRow) else r for r in rows])
        outcomes = [_outcome(outcome) for outcome in answered.outcomes]
        writer.step = 2
        if closes:
            read, credited, duplicates, _, by_code = counts_of([outcome.answer for outcome in outcomes])
            close_intake(writer.book, intake, read, credited, duplicates, Counter(dict(by_code)))
        return outcomes

    def model(book: Model, answer: Any, turn: Turn) -> list[Outcome]:
        turn(0)
        intake = book.open_intake(file.partner, file.digest, opens_accounts=file.opens_accounts)
        forced: dict[int, str] = {}
        earlier = turn(0, 1)
        if earlier is not None:
            before = earlier.credit(intake, file.reports, {})
            forced = {
                i: o.answer for i, o in enumerate(answer) if o.answer not in SETTLED and before[i].answer == o.answer
            }
        outcomes = book.credit(intake, file.reports, forced)
        turn()
        if closes:
            book.close_intake(intake, counts_of([outcome.answer for outcome in outcomes]))
        return outcomes

    return Act(f"send {file.digest} {[r.line for r in file.reports]}", ledger, model)


def _outcome(outcome: Any) -> Outcome:
    if isinstance(outcome, crediting.Credited):
        return Outcome("credited", outcome.credited_mg)
    return Outcome(outcome.code) if isinstance(outcome, RowRefusal) else Outcome("duplicate")
