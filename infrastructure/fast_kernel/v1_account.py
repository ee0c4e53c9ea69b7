"""Rule version v1 in machine code: what stands about an account as a whole, and whether a credit may rest on it.

Source: ``domain.replay`` and ``domain.account`` (consents, status, versions, headers of revisions), DESIGN section 3.
"""

from __future__ import annotations

from typing import Any, Final

from application.ports.archive import (
    CLOSED,
    CONSENT_WITHDRAWN,
    CONSENTED,
    ERASED,
    FROZEN,
    IRREGULAR,
    LINE,
    NONE,
    OPENED,
    REVISED,
    UNFROZEN,
)
from infrastructure.fast_kernel.compiling import inlined
from infrastructure.fast_kernel.v1_law import find

MICROSECONDS_PER_DAY: Final = 86_400_000_000
EPOCH_ORDINAL: Final = 719_163
DIRECT: Final = 1
IMPORTED: Final = 2


@inlined
def in_stream_order(rows: Any, state: Any, first: int, end: int) -> bool:
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


@inlined
def _header_is_right(t: Any, rows: Any, runs: Any, row: int) -> bool:
    """Reads the header of a part of a revision: of an approved run, while it was open, and not after its last part."""
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
    return True


@inlined
def _may_be_granted(t: Any, rows: Any, row: int, said: bool) -> bool:
    """A partner's word is for all past, and overrules nothing that the person said."""
    basis = t.consent_basis[rows.terms[row]]
    past = rows.valid_from_us[row] == NONE and rows.valid_to_us[row] != NONE
    return bool(basis == DIRECT or (basis == IMPORTED and past and not said))


@inlined
def about_account(t: Any, rows: Any, state: Any, runs: Any, first: int, groups: int) -> bool:
    """Reads the rows about the account as a whole: opening, consents, status, headers of revisions."""
    state.account[0].last_position, state.account[0].has_status = 0, False
    for run in range(len(t.runs)):
        runs[run].first_position, runs[run].last_position = 0, 0
        runs[run].expected, runs[run].lines = 0, 0
        runs[run].before, runs[run].after = 0, 0
        runs[run].finished, runs[run].waiting = False, False
    if first == groups or rows.kind[first] != OPENED or rows.version[first] != 1:
        return False
    status, said = OPENED, False
    for row in range(first, groups):
        kind, version = rows.kind[row], rows.version[row]
        state.rows[row].ended = 0
        # Who asked for an erasure and who approved it is not in the archive: the reference compares them.
        if kind in (IRREGULAR, ERASED) or (kind == OPENED and row > first) or rows.year[row] != 0:
            return False
        if kind == CONSENTED:
            if not _may_be_granted(t, rows, row, said):
                return False
            # Direct or withdrawn: a direct one is the person's word until it is withdrawn, which is one too.
            said = said or t.consent_basis[rows.terms[row]] == DIRECT
        elif kind == CONSENT_WITHDRAWN:
            said = True
            consent = find(rows, first, row, rows.refers_to[row], CONSENTED)
            if consent < 0 or state.rows[consent].ended:
                return False
            state.rows[consent].ended = version
        elif kind == REVISED:
            if not _header_is_right(t, rows, runs, row):
                return False
        elif kind != OPENED:
            state.account[0].has_status = True
            if FROZEN <= kind <= CLOSED:
                # Frozen from open, open from frozen, and closed for good: the rest is for the reference to tell.
                if status == CLOSED or ((kind == UNFROZEN) != (status == FROZEN) and kind != CLOSED):
                    return False
                status = kind
    return True


@inlined
def consent_holds(t: Any, rows: Any, state: Any, first: int, groups: int, row: int) -> bool:
    """The credit names a consent that was active at its version and covers its behavior and day."""
    consent = find(rows, first, groups, rows.refers_to[row], CONSENTED)
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


@inlined
def is_open(rows: Any, first: int, groups: int, version: int) -> bool:
    """Whether the account was open just before a version: its last freeze, unfreeze or close decides."""
    status = OPENED
    for row in range(first, groups):
        if rows.version[row] >= version:
            break
        if FROZEN <= rows.kind[row] <= CLOSED:
            status = rows.kind[row]
    return status in (OPENED, UNFROZEN)
