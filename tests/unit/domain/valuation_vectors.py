"""The vectors of docs/spec/valuation.md: a small log in which the rules meet, and what is found when it says otherwise.

Keeps: what is random in a ledger is told here, so that the same bytes come out again; the events are those that the
domain decides, and what is found is what the domain finds.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from domain import account as account_rules
from domain.behavior import decimal_text
from domain.errors import Rejected
from domain.events import account as events
from domain.events.base import Recorded
from domain.events.rulebook import RevisionCompleted
from domain.kernel.formula import evaluate, parse
from domain.kernel.rounding import ROUNDINGS, divide
from domain.values import Scaled, day_number, region_chain
from tests.golden.stories import numbered_accounts
from tests.unit.domain.documents import count_cap, day_cap, factor_row, metro, open_row, power, release
from tests.unit.domain.valuing import by_the_domain, lines_of
from tests.unit.domain.worlds import World, saving, trip

ANN = UUID("00000000-0000-4000-8000-00000000aa01")
TWO = "TRAVEL-METRO@2"


def _rows(value: str, *more: dict[str, Any], end: str | None = None) -> dict[str, Any]:
    return {"unit": "g/km", "rows": [open_row(value, end=end), *more]}


def one() -> dict[str, Any]:
    """Version 1 of the metro: two parameters, regions and days, caps of two windows."""
    project = _rows("32", open_row("30.5", start="2026-01-05"), open_row("29", "CN-44"), end="2026-01-05")
    caps = [day_cap("250"), count_cap(4), day_cap("0.6", "year") | {"unit": "kg"}]
    formula = "quantity * (baseline - project)"
    return metro(formula=formula, parameters={"baseline": _rows("104"), "project": project}, caps=caps)


def two() -> dict[str, Any]:
    """Version 2: another formula and rounding, a narrower range, days without a value."""
    parameters = {
        "rate": _rows("70.05", open_row("71.15", "CN"), end="2026-01-20"),
        "most": {"unit": "g", "rows": [open_row("210")]},
    }
    inputs = {"quantity": {"unit": "km", "scale": 3, "min": "0.010", "max": "5"}}
    caps = [day_cap("400"), count_cap(4)]
    formula = "min(rate * quantity, most)"
    return metro(2, formula=formula, parameters=parameters, inputs=inputs, caps=caps, rounding="half_even")


@cache
def world() -> World:
    """Two people, two behaviors, four runs over each other, a withdrawal."""
    with numbered_accounts():
        book = World("2026-01-01T00:00:00Z")
        book.introduce(one())
        book.load(release(1, factor_row("0.5810"), factor_row("0.4512", "CN-44")))
        factors = power(1, caps=[day_cap("1500", "month")], rounding="half_up")
        book.introduce(factors, releases={"CN-ELEC-AVG": 1})
        book.publish(two())
        book.decide(TWO, "2026-01-06", None, "CN-31")
        book.open_account("ann", ANN)
        book.grant("ann", ("travel.metro", "walking"), "2026-01-01T16:00:00Z", "2026-02-01T00:00:00Z")
        _tell(book)
    return book


def _at(day: int) -> str:
    return f"2026-01-{day:02}T12:00:00+08:00"


def _tell(book: World) -> None:
    book.tell("2026-01-22T00:00:00Z")
    book.send(
        *(trip(f"a{n}", at=_at(2), quantity=q) for n, q in enumerate(("1.5", "3", "1", "0.1", "2"))),
        trip("a6", at=_at(6), region="CN-31", quantity="0.010"),
        trip("a7", at=_at(7), quantity="7"),
        trip("a8", at=_at(21), region="US-CA"),
        *(trip(f"b{n}", "ben", at=_at(5), region="CN-440300", quantity="0.9") for n in (1, 2, 3)),
        saving("s1", "ben", at=_at(3), quantity="1.001", region="CN-440300"),
        saving("s2", "ben", at=_at(4), quantity="2.5"),
    )
    book.reverse("a1")
    book.on_account(account_rules.freeze(book.head("ben"), "olga", "check"), "ben")
    first = book.plan(TWO, None, "2026-01-22")
    book.approve_run(first)
    book.send(trip("a9", at=_at(8), quantity="0.030"))
    book.apply_run(first, lines_per_event=2)
    book.complete(first)
    book.on_account(account_rules.unfreeze(book.head("ben"), "olga", "fine"), "ben")
    book.withdraw(TWO)
    book.send(trip("a10", at=_at(6), region="CN-31"), trip("b4", "ben", at=_at(5), region="CN-440300"))
    book.reverse("a3")
    book.load(release(2, factor_row("0.5703"), factor_row("0.4326", "CN-44")))
    second = book.plan("LIVING-POWER-SAVING@1", releases={"CN-ELEC-AVG": 2})
    book.approve_run(second)
    book.reverse("b1")
    book.on_account(account_rules.close(book.head("ben"), "olga", "moved"), "ben")
    book.complete(second)
    book.plan("TRAVEL-METRO@1", "2026-01-02", "2026-01-03")
    book.approve_run("R3")


# -- what is found -----------------------------------------------------------------------------------------------------


class Fault(NamedTuple):
    """Facts of one event changed, events left out, or two neighbors of a stream exchanged."""

    says: str
    change: tuple[int, dict[str, Any]] | None = None
    without: tuple[int, ...] = ()
    exchanged: tuple[int, int] | None = None

    def log(self, book: World) -> list[Recorded]:
        log = book.events()
        if self.change is not None:
            position, changes = self.change
            log = book.altered(position, **changes)
        if self.exchanged is not None:
            first, second = (log[position - 1] for position in self.exchanged)
            log[first.position - 1] = second._replace(position=first.position, version=first.version)
            log[second.position - 1] = first._replace(position=second.position, version=second.version)
        return renumbered(each for each in log if each.position not in self.without)


def renumbered(log: Iterable[Recorded]) -> list[Recorded]:
    """With the versions of each stream counted anew."""
    versions: dict[UUID, int] = {}
    found = []
    for each in log:
        versions[each.stream] = versions.get(each.stream, 0) + 1
        found.append(each._replace(version=versions[each.stream]))
    return found


def _positions(kind: type[Any]) -> list[int]:
    return [each.position for each in world().events() if isinstance(each.event, kind)]


def faults() -> list[Fault]:
    log, credits, revised = world().events(), _positions(events.BehaviorCredited), _positions(events.FactorRevised)
    (consent, _), reversed_ = _positions(events.ConsentGranted), _positions(events.BehaviorReversed)
    completed, lines = _positions(RevisionCompleted), log[revised[0] - 1].event.lines
    after_run = next(p for p in credits if p > revised[0])

    def credit(says: str, nth: int, **changes: Any) -> Fault:
        return Fault(says, (credits[nth], changes))

    def line(says: str, *changed: events.RevisedLine) -> Fault:
        return Fault(says, (revised[0], {"lines": changed}))

    wrong = msgspec.structs.replace(lines[0], credited_mg=str(int(lines[0].credited_mg) + 1))
    return [
        credit("one mg more computed", 0, computed_mg="108001"),
        credit("one mg more credited", 1, credited_mg="142001"),
        credit("more than the caps leave", 2, credited_mg="72000"),
        credit("another quantity", 0, quantity="1501"),
        credit("a quantity out of range", 6, quantity="200001"),
        credit("another decision", 5, decision="D1"),
        credit("another version, that counts as computed", 5, methodology="TRAVEL-METRO@1"),
        credit("another region, where another decision holds", 0, region="CN-44"),
        credit("a day before the consent", 0, day="2026-01-01"),
        credit("a day after its record", 6, day="2026-01-23"),
        credit("a consent that is none", 0, consent=9),
        credit("another rule", 0, rule="v2"),
        Fault("a consent for another behavior", (consent, {"scope": ("walking",)})),
        line("one mg more in a line", wrong, *lines[1:]),
        line("a line left out", *lines[1:]),
        line("lines in another order", lines[1], lines[0], *lines[2:]),
        Fault("a part that says another number", (revised[2], {"part": 1})),
        Fault("a last part that is not said to be the last", (revised[-2], {"last": False})),
        Fault("the lines of a run left out", without=(revised[0],)),
        Fault("a credit before the lines that are owed", exchanged=(revised[0], after_run)),
        Fault("a reversal of another mass", (reversed_[0], {"reversed_mg": "108000"})),
        Fault("a credit reversed twice", (reversed_[1], {"credit": log[reversed_[0] - 1].event.credit})),
        Fault("another sum of a run", (completed[0], {"after_mg": "0"})),
        Fault("another root of a run", (completed[0], {"lines_root": "0" * 64})),
    ]


def _fault(fault: Fault) -> dict[str, Any]:
    shown: dict[str, Any] = {"says": fault.says}
    if fault.change is not None:
        position, changes = fault.change
        shown |= {"position": position, "change": msgspec.to_builtins(changes)}
    if fault.without:
        shown["without"] = list(fault.without)
    if fault.exchanged is not None:
        shown["exchanged"] = list(fault.exchanged)
    found, _ = by_the_domain(fault.log(world()), world().times(), world().size)
    return shown | {"found": [list(each) for each in sorted(found)]}


# -- numbers -----------------------------------------------------------------------------------------------------------

FORMULAS: tuple[tuple[str, dict[str, str]], ...] = (
    ("quantity * rate", {"quantity": "12.350", "rate": "72"}),
    ("quantity - rate - 1", {"quantity": "1.0005", "rate": "0.25"}),
    ("quantity - rate * 2 + 1", {"quantity": "3", "rate": "1.50"}),
    ("--quantity * - rate", {"quantity": "0.0005", "rate": "1"}),
    ("max(0, quantity * rate, -quantity)", {"quantity": "1.0", "rate": "-0.00125"}),
    ("min(quantity,rate)*min(1, 2.000)", {"quantity": "0.0015", "rate": "00.0020"}),
    (" ( quantity\t- 0.10 ) * rate\r\n", {"quantity": "2.6", "rate": "0.00100"}),
    ("quantity * rate * rate", {"quantity": "9" * 29, "rate": "12345678901234567890.123456789012345678"}),
    ("quantity * rate", {"quantity": "0.003", "rate": "-0.5"}),
    ("quantity * rate", {"quantity": "0.001", "rate": "-0.5"}),
    ("-(quantity - quantity) * rate", {"quantity": "1.00", "rate": "7.0"}),
)
REFUSED = (
    "", "quantity rate", "2quantity", "quantity + + 1", "quantity / 2", "quantity ** 2", "min(quantity)", "min",
    "max()", "(quantity", "quantity)", ".5", "1.", "1e3", "quantity,1", "1" * 39, "(" * 33 + "1" + ")" * 33,
    "-" * 33 + "1", "+".join(["1"] * 101), "1" + " " * 2000, "quantity\u00a0+ 1",
)  # fmt: skip
ALLOWED = ("(" * 32 + "1" + ")" * 32, "-" * 32 + "1", "+".join(["1"] * 100) + " ", "1" * 38, "1" + " " * 1999)
REGIONS = ("", "*", "CN", "CN-44", "CN-440300", "CN-4403", "CN-4403001", "cn-440300", "US-CA-06", "EU")


def _scaled(text: str) -> Scaled:
    whole, _, fraction = text.partition(".")
    return Scaled(int(whole + fraction), len(fraction))


def _formula(text: str, values: dict[str, str]) -> dict[str, Any]:
    exact = evaluate(parse(text), {name: _scaled(value) for name, value in values.items()})
    mg = {mode: str(divide(exact.value * 1_000, 10**exact.scale, mode)) for mode in sorted(ROUNDINGS)}
    return {"formula": text, "values": values, "exact": decimal_text(*exact), "mg": mg}


def is_formula(text: str) -> bool:
    try:
        parse(text)
    except Rejected:
        return False
    return True


# -- the document ------------------------------------------------------------------------------------------------------

_SHOWN = {
    "carbon.account.behavior-credited.v1": ("day", "region", "quantity", "decision", "computed_mg", "credited_mg"),
    "carbon.account.factor-revised.v1": ("revision", "part", "last", "lines"),
    "carbon.account.behavior-reversed.v1": ("credit", "reversed_mg"),
}


def example() -> str:
    """The events of the account of ann that change what it holds."""
    shown = []
    for line in lines_of(world().events(), world().times()):
        if line.stream == ANN and line.topic in _SHOWN:
            facts = {name: line.facts[name] for name in _SHOWN[line.topic]}
            shown.append(f"{line.position} {line.topic.split('.')[2]} {_compact(facts)}\n")
    return "".join(shown)


def vectors() -> str:
    book = world()
    log, times, size = book.events(), book.times(), book.size
    reversed_, revised = _positions(events.BehaviorReversed)[0], _positions(events.FactorRevised)[0]
    known = (reversed_ - 1, reversed_, revised)
    parts: dict[str, list[Any]] = {
        "formulas": [_formula(*each) for each in FORMULAS],
        "refused": list(REFUSED),
        "allowed": list(ALLOWED),
        "levels": [[region, *region_chain(region)] for region in REGIONS],
        "events": [line._asdict() | {"stream": str(line.stream)} for line in lines_of(log, times)],
        "balances": [
            {"known": position, "before": before, "stream": str(stream), "mg": _texts(book, stream, position, before)}
            for position, before in ((size, None), (size, "2026-01-05"), *((each, None) for each in known))
            for stream in book.account_streams()
        ],
        "faults": [_fault(fault) for fault in faults()],
    }
    members = [_member(name, part) for name, part in parts.items()]
    return "{\n" + ",\n".join(members) + "\n}"


def _texts(book: World, stream: UUID, known: int, before: str | None) -> dict[str, str]:
    day = None if before is None else day_number(before)
    balances = book.history_of(stream).balances(known=known, before_day=day)
    return {behavior: str(mg) for behavior, mg in balances.items()}


def _member(name: str, part: list[Any]) -> str:
    return f' "{name}": [\n' + ",\n".join(f"  {_compact(each)}" for each in part) + "\n ]"


def _compact(content: Any) -> str:
    return json.dumps(content, ensure_ascii=False, separators=(", ", ": "))
