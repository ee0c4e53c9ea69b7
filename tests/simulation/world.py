"""A random world: a bank's days on one book, done by the ledger and by the model, compared after every act.

Keeps: everything follows from the seed; after each act the new events equal what the model recorded, and at the end
every balance at every position, replay, views, heads and the cap invariant are compared.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

from application import initializing
from application.book import Book
from application.ports.journal import Journal
from application.ports.keys import Keys
from application.ports.views import Views
from tests.simulation import acts, drawing
from tests.simulation.acts import File, Terms
from tests.simulation.final import compare_books
from tests.simulation.model import Model
from tests.simulation.plain import Report, Version, instant_us
from tests.simulation.stage import Act, Killed, Outage, Point, Stage

PARTNERS = ("metro-co", "bike-co")
ACTORS = ("ann", "bob", "bob", "bob")


class World:
    """``tell`` sets the book's clock (microseconds). ``lines_per_event`` is what the ledger was set to."""

    def __init__(
        self, seed: int, journal: Journal, keys: Keys, views: Views, tell: Callable[[int], None], lines_per_event: int
    ) -> None:
        rng = self.rng = Random(seed)
        # People are erased in every other world, by chances of their own: the others stay dense.
        self.erases, self.erasing = seed % 2 == 1, Random(f"erasing {seed}")
        self.journal, self.keys, self.views, self._tell = journal, keys, views, tell
        self.now = datetime.fromisoformat(rng.choice(drawing.STARTS)).replace(hour=rng.randrange(24), tzinfo=UTC)
        self.regions = rng.sample(drawing.REGIONS, rng.choice((2, 4, 6)))
        self.codes = drawing.draw_codes(rng)
        self.accounts = [f"person-{n}" for n in range(rng.choice((1, 2, 4)))]
        self.model = Model(self.regions, lines_per_event)
        self.stage = Stage(journal, keys, self.model)
        self.files: list[File] = []
        self.reports: list[tuple[str, Report]] = []
        self.happened: Counter[str] = Counter()

    def run(self, steps: int) -> None:
        """Set up the book, live through ``steps`` acts, compare everything. Raises Disagreement."""
        self._advance()
        if self.journal.head().size == 0:
            self.model.retention_days = self.erasing.choice((0, 0, 0, 20))
            initializing.open_book(
                Book(self.journal, self.keys), clock="simulated", retention_days=self.model.retention_days
            )
        self.model.record("BookOpened")
        if self.journal.head().size == 2:
            # A book that was set up for real; the opening above leaves keys to ``signing_keys``.
            self.model.record("SigningKeyRegistered")
        for act in self._beginning():
            self._do(act)
        for _ in range(steps):
            self._advance()
            if self.rng.random() < 0.3:
                self._do_interrupted(self._draw())
            else:
                self._do(self._draw())
        if self.rng.random() < 0.8:
            for run in self.model.pending():
                self._do(acts.apply(run.id))
        compare_books(self.stage, self.views, self.rng)

    def _advance(self) -> None:
        days = self.rng.choice((0, 0, 0, 1, 1, 2, 9, 20, 33))
        self.now += timedelta(days=days, seconds=self.rng.randrange(1, 86_400))
        self.model.now = self.now
        self._tell(instant_us(self.now))

    def _do(self, act: Act) -> None:
        self.stage.perform(act, self.rng.randrange(2))

    def _do_interrupted(self, act: Act) -> None:
        others = self.rng.choice((Killed, Outage, self._draw(), self._draw(), self._draw(), self._draw()))
        name = self.rng.choice(("", "", "append", "append", "appended"))
        at = Point(name, self.rng.randrange(1, 4 if name else 13))
        failure = self.stage.perform(act, self.rng.randrange(2), at=at, others=others)
        self.happened[failure or "others acted"] += 1

    # -- drawing -------------------------------------------------------------------------------------------------

    def _beginning(self) -> list[Act]:
        rng, today = self.rng, self.now.date()
        units = sorted({code.unit for code in self.codes})
        sets = {unit: f"SET-{unit.upper()}" for unit in units}
        begin = [acts.load(drawing.draw_release(rng, sets[unit], n, unit)) for unit in units for n in (1, 2)]
        versions = [
            drawing.draw_version(rng, code, number, today, [sets[code.unit]])
            for code in self.codes
            for number in range(1, rng.choice((2, 3, 4)))
        ]
        rng.shuffle(versions)
        begin += [acts.draft(version) for version in versions]
        rng.shuffle(versions)
        for version in versions:
            if rng.random() < 0.8 or version.number == 1:
                begin.append(acts.publish(version.name))
        approved = 0
        for version in versions:
            if version.number == 1:
                start, end = (None, None) if rng.random() < 0.85 else drawing.draw_period(rng, today)
                region = "*" if rng.random() < 0.85 else self._place()
                terms = Terms(version, start, end, region, self._releases(version, (1, 2)))
                approved += 1
                begin += [acts.propose(terms, leave_gap=rng.random() < 0.5), acts.approve(f"D{approved}", "bob")]
        return begin

    def _draw(self) -> Act:
        rng = self.rng
        kinds: list[tuple[int, Callable[[], Act | None]]] = [
            (9, self._draw_file),
            (6, self._draw_request),
            (3, self._draw_decision),
            (1, self._draw_withdrawal),
            (6, self._draw_revision),
            (3, self._draw_reversal),
            (3, self._draw_account_act),
            (1, self._draw_publication),
        ]
        if self.erases and self.erasing.random() < 0.15:
            return self._draw_erasure()
        while True:
            (draw,) = rng.choices([kind for _, kind in kinds], [weight for weight, _ in kinds])
            act = draw()
            if act is not None:
                return act

    def _draw_rows(self) -> list[Report]:
        rng, rows = self.rng, list[Report]()
        for line in range(1, rng.choice((3, 5, 9, 13))):
            if self.reports and rng.random() < 0.2:
                first = rng.choice(rows[-4:]) if rows and rng.random() < 0.6 else rng.choice(self.reports)[1]
                rows.append(drawing.altered(rng, first, line))
                continue
            ref, account = f"r{len(self.reports)}", rng.choice(self.accounts)
            if rng.random() < 0.03:
                account = f"stranger-{len(self.reports)}"
            row = drawing.draw_report(rng, line, ref, account, self.codes, self.regions, self.now)
            rows.append(row)
            self.reports.append((PARTNERS[0], row))
        return rows

    def _draw_or_repeat(self, repeat: float) -> File:
        rng = self.rng
        if self.files and rng.random() < repeat:
            return rng.choice(self.files)
        partner = PARTNERS[0] if rng.random() < 0.95 else PARTNERS[1]
        file = File(partner, f"{len(self.files):064x}", tuple(self._draw_rows()), rng.random() < 0.85)
        self.files.append(file)
        return file

    def _draw_file(self) -> Act:
        return acts.import_file(self._draw_or_repeat(0.25), self.rng.choice((1, 2, 4, 9)))

    def _draw_request(self) -> Act:
        return acts.send(self._draw_or_repeat(0.15), closes=self.rng.random() < 0.7)

    def _place(self) -> str:
        return self.rng.choice(["*", "*", "CN", *(region for region in self.regions if region)])

    def _releases(self, version: Version, numbers: tuple[int, ...]) -> dict[str, int]:
        return {rows: self.rng.choice(numbers) for rows in version.parameters.values() if isinstance(rows, str)}

    def _draw_terms(self) -> Terms | None:
        named = [self.model.versions[name] for name in self.model.published]
        if not named:
            return None
        version = self.rng.choice(named)
        start, end = drawing.draw_period(self.rng, self.now.date())
        return Terms(version, start, end, self._place(), self._releases(version, (1, 2)))

    def _draw_decision(self) -> Act | None:
        open_now = [name for name, decision in self.model.proposals.items() if decision.position is None]
        if open_now and self.rng.random() < 0.6:
            return acts.approve(self.rng.choice(open_now), self.rng.choice(ACTORS))
        terms = self._draw_terms()
        return None if terms is None else acts.propose(terms, leave_gap=self.rng.random() < 0.6)

    def _draw_withdrawal(self) -> Act | None:
        rng = self.rng
        if self.model.withdrawals and rng.random() < 0.6:
            name = rng.choice(list(self.model.withdrawals))
            return acts.approve_withdrawal(name, rng.choice(ACTORS), leave_gap=rng.random() < 0.5)
        return acts.propose_withdrawal(rng.choice(self.model.published)) if self.model.published else None

    def _draw_revision(self) -> Act | None:
        rng, runs = self.rng, self.model.runs
        pending = self.model.pending()
        if pending and rng.random() < 0.35:
            return acts.apply(rng.choice(pending).id)
        planned = [run for run in runs.values() if run.position is None]
        if planned and rng.random() < 0.7:
            return acts.approve_run(planned[-1].id, rng.choice(ACTORS))
        if runs and rng.random() < 0.05:
            return acts.apply(rng.choice(list(runs)))
        terms = self._draw_terms()
        if terms is not None and rng.random() < 0.6:
            terms = replace(terms, start=None if rng.random() < 0.7 else terms.start, end=None, region="*")
        return None if terms is None else acts.plan(terms)

    def _draw_reversal(self) -> Act | None:
        if not self.reports:
            return None
        partner, report = self.rng.choice(self.reports)
        if self.model.taken and self.rng.random() < 0.8:
            (partner, _), credit = self.rng.choice(list(self.model.taken.items()))
            report = credit.report
        return acts.reverse(report.account_ref, partner, report.source_ref)

    def _draw_account_act(self) -> Act:
        rng, ref = self.rng, self.rng.choice(self.accounts)
        doing = rng.choice(("freeze", "unfreeze", "unfreeze", "unfreeze", "close", "open", "grant", "withdraw"))
        if doing == "open":
            return acts.open_account(ref)
        if doing == "withdraw":
            return acts.withdraw_consent(ref)
        if doing == "grant":
            scope = rng.choice((("*",), (self.codes[0].behavior,), ("travel.metro", "living.power")))
            start = None if rng.random() < 0.7 else self.now - timedelta(days=rng.choice((3, 30, 365)))
            end = None if rng.random() < 0.7 else self.now + timedelta(days=rng.choice((-1, 2, 30)))
            return acts.grant(ref, scope, start, end)
        return acts.set_status(ref, doing if doing != "close" or rng.random() < 0.3 else "unfreeze")

    def _draw_erasure(self) -> Act:
        rng = self.erasing
        asked = [ref for ref, account in self.model.accounts.items() if account.asked_by and account.status != "erased"]
        if asked and rng.random() < 0.9:
            return acts.approve_erasure(rng.choice(asked), rng.choice(ACTORS))
        ref = rng.choice(self.accounts)
        return acts.approve_erasure(ref, "bob") if rng.random() < 0.05 else acts.ask_erasure(ref)

    def _draw_publication(self) -> Act | None:
        drafted = [name for name, state in self.model.states.items() if state == "drafted"]
        return acts.publish(self.rng.choice(drafted)) if drafted else None
