"""Rule version v1 in machine code: valuation, caps and requantification over sorted columns, one pass.

Keeps: 64-bit integers only where ``programs`` proved them to suffice; every sum is checked against ``BOUND`` before it
can wrap; a row that is not exactly what the law gives makes its whole account unproven, never a wrong number.
Compiled once per machine and kept on disk (the file's name is the rule version: a new rule is a new file).
Source: ``domain.kernel`` (the law), ``domain.replay`` and ``domain.revision`` (what is compared), DESIGN section 3.

Rows of one group (account, behavior, civil year) are ``first`` to ``end``; a group holds whole cap windows.
"""

from __future__ import annotations

from typing import Any, Final

from application.ports.archive import (
    BOUND,
    CLOSED,
    CONSENT_WITHDRAWN,
    CONSENTED,
    CREDITED,
    FROZEN,
    IRREGULAR,
    LINE,
    NONE,
    OPENED,
    REVERSED,
    REVISED,
    UNFROZEN,
)
from infrastructure.fast_kernel.compiling import compiled
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

MICROSECONDS_PER_DAY: Final = 86_400_000_000
EPOCH_ORDINAL: Final = 719_163

# What an account has used under one code in one year: a place for each day, then for each month, then the year.
MONTHS: Final = 366
YEAR: Final = 378

# Reasons of a line, as places in application.ports.kernel.REASONS.
VALUED: Final = 0
NO_FACTOR: Final = 1
OUT_OF_RANGE: Final = 2


@compiled
def _divide(numerator: int, divisor: int, rounding: int) -> int:
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


@compiled
def _value(t: Any, rule: int, quantity: int, stack: Any) -> int:
    """Computed mg of one quantity under one rule."""
    first, end = t.rules[rule].steps_from, t.rules[rule].steps_to
    if first == end:
        exact = t.rules[rule].slope * quantity + t.rules[rule].offset
        return _divide(exact, t.rules[rule].divisor, t.rules[rule].rounding)
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
    return _divide(stack[0], t.rules[rule].divisor, t.rules[rule].rounding)


@compiled
def _entry(t: Any, behavior: int, region: int, epoch: int, day: int) -> int:
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


@compiled
def _epoch(t: Any, behavior: int, position: int) -> int:
    """How many changes of the behavior's look-up stand before a log position."""
    first, end = t.change_at[behavior], t.change_at[behavior + 1]
    epoch = 0
    while first + epoch < end and t.change_position[first + epoch] < position:
        epoch += 1
    return epoch


@compiled
def _charge(uses: Any, slot: int, of_year: int, month: int, mg: int, count: int) -> bool:
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


@compiled
def _credit(t: Any, decision: int, computed: int, uses: Any, slot: int, of_year: int, month: int) -> int:
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


@compiled
def _forget(t: Any, slot: int, rows: Any, uses: Any, first: int, end: int) -> None:
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


@compiled
def _find(rows: Any, first: int, end: int, version: int, kind: int) -> int:
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


@compiled
def _in_scope(t: Any, rows: Any, state: Any, run: int, row: int) -> bool:
    """``domain.revision.Scope.holds`` for a credit of the run's code."""
    if state.rows[row].reversed or rows.position[row] >= t.runs[run].approved:
        return False
    entry = _entry(t, rows.behavior[row], rows.region[row], t.runs[run].epoch, rows.day[row])
    return bool(t.calendar[entry].decision == t.runs[run].decision)


@compiled
def _requantify(t: Any, rows: Any, state: Any, uses: Any, stack: Any, run: int, first: int, end: int) -> bool:
    """Values the in-scope credits of a group anew, into ``state.computed``, ``state.reason`` and ``state.final``.

    ``state.in_scope`` says which; the rest of the code is charged first; the uses are left as the run leaves them.
    False when 63 bits do not suffice.
    """
    slot = t.runs[run].slot
    _forget(t, slot, rows, uses, first, end)
    year_first = t.year_start[rows.year[first]]
    leap = 1 if t.year_start[rows.year[first] + 1] - year_first == 366 else 0
    for row in range(first, end):
        if rows.kind[row] != CREDITED or state.rows[row].slot != slot:
            continue
        of_year = rows.day[row] - year_first
        state.rows[row].in_scope = _in_scope(t, rows, state, run, row)
        outside = not state.rows[row].in_scope
        if outside and not _charge(uses, slot, of_year, t.month_of[leap, of_year], state.rows[row].mass, 1):
            return False
    for row in range(first, end):
        if rows.kind[row] != CREDITED or state.rows[row].slot != slot or not state.rows[row].in_scope:
            continue
        entry = _entry(t, rows.behavior[row], rows.region[row], t.runs[run].epoch, rows.day[row])
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
            state.rows[row].computed = _value(t, rule, quantity, stack)
        of_year = rows.day[row] - year_first
        month = t.month_of[leap, of_year]
        state.rows[row].final = _credit(t, decision, state.rows[row].computed, uses, slot, of_year, month)
        if not _charge(uses, slot, of_year, month, state.rows[row].final, 1):
            return False
    return True


@compiled
def _consent_holds(t: Any, rows: Any, state: Any, first: int, groups: int, row: int) -> bool:
    """The credit names a consent that was active at its version and covers its behavior and day."""
    consent = _find(rows, first, groups, rows.refers_to[row], CONSENTED)
    if consent < 0 or rows.version[consent] > rows.version[row]:
        return False
    if state.rows[consent].ended and state.rows[consent].ended < rows.version[row]:
        return False
    behavior = rows.behavior[row]
    if not t.consent_covers[rows.terms[consent], behavior]:
        return False
    offset = t.behavior_offset_us[behavior]
    day = rows.day[row]
    start, stop = rows.valid_from_us[consent], rows.valid_to_us[consent]
    if start != NONE and day < (start + offset) // MICROSECONDS_PER_DAY + EPOCH_ORDINAL:
        return False
    return bool(stop == NONE or day <= (stop - 1 + offset) // MICROSECONDS_PER_DAY + EPOCH_ORDINAL)


@compiled
def _is_open(rows: Any, first: int, groups: int, version: int) -> bool:
    """Whether the account was open just before a version: its last freeze, unfreeze or close decides."""
    status = OPENED
    for row in range(first, groups):
        if rows.version[row] >= version:
            break
        if FROZEN <= rows.kind[row] <= CLOSED:
            status = rows.kind[row]
    return status in (OPENED, UNFROZEN)


@compiled
def _credit_is_right(t: Any, rows: Any, state: Any, uses: Any, stack: Any, row: int, of_year: int, month: int) -> bool:
    """Recomputes one booked credit: decision, range, value, caps; charges the caps with it."""
    behavior, quantity = rows.behavior[row], rows.quantity[row]
    entry = _entry(t, behavior, rows.region[row], _epoch(t, behavior, rows.position[row]), rows.day[row])
    decision, rule = t.calendar[entry].decision, t.calendar[entry].rule
    if decision < 0 or rule < 0:
        return False
    if rows.decision[row] != t.decisions[decision].name or rows.methodology[row] != t.decisions[decision].methodology:
        return False
    if rows.terms[row] != t.decisions[decision].terms:
        return False
    if not t.decisions[decision].minimum <= quantity <= t.decisions[decision].maximum:
        return False
    computed = _value(t, rule, quantity, stack)
    slot = t.decisions[decision].slot
    mass = _credit(t, decision, computed, uses, slot, of_year, month)
    state.rows[row].slot, state.rows[row].mass, state.rows[row].reversed = slot, mass, False
    if computed != rows.computed_mg[row] or mass != rows.credited_mg[row]:
        return False
    return _charge(uses, slot, of_year, month, mass, 1)


@compiled
def _lines_end(rows: Any, runs: Any, run: int, row: int, end: int) -> int:
    """Where the lines of a run end that begin at ``row``; adds them up. -1: outside the run's parts, or the bound."""
    decision = rows.decision[row]
    while row < end and rows.kind[row] == LINE and rows.decision[row] == decision:
        before, after = rows.before_mg[row], rows.credited_mg[row]
        if before < 0 or after < 0 or not runs[run].first_position <= rows.position[row] <= runs[run].last_position:
            return -1
        runs[run].before += before
        runs[run].after += after
        runs[run].lines += 1
        if max(runs[run].before, runs[run].after) >= BOUND:
            return -1
        row += 1
    return row


@compiled
def _lines_are_right(
    t: Any, rows: Any, state: Any, uses: Any, stack: Any, run: int, first: int, row: int, end: int
) -> bool:
    """Recomputes the lines of one run that stand at rows ``row`` to ``end``, and revalues the group's credits."""
    if not _requantify(t, rows, state, uses, stack, run, first, row):
        return False
    slot = t.runs[run].slot
    line = row
    for credit in range(first, row):
        if rows.kind[credit] != CREDITED or state.rows[credit].slot != slot or not state.rows[credit].in_scope:
            continue
        if line == end or rows.refers_to[line] != rows.version[credit] or rows.day[line] != rows.day[credit]:
            return False
        reason = state.rows[credit].reason
        computed = state.rows[credit].computed if reason == VALUED else NONE
        if rows.computed_mg[line] != computed or rows.terms[line] != t.reason_terms[reason]:
            return False
        if rows.before_mg[line] != state.rows[credit].mass or rows.credited_mg[line] != state.rows[credit].final:
            return False
        if rows.methodology[line] != t.runs[run].methodology:
            return False
        state.rows[credit].mass = state.rows[credit].final
        line += 1
    return line == end


@compiled
def _group_is_right(
    t: Any, rows: Any, state: Any, uses: Any, stack: Any, runs: Any, first: int, end: int, account: Any
) -> bool:
    """Recomputes one group; ``account``: (first row, first row with a behavior); sums go to ``state.sums``."""
    year = rows.year[first]
    if not 1 <= year <= 9999:
        return False
    year_first, year_end = t.year_start[year], t.year_start[year + 1]
    leap = 1 if year_end - year_first == 366 else 0
    behavior = rows.behavior[first]
    for run in range(len(t.runs)):
        runs[run].in_group = False
    balance, credits, row = 0, 0, first
    right = True
    while right and row < end:
        kind, day = rows.kind[row], rows.day[row]
        if not year_first <= day < year_end:
            right = False
            break
        if kind == LINE:
            run = t.run_of_name[rows.decision[row]]
            if run < 0 or t.runs[run].behavior != behavior or runs[run].in_group:
                right = False
                break
            runs[run].in_group = True
            gained = runs[run].after - runs[run].before
            last = _lines_end(rows, runs, run, row, end)
            balance += runs[run].after - runs[run].before - gained
            right = (
                last >= 0
                and -BOUND < balance < BOUND
                and _lines_are_right(t, rows, state, uses, stack, run, first, row, last)
            )
            row = last
            continue
        version, position = rows.version[row], rows.position[row]
        state.account[0].last_position = max(state.account[0].last_position, position)
        for run in range(len(t.runs)):
            # Whoever writes to an account with a run pending writes the run's lines before.
            if t.runs[run].approved < position < runs[run].first_position:
                right = False
        if kind == CREDITED:
            of_year = day - year_first
            right = (
                right
                and _credit_is_right(t, rows, state, uses, stack, row, of_year, t.month_of[leap, of_year])
                and _consent_holds(t, rows, state, account[0], account[1], row)
                and (not state.account[0].has_status or _is_open(rows, account[0], account[1], version))
            )
            balance += state.rows[row].mass
            credits += 1
        elif kind == REVERSED:
            credit = _find(rows, first, row, rows.refers_to[row], CREDITED)
            right = (
                right
                and credit >= 0
                and not state.rows[credit].reversed
                and rows.day[credit] == day
                and rows.credited_mg[row] == state.rows[credit].mass
                and not _was_due(t, rows, state, runs, position, credit)
            )
            if right:
                state.rows[credit].reversed = True
                balance -= state.rows[credit].mass
        else:
            right = False
        right = right and -BOUND < balance < BOUND
        row += 1
    right = right and _nothing_left_out(t, rows, state, runs, behavior, first, end)
    _forget(t, -1, rows, uses, first, end)
    state.account[0].balance, state.account[0].credits = balance, credits
    return right


@compiled
def _was_due(t: Any, rows: Any, state: Any, runs: Any, position: int, credit: int) -> bool:
    """Whether a run approved before ``position`` owed this credit a line and has not given it."""
    for run in range(len(t.runs)):
        if t.runs[run].behavior != rows.behavior[credit] or runs[run].in_group or t.runs[run].approved >= position:
            continue
        if state.rows[credit].slot == t.runs[run].slot and _in_scope(t, rows, state, run, credit):
            return True
    return False


@compiled
def _nothing_left_out(t: Any, rows: Any, state: Any, runs: Any, behavior: int, first: int, end: int) -> bool:
    """No run that gave this group no lines has a credit of it in scope; ``runs.waiting`` notes those still open."""
    for run in range(len(t.runs)):
        if t.runs[run].behavior != behavior or runs[run].in_group:
            continue
        for row in range(first, end):
            if rows.kind[row] != CREDITED or state.rows[row].slot != t.runs[run].slot:
                continue
            if _in_scope(t, rows, state, run, row):
                if runs[run].first_position > 0 or t.runs[run].completed <= t.until:
                    return False
                runs[run].waiting = True
    return True


@compiled
def _in_stream_order(rows: Any, state: Any, first: int, end: int) -> bool:
    """Versions are 1, 2, 3 ... and rise with the positions: what comes first by one comes first by the other."""
    for row in range(first, end):
        state.rows[row].told_at = 0
    events = 0
    for row in range(first, end):
        if rows.kind[row] == LINE:
            continue
        if not 1 <= rows.version[row] <= end - first:
            return False
        state.rows[first + rows.version[row] - 1].told_at = rows.position[row]
        events += 1
    position = 0
    for told in range(first, first + events):
        if state.rows[told].told_at <= position:
            return False
        position = state.rows[told].told_at
    return True


@compiled
def _about_account(t: Any, rows: Any, state: Any, runs: Any, first: int, groups: int) -> bool:
    """Reads the rows about the account as a whole: opening, consents, status, headers of revisions."""
    if first == groups or rows.kind[first] != OPENED or rows.version[first] != 1:
        return False
    for row in range(first, groups):
        kind, version = rows.kind[row], rows.version[row]
        state.rows[row].ended = 0
        if kind == IRREGULAR or (kind == OPENED and row > first) or rows.year[row] != 0:
            return False
        if kind == CONSENT_WITHDRAWN:
            consent = _find(rows, first, row, rows.refers_to[row], CONSENTED)
            if consent < 0 or state.rows[consent].ended:
                return False
            state.rows[consent].ended = version
        elif kind == REVISED:
            run = t.run_of_name[rows.decision[row]]
            if run < 0 or runs[run].finished or rows.terms[row] != t.rule_terms:
                return False
            if rows.methodology[row] != t.runs[run].methodology:
                return False
            if not t.runs[run].approved < rows.position[row] <= t.runs[run].completed:
                return False
            if runs[run].first_position == 0:
                runs[run].first_position = rows.position[row]
            runs[run].last_position = rows.position[row]
            runs[run].expected += rows.refers_to[row]
            runs[run].finished = rows.is_last[row]
        elif kind not in (OPENED, CONSENTED):
            state.account[0].has_status = True
    return True


@compiled
def _account_is_right(
    t: Any, rows: Any, state: Any, uses: Any, stack: Any, runs: Any, first: int, end: int, out: Any
) -> int:
    """Recomputes one account; returns how many balances were put out, or -1 when it is not proven."""
    groups = first
    while groups < end and rows.kind[groups] < CREDITED:
        groups += 1
    state.account[0].last_position, state.account[0].has_status = 0, False
    for run in range(len(t.runs)):
        runs[run].first_position, runs[run].last_position = 0, 0
        runs[run].expected, runs[run].lines = 0, 0
        runs[run].before, runs[run].after = 0, 0
        runs[run].finished, runs[run].waiting = False, False
    if not (_in_stream_order(rows, state, first, end) and _about_account(t, rows, state, runs, first, groups)):
        return -1
    made, row = 0, groups
    while row < end:
        stop = row
        while stop < end and rows.behavior[stop] == rows.behavior[row] and rows.year[stop] == rows.year[row]:
            stop += 1
        if not _group_is_right(t, rows, state, uses, stack, runs, row, stop, (first, groups)):
            return -1
        place = out.made[0] + made - 1
        if made == 0 or out.behavior[place] != rows.behavior[row]:
            made += 1
            place += 1
            out.account[place] = rows.account[first]
            out.behavior[place] = rows.behavior[row]
            out.credited_mg[place] = 0
            out.credits[place] = 0
        out.credited_mg[place] += state.account[0].balance
        out.credits[place] += state.account[0].credits
        if not -BOUND < out.credited_mg[place] < BOUND:
            return -1
        row = stop
    for run in range(len(t.runs)):
        revised = runs[run].first_position > 0
        if runs[run].lines != runs[run].expected or runs[run].finished != revised or revised != (runs[run].lines > 0):
            return -1
        if runs[run].waiting and state.account[0].last_position > t.runs[run].approved:
            return -1
    return made


@compiled
def replay_rows(t: Any, rows: Any, state: Any, uses: Any, stack: Any, runs: Any, totals: Any, out: Any) -> None:
    """Recomputes whole accounts. ``out``: balances; ``out.unproven`` by account; ``totals``: sums by run."""
    first = 0
    while first < len(rows.account):
        account, end = rows.account[first], first
        while end < len(rows.account) and rows.account[end] == account:
            end += 1
        made = _account_is_right(t, rows, state, uses, stack, runs, first, end, out)
        if made < 0:
            out.unproven[account] = True
        else:
            out.made[0] += made
            for run in range(len(t.runs)):
                if runs[run].lines:
                    totals[run].accounts += 1
                    totals[run].changed += runs[run].before != runs[run].after
                    totals[run].credits += runs[run].lines
                    totals[run].before += runs[run].before
                    totals[run].after += runs[run].after
                    if max(totals[run].before, totals[run].after) >= BOUND:
                        out.overflow[0] = True
                        return
        first = end


@compiled
def _book(t: Any, rows: Any, state: Any, first: int, end: int) -> bool:
    """What the group's rows booked: masses and reversals, as ``domain.history`` folds them."""
    for row in range(first, end):
        kind = rows.kind[row]
        if kind == CREDITED:
            if not t.year_start[rows.year[row]] <= rows.day[row] < t.year_start[rows.year[row] + 1]:
                return False
            state.rows[row].mass, state.rows[row].reversed = rows.credited_mg[row], False
            state.rows[row].slot = 0 if t.code_of_methodology[rows.methodology[row]] else 1
            continue
        credit = _find(rows, first, row, rows.refers_to[row], CREDITED)
        if credit < 0:
            return False
        if kind == REVERSED:
            state.rows[credit].reversed = True
        else:
            state.rows[credit].mass = rows.credited_mg[row]
    return True


@compiled
def _account_lines(
    t: Any, rows: Any, state: Any, uses: Any, stack: Any, behavior: int, first: int, end: int, out: Any
) -> int:
    """The lines of the one run in one account; returns how many, or -1 when the account is not proven."""
    if not _in_stream_order(rows, state, first, end):
        return -1
    made, row, balance, version = 0, first, 0, 0
    while row < end:
        stop = row
        while stop < end and rows.behavior[stop] == rows.behavior[row] and rows.year[stop] == rows.year[row]:
            kind = rows.kind[stop]
            if kind == IRREGULAR or not (1 <= rows.year[stop] <= 9999 if kind >= CREDITED else rows.year[stop] == 0):
                return -1
            version = max(version, rows.version[stop])
            if kind == CREDITED:
                balance += rows.credited_mg[stop]
            elif kind == REVERSED:
                balance -= rows.credited_mg[stop]
            elif kind == LINE:
                balance += rows.credited_mg[stop] - rows.before_mg[stop]
            if not -BOUND < balance < BOUND:
                return -1
            stop += 1
        if rows.kind[row] >= CREDITED and rows.behavior[row] == behavior:
            right = _book(t, rows, state, row, stop) and _requantify(t, rows, state, uses, stack, 0, row, stop)
            _forget(t, -1, rows, uses, row, stop)
            if not right:
                return -1
            for credit in range(row, stop):
                if rows.kind[credit] == CREDITED and state.rows[credit].slot == 0 and state.rows[credit].in_scope:
                    out.row[out.made[0] + made] = credit
                    made += 1
        row = stop
    account = rows.account[first]
    out.balance_mg[account] = balance
    out.last_version[account] = version
    return made


@compiled
def lines_of(t: Any, rows: Any, state: Any, uses: Any, stack: Any, behavior: int, out: Any) -> None:
    """The rows of the credits in scope of one run (``out.row``); their values stand in ``state``."""
    first = 0
    while first < len(rows.account):
        account, end = rows.account[first], first
        while end < len(rows.account) and rows.account[end] == account:
            end += 1
        made = _account_lines(t, rows, state, uses, stack, behavior, first, end, out)
        if made < 0:
            out.unproven[account] = True
        else:
            out.made[0] += made
        first = end
