"""An executable model of DESIGN section 3: slow, plain, written from the text, without a line of the ledger's code.

Keeps: facts are lists; every answer is computed anew from all of them, in ``Fraction`` and ``int``; a refused act
changes nothing. ``log`` holds what the ledger must have recorded, position by position.
Leaves to ``world``: which acts happen, and the comparison.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import Any
from uuid import UUID

from tests.simulation.law import (
    MALFORMED,
    Account,
    Consent,
    Credit,
    Decision,
    Intake,
    Line,
    Outcome,
    Run,
    capped,
    refuse_if,
)
from tests.simulation.plain import Report, local_day
from tests.simulation.rulebook_model import RulebookModel


class Model(RulebookModel):
    """The whole book. ``lines_per_event``: how many lines fit into one ``FactorRevised``.

    ``ids``: account ids by account_ref, told by the ledger, which draws them; they only put accounts in order.
    """

    def __init__(self, regions: Sequence[str], lines_per_event: int) -> None:
        super().__init__(regions)
        self.lines_per_event = lines_per_event
        self.ids: dict[str, UUID] = {}
        self.taken: dict[tuple[str, str], Credit] = {}
        self.open_intakes: dict[tuple[str, str], Intake] = {}
        self.retention_days = 0
        self._renamed: dict[str, str] = {}

    def rename(self, ref: str, name: str) -> None:
        """The account, and all that is recorded of it, is called otherwise from now on."""
        self.accounts[name] = self.accounts.pop(ref)
        self._renamed[ref] = name
        self.log = [fact._replace(subject=name) if fact.subject == ref else fact for fact in self.log]

    # -- revisions -----------------------------------------------------------------------------------------------

    def plan(self, run: Run) -> dict[str, int]:
        """Returns the impact; records the plan."""
        behavior = run.version.behavior
        refuse_if(
            wrong_state=self.states[run.version.name] != "published",
            revision_in_progress=bool(self.pending(behavior)),
            other_code=self._takes_from_another_code(run),
        )
        impact = self.impact(run)
        run.stands_on = self.moved.get(behavior, 0)
        self.runs[run.id] = run
        self.record("RevisionPlanned")
        return impact

    def impact(self, run: Run) -> dict[str, int]:
        """What a run would do if it were approved now."""
        after = self._with(self.decisions(run.version.behavior, self.size + 1), run)
        return self._sums(self._lines(account, after[-1], after) for account in self.accounts.values())

    def approve_run(self, name: str, by: str) -> None:
        run = self.runs[name]
        behavior = run.version.behavior
        refuse_if(
            wrong_state=run.position is not None or self.states[run.version.name] != "published",
            same_actor=by == run.by,
            revision_in_progress=bool(self.pending(behavior)),
            plan_stale=run.stands_on != self.moved.get(behavior, 0),
            other_code=self._takes_from_another_code(run),
        )
        run.position = self.moved[behavior] = self.record("RevisionApproved")

    def apply(self, name: str, before_each_step: Callable[[], None]) -> dict[str, int]:
        """Every account with an in-scope credit gets one ``FactorRevised``, accounts by id; returns the sums.

        ``before_each_step`` is called before each account and before the completion: others may act there.
        """
        run = self.runs[name]
        refuse_if(wrong_state=run.position is None)
        if not run.completed:
            for ref in sorted(self.accounts, key=lambda ref: self.ids[ref]):
                before_each_step()
                self._revise(ref if ref in self.accounts else self._renamed[ref], run)
            before_each_step()
        if not run.completed:
            self.moved[run.version.behavior] = self.record("RevisionCompleted", "", run.id, *self.sums(name).values())
            run.completed = True
        return self.sums(name)

    def sums(self, run: str) -> dict[str, int]:
        """What a run has done so far."""
        return self._sums(self.booked_lines(ref, run) for ref in self.accounts)

    def booked_lines(self, ref: str, run: str) -> list[Line]:
        """The account's lines of a run, as booked."""
        of_run = [f for f in self.log if f.kind == "FactorRevised" and f.subject == ref and f.details[0] == run]
        return [line for fact in of_run for line in fact.details[-1]]

    def _owes(self, ref: str, run: Run) -> list[Line]:
        """Lines that the account must get from a pending run."""
        if run.position is None or run.completed or run.id in self.accounts[ref].revised:
            return []
        return self._lines(self.accounts[ref], run, self.decisions(run.version.behavior, run.position + 1))

    def _lines(self, account: Account, run: Decision, known: Sequence[Decision]) -> list[Line]:
        assert run.position is not None
        position, version = run.position, run.version
        of_code = [credit for credit in account.credits if credit.code == version.code]
        inside = [
            credit
            for credit in of_code
            if credit.reversed_at is None
            and credit.position < position
            and self.winner(known, credit.report.region, credit.day) is run
        ]
        charged = [(credit.day, credit.mass) for credit in of_code if credit not in inside]
        lines = []
        for credit in inside:
            computed = self.computed(run, credit.report.region, credit.day, credit.quantity)
            reason = "" if computed is not None else "no_factor_for_region"
            if not Fraction(version.minimum) <= credit.quantity <= Fraction(version.maximum):
                computed, reason = None, "quantity_out_of_range"
            mg = capped(version.caps, credit.day, computed or 0, charged)
            charged.append((credit.day, mg))
            lines.append(Line(credit.version, credit.day, credit.mass, computed, mg, reason))
        return lines

    def _revise(self, ref: str, run: Run) -> None:
        lines = self._owes(ref, run)
        credits = {credit.version: credit for credit in self.accounts[ref].credits}
        for start in range(0, len(lines), self.lines_per_event):
            part = lines[start : start + self.lines_per_event]
            last = start + self.lines_per_event >= len(lines)
            number = start // self.lines_per_event + 1
            position = self.record("FactorRevised", ref, run.id, run.version.name, number, last, tuple(part))
            for line in part:
                credits[line.credit].valuations.append((position, line.credited_mg))
        if lines:
            self.accounts[ref].revised.append(run.id)

    def _sums(self, lines_by_account: Iterable[Sequence[Line]]) -> dict[str, int]:
        found = [lines for lines in lines_by_account if lines]
        before = [sum(line.before_mg for line in lines) for lines in found]
        after = [sum(line.credited_mg for line in lines) for lines in found]
        return {
            "accounts": len(found),
            "changed_accounts": sum(1 for old, new in zip(before, after, strict=True) if old != new),
            "credits": sum(len(lines) for lines in found),
            "before_mg": sum(before),
            "after_mg": sum(after),
            "delta_mg": sum(after) - sum(before),
        }

    # -- accounts ------------------------------------------------------------------------------------------------

    def open_account(self, ref: str) -> None:
        refuse_if(account_exists=ref in self.accounts)
        self.accounts[ref] = Account()
        self.record("AccountOpened", ref)

    def grant(self, ref: str, scope: tuple[str, ...], start: datetime | None, end: datetime | None) -> None:
        """A direct consent."""
        account = self.existing(ref)
        refuse_if(account_closed=account.status == "closed")
        self._grant(ref, scope, start, end, direct=True)

    def _grant(
        self, ref: str, scope: tuple[str, ...], start: datetime | None, end: datetime | None, *, direct: bool
    ) -> None:
        self.record("ConsentGranted", ref)
        account = self.accounts[ref]
        account.consents.append(Consent(account.version, scope, start, end, direct))

    def withdraw_consent(self, ref: str) -> None:
        """Every active one."""
        active = [consent for consent in self.existing(ref).consents if consent.active]
        refuse_if(consent_unknown=not active)
        for consent in active:
            consent.active = False
            self.record("ConsentWithdrawn", ref, consent.version)

    def freeze(self, ref: str) -> None:
        self._set(ref, "frozen", "AccountFrozen", "open")

    def unfreeze(self, ref: str) -> None:
        refuse_if(account_not_frozen=self.existing(ref).status == "open")
        self._set(ref, "open", "AccountUnfrozen", "frozen")

    def close(self, ref: str) -> None:
        self._set(ref, "closed", "AccountClosed", "open", "frozen")

    def _set(self, ref: str, status: str, event: str, *allowed: str) -> None:
        account = self.existing(ref)
        refuse_if(**{f"account_{account.status}": account.status not in allowed})
        account.status = status
        self.record(event, ref)

    def existing(self, ref: str) -> Account:
        """The account that bears the name."""
        refuse_if(account_unknown=ref not in self.accounts)
        return self.accounts[ref]

    def reverse(self, ref: str, partner: str, source_ref: str) -> int:
        """Returns the mg that the credit was worth."""
        account = self.existing(ref)
        credit = self.taken.get((partner, source_ref))
        refuse_if(credit_unknown=credit not in account.credits)
        assert credit is not None
        refuse_if(already_reversed=credit.reversed_at is not None)
        for run in self.pending():
            self._revise(ref, run)
        credit.reversed_at = self.record("BehaviorReversed", ref, credit.version, credit.mass)
        return credit.mass

    # -- crediting -----------------------------------------------------------------------------------------------

    def open_intake(self, partner: str, digest: str, *, opens_accounts: bool) -> Intake:
        """A new intake, or the open one of the same bytes."""
        intake = self.open_intakes.get((partner, digest))
        if intake is None:
            intake = Intake(self.record("IntakeOpened"), partner, digest, self.now, opens_accounts)
            self.open_intakes[partner, digest] = intake
        return intake._replace(opens_accounts=opens_accounts)

    def close_intake(self, intake: Intake, counts: tuple[Any, ...]) -> None:
        """Unless another process closed it."""
        open_now = self.open_intakes.get((intake.partner, intake.digest))
        if open_now is not None and open_now.position == intake.position:
            del self.open_intakes[intake.partner, intake.digest]
            self.record("IntakeClosed", "", *counts)

    def credit(self, intake: Intake, reports: Sequence[Report], forced: Mapping[int, str]) -> list[Outcome]:
        """An outcome per report. ``forced``: refusals given already, by index, on what was known a moment before."""
        return [
            Outcome(forced[index]) if index in forced else self._credit(intake, report)
            for index, report in enumerate(reports)
        ]

    def _credit(self, intake: Intake, report: Report) -> Outcome:
        if report.quantity in MALFORMED:
            return Outcome("malformed")
        first = self.taken.get((intake.partner, report.source_ref))
        if first is not None:
            if (first.intake, first.report.line) == (intake.position, report.line):
                return Outcome("credited", first.valuations[0][1])
            same = first.erased or first.report.content == report.content
            return Outcome("duplicate" if same else "conflicting_duplicate")
        refusal = self._refusal(intake, report)
        if refusal is not None:
            return Outcome(refusal)
        return Outcome("credited", self._book(intake, report))

    def _refusal(self, intake: Intake, report: Report) -> str | None:
        """Everything after the reference, in the order of DESIGN section 5."""
        named = [self.versions[name] for name in self.published if self.versions[name].behavior == report.behavior]
        if not named:
            return "unknown_behavior"
        instant = report.instant
        if instant is None:
            return "timestamp_without_offset"
        day = local_day(instant, named[0].offset_minutes)
        decision = self.winner(self.decisions(report.behavior, self.size + 1), report.region, day)
        version = named[-1] if decision is None else decision.version
        quantity = Fraction(report.quantity)
        checks = {
            "unit_mismatch": report.unit != version.unit,
            "quantity_not_positive": quantity <= 0,
            "quantity_out_of_range": not Fraction(version.minimum) <= quantity <= Fraction(version.maximum),
            "quantity_too_precise": (quantity * 10**version.scale).denominator != 1,
            "occurred_in_future": instant > self.now,
            "too_late": self.now - instant > timedelta(days=version.late_days),
            **self._standing(intake, report, instant),
            "no_applicable_methodology": decision is None,
            "no_factor_for_region": decision is not None
            and self.computed(decision, report.region, day, quantity) is None,
        }
        return next((code for code, holds in checks.items() if holds), None)

    def _standing(self, intake: Intake, report: Report, instant: datetime) -> dict[str, bool]:
        """What the account says against the report."""
        account = self.accounts.get(report.account_ref)
        asserted = intake.opens_accounts and instant < intake.received
        if account is None:
            return {"account_unknown": not intake.opens_accounts, "no_consent": not asserted}
        spoken = any(consent.direct or not consent.active for consent in account.consents)
        consented = self._consent(account, report, instant) is not None or (asserted and not spoken)
        return {f"account_{account.status}": account.status != "open", "no_consent": not consented}

    def _consent(self, account: Account, report: Report, instant: datetime) -> int | None:
        for consent in reversed(account.consents):
            inside = (consent.start is None or consent.start <= instant) and (
                consent.end is None or instant < consent.end
            )
            if consent.active and inside and ("*" in consent.scope or report.behavior in consent.scope):
                return consent.version
        return None

    def _book(self, intake: Intake, report: Report) -> int:
        instant = report.instant
        assert instant is not None
        ref = report.account_ref
        if ref not in self.accounts:
            self.open_account(ref)
        account = self.accounts[ref]
        for run in self.pending():
            self._revise(ref, run)
        if self._consent(account, report, instant) is None:
            self._grant(ref, ("*",), None, intake.received, direct=False)
        consent = self._consent(account, report, instant)
        offset = next(v.offset_minutes for v in self.versions.values() if v.behavior == report.behavior)
        day, quantity = local_day(instant, offset), Fraction(report.quantity)
        decision = self.winner(self.decisions(report.behavior, self.size + 1), report.region, day)
        assert decision is not None
        version = decision.version
        computed = self.computed(decision, report.region, day, quantity)
        assert computed is not None
        charged = [(credit.day, credit.mass) for credit in account.credits if credit.code == version.code]
        mg = capped(version.caps, day, computed, charged)
        at_scale = int(quantity * 10**version.scale)
        details = (intake.position, report.line, report.behavior, day, report.region, at_scale, version.name)
        position = self.record("BehaviorCredited", ref, *details, decision.id, consent, computed, mg)
        credit = Credit(
            position,
            account.version,
            report,
            report.behavior,
            version.code,
            day,
            quantity,
            [(position, mg)],
            intake.position,
        )
        account.credits.append(credit)
        self.taken[intake.partner, report.source_ref] = credit
        return mg

    # -- answers -------------------------------------------------------------------------------------------------

    def balances(self, known: int, before: date | None = None) -> dict[tuple[str, str], int]:
        """mg by (account, behavior) of behaviors of days before ``before``, as known at log size ``known``."""
        sums: dict[tuple[str, str], int] = {}
        for ref, account in self.accounts.items():
            for credit in account.credits:
                if credit.position <= known and (before is None or credit.day < before):
                    key = (ref, credit.behavior)
                    sums[key] = sums.get(key, 0) + credit.worth(known)
        return sums

    def digest(self, known: int) -> str:
        """DESIGN 7."""
        lines = [f"{self.ids[ref]},{behavior},{mg}\n".encode() for (ref, behavior), mg in self.balances(known).items()]
        return hashlib.new("sm3", b"".join(sorted(lines))).hexdigest()
