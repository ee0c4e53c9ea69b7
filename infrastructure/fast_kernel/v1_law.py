"""Rule version v1 in machine code: valuation, look-up, caps and requantification over sorted columns.

Keeps: 64-bit integers only where ``programs`` proved them to suffice; every sum is checked against ``BOUND`` before it
can wrap. Compiled once per machine and kept on disk; the files are named after the rule version, and a new rule is new
files. Source: ``domain.kernel`` (the law), ``domain.revision`` (scope), DESIGN section 3.

``t``: ``tables.Tables``; ``rows``, ``state``, ``uses``: as ``kernel`` prepares them. Rows of one group (account,
behavior, civil year) are ``first`` to ``end``; a group holds whole cap windows.
"""

from __future__ import annotations

from typing import Any, Final

from application.ports.archive import BOUND, CREDITED
from infrastructure.fast_kernel.compiling import inlined
from infrastructure.fast_kernel.programs import (
    ADD,
    GREATEST,
    LEAST,
    MULTIPLY,
    NEGATE,
    PUSH_CONSTANT,
    PUSH_QUANTITY,
    SUBTRACT,
)

# What an account has used under one code in one year: a place for each day, then for each month, then the year.
MONTHS: Final = 366
YEAR: Final = 378

# Reasons of a line, as places in application.ports.kernel.REASONS.
VALUED: Final = 0
NO_FACTOR: Final = 1
OUT_OF_RANGE: Final = 2


@inlined
def divide(numerator: int, divisor: int, rounding: int) -> int:
    """``domain.kernel.rounding``: 0 down (toward zero), 1 half even, 2 half up (ties away from zero)."""
    if rounding == 0:
        return numerator // divisor if numerator >= 0 else -(-numerator // divisor)
    if rounding == 2:
        magnitude = (2 * abs(numerator) + divisor) // (2 * divisor)
        return magnitude if numerator >= 0 else -magnitude
    whole = numerator // divisor
    twice = 2 * (numerator - whole * divisor)
    if twice > divisor or (twice == divisor and whole & 1):
        return whole + 1
    return whole


@inlined
def value_of(t: Any, rule: int, quantity: int, stack: Any) -> int:
    """Computed mg of one quantity under one rule."""
    first, end = t.rules[rule].steps_from, t.rules[rule].steps_to
    if first == end:
        exact = t.rules[rule].slope * quantity + t.rules[rule].offset
        return divide(exact, t.rules[rule].divisor, t.rules[rule].rounding)
    top = -1
    for step in range(first, end):
        operation = t.steps[step].operation
        if operation == PUSH_QUANTITY:
            top += 1
            stack[top] = quantity
        elif operation == PUSH_CONSTANT:
            top += 1
            stack[top] = t.steps[step].constant
        elif operation == NEGATE:
            stack[top] = -stack[top]
        else:
            right = stack[top]
            top -= 1
            left = stack[top]
            if operation == MULTIPLY:
                stack[top] = left * right
            elif operation == ADD:
                stack[top] = left + right
            elif operation == SUBTRACT:
                stack[top] = left - right
            elif operation == LEAST:
                stack[top] = min(left, right)
            elif operation == GREATEST:
                stack[top] = max(left, right)
    return divide(stack[0], t.rules[rule].divisor, t.rules[rule].rounding)


@inlined
def entry_at(t: Any, behavior: int, region: int, epoch: int, day: int) -> int:
    """Place of the calendar entry (decision and rule) that holds on a day, as the epoch's look-up sees it."""
    epochs = t.change_at[behavior + 1] - t.change_at[behavior] + 1
    calendar = t.calendar_of[t.calendar_base[behavior] + region * epochs + epoch]
    low, high = t.calendar_at[calendar], t.calendar_at[calendar + 1]
    while high - low > 1:
        middle = (low + high) // 2
        if t.calendar[middle].day <= day:
            low = middle
        else:
            high = middle
    return int(low)


@inlined
def epoch_of(t: Any, behavior: int, position: int) -> int:
    """How many changes of the behavior's look-up stand before a log position."""
    first, end = t.change_at[behavior], t.change_at[behavior + 1]
    epoch = 0
    while first + epoch < end and t.change_position[first + epoch] < position:
        epoch += 1
    return epoch


@inlined
def charge(uses: Any, slot: int, of_year: int, month: int, mg: int, count: int) -> bool:
    """Adds to the day, the month and the year; False when a sum would leave the bound."""
    day, in_month, year = uses[slot, of_year], uses[slot, MONTHS + month], uses[slot, YEAR]
    day.mg += mg
    day.count += count
    in_month.mg += mg
    in_month.count += count
    year.mg += mg
    year.count += count
    within = -BOUND < day.mg < BOUND
    within &= -BOUND < in_month.mg < BOUND
    within &= -BOUND < year.mg < BOUND
    return bool(within)


@inlined
def creditable(t: Any, decision: int, computed: int, uses: Any, slot: int, of_year: int, month: int) -> int:
    """``domain.kernel.caps.credit_one`` without the charge: what every cap leaves room for."""
    mg = max(0, computed)
    for cap in range(t.decisions[decision].caps_from, t.decisions[decision].caps_to):
        window = t.caps[cap].window
        used = uses[slot, of_year if window == 0 else MONTHS + month if window == 1 else YEAR]
        if t.caps[cap].is_mass:
            mg = min(mg, max(0, t.caps[cap].limit - used.mg))
        elif used.count >= t.caps[cap].limit:
            mg = 0
    return int(mg)


@inlined
def forget(t: Any, slot: int, rows: Any, uses: Any, first: int, end: int) -> None:
    """Empties the uses of one code, or of all (-1); only the days that the group's credits touched."""
    year_first = t.year_start[rows.year[first]]
    for each in range(len(uses)):
        if slot not in (-1, each):
            continue
        for row in range(first, end):
            of_year = rows.day[row] - year_first
            if rows.kind[row] == CREDITED and 0 <= of_year < MONTHS:
                uses[each, of_year].mg = 0
                uses[each, of_year].count = 0
        for place in range(MONTHS, YEAR + 1):
            uses[each, place].mg = 0
            uses[each, place].count = 0


@inlined
def find(rows: Any, first: int, end: int, version: int, kind: int) -> int:
    """The row of one kind and stream version among rows whose versions rise; -1 when there is none."""
    low, high = first, end
    while low < high:
        middle = (low + high) // 2
        if rows.version[middle] < version:
            low = middle + 1
        else:
            high = middle
    if low < end and rows.version[low] == version and rows.kind[low] == kind:
        return low
    return -1


@inlined
def in_scope(t: Any, rows: Any, state: Any, run: int, row: int) -> bool:
    """``domain.revision.Scope.holds`` for a credit of the run's code."""
    if state.rows[row].reversed or rows.position[row] >= t.runs[run].approved:
        return False
    entry = entry_at(t, rows.behavior[row], rows.region[row], t.runs[run].epoch, rows.day[row])
    return bool(t.calendar[entry].decision == t.runs[run].decision)


@inlined
def requantify(t: Any, rows: Any, state: Any, uses: Any, stack: Any, run: int, first: int, end: int) -> bool:
    """Values the in-scope credits of a group anew, into ``state.computed``, ``state.reason`` and ``state.final``.

    ``state.in_scope`` says which; the rest of the code is charged first; the uses are left as the run leaves them.
    False when 63 bits do not suffice.
    """
    slot = t.runs[run].slot
    forget(t, slot, rows, uses, first, end)
    year_first = t.year_start[rows.year[first]]
    leap = 1 if t.year_start[rows.year[first] + 1] - year_first == 366 else 0
    for row in range(first, end):
        if rows.kind[row] != CREDITED or state.rows[row].slot != slot:
            continue
        of_year = rows.day[row] - year_first
        state.rows[row].in_scope = in_scope(t, rows, state, run, row)
        outside = not state.rows[row].in_scope
        if outside and not charge(uses, slot, of_year, t.month_of[leap, of_year], state.rows[row].mass, 1):
            return False
    for row in range(first, end):
        if rows.kind[row] != CREDITED or state.rows[row].slot != slot or not state.rows[row].in_scope:
            continue
        entry = entry_at(t, rows.behavior[row], rows.region[row], t.runs[run].epoch, rows.day[row])
        decision, rule = t.calendar[entry].decision, t.calendar[entry].rule
        quantity = rows.quantity[row]
        state.rows[row].reason = VALUED
        state.rows[row].computed = 0
        if not t.decisions[decision].minimum <= quantity <= t.decisions[decision].maximum:
            state.rows[row].reason = OUT_OF_RANGE
        elif rule == -1:
            state.rows[row].reason = NO_FACTOR
        elif rule < 0:
            return False
        else:
            state.rows[row].computed = value_of(t, rule, quantity, stack)
        of_year = rows.day[row] - year_first
        month = t.month_of[leap, of_year]
        state.rows[row].final = creditable(t, decision, state.rows[row].computed, uses, slot, of_year, month)
        if not charge(uses, slot, of_year, month, state.rows[row].final, 1):
            return False
    return True
