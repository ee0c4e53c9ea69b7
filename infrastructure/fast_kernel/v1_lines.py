"""Rule version v1 in machine code: the lines that one run gives to accounts, from what is booked.

Source: ``domain.history`` (what is booked), ``domain.revision.lines_for``, DESIGN section 3.
"""

from __future__ import annotations

from typing import Any

from application.ports.archive import BOUND, CREDITED, IRREGULAR, LINE, REVERSED
from infrastructure.fast_kernel.compiling import compiled, inlined
from infrastructure.fast_kernel.v1_account import in_stream_order
from infrastructure.fast_kernel.v1_law import find, forget, requantify


@inlined
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
        credit = find(rows, first, row, rows.refers_to[row], CREDITED)
        if credit < 0:
            return False
        if kind == REVERSED:
            state.rows[credit].reversed = True
        else:
            state.rows[credit].mass = rows.credited_mg[row]
    return True


@inlined
def _account_lines(
    t: Any, rows: Any, state: Any, uses: Any, stack: Any, behavior: int, first: int, end: int, out: Any
) -> int:
    """The lines of the one run in one account; returns how many, or -1 when the account is not proven."""
    if not in_stream_order(rows, state, first, end):
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
            right = _book(t, rows, state, row, stop) and requantify(t, rows, state, uses, stack, 0, row, stop)
            forget(t, -1, rows, uses, row, stop)
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
