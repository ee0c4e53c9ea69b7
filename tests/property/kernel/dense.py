"""Dense seeded cases: every trap of the law, close together, compared with the oracle.

Keeps: the same cases on every run; values, days and limits are drawn from small sets around the edges, so that ties,
caps and borders meet in nearly every case (a sparse random search was seen to miss planted mistakes).
Leaves to the tests: judging the list of differences, empty for the real kernel.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from fractions import Fraction
from typing import Any

from tests.property.kernel import oracle
from tests.property.kernel.variants import Kernel

HUGE = "123456789012345678901234567890.5"

# Civil midnights at which something begins: a day, a month, a year, a leap day, a daylight-saving trap.
EDGES = [
    date(2019, 3, 9), date(2019, 4, 1), date(2020, 1, 1), date(2020, 2, 29), date(2020, 3, 1), date(2100, 3, 1),
    date(1988, 7, 2), date(2021, 1, 1), date(1970, 1, 1), date(1960, 2, 29),
]  # fmt: skip
OFFSETS = ["+08:00", "+08:00", "+00:00", "-05:00", "+05:45"]
REGIONS = ["", "*", "CN", "CN-44", "CN-440300", "CN-440305", "CN-11", "US", "US-MA", "US-MA-BOS"]
VALUES = ["0.5", "1.5", "-0.5", "-1.5", "2.25", "0.25", "1", "3", "0", "-2", "0.1001", "7"]

# Each with the units of the parameters it reads.
FORMULAS: list[tuple[str, Mapping[str, str]]] = [
    ("quantity * a", {"a": "g/km"}),
    ("quantity * a", {"a": "g/km"}),
    ("quantity * (a - b)", {"a": "g/km", "b": "g/km"}),
    ("quantity*a - quantity*b - quantity*a", {"a": "g/km", "b": "g/km"}),
    ("-quantity * -a", {"a": "g/km"}),
    ("--quantity * ---a + quantity * b", {"a": "g/km", "b": "g/km"}),
    ("max(0, quantity * (a - b))", {"a": "g/km", "b": "g/km"}),
    ("min(quantity * a, c)", {"a": "g/km", "c": "g"}),
    ("max(min(quantity * a, c), -c, quantity * b)", {"a": "g/km", "b": "g/km", "c": "g"}),
    ("quantity * quantity * a - c", {"a": "g/km/km", "c": "g"}),
    ("0.5 * quantity * a - c * 0.001", {"a": "g/km", "c": "g"}),
    ("quantity * max(a, b, 2 * a) - min(c, 0.25 * c)", {"a": "g/km", "b": "g/km", "c": "g"}),
]


def dense_suite(kernel: Kernel) -> list[str]:
    """Every difference between the kernel and the oracle; a line says which case."""
    return list(differences(kernel))


def differences(kernel: Kernel) -> Iterator[str]:
    """The same, one at a time."""
    yield from _roundings(kernel)
    yield from _days(kernel)
    yield from _known_answers(kernel)
    for seed in range(300):
        yield from _capped(kernel, seed)
    for seed in range(200):
        yield from _story(kernel, seed)
    for seed in range(60):
        yield from _columns(kernel, seed)


def method_document(rng: random.Random, edges: Sequence[date], version: int = 1, **fixed: Any) -> dict[str, Any]:
    """A methodology file with rows and caps that are tight around the edges."""
    formula, units = rng.choice(FORMULAS)
    value = (lambda: HUGE) if rng.random() < 0.05 else (lambda: rng.choice(VALUES))
    maximum = rng.choice([5, 8, 9])
    document: dict[str, Any] = {
        "code": "DENSE-CASE", "version": version, "behavior": "dense.case", "title": {"en": "A dense case"},
        "inputs": {"quantity": {"unit": "km", "scale": 3, "min": "0.001", "max": f"0.00{maximum}"}},
        "parameters": {
            name: {"unit": unit, "rows": list(_rows(rng, edges, value))} for name, unit in units.items()
        },
        "formula": formula, "result_unit": "kg" if rng.random() < 0.05 else "g",
        "rounding": rng.choice(["down", "half_even", "half_up"]),
        "utc_offset": rng.choice(OFFSETS), "late_window_days": 36500, "caps": _caps(rng),
        "leakage": {"value": "0", "unit": "g", "reason": "made for a test"},
        "sources": [{"title": "made for a test", "page": None, "document_sm3": None, "grade": "C"}],
    }  # fmt: skip
    if document["result_unit"] == "kg":
        for parameter in document["parameters"].values():
            parameter["unit"] = parameter["unit"].replace("g", "kg", 1)
    return document | fixed


def _rows(rng: random.Random, edges: Sequence[date], value: Callable[[], str]) -> Iterator[dict[str, str | None]]:
    """Rows of some region levels: open on both sides, or cut at an edge with adjacent rows or a gap."""
    for region in ["*", *rng.sample(["CN", "CN-44", "CN-440300", "US", "US-MA"], rng.choice([0, 1, 1, 3]))]:
        edge = rng.choice(edges)
        kind = rng.choice(["open", "open", "adjacent", "adjacent", "gap", "until", "three"])
        after = edge + timedelta(days=1)
        cuts: list[tuple[date | None, date | None]] = {
            "open": [(None, None)],
            "adjacent": [(edge, None), (None, edge)],
            "gap": [(None, edge), (after, None)],
            "until": [(None, after)],
            "three": [(None, edge), (edge, after), (after, None)],
        }[kind]  # type: ignore[assignment]  # a dict of lists of mixed pairs
        for start, end in cuts:
            yield {
                "region": region,
                "from": None if start is None else start.isoformat(),
                "to": None if end is None else end.isoformat(),
                "value": value(),
            }


def _caps(rng: random.Random) -> list[dict[str, Any]]:
    caps: list[dict[str, Any]] = []
    for window in ("day", "month", "year"):
        if rng.random() < 0.5:
            caps.append({"window": window, "kind": "mass", "limit": f"0.0{rng.randint(1, 30):02d}", "unit": "g"})
        if rng.random() < 0.3:
            caps.append({"window": window, "kind": "count", "limit": rng.randint(1, 4)})
    rng.shuffle(caps)
    return caps


def instants(edge: date, utc_offset: str) -> list[str]:
    """Instants in UTC around the moment the edge day begins at the offset."""
    zone = timezone(datetime.strptime(utc_offset, "%z").utcoffset() or timedelta())
    start = datetime(edge.year, edge.month, edge.day, tzinfo=zone).astimezone(UTC)
    steps = [
        timedelta(microseconds=-1), timedelta(), timedelta(microseconds=1), timedelta(minutes=-30),
        timedelta(hours=8), timedelta(hours=-8), timedelta(hours=23, minutes=59), timedelta(days=-1), timedelta(days=1),
    ]  # fmt: skip
    return [(start + step).isoformat(timespec="microseconds") for step in steps]


def microseconds(instant: str) -> int:
    """Whole microseconds since 1970-01-01T00:00:00Z, without a float on the way."""
    since = datetime.fromisoformat(instant) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _roundings(kernel: Kernel) -> Iterator[str]:
    big = 10**40
    for mode in ("down", "half_even", "half_up"):
        for denominator in (1, 2, 3, 4, 8, 10, 1_000):
            for numerator in [*range(-45, 46), 500, 1_500, -500, -1_500, big, big + 5, -big - 5]:
                got = kernel.rounding.divide(numerator, denominator, mode)
                want = oracle.rounded(Fraction(numerator, denominator), mode)
                if got != want:
                    yield f"{numerator}/{denominator} {mode}: {got}, expected {want}"


def _days(kernel: Kernel) -> Iterator[str]:
    pinned = [("1988-07-01T15:30:00+00:00", "+08:00"), ("1988-07-01T16:00:00+00:00", "+08:00")]
    around = [
        (instant, offset) for edge in EDGES for offset in sorted({*OFFSETS}) for instant in instants(edge, offset)
    ]
    for instant, offset in [*pinned, *around]:
        minutes = int(offset[0] + "1") * (int(offset[1:3]) * 60 + int(offset[4:]))
        day = kernel.values.civil_day(microseconds(instant), minutes)
        want = oracle.civil_date(instant, offset)
        if day != want.toordinal():
            yield f"{instant} at {offset}: {day}, expected {want}"
        for name, starts, ends in (
            ("day", want, want + timedelta(days=1)),
            ("month", want.replace(day=1), (want.replace(day=1) + timedelta(days=31)).replace(day=1)),
            ("year", want.replace(month=1, day=1), want.replace(year=want.year + 1, month=1, day=1)),
        ):
            period = kernel.caps.WINDOWS[name](want.toordinal())
            if tuple(period) != (starts.toordinal(), ends.toordinal()):
                yield f"{name} of {want}: {period}"


def _known_answers(kernel: Kernel) -> Iterator[str]:
    """2 kWh under the real chain of national grid factors, kg per kWh (DOMAIN, real revisions)."""
    for factor, want in (("0.6101", 1_220_200), ("0.5810", 1_162_000), ("0.5703", 1_140_600), ("0.5366", 1_073_200)):
        rng = random.Random(0)
        document = method_document(rng, EDGES[:1]) | {
            "inputs": {"quantity": {"unit": "kWh", "scale": 3, "min": "0.001", "max": "10000"}},
            "parameters": {
                "grid": {"unit": "kg/kWh", "rows": [{"region": "*", "from": None, "to": None, "value": factor}]}
            },
            "formula": "quantity * grid",
            "result_unit": "kg",
            "rounding": "down",
        }
        valuer = kernel.valuation.Valuer(kernel.method_file.method_from_document(document))
        got = valuer.compute(["CN-11"], [date(2022, 5, 1).toordinal()], [2_000])
        if got != [want]:
            yield f"2 kWh x {factor}: {got}, expected {want} mg"


def _columns(kernel: Kernel, seed: int) -> Iterator[str]:
    """One column over all regions, days around the edges and quantities, with factor sets now and then."""
    rng = random.Random(f"columns {seed}")
    edges = rng.sample(EDGES, 2)
    document = method_document(rng, edges)
    factors: dict[str, list[dict[str, str]]] = {}
    if seed % 4 == 0:
        unit = document["parameters"]["a"]["unit"]
        document["parameters"]["a"] = {"unit": unit, "factor_set": "DENSE-SET"}
        regions = ["CN", "CN-44", "US", *rng.sample(["*", "US-MA"], 1)]
        factors = {"DENSE-SET": [{"region": region, "value": rng.choice(VALUES), "unit": unit} for region in regions]}
    method = kernel.method_file.method_from_document(document)
    rows = {
        name: tuple(
            kernel.method.ParameterRow(
                row["region"],
                kernel.values.Period(1, date.max.toordinal() + 1),
                kernel.decimals.decimal_from_text(row["value"]),
            )
            for row in release
        )
        for name, release in factors.items()
    }
    valuer = kernel.valuation.Valuer(method, rows)
    days = [edge + timedelta(days=step) for edge in edges for step in (-1, 0, 1, 2)]
    cases = [(region, day, rng.randint(-3, 12)) for region in REGIONS for day in days]
    cases += [("CN", days[0], 10**25 + seed), ("", days[1], -(10**25))]
    got = valuer.compute(
        [region for region, _, _ in cases], [day.toordinal() for _, day, _ in cases], [q for _, _, q in cases]
    )
    for (region, day, quantity), mg in zip(cases, got, strict=True):
        exact = Fraction(quantity, 1_000)
        want = oracle.computed_mg(document, region, day, exact, factors)
        why = valuer.explain(region, day.toordinal(), quantity)
        unrounded = None if why.exact is None else Fraction(why.exact.value, 10**why.exact.scale)
        expected = (
            want,
            want,
            oracle.exact_result(document, region, day, exact, factors),
            oracle.in_range(document, exact),
        )
        if (mg, why.computed_mg, unrounded, valuer.in_range(quantity)) != expected:
            yield f"column {seed}, {region} {day} {quantity}: {mg} {why} expected {expected}"


def _capped(kernel: Kernel, seed: int) -> Iterator[str]:
    """Whole columns under tight caps, days in any order, over credits that are booked already."""
    rng = random.Random(f"capped {seed}")
    edge = rng.choice(EDGES)
    unit = rng.choice([1, 1, 1, 10**21])
    document = method_document(rng, [edge], caps=_caps(rng) or _caps(rng))
    for cap in document["caps"]:
        if cap["kind"] == "mass":
            cap["limit"] = str(unit // 1_000 * int(cap["limit"][2:])) if unit > 1 else cap["limit"]
    caps = kernel.method_file.method_from_document(document).caps
    days = [edge + timedelta(days=step) for step in (-366, -31, -2, -1, 0, 0, 1, 2, 31)]
    booked = [(rng.choice(days), unit * rng.randint(0, 12)) for _ in range(rng.choice([0, 1, 3]))]
    rows = [
        (rng.choice(days), None if rng.random() < 0.1 else unit * rng.randint(-9, 15)) for _ in range(rng.randint(1, 9))
    ]
    outside = kernel.caps.CapUse()
    recorded = list(booked)
    want: list[int] = []
    for day, booked_mg in booked:
        outside.charge(day.toordinal(), booked_mg)
    for day, computed in rows:
        want.append(oracle.credited_mg(document, day, computed or 0, recorded))
        recorded.append((day, want[-1]))
    columns = [day.toordinal() for day, _ in rows]
    got = kernel.caps.requantify(caps, columns, [mg for _, mg in rows], outside)
    if got != want:
        yield f"capped {seed}, requantified: {got}, expected {want}"
    got = kernel.caps.credit(caps, columns, [mg or 0 for _, mg in rows], outside)
    if got != want:
        yield f"capped {seed}, credited: {got}, expected {want}"
    held = {
        day.toordinal(): (sum(mg for other, mg in recorded if other == day), sum(other == day for other, _ in recorded))
        for day, _ in recorded
    }
    if outside.days != held:
        yield f"capped {seed}: cap use {outside.days}, expected {held}"


def _story(kernel: Kernel, seed: int) -> Iterator[str]:
    """The life of one account: behaviors in any order of days, reversals, revisions over parts of it."""
    rng = random.Random(f"story {seed}")
    edges = rng.sample(EDGES, rng.choice([1, 1, 2]))
    offset = rng.choice(OFFSETS)
    current = method_document(rng, edges, utc_offset=offset)
    truth, ours = oracle.Account([]), _KernelAccount(kernel)
    for step in range(rng.choice([8, 20])):
        action = rng.choice(["behave"] * 8 + ["reverse", "revise"])
        if action == "behave":
            instant = rng.choice(instants(rng.choice(edges), offset))
            region, quantity = (
                rng.choice(REGIONS),
                rng.choice([*range(11), 10**24] if rng.random() < 0.1 else range(1, 9)),
            )
            want = truth.behave(current, instant, region, Fraction(quantity, 1_000))
            got = ours.behave(current, instant, region, quantity)
        elif action == "reverse" and truth.credits:
            index = rng.randrange(len(truth.credits))
            truth.credits[index].reversed = ours.credits[index][4] = True
            continue
        else:
            revised = method_document(rng, edges, step + 2, utc_offset=offset)
            start = rng.choice(edges) - timedelta(days=rng.choice([0, 1, 400]))
            end = start + timedelta(days=rng.choice([1, 2, 31, 800]))
            region = rng.choice(["*", "*", "*", "CN", "US"])
            want = truth.revise(revised, start, end, region)
            got = ours.revise(revised, start.toordinal(), end.toordinal(), region)
            current = rng.choice([current, revised])
        if got != want:
            yield f"story {seed}, step {step} ({action}): {got}, expected {want}"
            return
    held = {(c.day.toordinal(), sum(o.mg for o in truth.credits if o.day == c.day)) for c in truth.credits}
    if {(day, mg) for day, (mg, _) in ours.use.days.items()} != held:
        yield f"story {seed}: cap use {ours.use.days}, expected {held}"


class _KernelAccount:
    """The same life through the kernel: [day, region, quantity, mg, reversed] in log order, and the running cap use."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._valuers: dict[int, Any] = {}
        self.credits: list[list[Any]] = []
        self.use = kernel.caps.CapUse()

    def _valuer(self, document: Mapping[str, Any]) -> Any:
        version = document["version"]
        if version not in self._valuers:
            method = self._kernel.method_file.method_from_document(document)
            self._valuers[version] = self._kernel.valuation.Valuer(method)
        return self._valuers[version]

    def behave(self, document: Mapping[str, Any], instant: str, region: str, quantity: int) -> str:
        valuer = self._valuer(document)
        method = valuer.method
        if not valuer.in_range(quantity):
            return "quantity_out_of_range"
        day = self._kernel.values.civil_day(microseconds(instant), method.utc_offset_minutes)
        (computed,) = valuer.compute([region], [day], [quantity])
        if computed is None:
            return "no_factor_for_region"
        (mg,) = self._kernel.caps.credit(method.caps, [day], [computed], self.use)
        self.credits.append([day, region, quantity, mg, False])
        return f"{date.fromordinal(day)} {computed} {mg}"

    def revise(self, document: Mapping[str, Any], start: int, end: int, region: str) -> str:
        valuer = self._valuer(document)
        method = valuer.method
        inside: list[list[Any]] = []
        outside = self._kernel.caps.CapUse()
        for credit in self.credits:
            if not credit[4] and start <= credit[0] < end and region in self._kernel.values.region_chain(credit[1]):
                inside.append(credit)
            else:
                outside.charge(credit[0], credit[3])
        days = [credit[0] for credit in inside]
        computed = valuer.compute([credit[1] for credit in inside], days, [credit[2] for credit in inside])
        computed = [mg if valuer.in_range(credit[2]) else None for credit, mg in zip(inside, computed, strict=True)]
        final = self._kernel.caps.requantify(method.caps, days, computed, outside)
        for credit, mg in zip(inside, final, strict=True):
            self.use.adjust(credit[0], mg - credit[3])
            credit[3] = mg
        return "; ".join(f"{one} {mg}" for one, mg in zip(computed, final, strict=True))
