"""What in the schema refuses what the log never does: triggers with their functions, keys, unique indexes, constraints.

Keeps: one list, as the migrations make it, for ``check`` and for ``database show``; whoever may connect may ask, since
PostgreSQL's catalogue is everybody's to read.
Leaves to ``migrating``: making them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from psycopg import Connection
from psycopg.rows import tuple_row

from infrastructure.postgres.migrating import known_migrations

_APPEND = "BEFORE INSERT ON journal.{} FOR EACH STATEMENT EXECUTE FUNCTION journal.refuse_without_head()"
_ERASE = "BEFORE DELETE OR TRUNCATE ON journal.{} FOR EACH STATEMENT EXECUTE FUNCTION journal.refuse_without_head()"
_NEVER = "BEFORE DELETE OR UPDATE OR TRUNCATE ON journal.{} FOR EACH STATEMENT EXECUTE FUNCTION journal.refuse_change()"
_REMOVED = "BEFORE DELETE OR TRUNCATE ON journal.{} FOR EACH STATEMENT EXECUTE FUNCTION journal.refuse_change()"
_FORWARD = "BEFORE UPDATE ON journal.{} FOR EACH ROW EXECUTE FUNCTION journal.refuse_backwards()"
_COUNT = "BEFORE INSERT OR UPDATE ON journal.{} FOR EACH STATEMENT EXECUTE FUNCTION journal.refuse_without_head()"
_TRIGGERS = {
    "count_under_lock": (_COUNT, ("partner_days",)),
    "append_under_lock": (_APPEND, ("ledger_events", "behavior_refs", "log_commits")),
    "erase_under_lock": (_ERASE, ("account_refs", "account_keys")),
    "never_changed": (_NEVER, ("ledger_events", "behavior_refs", "log_commits", "checkpoints", "cosignatures")),
    "never_removed": (_REMOVED, ("log_head",)),
    "only_forward": (_FORWARD, ("log_head",)),
}
_UNIQUE = {
    "journal.ledger_events.ledger_events_pkey": "originator_id, originator_version",
    "journal.ledger_events.ledger_events_notification_id_idx": "notification_id",
    "journal.ledger_snapshots.ledger_snapshots_pkey": "originator_id, originator_version",
    "journal.log_head.log_head_pkey": "only_row",
    "journal.log_commits.log_commits_pkey": "last_position",
    "journal.log_commits.log_commits_recorded_us_key": "recorded_us",
    "journal.behavior_refs.behavior_refs_pkey": "ref",
    "journal.account_refs.account_refs_pkey": "account_key",
    "journal.account_refs.account_refs_account_id_key": "account_id",
    "journal.account_keys.account_keys_pkey": "account_id",
    "journal.checkpoints.checkpoints_pkey": "size, map_position",
    "journal.cosignatures.cosignatures_pkey": "size, map_position, name, key_hash",
    "journal.request_nonces.request_nonces_pkey": "key, nonce",
    "journal.partner_days.partner_days_pkey": "partner, day",
    "views.progress.progress_pkey": "only_row",
    "views.account_balance.account_balance_pkey": "account_id, behavior",
    "views.account_statement.account_statement_pkey": "account_id, position",
    "views.book_totals.book_totals_pkey": "behavior",
    "views.tree_nodes.tree_nodes_pkey": "level, number",
    "views.map_streams.map_streams_pkey": "prefix, key",
    "views.map_parts.map_parts_pkey": "prefix",
    "webhooks.targets.targets_pkey": "origin, owner",
    "webhooks.subscriptions.subscriptions_pkey": "id",
    "webhooks.messages.messages_pkey": "subscription, position, kind",
}
_CONSTRAINTS = {
    "journal.log_head.log_head_only_row_check": "CHECK (only_row)",
    "views.progress.progress_only_row_check": "CHECK (only_row)",
    "journal.cosignatures.cosignatures_size_map_position_fkey": (
        "FOREIGN KEY (size, map_position) REFERENCES journal.checkpoints(size, map_position)"
    ),
    "webhooks.messages.messages_subscription_fkey": (
        "FOREIGN KEY (subscription) REFERENCES webhooks.subscriptions(id) ON DELETE CASCADE"
    ),
}
# MD5 is what PostgreSQL has for a text without an extension; who could find a second body for one of these could drop
# the list's other half, the trigger, with less work.
_FUNCTIONS = {
    "journal.refuse_without_head()": "3e494fdda7ce7624d9029efb53caa2d3",
    "journal.refuse_change()": "8bc918caa1527973d752a67b82f59088",
    "journal.refuse_backwards()": "f50f94f0d424d1e27e5851fc252f52a2",
    "views.shadow_begin()": "1c07bc2c733cf9ae844b30b4234f03a1",
    "views.shadow_key()": "71bbe1dbe8dab5520721696da0319ef6",
    "views.shadow_swap(text)": "adf66d0c702876180e3e71c3199d3059",
    "views.shadow_end()": "7efcf171176b3790efd8768b7901324b",
}

GUARDS: Final[Mapping[str, str]] = {
    **{f"journal.{table}.{name}": text.format(table) for name, (text, tables) in _TRIGGERS.items() for table in tables},
    **_UNIQUE,
    **_CONSTRAINTS,
    **_FUNCTIONS,
}
"""Everything that refuses, by its name, and what it is: a trigger's or a constraint's definition, the columns of a
unique index, the MD5 of a function's body."""

# What is switched off has a definition that is none of the list's.
_FOUND = """
WITH tables AS (
    SELECT c.oid, c.relname, c.relrowsecurity, format('%s.%s', n.nspname, c.relname) AS name
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname IN ('journal', 'views', 'webhooks') AND c.relkind IN ('r', 'p')
)
SELECT format('%s.%s', t.name, g.tgname), CASE WHEN g.tgenabled IN ('O', 'A')
    THEN substr(pg_get_triggerdef(g.oid), length(format('CREATE TRIGGER %I ', g.tgname)) + 1) ELSE 'switched off' END
FROM pg_trigger AS g JOIN tables AS t ON t.oid = g.tgrelid WHERE NOT g.tgisinternal
UNION ALL
SELECT format('%s.%s', t.name, c.relname), CASE WHEN i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL THEN (
    SELECT string_agg(a.attname, ', ' ORDER BY k.place) FROM unnest(i.indkey) WITH ORDINALITY AS k(number, place)
    JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attnum = k.number) ELSE 'of some rows only' END
FROM pg_index AS i JOIN tables AS t ON t.oid = i.indrelid JOIN pg_class AS c ON c.oid = i.indexrelid
WHERE i.indisunique
UNION ALL
SELECT format('%s.%s', t.name, c.conname), pg_get_constraintdef(c.oid)
FROM pg_constraint AS c JOIN tables AS t ON t.oid = c.conrelid WHERE c.contype IN ('c', 'f')
UNION ALL
SELECT format('%s.%s', t.name, r.rulename), 'a rule' FROM pg_rewrite AS r JOIN tables AS t ON t.oid = r.ev_class
UNION ALL
SELECT format('%s.row_security', t.name), 'row security' FROM tables AS t WHERE t.relrowsecurity
UNION ALL
SELECT format('%s.%s(%s)', n.nspname, p.proname, oidvectortypes(p.proargtypes)), md5(p.prosrc)
FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace WHERE n.nspname IN ('journal', 'views', 'webhooks')
"""


class Off(NamedTuple):
    """A guard that is not as the migrations made it. ``is_missing``: it is not there, or switched off."""

    name: str
    is_missing: bool
    message: str


def guards_off(conn: Connection[Any]) -> list[Off]:
    """Guards that are missing, switched off or others, and what stands beside them uncalled for; by name."""
    with conn.transaction(), conn.cursor(row_factory=tuple_row) as cursor:
        # So that names come out qualified, whatever the role's own path.
        cursor.execute("SET LOCAL search_path = pg_catalog")
        found: dict[str, str] = dict(cursor.execute(_FOUND.encode()).fetchall())
    wrong = []
    for name in sorted(GUARDS.keys() | found.keys()):
        made, now = GUARDS.get(name), found.get(name)
        if now is None or now == "switched off":
            wrong.append(Off(name, True, "it is not there" if now is None else "it is switched off"))
        elif made is None:
            wrong.append(Off(name, False, f"no migration made it: {now}"))
        elif made != now:
            wrong.append(Off(name, False, f"it is {now!r}, made as {made!r}"))
    return wrong


def migrations_told(conn: Connection[Any]) -> tuple[list[str], list[str]]:
    """Migrations of this release that ``public.ledger_migrations`` does not tell, and those told that it has not."""
    with conn.cursor(row_factory=tuple_row) as cursor:
        told = {row[0] for row in cursor.execute("SELECT name FROM public.ledger_migrations")}
    known = set(known_migrations())
    return sorted(known - told), sorted(told - known)
