"""Books with numbers of more than 63 bits: the fast kernel must hand them to the reference, and never wrap.

Keeps: every book is right, written by the domain itself. Where a sum would wrap, it would look small and right.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.property.fast_kernel.traps import book, quantities
from tests.unit.domain.documents import day_cap, metro, open_row
from tests.unit.domain.worlds import World, trip

FIVE_GRAMS = {"rate": {"unit": "g/km", "rows": [open_row("1")]}, "most": {"unit": "g", "rows": [open_row("5")]}}


def masses_beyond_the_bound() -> World:
    """Each mass fits, their sum does not."""
    world = book(opened=("ann", "bob"))
    world.introduce(metro(1, "1", inputs=quantities(1, 10**15)))
    for n in range(6):
        world.credited(trip(f"{n}", at="2019-05-01T08:00:00+08:00", quantity=str(10**15 - n)))
    world.credited(trip("bob", "bob", at="2019-05-01T08:00:00+08:00", quantity="7"))
    world.revise(world.publish(metro(2, "0.5", inputs=quantities(1, 10**15))))
    return world


def a_run_beyond_the_bound() -> World:
    """Every account fits, the sum of the run over them does not, nor would it in 64 bits."""
    refs = ("ann", "bob", "cid", "dan", "eva")
    world = book(opened=refs)
    world.introduce(metro(1, "1", inputs=quantities(1, 10**15)))
    for n, ref in enumerate(refs * 4):
        world.credited(trip(f"{n}", ref, at="2019-05-01T08:00:00+08:00", quantity=str(10**15)))
    world.revise(world.publish(metro(2, "1", inputs=quantities(1, 10**15))))
    return world


def _four_codes(rate: str) -> World:
    """One after the other, a month each, three credits each."""
    world = book("2019-01-01T00:00:00Z")
    inputs = quantities(1, 15 * 10**14)
    for month in range(1, 5):
        start, end = f"2019-0{month}-02", f"2019-0{month + 1}-02"
        world.introduce(metro(1, rate, code=f"CODE-{month}", inputs=inputs), start, end, leave_gap=True)
    world.tell("2019-06-01T00:00:00Z")
    for month in range(1, 5):
        at = f"2019-0{month}-03T08:00:00Z"
        world.credited(*(trip(f"{month} {n}", at=at, quantity=str(15 * 10**14)) for n in range(3)))
    return world


def four_codes_beyond_the_bound() -> World:
    """Each code within the bound, together more than 64 bits: a wrapped sum looks small."""
    return _four_codes("1")


def four_runs_beyond_the_bound() -> World:
    """The same by revisions."""
    world = _four_codes("0.001")
    for month in range(1, 5):
        name = world.publish(metro(2, "1", code=f"CODE-{month}", inputs=quantities(1, 15 * 10**14)))
        world.revise(name, f"2019-0{month}-02", f"2019-0{month + 1}-02")
    return world


def five_years_beyond_the_bound() -> World:
    """The same by years."""
    world = book("2024-01-01T00:00:00Z")
    world.introduce(metro(1, "1", inputs=quantities(1, 10**15)))
    for n in range(20):
        world.credited(trip(f"{n}", at=f"20{19 + n % 5}-05-01T08:00:00Z", quantity=str(10**15)))
    return world


def a_revision_beyond_the_bound() -> World:
    """The cap is wider than any column, so it must not seem to be reached; the lines themselves fit."""
    world = book()
    world.introduce(metro(1, "0.001", inputs=quantities(1, 10**15)))
    world.credited(*(trip(f"{n}", at="2019-05-01T08:00:00Z", quantity=str(10**15)) for n in range(12)))
    world.revise(world.publish(metro(2, "1", inputs=quantities(1, 10**15), caps=[day_cap(f"{10**22}")])))
    return world


def products_beyond_the_proof() -> World:
    """The result is small, a product on the way to it is not."""
    world = book()
    parameters = {"rate": {"unit": "g/km", "rows": [open_row("14")]}, "most": {"unit": "g", "rows": [open_row("5")]}}
    formula: dict[str, Any] = {
        "parameters": parameters,
        "formula": "min(quantity * rate, most)",
        "inputs": quantities(1, 10**18),
    }
    world.introduce(metro(1, "0.001", inputs=quantities(1, 10**18)))
    world.credited(trip("1", at="2019-05-01T08:00:00Z", quantity=str(10**18)))
    world.revise(world.publish(metro(2, **formula)))
    return world


def numerators_beyond_the_proof() -> World:
    """The result is small, the number that is rounded is not, and rounding doubles it."""
    world = book()
    inputs = quantities(1, 5 * 10**12)
    world.introduce(metro(1, "1", inputs=inputs))
    world.credited(trip("1", at="2019-05-01T08:00:00Z", quantity=str(5 * 10**12)))
    for version, rounding in ((2, "half_up"), (3, "half_even")):
        world.revise(world.publish(metro(version, "1.000", inputs=inputs, rounding=rounding)))
    return world


def quantities_beyond_the_proof() -> World:
    """Quantities that fit a column and are allowed, in versions that no 63 bits are proved for."""
    world = book(opened=("ann", "bob"))
    inputs = quantities(1, 2**61 + 10**6)
    one: dict[str, Any] = {"parameters": FIVE_GRAMS, "formula": "min(quantity * rate, most)", "inputs": inputs}
    world.introduce(metro(1, **one))
    for n, ref in ((-1, "ann"), (0, "ann"), (1, "bob"), (10**6, "bob")):
        world.credited(trip(f"{n}", ref, at="2019-05-01T08:00:00+08:00", quantity=str(2**61 + n)))
    two: dict[str, Any] = one | {"formula": "min(quantity * rate, most + most)"}
    world.revise(world.publish(metro(2, **two)), "2019-05-01", "2019-05-02")
    return world


def quantities_beyond_a_column() -> World:
    """Numbers that no column holds: the account is irregular, the next one is not."""
    world = book(opened=("ann", "bob"))
    world.introduce(metro(1, "1", inputs=quantities(1, 10**30)))
    for n, quantity in enumerate((5, 10**29, 2**62, 2**63)):
        world.credited(trip(f"{n}", at="2019-05-01T08:00:00+08:00", quantity=str(quantity)))
    world.credited(trip("bob", "bob", at="2019-05-01T08:00:00+08:00", quantity="7"))
    return world


WIDE: tuple[Callable[[], World], ...] = (
    masses_beyond_the_bound,
    a_run_beyond_the_bound,
    four_codes_beyond_the_bound,
    four_runs_beyond_the_bound,
    five_years_beyond_the_bound,
    a_revision_beyond_the_bound,
    products_beyond_the_proof,
    numerators_beyond_the_proof,
    quantities_beyond_the_proof,
    quantities_beyond_a_column,
)
