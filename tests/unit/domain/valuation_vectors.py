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
from domain import erasure
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
from tests.unit.domain.worlds import PARTNER, World, key_of, saving, trip

ANN = UUID("00000000-0000-4000-8000-00000000aa01")
TWO = "TRAVEL-METRO@2"


def _rows(value: str, *more: dict[str, Any], end: str | None = None) -> dict[str, Any]:
    return {"unit": "g/km", "rows": [open_row(value, end=end), *more]}


def one() -> dict[str, Any]:
    """Version 1 of the metro: two parameters, regions and days, caps of two windows."""
    rows = (open_row("30.5", start="2026-01-05"), open_row("29", "CN-44"), open_row("120", "US"))
    parameters = {"baseline": _rows("104"), "project": _rows("32", *rows, end="2026-01-05")}
    caps = [day_cap("250"), count_cap(4), day_cap("0.6", "year") | {"unit": "kg"}]
    formula = "quantity * (baseline - project)"
    return metro(formula=formula, parameters=parameters, caps=caps, late_window_days=21)


def two() -> dict[str, Any]:
    """Version 2: another formula and rounding, a narrower range, days without a value."""
    parameters = {
        "rate": _rows("70.05", open_row("71.15", "CN"), end="2026-01-20"),
        "most": {"unit": "g", "rows": [open_row("210")]},
    }
    inputs = {"quantity": {"unit": "km", "scale": 3, "min": "0.010", "max": "5"}}
    caps = [day_cap("400"), count_cap(4), day_cap("550", "month")]
    formula = "min(rate * quantity, most)"
    return metro(2, formula=formula, parameters=parameters, inputs=inputs, caps=caps, rounding="half_even")


@cache
def world() -> World:
    """Four people, two behaviors, runs over each other, a withdrawal, somebody erased."""
    with numbered_accounts():
        book = World("2026-01-01T00:00:00Z")
        book.introduce(one())
        book.load(release(1, factor_row("0.5810"), factor_row("0.4512", "CN-44")))
        for version, limit in enumerate(("1500", "1000"), start=1):
            book.publish(power(version, caps=[day_cap(limit, "month")], rounding="half_up"))
        book.decide("LIVING-POWER-SAVING@1", releases={"CN-ELEC-AVG": 1})
        book.publish(two())
        book.decide(TWO, "2026-01-06", "2026-01-09", "CN-31")
        book.open_account("ann", ANN)
        book.grant("ann", ("travel.metro", "walking"), "2026-01-01T16:00:00Z", "2026-01-21T16:00:00Z")
        _credits(book)
        _revisions(book)
    return book


def _at(day: int, hour: int = 12) -> str:
    return f"2026-01-{day:02}T{hour:02}:00:00+08:00"


def _credits(book: World) -> None:
    book.tell("2026-01-22T17:00:00Z")
    book.send(
        *(trip(f"a{n}", at=_at(2, 13), quantity=q) for n, q in enumerate(("1.5", "3", "1", "0.1", "2"), start=1)),
        trip("a6", at=_at(6), region="CN-31", quantity="0.010"),
        trip("a7", at=_at(7), quantity="7"),
        trip("a8", at=_at(21), region="EU"),
    )
    book.send(
        *(trip(f"b{n}", "ben", at=_at(5), region="CN-440300", quantity="0.9") for n in (1, 2)),
        trip("b3", "ben", at=_at(5), quantity="0.2"),
        trip("b4", "ben", at=_at(9), region="CN-31", quantity="0.3"),
        trip("b5", "ben", at=_at(10), region="US-CA"),
        *(trip(f"b{n}", "ben", at=_at(10), quantity="0.1") for n in (6, 7, 8, 9)),
        saving("s1", "ben", at=_at(3), quantity="1.001", region="CN-440300"),
        saving("s2", "ben", at=_at(4), quantity="2.5"),
        trip("b10", "ben", at=_at(23, 0), quantity="0.01"),
    )
    book.send(
        *(trip(f"d{day}", "dan", at=_at(12, day), quantity="5") for day in (1, 2)),
        trip("d3", "dan", at=_at(13), quantity="5"),
        trip("d4", "dan", at=_at(21), quantity="7"),
    )
    book.send(trip("c1", "cara", at=_at(3)))
    book.on_account(erasure.request(book.head("cara"), "olga", "unlawful", "never agreed"), "cara")
    book.send(trip("c2", "cara", at=_at(3)))
    book.on_account(erasure.erase(book.head("cara"), "otto", 1), "cara")


def _revisions(book: World) -> None:
    book.reverse("a2")
    book.on_account(account_rules.freeze(book.head("ben"), "olga", "check"), "ben")
    first = book.plan(TWO, None, "2026-01-22")
    book.approve_run(first)
    book.send(trip("a9", at=_at(8), quantity="0.030"))
    book.apply_run(first, lines_per_event=4)
    book.complete(first)
    book.on_account(account_rules.unfreeze(book.head("ben"), "olga", "fine"), "ben")
    book.withdraw(TWO)
    book.send(trip("a10", at=_at(6), region="CN-31"), trip("b11", "ben", at=_at(5), region="CN-440300"))
    book.on_account(account_rules.withdraw_consent(book.head(), 2, "ann", "no more"))
    book.reverse("a3")
    book.load(release(2, factor_row("0.5703"), factor_row("0.4326", "CN-44")))
    book.reverse("s2")
    second = book.plan("LIVING-POWER-SAVING@2", releases={"CN-ELEC-AVG": 2})
    book.approve_run(second)
    book.reverse("b1")
    book.send(saving("s3", "ben", at=_at(4), quantity="0.1"))
    book.on_account(account_rules.close(book.head("ben"), "olga", "moved"), "ben")
    book.complete(second)
    book.tell("2026-02-10T00:00:00Z")
    book.send(trip("d5", "dan", at="2026-02-03T12:00:00+08:00"))
    book.approve_run(book.plan("TRAVEL-METRO@1", "2026-01-02", "2026-01-03"))


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
    book, log = world(), world().events()
    revised, completed = _positions(events.FactorRevised), _positions(RevisionCompleted)
    reversed_, consent = _positions(events.BehaviorReversed), _positions(events.ConsentGranted)[0]
    lines = log[revised[0] - 1].event.lines
    frozen, withdrawn, closed, erased = (
        _positions(kind)[0]
        for kind in (events.AccountFrozen, events.ConsentWithdrawn, events.AccountClosed, events.PersonalDataErased)
    )

    def credit(says: str, ref: str, **changes: Any) -> Fault:
        return Fault(says, (position_of(ref), changes))

    def line(says: str, *changed: events.RevisedLine) -> Fault:
        return Fault(says, (revised[0], {"lines": changed}))

    def exchanged(says: str, ref: str, other: int) -> Fault:
        return Fault(says, exchanged=(min(position_of(ref), other), max(position_of(ref), other)))

    wrong = msgspec.structs.replace(lines[0], credited_mg=str(int(lines[0].credited_mg) + 1))
    parts = [position for position in revised if log[position - 1].event.part > 1]
    return [
        credit("one mg more computed", "a1", computed_mg="108001"),
        credit("one mg more credited", "a2", credited_mg="142001"),
        credit("more than the caps leave", "a3", credited_mg="72000"),
        credit("another quantity", "a1", quantity="1501"),
        credit("a quantity out of range", "a7", quantity="200001"),
        credit("another decision", "a6", decision="D1"),
        credit("another version, that counts as computed", "a6", methodology="TRAVEL-METRO@1"),
        credit("another region, where the factor is another", "a1", region="CN-44"),
        credit("a day for which the decision has no value, and an older one has", "a9", day="2026-01-20"),
        credit("another unit and scale", "a1", unit="m", scale=0),
        credit("another rule", "a1", rule="v2"),
        credit("a day before the consent", "a1", day="2026-01-01"),
        credit("a day after the consent", "a8", day="2026-01-22"),
        credit("a day after its record", "b10", day="2026-01-24"),
        credit("a day on the last day of the late window", "b1", day="2026-01-01"),
        credit("a day before the late window", "b1", day="2025-12-31"),
        credit("a consent that is none", "a1", consent=9),
        Fault("a consent for another behavior", (consent, {"scope": ("walking",)})),
        exchanged("a credit to a frozen account", "b10", frozen),
        exchanged("a credit to a closed account", "s3", closed),
        exchanged("a credit to an erased account", "c2", erased),
        exchanged("a credit after its consent was withdrawn", "a10", withdrawn),
        Fault("an erasure by who asked for it", (erased, {"by": "Olga"})),
        Fault("a reversal of another mass", (reversed_[0], {"reversed_mg": "108000"})),
        Fault("a credit reversed twice", (reversed_[1], {"credit": log[reversed_[0] - 1].event.credit})),
        line("one mg more in a line", wrong, *lines[1:]),
        line("a line left out", *lines[1:]),
        line("lines in another order", lines[1], lines[0], *lines[2:]),
        Fault("a part that says another number", (parts[0], {"part": 1})),
        Fault("a last part that is not said to be the last", (parts[-1], {"last": False})),
        Fault("the lines of a run left out", without=(revised[0],)),
        exchanged("a credit before the lines that are owed", "a9", revised[0]),
        Fault("a reversal before the lines that are owed", exchanged=_owed_to(book, "b1", events.BehaviorReversed)),
        Fault("another sum of a run", (completed[0], {"after_mg": "0"})),
        Fault("another root of a run", (completed[0], {"lines_root": "0" * 64})),
    ]


def position_of(ref: str) -> int:
    return world().refs[key_of("ref", PARTNER, ref)].position


def _owed_to(book: World, ref: str, kind: type[Any]) -> tuple[int, int]:
    """An event about a credit, and the lines before it."""
    credit = book.refs[key_of("ref", PARTNER, ref)]
    stream = book.streams[credit.account]
    (after,) = [each for each in stream if isinstance(each.event, kind) and each.event.credit == credit.version]
    before = stream[after.version - 2]
    assert isinstance(before.event, events.FactorRevised)
    return before.position, after.position


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
    ("-quantity + rate - -1", {"quantity": "2.5", "rate": "1"}),
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
    "-" * 33 + "1", "+".join(["1"] * 101), "quantity + １", "n * e\u0301",
)  # fmt: skip
ALLOWED = ("(" * 32 + "1" + ")" * 32, "-" * 32 + "1", "+".join(["1"] * 100) + " ", "1" * 38)
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
    """The events of the account of ann that change what it holds, each line of a revision for itself."""
    shown = []
    for line in lines_of(world().events(), world().times()):
        if line.stream == ANN and line.topic in _SHOWN:
            facts = {name: line.facts[name] for name in _SHOWN[line.topic]}
            rows = facts.pop("lines", ())
            shown.append(f"{line.position} {line.topic.split('.')[2]} {_compact(facts)}\n")
            shown += [f"     {_compact(row)}\n" for row in rows]
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
