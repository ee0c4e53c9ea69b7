"""Rulebooks at random, lawful and lawless: the domain refuses what a program written from the document does."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

from domain.events import rulebook as events
from tests.fixtures.independent_rulebook import refused_in
from tests.unit.domain.documents import factor_row, metro, open_row, power, release
from tests.unit.domain.lawless import Lawless, found_in, lines_of

PEOPLE = ("ann", "Ann", "ben", "cat", "\uff23at")
DAYS = (None, "2026-01-01", "2026-02-28", "2026-03-01", "2026-03-02", "2026-05-01")
REGIONS = ("*", "CN", "CN-44", "CN-440300", "US")
STATES = ("drafted", "reviewed", "certified", "published")
STEPS = {
    "drafted": events.MethodologyReviewed,
    "reviewed": events.MethodologyCertified,
    "certified": events.MethodologyPublished,
    "published": events.WithdrawalProposed,
    "withdrawn": events.WithdrawalProposed,
}


class Story:
    """One rulebook, written by whoever the seed says, mostly by the rules."""

    def __init__(self, seed: int) -> None:
        self.rng, self.world = Random(seed), Lawless()
        self.world.load(release(1, factor_row("0.5"), factor_row("0.7", "CN-44")))
        for _ in range(45):
            self.rng.choice(self.acts)(self)
            if self.rng.random() < 0.2:
                self.world.now_us += self.rng.choice((3_600_000_000, 86_400_000_000))

    def draft(self) -> None:
        code, version = self.rng.choice(("TRAVEL-METRO", "RIVAL", "LIVING-POWER-SAVING")), self.rng.randrange(1, 5)
        if f"{code}@{version}" in self.world.rulebook.methodologies:
            return
        start, end = self.period()
        rows = [open_row("7", self.rng.choice(REGIONS), start, None if start == end else end), open_row("9", "EU")]
        changes: dict[str, Any] = {"utc_offset": "+00:00"} if self.rng.random() < 0.05 else {}
        made = power(version, **changes) if code.startswith("LIV") else metro(version, rows, code=code, **changes)
        self.world.draft_anyhow(made, self.rng.choice(PEOPLE))

    def step(self) -> None:
        for name, version in list(self.world.rulebook.methodologies.items()):
            state = version.state if self.rng.random() < 0.95 else self.rng.choice(STATES)
            if self.rng.random() < (0.7 if state != "published" else 0.1):
                self.world.step(STEPS[state], name, self.rng.choice(PEOPLE))

    def withdraw(self) -> None:
        asked = [m.name for m in self.world.rulebook.methodologies.values() if m.withdrawal_proposer]
        if asked:
            gap = self.rng.random() < 0.2
            self.world.step(events.MethodologyWithdrawn, self.rng.choice(asked), self.rng.choice(PEOPLE), leave_gap=gap)

    def period(self) -> tuple[str | None, str | None]:
        start, end = sorted((self.rng.choice(DAYS[1:]), self.rng.choice(DAYS[1:])))
        return self.rng.choice((None, start)), self.rng.choice((None, end))

    def terms(self) -> dict[str, Any] | None:
        known = [m for m in self.world.rulebook.methodologies.values() if m.state == "published"]
        known = known if self.rng.random() < 0.9 else list(self.world.rulebook.methodologies.values())
        if not known:
            return None
        name = self.rng.choice(known).name
        start, end = self.period()
        releases = {"CN-ELEC-AVG": 1} if name.startswith("LIV") else {}
        terms = {"name": name, "start": start, "end": end, "region": self.rng.choice(REGIONS), "releases": releases}
        return terms | {"by": self.rng.choice(PEOPLE)}

    def propose(self) -> None:
        terms = self.terms()
        if terms is not None:
            self.world.propose_anyhow(**terms, leave_gap=self.rng.random() < 0.2)

    def approve(self) -> None:
        waiting = [p.id for p in self.world.rulebook.proposals.values() if p.approved is None]
        waiting = waiting if self.rng.random() < 0.95 else list(self.world.rulebook.proposals)
        if waiting:
            self.world.approve_anyhow(self.rng.choice(waiting), self.rng.choice(PEOPLE))

    def plan(self) -> None:
        terms = self.terms()
        if terms is not None:
            self.world.plan_anyhow(**terms)

    def run(self) -> None:
        for name, run in list(self.world.rulebook.revisions.items()):
            if run.state == "planned" and self.rng.random() < 0.5:
                self.world.approve_run_anyhow(name, self.rng.choice(PEOPLE))
            elif self.rng.random() < 0.3:
                self.world.complete_anyhow(name)

    acts = (draft, draft, draft, step, step, step, withdraw, propose, propose, propose, approve, approve, plan, run)


def test_the_domain_and_a_program_written_from_the_document_refuse_the_same_events() -> None:
    codes = Counter[str]()
    for seed in range(150):
        world = Story(seed).world
        found = found_in(world)
        codes.update(each.what for each in found)
        refused = sorted({each.position for each in found})
        assert refused_in(lines_of(world, world.events())) == refused, seed
        codes["lawful"] += len(world.planted) - len(refused)
    wanted = (
        "same_actor",
        "wrong_state",
        "use_revision",
        "gap_left",
        "revision_in_progress",
        "other_code",
        "plan_stale",
    )
    assert all(codes[code] > 5 for code in (*wanted, "lawful")), codes
