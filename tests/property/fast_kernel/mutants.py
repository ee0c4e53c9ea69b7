"""Mistakes that somebody could make in the fast kernel, one source edit each.

Keeps: each is plausible and does not crash; ``right`` occurs exactly once in the module (``variants.plain_kernel``
refuses it otherwise). Those that make a right account unproven would only be slow; those that prove a wrong one, or
give other lines, would be silent.
Leaves to the tests: that stories and traps report every one of them; to ``guards``: checks that are left out.
"""

from __future__ import annotations

from tests.property.fast_kernel.variants import Mutant

LAW = "v1"
TABLES = "tables"
PROGRAMS = "programs"
PORT = "kernel"

_HALF_EVEN = "if twice > divisor or (twice == divisor and whole & 1):"
_WITHIN = "right = right and -BOUND < state.account[0].balance < BOUND"
_CHARGED = "return bool(within)"
_FINAL_CHARGE = "if not charge(uses, slot, of_year, month, state.rows[row].final, 1):"
_OUTSIDE = "if outside and not charge(uses, slot, of_year, t.month_of[leap, of_year], state.rows[row].mass, 1):"
_COUNT_CAP = """        elif used.count >= t.caps[cap].limit:
            mg = 0
"""
_IN_SCOPE_PASS = """    for row in range(first, end):
        if rows.kind[row] != CREDITED or state.rows[row].slot != slot or not state.rows[row].in_scope:
            continue
        entry ="""
_TIME_ORDER_PASS = """    inside = [r for r in range(first, end) if rows.kind[r] == CREDITED]
    inside = [r for r in inside if state.rows[r].slot == slot]
    for row in sorted([r for r in inside if state.rows[r].in_scope], key=lambda r: rows.day[r]):
        entry ="""

# Those that the project's plan names.
PLANNED = [
    Mutant("half-up for half-even", LAW, _HALF_EVEN, "if twice >= divisor:"),
    Mutant("missing overflow guard", LAW, _CHARGED, "return True"),
    Mutant("closed period end", LAW, "if t.calendar[middle].day <= day:", "if t.calendar[middle].day < day:"),
    Mutant(
        "cap by min(cumsum)",
        LAW,
        "return charge(uses, slot, of_year, month, mass, 1)",
        "return charge(uses, slot, of_year, month, computed, 1)",
    ),
    Mutant("cap by min(cumsum) in a revision", LAW, _FINAL_CHARGE, _FINAL_CHARGE.replace("final", "computed")),
    Mutant("wrong day at the offset: first day", LAW, "day < (start + offset)", "day < start"),
    Mutant("wrong day at the offset: last day", LAW, "(stop - 1 + offset)", "(stop - 1)"),
    Mutant("cap in time order", LAW, _IN_SCOPE_PASS, _TIME_ORDER_PASS),
    Mutant("out-of-scope credits not charged first", LAW, _OUTSIDE, "if False:"),
    Mutant(
        "revised period off by one day",
        LAW,
        "rows.region[row], t.runs[run].epoch, rows.day[row])\n    return bool(",
        "rows.region[row], t.runs[run].epoch, rows.day[row] + 1)\n    return bool(",
    ),
    Mutant(
        "reversed credit revalued",
        LAW,
        "if state.rows[row].reversed or rows.position[row] >= t.runs[run].approved:",
        "if rows.position[row] >= t.runs[run].approved:",
    ),
]

# Sums and numbers.
NUMBERS = [
    Mutant("sum over a group unguarded", LAW, _WITHIN, "right = right and True"),
    Mutant("sum over a run unguarded", LAW, "max(totals[run].before, totals[run].after) >= BOUND:", "False:"),
    Mutant(
        "sums of lines unguarded", LAW, "            if not -BOUND < balance < BOUND:\n                return -1\n", ""
    ),
    Mutant("sums over years unguarded", LAW, "if not -BOUND < out.credited_mg[place] < BOUND:", "if False:"),
    Mutant("ties to odd", LAW, "twice == divisor and whole & 1", "twice == divisor and not whole & 1"),
    Mutant("down is floor", LAW, "if numerator >= 0 else -(-numerator // divisor)", "if True else 0"),
    Mutant(
        "negative ties upward",
        LAW,
        "return magnitude if numerator >= 0 else -magnitude",
        "return (2 * numerator + divisor) // (2 * divisor)",
    ),
    Mutant("minimum is maximum", LAW, "stack[top] = min(left, right)", "stack[top] = max(left, right)"),
    Mutant("difference turned round", LAW, "stack[top] = left - right", "stack[top] = right - left"),
    Mutant("minus lost", LAW, "stack[top] = -stack[top]", "stack[top] = stack[top]"),
    Mutant("scales not aligned", PROGRAMS, "if part_scale < scale:", "if False:"),
    Mutant("63 bits taken for granted", PROGRAMS, "if bounds(in_mg, ranges).widest >= SAFE:", "if False:"),
    Mutant("a line taken for granted", PROGRAMS, "if widest < SAFE else None", "if widest < 2**63 else None"),
    Mutant(
        "quantities cut at the proof",
        TABLES,
        "return max(-BOUND, min(BOUND, quantity))",
        "return max(-BOUND // 2, min(BOUND // 2, quantity))",
    ),
    Mutant("offset of a line lost", LAW, "* quantity + t.rules[rule].offset", "* quantity"),
]

# Caps, scope, and what is looked up.
LAWS = [
    Mutant("count caps ignored", LAW, _COUNT_CAP, ""),
    Mutant("one credit above a count cap", LAW, "used.count >= t.caps[cap].limit", "used.count > t.caps[cap].limit"),
    Mutant(
        "a zero credit uses no count",
        LAW,
        "mass, 1)\n\n\n@inlined\ndef _lines",
        "mass, int(mass > 0))\n\n\n@inlined\ndef _lines",
    ),
    Mutant("only the last cap limits", LAW, "mg = min(mg, max(0, t.caps", "mg = min(max(0, computed), max(0, t.caps"),
    Mutant(
        "room not clamped at 0",
        LAW,
        "min(mg, max(0, t.caps[cap].limit - used.mg))",
        "min(mg, t.caps[cap].limit - used.mg)",
    ),
    Mutant("negative values credited", LAW, "mg = max(0, computed)\n", "mg = computed\n"),
    Mutant("month and year windows swapped", TABLES, '"month": 1, "year": 2', '"month": 2, "year": 1'),
    Mutant("day windows are months", TABLES, '"day": 0', '"day": 1'),
    Mutant("no leap days", TABLES, "((28, 31), (29, 31))", "((28, 31), (28, 31))"),
    Mutant(
        "one use for all codes",
        TABLES,
        "return slots.setdefault(decision.method.code, len(slots))",
        "return slots.setdefault('', 0)",
    ),
    Mutant(
        "uses go on into the next year",
        LAW,
        "    forget(t, -1, rows, uses, first, end)\n    return right",
        "    return right",
    ),
    Mutant("uses of a code go on into its revision", LAW, "    forget(t, slot, rows, uses, first, end)\n", ""),
    Mutant(
        "region always *", LAW, "t.calendar_base[behavior] + region * epochs", "t.calendar_base[behavior] + 0 * epochs"
    ),
    Mutant(
        "regions have no parents",
        TABLES,
        "chain = tuple(level for level in region_chain(region) if level in named)",
        "chain = (region,) if region in named else ('*',)",
    ),
    Mutant("the newest decisions for every credit", LAW, "t.change_position[first + epoch] < position", "True"),
    Mutant(
        "scope as look-up stands before the approval", TABLES, "sum(change <= position for", "sum(change < position for"
    ),
    Mutant(
        "credits after the approval in scope",
        LAW,
        "state.rows[row].reversed or rows.position[row] >= t.runs[run].approved:",
        "state.rows[row].reversed:",
    ),
    Mutant(
        "a credit without a factor is out of range",
        LAW,
        "state.rows[row].reason = NO_FACTOR",
        "state.rows[row].reason = OUT_OF_RANGE",
    ),
    Mutant(
        "quantity maximum exclusive",
        LAW,
        "minimum <= quantity <= t.decisions[decision].maximum:\n            state",
        "minimum <= quantity < t.decisions[decision].maximum:\n            state",
    ),
    Mutant(
        "a revision leaves the caps as they were",
        LAW,
        "        state.rows[credit].mass = state.rows[credit].final\n",
        "",
    ),
    Mutant(
        "reversal forgotten in lines",
        LAW,
        "        if kind == REVERSED:\n            state.rows[credit].reversed = True\n        else:",
        "        if kind != REVERSED:",
    ),
    Mutant(
        "lines by year, not in log order",
        PORT,
        "found[np.lexsort((rows.version[found], rows.account[found]))]",
        "found",
    ),
]
