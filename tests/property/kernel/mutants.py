"""Mistakes that somebody could make in the law, one source edit each.

Keeps: each is plausible and does not crash; ``right`` occurs exactly once in the module (``variants.load_kernel``
refuses it otherwise).
Leaves to the tests: that the dense suite reports every one of them.
"""

from __future__ import annotations

from tests.property.kernel.variants import Mutant

CAPS = "domain.kernel.caps"
VALUATION = "domain.kernel.valuation"
FORMULA = "domain.kernel.formula"
ROUNDING = "domain.kernel.rounding"
VALUES = "domain.values"
FILE = "domain.kernel.method_file"

_IN_TIME_ORDER = """def credit(caps, days, computed, use):
    order = sorted(range(len(days)), key=lambda row: days[row])
    credited = _credit(caps, [days[row] for row in order], [computed[row] for row in order], use)
    return [mg for _, mg in sorted(zip(order, credited, strict=True))]


def _credit(caps"""

_CHARGE = "use.charge(day, mg)\n    return mg\n"
_BOUND_LINE = "return lambda quantity: slope * quantity\n"
_WRAPPED_LINE = "return lambda quantity: (slope * quantity + 2**63) % 2**64 - 2**63\n"
_OUTSIDE_MG_ONLY = "CapUse.from_list([[day, mg, 0] for day, mg, _ in outside.to_list()]))"
_DOWN = "return numerator // denominator if numerator >= 0 else -(-numerator // denominator)"

# The dozen that the project's plan names.
PLANNED = [
    Mutant("caps in time order", CAPS, "def credit(caps", _IN_TIME_ORDER),
    Mutant(
        "caps consumed by computed mg",
        CAPS,
        _CHARGE,
        _CHARGE.replace("(day, mg)", "(day, max(0, computed_mg))"),
    ),
    Mutant("out-of-scope credits not charged first", CAPS, "outside.copy())", "CapUse())"),
    Mutant("no count caps", CAPS, "elif used_count >= cap.limit:", "elif False:"),
    Mutant("closed period end", VALUES, "self.start <= day < self.end", "self.start <= day <= self.end"),
    Mutant("half-up for half-even", ROUNDING, '"half_even": _half_even', '"half_even": _half_up'),
    Mutant(
        "quantity maximum exclusive", VALUATION, "quantity <= self.method.maximum", "quantity < self.method.maximum"
    ),
    Mutant("region always *", VALUATION, "in region_chain(region) if", 'in ("*",) if'),
    Mutant(
        "min(cumulative sum, limit)",
        CAPS,
        _CHARGE,
        _CHARGE.replace("(day, mg)", "(day, computed_mg)"),
    ),
    Mutant(
        "wrong day at the offset",
        VALUES,
        "shifted = instant_us + utc_offset_minutes * MICROSECONDS_PER_MINUTE",
        "shifted = instant_us",
    ),
    Mutant("room not clamped at 0", CAPS, "max(0, cap.limit - used_mg)", "cap.limit - used_mg"),
    Mutant(
        "count not charged for zero credits",
        CAPS,
        _CHARGE,
        _CHARGE.replace("(day, mg)", "(day, mg, int(mg > 0))"),
    ),
]

# What lies beside them.
MORE = [
    Mutant("counts of out-of-scope credits not charged", CAPS, "outside.copy())", _OUTSIDE_MG_ONLY),
    Mutant("negative values credited", CAPS, "mg = max(0, computed_mg)", "mg = computed_mg"),
    Mutant("only the last cap limits", CAPS, "mg = min(mg, max(0, cap", "mg = min(max(0, computed_mg), max(0, cap"),
    Mutant("one credit above a count cap", CAPS, "used_count >= cap.limit", "used_count > cap.limit"),
    Mutant("months capped by the year", CAPS, '"month": month_period', '"month": year_period'),
    Mutant("years capped by the month", CAPS, '"year": year_period', '"year": month_period'),
    Mutant("a requantification uses counts", CAPS, "self.charge(day, delta_mg, 0)", "self.charge(day, delta_mg)"),
    Mutant(
        "quantity minimum exclusive", VALUATION, "self.method.minimum <= quantity", "self.method.minimum < quantity"
    ),
    Mutant("the widest region wins", VALUATION, "(row for level in chain", "(row for level in reversed(chain)"),
    Mutant(
        "rows one day late", VALUATION, "bisect_right(self.starts, day) - 1", "bisect_right(self.starts, day - 1) - 1"
    ),
    Mutant("no province level", VALUES, '(region, f"CN-{county[1]}", "CN", "*")', '(region, "CN", "*")'),
    Mutant("down is floor", ROUNDING, _DOWN, "return numerator // denominator"),
    Mutant("ties to odd", ROUNDING, "whole & 1)", "not whole & 1)"),
    Mutant(
        "negative ties upward",
        ROUNDING,
        "return magnitude if numerator >= 0 else -magnitude",
        "return (2 * numerator + denominator) // (2 * denominator)",
    ),
    Mutant("minus groups to the right", FORMULA, "Subtract(result, self._product(", "Subtract(result, self._sum("),
    Mutant("min is max", FORMULA, 'if token.text == "min" else', 'if token.text == "max" else'),
    Mutant(
        "unary minus lost when bound",
        FORMULA,
        "return _product(operands[0], _Line(0, -1)), scale",
        "return operands[0], scale",
    ),
    Mutant("scales not aligned when bound", FORMULA, "10 ** (scale - part_scale)", "1"),
    Mutant("wraps at 64 bits", FORMULA, _BOUND_LINE, _WRAPPED_LINE),
    Mutant("kilograms taken as grams", FILE, '"kg": 1_000_000}', '"kg": 1_000}'),
    Mutant("offsets always east", FILE, 'return -minutes if match[1] == "-" else minutes', "return minutes"),
]
