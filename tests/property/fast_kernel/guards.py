"""Checks of the fast kernel left out, one source edit each: what only altered logs or altered rows show.

Keeps: a check that is missing proves an account that is wrong; nothing else would tell. ``right`` occurs exactly once.
Leaves to the tests: that wrong books, alterations and altered cells report every one of them.
"""

from __future__ import annotations

from application.ports.archive import CREDITED, LINE, REVISED
from tests.property.fast_kernel.variants import Mutant

LAW = "v1"

# What only an altered log shows.
GUARDS = [
    Mutant(
        "was_due always False",
        LAW,
        "            return True\n    return False\n\n\n@inlined\ndef _nothing",
        "            return False\n    return False\n\n\n@inlined\ndef _nothing",
    ),
    Mutant(
        "nothing_left_out always True",
        LAW,
        "right = right and _nothing_left_out(",
        "right = right or _nothing_left_out(",
    ),
    Mutant("consent validity ignored: from", LAW, "if start != NONE and day <", "if False and day <"),
    Mutant("consent validity ignored: to", LAW, "return bool(stop == NONE or", "return bool(True or"),
    Mutant("consent scope ignored", LAW, "if not t.consent_covers[rows.terms[consent], behavior]:", "if False:"),
    Mutant("a partner overrules a withdrawal", LAW, "            said = True\n", "            pass\n"),
    Mutant("a partner overrules the person", LAW, "and past and not said))", "and past))"),
    Mutant("a partner asserts the future", LAW, "and past and not said))", "and not said))"),
    Mutant("a consent of any kind", LAW, "return bool(basis == DIRECT or (", "return bool(basis != IMPORTED or ("),
    Mutant("withdrawn consent counts", LAW, "if state.rows[consent].ended and", "if False and"),
    Mutant(
        "a consent counts before it is given",
        LAW,
        "if consent < 0 or rows.version[consent] > rows.version[row]:",
        "if consent < 0:",
    ),
    Mutant("a closed account may open again", LAW, "if status == CLOSED or (", "if ("),
    Mutant("an account may be frozen twice", LAW, "((kind == UNFROZEN) != (status == FROZEN) and", "(False and"),
    Mutant("status ignored", LAW, "return status in (OPENED, UNFROZEN)", "return True"),
    Mutant("the last status of all counts", LAW, "        if rows.version[row] >= version:\n            break\n", ""),
    Mutant("an erased account is taken for right", LAW, "if kind in (IRREGULAR, ERASED) or", "if kind == IRREGULAR or"),
    Mutant("computed mass not compared", LAW, "if computed != rows.computed_mg[row] or mass", "if mass"),
    Mutant("credited mass not compared", LAW, "or mass != rows.credited_mg[row]:", "or False:"),
    Mutant("decision not compared", LAW, "if rows.decision[row] != t.decisions[decision].name or", "if"),
    Mutant(
        "methodology not compared", LAW, "or rows.methodology[row] != t.decisions[decision].methodology:", "or False:"
    ),
    Mutant("rule, unit and scale not compared", LAW, "if rows.terms[row] != t.decisions[decision].terms:", "if False:"),
    Mutant("reversed mass not compared", LAW, "        and rows.credited_mg[row] == state.rows[credit].mass\n", ""),
    Mutant("reversed twice", LAW, "        and not state.rows[credit].reversed\n", ""),
    Mutant("reversal without its day", LAW, "        and rows.day[credit] == day\n", ""),
    Mutant("lines without their reason", LAW, "or rows.terms[line] != t.reason_terms[reason]:", "or False:"),
    Mutant("lines without their computed mass", LAW, "if rows.computed_mg[line] != computed or", "if"),
    Mutant("lines without what was before", LAW, "if rows.before_mg[line] != state.rows[credit].mass or", "if"),
    Mutant("lines without what is after", LAW, "or rows.credited_mg[line] != state.rows[credit].final:", "or False:"),
    Mutant("lines of other credits", LAW, "or rows.refers_to[line] != rows.version[credit] or", "or"),
    Mutant("lines of other days", LAW, "or rows.day[line] != rows.day[credit]:", "or False:"),
    Mutant("lines may be left over", LAW, "    return line == end\n", "    return True\n"),
    Mutant(
        "credits do not wait for a pending run",
        LAW,
        "if t.runs[run].approved < position < runs[run].first_position:",
        "if False:",
    ),
    Mutant("an open run may be passed over", LAW, "if runs[run].waiting and", "if False and"),
    Mutant(
        "a completed run may leave accounts out",
        LAW,
        "if runs[run].first_position > 0 or t.runs[run].completed <= t.until:",
        "if False:",
    ),
    Mutant(
        "a run beside its time",
        LAW,
        "if not t.runs[run].approved < rows.position[row] <= t.runs[run].completed:",
        "if False:",
    ),
    Mutant("a run without lines", LAW, "or revised != (runs[run].lines > 0):", "or False:"),
    Mutant(
        "versions may be missing",
        LAW,
        "        if state.rows[told].told_at <= position:\n            return False\n",
        "",
    ),
    Mutant(
        "versions out of log order",
        LAW,
        "if state.rows[told].told_at <= position:",
        "if state.rows[told].told_at <= 0:",
    ),
]

# What only altered rows show, by the kind and column of the cell: no event gives such rows.
CELLS = [
    (
        CREDITED,
        "kind",
        Mutant(
            "credits among the rows of the account",
            LAW,
            "or (kind == OPENED and row > first) or rows.year[row] != 0:",
            "or (kind == OPENED and row > first):",
        ),
    ),
    (
        LINE,
        "methodology",
        Mutant(
            "lines without their version",
            LAW,
            "        if rows.methodology[line] != t.runs[run].methodology:\n            return False\n",
            "",
        ),
    ),
    (
        LINE,
        "terms",
        Mutant(
            "lines without their rule and reason", LAW, "or rows.terms[line] != t.reason_terms[reason]:", "or False:"
        ),
    ),
    (
        REVISED,
        "methodology",
        Mutant(
            "a run under another version",
            LAW,
            "    if rows.methodology[row] != t.runs[run].methodology:\n        return False\n",
            "",
        ),
    ),
    (
        REVISED,
        "terms",
        Mutant(
            "a run under another rule",
            LAW,
            "or runs[run].finished or rows.terms[row] != t.rule_terms:",
            "or runs[run].finished:",
        ),
    ),
    (REVISED, "refers_to", Mutant("lines counted by nobody", LAW, "if runs[run].lines != runs[run].expected or", "if")),
]
