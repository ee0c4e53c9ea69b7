"""Rows that stand beside the log and lead to nothing in it: what no event would miss, and somebody put there.

Keeps: each question is one statement, so one snapshot of the database, whoever writes meanwhile; the server joins and
counts, and what comes back is bounded. What a role may not read comes last.
Leaves to ``application.log_checks``: the other direction, that every event is led to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from application.ports.audit_log import Loose, Wrong
from domain.audit.merkle import KEPT_LEVELS
from domain.events.account import AccountOpened, BehaviorCredited, PersonalDataErased

NAMED = 100
"""How many rows of a kind are named; all are counted."""

_REBUILD = "run `carbon-ledger checkpoint rebuild`"
_OWNER = "keep a copy as evidence, find out who could write around the ledger, and let the owner delete the row"


class _Question(NamedTuple):
    """``rows``: a query of one text column, the place; every row it gives is wrong."""

    code: str
    message: str
    remedy: str
    rows: str


_LIVING = """
SELECT format('journal.{table} %%s', t.account_id) FROM journal.{table} AS t LEFT JOIN journal.ledger_events AS e
    ON e.originator_id = t.account_id AND e.originator_version = 1 AND e.topic = %(opened)s
WHERE e.originator_id IS NULL
UNION ALL
SELECT format('journal.{table} %%s', t.account_id) FROM journal.{table} AS t JOIN journal.ledger_events AS e
    ON e.originator_id = t.account_id AND e.topic = %(erased)s
"""
_QUESTIONS = (
    _Question(
        "log_beyond_head",
        "a commit beyond the head of the log: its position or its instant can be given to nobody",
        _OWNER,
        """
        SELECT format('journal.log_commits %%s', last_position) FROM journal.log_commits CROSS JOIN journal.log_head
        WHERE last_position NOT BETWEEN 1 AND size
        """,
    ),
    _Question(
        "snapshot_loose",
        "a snapshot of what is no version of an account, or one of several of its account",
        "let the owner delete the row: snapshots are made anew",
        """
        SELECT format('journal.ledger_snapshots %%s@%%s', s.originator_id, s.originator_version)
        FROM journal.ledger_snapshots AS s LEFT JOIN journal.ledger_events AS e
            ON (e.originator_id, e.originator_version) = (s.originator_id, s.originator_version)
            AND e.topic LIKE 'carbon.account.%%'
        WHERE e.originator_id IS NULL
        UNION ALL
        SELECT format('journal.ledger_snapshots %%s', originator_id) FROM journal.ledger_snapshots
        GROUP BY originator_id HAVING count(*) > 1
        """,
    ),
    _Question(
        "subtree_loose",
        "a subtree that no checkpoint covers yet, or of a level that is not kept: the next signer would meet it",
        _REBUILD,
        """
        SELECT format('views.tree_nodes level %%s number %%s', level, number) FROM views.tree_nodes
        CROSS JOIN (SELECT coalesce(max(size), 0) AS signed FROM journal.checkpoints) AS c
        WHERE level NOT BETWEEN 1 AND 62 OR level %% %(levels)s <> 0 OR number < 0
            OR number >= signed >> least(level, 62)::int
        """,
    ),
    _Question(
        "checkpoint_forged",
        "a checkpoint of no size: none is signed before the first event",
        _OWNER,
        "SELECT format('journal.checkpoints %%s', size) FROM journal.checkpoints WHERE size < 1 OR map_position < 0",
    ),
    _Question(
        "map_changed",
        "a stream of the map stands under another prefix than its key's: whoever asks for its prefix is not shown it",
        _REBUILD,
        """
        SELECT format('views.map_streams %%s', stream) FROM views.map_streams
        WHERE CASE WHEN length(key) < 2 THEN true ELSE prefix <> get_byte(key, 0) * 256 + get_byte(key, 1) END
        """,
    ),
    _Question(
        "reference_loose",
        "a reference that leads to no credit, or one of several that lead to one",
        _OWNER,
        """
        SELECT format('journal.behavior_refs %%s position %%s', r.ref, r.position) FROM journal.behavior_refs AS r
        LEFT JOIN journal.ledger_events AS e ON e.notification_id = r.position AND e.topic = %(credited)s
        WHERE e.notification_id IS NULL
        UNION ALL
        SELECT format('journal.behavior_refs position %%s', position) FROM journal.behavior_refs
        GROUP BY position HAVING count(*) > 1
        """,
    ),
    _Question(
        "account_name_loose",
        "a name that leads to no account, or to an erased one",
        _OWNER,
        _LIVING.format(table="account_refs"),
    ),
    _Question(
        "account_key_loose",
        "a key of an account that never was, or was erased",
        _OWNER,
        _LIVING.format(table="account_keys"),
    ),
)
_PARAMS = {
    "opened": AccountOpened.TOPIC,
    "erased": PersonalDataErased.TOPIC,
    "credited": BehaviorCredited.TOPIC,
    "levels": KEPT_LEVELS,
    "named": NAMED,
}


def loose_rows(fetch: Callable[[str, Any], Sequence[Any]]) -> Iterator[Loose]:
    """What each question finds, in the order of the rights that it takes."""
    for question in _QUESTIONS:
        query = f"SELECT place, count(*) OVER () FROM ({question.rows}) AS q(place) ORDER BY place LIMIT %(named)s"
        if rows := fetch(query, _PARAMS):
            named: list[Wrong] = [(question.code, place, question.message, question.remedy) for place, _ in rows]
            yield Loose(rows[0][1], named)
