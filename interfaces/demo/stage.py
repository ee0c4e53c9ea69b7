"""What the chapters of the demo share: the open ledger, its told time, the screen, and the checks they keep.

Keeps: every figure of the story is the ledger's own answer; where the story states a figure beforehand, the two are
compared exactly, and one difference fails the demo.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from application import queries
from application.importing import ImportResult, import_behaviors
from application.ports.behavior_source import RefusedRow, RejectsSink
from application.queries import AccountView, BookTotals
from domain.behavior import decimal_text
from domain.errors import Corrupt
from domain.events.rulebook import RevisionCompleted
from domain.instants import instant_of
from interfaces.bootstrap import Ledger, RejectsFile, behavior_file
from interfaces.demo import town
from interfaces.demo.screen import Screen

POWER = "living.power_saving"


class Run(NamedTuple):
    """A revision of the story after it was applied: its factor (kg/kWh), its civil days, its sums."""

    completed: RevisionCompleted
    methodology: str
    factor: str
    start: str
    end: str

    @property
    def years(self) -> str:
        """The civil years, both included; the story's runs take whole years."""
        first, last = int(self.start[:4]), int(self.end[:4]) - 1
        return str(first) if first == last else f"{first}-{last}"


class Worth(NamedTuple):
    """What Lin Lin's account held (mg) at a log position, with the factor (kg/kWh) and version that gave it."""

    mg: int
    factor: str
    methodology: str
    position: int


@dataclass
class Stage:
    """The running demo. ``folder`` takes the partner's files and the rejects files."""

    ledger: Ledger
    screen: Screen
    folder: Path
    imports: list[ImportResult] = field(default_factory=list)
    refusals: dict[str, str] = field(default_factory=dict)
    """Refusal code -> the ledger's message, as first seen."""
    runs: list[Run] = field(default_factory=list)
    before_revisions: BookTotals | None = None
    checks: list[dict[str, Any]] = field(default_factory=list)

    def tell(self, instant: str) -> None:
        """Move the simulated clock forward to an instant (RFC 3339)."""
        if self.ledger.clock is None:
            raise Corrupt("clock_not_simulated", "the demo's book runs on the system clock", remedy="use a fresh home")
        self.ledger.clock.tell(instant_of(instant))

    def check(self, what: str, expected: object, found: object) -> None:
        """Compare a figure that the story states with the ledger's answer."""
        self.checks.append(
            {"check": what, "expected": str(expected), "found": str(found), "ok": str(expected) == str(found)}
        )

    def receive(self, name: str, rows: list[town.Row]) -> ImportResult:
        """Write what the partner sends, then import it as any behavior file."""
        path = self.folder / f"{name}.csv"
        path.write_bytes(town.csv_bytes(rows))
        with self.screen.busy(f"importing {path.name}"), RejectsFile(self.folder / f"{name}-rejects.csv") as rejects:
            result = import_behaviors(
                self.ledger.book,
                behavior_file(path),
                town.PARTNER,
                opens_accounts=True,
                rejects=_Noted(rejects, self.refusals),
            )
        self.imports.append(result)
        accounted = result.credited + result.duplicates + result.rejected
        self.check(f"every row of {path.name} is accounted for", len(rows), accounted)
        return result

    def account(self, ref: str, known_at: str | None = None) -> AccountView:
        """An account as known at an instant; now, when none is given."""
        instant = None if known_at is None else instant_of(known_at)
        return queries.show_account(self.ledger.book, ref, queries.known_at(self.ledger.book, instant_us=instant))

    def power_mg(self, ref: str, known_at: str | None = None) -> int:
        """What the account's saved electricity is worth."""
        return self.account(ref, known_at).by_behavior.get(POWER, 0)

    def lin_lin(self, known_at: str | None = None) -> Worth:
        """Lin Lin's account as known at an instant (default: now), and why: the valuation that held then."""
        view = self.account(town.LINLIN, known_at)
        explained = queries.explain(self.ledger.book, town.LINLIN, town.LINLIN_READING, town.PARTNER)
        held = [valuation for valuation in explained["valuations"] if valuation["position"] <= view.position][-1]
        grid = held["parameters"][0]
        return Worth(view.credited_mg, decimal_text(grid["value"], grid["scale"]), held["methodology"], view.position)

    def totals(self, at: int | None = None, *, by_ref: bool = False) -> BookTotals:
        return queries.totals(self.ledger.book, self.ledger.views, at=at, by_ref=by_ref)

    def rejected_by_code(self) -> Counter[str]:
        """Refused rows of all files."""
        codes: Counter[str] = Counter()
        for result in self.imports:
            codes += result.rejected_by_code
        return codes


class _Noted:
    """Passes refused rows on to the rejects file and notes what each code means."""

    def __init__(self, sink: RejectsSink, messages: dict[str, str]) -> None:
        self._sink = sink
        self._messages = messages

    def write(self, row: RefusedRow) -> None:
        self._messages.setdefault(row.refusal.code, row.refusal.message)
        self._sink.write(row)
