"""Rule version v1 in machine code: whole accounts recomputed and compared with what was booked, in one pass.

Keeps: a row that is not exactly what the law gives makes its whole account unproven, never a wrong number.
Source: ``domain.replay`` (what is compared), ``domain.revision`` (lines), DESIGN section 3.
"""

from __future__ import annotations

from typing import Any

from application.ports.archive import BOUND, CREDITED, LINE, NONE, REVERSED
from infrastructure.fast_kernel.compiling import compiled, inlined
from infrastructure.fast_kernel.v1_account import about_account, consent_holds, in_stream_order, is_open
from infrastructure.fast_kernel.v1_law import (
    VALUED,
    charge,
    creditable,
    entry_at,
    epoch_of,
    find,
    forget,
    in_scope,
    requantify,
    value_of,
)


@inlined
def _credit_is_right(t: Any, rows: Any, state: Any, uses: Any, stack: Any, row: int, of_year: int, month: int) -> bool:
    """Recomputes one booked credit: decision, range, value, caps; charges the caps with it."""
    behavior, quantity = rows.behavior[row], rows.quantity[row]
    entry = entry_at(t, behavior, rows.region[row], epoch_of(t, behavior, rows.position[row]), rows.day[row])
    decision, rule = t.calendar[entry].decision, t.calendar[entry].rule
    if decision < 0 or rule < 0:
        return False
    if rows.decision[row] != t.decisions[decision].name or rows.methodology[row] != t.decisions[decision].methodology:
        return False
    if rows.terms[row] != t.decisions[decision].terms:
        return False
    if not t.decisions[decision].minimum <= quantity <= t.decisions[decision].maximum:
        return False
    computed = value_of(t, rule, quantity, stack)
    slot = t.decisions[decision].slot
    mass = creditable(t, decision, computed, uses, slot, of_year, month)
    state.rows[row].slot, state.rows[row].mass, state.rows[row].reversed = slot, mass, False
    if computed != rows.computed_mg[row] or mass != rows.credited_mg[row]:
        return False
    return charge(uses, slot, of_year, month, mass, 1)


@inlined
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


@inlined
def _lines_are_right(
    t: Any, rows: Any, state: Any, uses: Any, stack: Any, run: int, first: int, row: int, end: int
) -> bool:
    """Recomputes the lines of one run that stand at rows ``row`` to ``end``, and revalues the group's credits."""
    if not requantify(t, rows, state, uses, stack, run, first, row):
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


@inlined
def _was_due(t: Any, rows: Any, state: Any, runs: Any, position: int, credit: int) -> bool:
    """Whether a run approved before ``position`` owed this credit a line and has not given it."""
    for run in range(len(t.runs)):
        if t.runs[run].behavior != rows.behavior[credit] or runs[run].in_group or t.runs[run].approved >= position:
            continue
        if state.rows[credit].slot == t.runs[run].slot and in_scope(t, rows, state, run, credit):
            return True
    return False


@inlined
def _nothing_left_out(t: Any, rows: Any, state: Any, runs: Any, behavior: int, first: int, end: int) -> bool:
    """No run that gave this group no lines has a credit of it in scope; ``runs.waiting`` notes those still open."""
    for run in range(len(t.runs)):
        if t.runs[run].behavior != behavior or runs[run].in_group:
            continue
        for row in range(first, end):
            if rows.kind[row] != CREDITED or state.rows[row].slot != t.runs[run].slot:
                continue
            if in_scope(t, rows, state, run, row):
                if runs[run].first_position > 0 or t.runs[run].completed <= t.until:
                    return False
                runs[run].waiting = True
    return True


@inlined
def _event_is_right(
    t: Any, rows: Any, state: Any, uses: Any, stack: Any, runs: Any, first: int, row: int, account: Any
) -> bool:
    """Recomputes one credit or reversal of a group that begins at ``first``."""
    day, version, position = rows.day[row], rows.version[row], rows.position[row]
    state.account[0].last_position = max(state.account[0].last_position, position)
    for run in range(len(t.runs)):
        # Whoever writes to an account with a run pending writes the run's lines before.
        if t.runs[run].approved < position < runs[run].first_position:
            return False
    if rows.kind[row] == CREDITED:
        year_first = t.year_start[rows.year[row]]
        leap = 1 if t.year_start[rows.year[row] + 1] - year_first == 366 else 0
        of_year = day - year_first
        right = (
            _credit_is_right(t, rows, state, uses, stack, row, of_year, t.month_of[leap, of_year])
            and consent_holds(t, rows, state, account[0], account[1], row)
            and (not state.account[0].has_status or is_open(rows, account[0], account[1], version))
        )
        state.account[0].balance += state.rows[row].mass if right else 0
        state.account[0].credits += 1
        return right
    credit = find(rows, first, row, rows.refers_to[row], CREDITED)
    right = (
        rows.kind[row] == REVERSED
        and credit >= 0
        and not state.rows[credit].reversed
        and rows.day[credit] == day
        and rows.credited_mg[row] == state.rows[credit].mass
        and not _was_due(t, rows, state, runs, position, credit)
    )
    if right:
        state.rows[credit].reversed = True
        state.account[0].balance -= state.rows[credit].mass
    return right


@inlined
def _after_lines(
    t: Any, rows: Any, state: Any, uses: Any, stack: Any, runs: Any, first: int, row: int, end: int
) -> int:
    """The row after the lines of a run that begin at ``row``, once they are found right; else -1."""
    run = t.run_of_name[rows.decision[row]]
    if run < 0 or t.runs[run].behavior != rows.behavior[first] or runs[run].in_group:
        return -1
    runs[run].in_group = True
    gained = runs[run].after - runs[run].before
    last = _lines_end(rows, runs, run, row, end)
    state.account[0].balance += runs[run].after - runs[run].before - gained
    if last < 0:
        return -1
    return last if _lines_are_right(t, rows, state, uses, stack, run, first, row, last) else -1


@inlined
def _group_is_right(
    t: Any, rows: Any, state: Any, uses: Any, stack: Any, runs: Any, first: int, end: int, account: Any
) -> bool:
    """Recomputes one group; ``account``: (first row, first row with a behavior). Sums go to ``state.account``."""
    year = rows.year[first]
    if not 1 <= year <= 9999:
        return False
    year_first, year_end = t.year_start[year], t.year_start[year + 1]
    for run in range(len(t.runs)):
        runs[run].in_group = False
    state.account[0].balance, state.account[0].credits = 0, 0
    row, right = first, True
    while right and row < end:
        if not year_first <= rows.day[row] < year_end:
            right = False
        elif rows.kind[row] == LINE:
            row = _after_lines(t, rows, state, uses, stack, runs, first, row, end)
            right = row > 0
        else:
            right = _event_is_right(t, rows, state, uses, stack, runs, first, row, account)
            row += 1
        right = right and -BOUND < state.account[0].balance < BOUND
    right = right and _nothing_left_out(t, rows, state, runs, rows.behavior[first], first, end)
    forget(t, -1, rows, uses, first, end)
    return right


@inlined
def _runs_are_right(t: Any, state: Any, runs: Any) -> bool:
    """Every run gave the account as many lines as its headers say, and none that is pending was passed over."""
    for run in range(len(t.runs)):
        revised = runs[run].first_position > 0
        if runs[run].lines != runs[run].expected or runs[run].finished != revised or revised != (runs[run].lines > 0):
            return False
        if runs[run].waiting and state.account[0].last_position > t.runs[run].approved:
            return False
    return True


@inlined
def _account_is_right(
    t: Any, rows: Any, state: Any, uses: Any, stack: Any, runs: Any, first: int, end: int, out: Any
) -> int:
    """Recomputes one account; returns how many balances were put out, or -1 when it is not proven."""
    groups = first
    while groups < end and rows.kind[groups] < CREDITED:
        groups += 1
    if not (in_stream_order(rows, state, first, end) and about_account(t, rows, state, runs, first, groups)):
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
    return made if _runs_are_right(t, state, runs) else -1


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
