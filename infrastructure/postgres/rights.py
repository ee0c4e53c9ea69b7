"""Who may do what in the database: the rights of the service and of readers, given, and shown as they are (ADR 0025).

Keeps: a role has what its kind needs and nothing else after ``grant``, however often it is asked for; what is shown is
what PostgreSQL would allow, whatever it follows from (a grant, a membership, everybody's rights).
Leaves to the database's administrator: making roles, and how they log in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import psycopg
from psycopg import Connection, sql
from psycopg.rows import tuple_row

from domain.errors import Rejected, Unavailable
from infrastructure.postgres.guards import guards_off
from infrastructure.postgres.migrating import may_migrate, refuse_older

Kind = Literal["service", "reader"]
Table = tuple[str, str]

_VIEW_RIGHTS = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE")
_SERVICE: Mapping[Table, tuple[str, ...]] = {
    ("public", "ledger_migrations"): ("SELECT",),
    ("journal", "ledger_events"): ("SELECT", "INSERT"),
    ("journal", "log_commits"): ("SELECT", "INSERT"),
    ("journal", "behavior_refs"): ("SELECT", "INSERT"),
    ("journal", "checkpoints"): ("SELECT", "INSERT"),
    ("journal", "cosignatures"): ("SELECT", "INSERT"),
    ("journal", "ledger_snapshots"): ("SELECT", "INSERT", "DELETE"),
    # Erasing a person deletes these rows; a new epoch wraps every key anew.
    ("journal", "account_refs"): ("SELECT", "INSERT", "DELETE"),
    ("journal", "account_keys"): ("SELECT", "INSERT", "DELETE", "UPDATE (wrapped)"),
    ("journal", "request_nonces"): ("SELECT", "INSERT", "DELETE"),
    ("journal", "partner_days"): ("SELECT", "INSERT", "UPDATE (rows)"),
    # Where messages may go is the owner's to say.
    ("webhooks", "targets"): ("SELECT",),
    ("webhooks", "subscriptions"): (
        *("SELECT", "INSERT", "DELETE"),
        *(f"UPDATE ({column})" for column in ("position", "state", "reason", "delivered", "failed")),
        *(f"UPDATE ({column})" for column in ("rounds_failed", "next_us", "failing_since_us", "succeeded_us")),
    ),
    ("webhooks", "messages"): (
        *("SELECT", "INSERT", "DELETE"),
        *(f"UPDATE ({column})" for column in ("tries", "next_us", "first_us", "dead_us", "error")),
    ),
    # All but the id of the book.
    ("journal", "log_head"): (
        "SELECT",
        *(f"UPDATE ({column})" for column in ("size", "rulebook_position", "recorded_us")),
        *(f"UPDATE ({column})" for column in ("frontier", "root", "key_epoch")),
    ),
}
_NOT_READ = ("account_refs", "account_keys", "behavior_refs", "request_nonces")
_READER: Mapping[Table, tuple[str, ...]] = {
    table: ("SELECT",) for table in _SERVICE if table[0] != "webhooks" and table[1] not in _NOT_READ
}
_FUNCTIONS = ("shadow_begin()", "shadow_key()", "shadow_swap(text)", "shadow_end()")
_SCHEMAS: Mapping[Kind, tuple[str, ...]] = {
    "service": ("public", "journal", "views", "views_shadow", "webhooks"),
    "reader": ("public", "journal", "views"),
}
_DATABASE: Mapping[Kind, tuple[str, ...]] = {"service": ("CONNECT", "TEMPORARY"), "reader": ("CONNECT",)}
_HARMLESS = {"CONNECT database", "TEMPORARY database", "USAGE schema public"}
"""What everybody has unless the administrator took it away."""

_OWNER = """
SELECT c.relowner::regrole::text, c.relowner FROM pg_class AS c WHERE c.oid = 'public.ledger_migrations'::regclass
"""
_ROLE = "SELECT oid, rolsuper, pg_has_role(oid, %s, 'MEMBER') FROM pg_roles WHERE rolname = %s"
_TABLES = """
SELECT schemaname, tablename FROM pg_tables
WHERE schemaname IN ('journal', 'views', 'webhooks') OR (schemaname, tablename) = ('public', 'ledger_migrations')
ORDER BY 1, 2
"""
_EFFECTIVE = """
WITH roles AS (
    SELECT oid, rolname FROM pg_roles WHERE rolname !~ '^pg_'
), tables AS (
    SELECT c.oid, format('%%s.%%s', n.nspname, c.relname) AS name
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r'
        AND (n.nspname IN ('journal', 'views', 'webhooks') OR c.oid = to_regclass('public.ledger_migrations'))
)
SELECT r.rolname, p.name || ' ' || t.name FROM roles AS r CROSS JOIN tables AS t
CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) AS p(name)
WHERE has_table_privilege(r.oid, t.oid, p.name)
UNION ALL
SELECT r.rolname, format('%%s (%%s) %%s', p.name, a.attname, t.name) FROM roles AS r CROSS JOIN tables AS t
JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'REFERENCES']) AS p(name)
WHERE has_column_privilege(r.oid, t.oid, a.attnum, p.name) AND NOT has_table_privilege(r.oid, t.oid, p.name)
UNION ALL
SELECT r.rolname, format('%%s schema %%s', p.name, n.nspname) FROM roles AS r CROSS JOIN pg_namespace AS n
CROSS JOIN unnest(ARRAY['USAGE', 'CREATE']) AS p(name)
WHERE n.nspname IN ('public', 'journal', 'views', 'views_shadow', 'webhooks')
    AND has_schema_privilege(r.oid, n.oid, p.name)
UNION ALL
SELECT r.rolname, p.name || ' database' FROM roles AS r
CROSS JOIN unnest(ARRAY['CONNECT', 'TEMPORARY', 'CREATE']) AS p(name)
WHERE has_database_privilege(r.oid, current_database(), p.name)
UNION ALL
SELECT r.rolname, format('EXECUTE views.%%s', p.name) FROM roles AS r CROSS JOIN unnest(%s::text[]) AS p(name)
WHERE has_function_privilege(r.oid, 'views.' || p.name, 'EXECUTE')
"""
_ATTRIBUTES = """
SELECT rolname, pg_has_role(oid, %s, 'MEMBER'), array_remove(ARRAY[
    CASE WHEN rolsuper THEN 'is a superuser: no trigger and no right binds it' END,
    CASE WHEN rolreplication THEN 'may replicate: it can read every byte of the server' END,
    CASE WHEN rolcreaterole THEN 'may create roles, and be what it creates' END], NULL)
FROM pg_roles WHERE rolname !~ '^pg_'
"""
_MAY_SILENCE = """
SELECT rolname FROM pg_roles WHERE NOT rolsuper AND has_parameter_privilege(oid, 'session_replication_role', 'SET')
"""


@dataclass(frozen=True)
class Role:
    """A role as PostgreSQL sees it. ``holds``: owner, service, reader or other.

    ``missing``: what its kind needs and it has not; ``more``: what it has beyond that.
    """

    name: str
    holds: str
    missing: list[str]
    more: list[str]


@dataclass(frozen=True)
class Access:
    """Schema version, who owns the schema, who asks, every role that may do anything, and guards that are off."""

    version: int
    owner: str
    role: str
    roles: list[Role]
    guards_off: list[str]


def grant(conninfo: str, role: str, kind: Kind) -> None:
    """Give a role what its kind needs, and take the rest, in one transaction.

    Raises Rejected ``role_unknown``, ``role_not_limited``; Unavailable ``schema_older``, ``right_missing``.
    """
    with psycopg.connect(conninfo, autocommit=True, row_factory=tuple_row) as conn, conn.transaction():
        refuse_older(conn)
        _refuse_ungrantable(conn, role)
        for statement in _grants(conn, role, kind):
            conn.execute(statement)


def access(conninfo: str) -> Access:
    """What roles may do. Raises Unavailable ``schema_older``, ``schema_newer``, ``right_missing``."""
    with psycopg.connect(conninfo, autocommit=True, row_factory=tuple_row) as conn, conn.transaction():
        conn.execute("SET TRANSACTION READ ONLY")
        version = refuse_older(conn)
        (owner, owner_oid) = _one(conn, _OWNER)
        (role,) = _one(conn, "SELECT current_user::text")
        held: dict[str, set[str]] = {}
        for name, right in conn.execute(_EFFECTIVE, (list(_FUNCTIONS),)):
            held.setdefault(name, set()).add(right)
        beyond = _beyond(conn, owner_oid)
        wanted = {kind: _wanted(conn, kind) for kind in ("service", "reader")}
        roles = [_role(name, held.get(name, set()), wanted, *beyond[name]) for name in sorted(beyond)]
        off = [each.name for each in guards_off(conn)]
    shown = [each for each in roles if each.holds != "other" or each.more or each.name == role]
    return Access(version, owner, role, shown, off)


def _refuse_ungrantable(conn: Connection[Any], role: str) -> None:
    owner, owner_oid = _one(conn, _OWNER)
    # PostgreSQL itself would only warn whoever holds a right and may not give it on.
    if not may_migrate(conn):
        raise Unavailable(
            "right_missing",
            f"only {owner}, which owns the schema, gives rights on it",
            field="CARBON_LEDGER_DSN",
            remedy=f"connect as {owner}",
        )
    found = conn.execute(_ROLE, (owner_oid, role)).fetchone()
    if found is None:
        quoted = sql.Identifier(role).as_string(conn)
        raise Rejected(
            "role_unknown",
            f"the server has no role {role}",
            field="role",
            remedy=f"let its administrator make it: CREATE ROLE {quoted} LOGIN, and how it logs in",
        )
    if found[1] or found[2]:
        raise Rejected(
            "role_not_limited",
            f"{role} is {'a superuser' if found[1] else f'the owner {owner}, or a member of it'}: no grant limits it",
            field="role",
            remedy="make a role of its own for this, which is neither",
        )


def _grants(conn: Connection[Any], role: str, kind: Kind) -> list[bytes]:
    """The statements, from a role that may have anything to one that has what its kind needs."""
    name = sql.Identifier(role).as_string(conn)
    functions = ", ".join(f"views.{each}" for each in _FUNCTIONS)
    statements = [
        f"REVOKE ALL ON ALL TABLES IN SCHEMA journal, views, views_shadow, webhooks FROM {name}",
        f"REVOKE ALL ON public.ledger_migrations FROM {name}",
        f"REVOKE ALL ON SCHEMA journal, views, views_shadow, webhooks FROM {name}",
        f"REVOKE ALL ON FUNCTION {functions} FROM {name}",
    ]
    # Where everybody has these, and the owner of the schema may not give them, there is nothing to do.
    for privilege in _DATABASE[kind]:
        if not _one(conn, "SELECT has_database_privilege(%s, current_database(), %s)", role, privilege)[0]:
            database = sql.Identifier(conn.info.dbname).as_string(conn)
            statements.append(f"GRANT {privilege} ON DATABASE {database} TO {name}")
    for schema in _SCHEMAS[kind]:
        if not (schema == "public" and _one(conn, "SELECT has_schema_privilege(%s, 'public', 'USAGE')", role)[0]):
            statements.append(f"GRANT USAGE ON SCHEMA {schema} TO {name}")
    for (schema, table), rights in _table_rights(conn, kind).items():
        statements.append(f"GRANT {', '.join(rights)} ON {schema}.{table} TO {name}")
    if kind == "service":
        statements.append(f"GRANT EXECUTE ON FUNCTION {functions} TO {name}")
    return [statement.encode() for statement in statements]


def _table_rights(conn: Connection[Any], kind: Kind) -> dict[Table, tuple[str, ...]]:
    """Rights on tables. A table that this list does not name is nobody's but the owner's; views are all alike."""
    named = _SERVICE if kind == "service" else _READER
    views = _VIEW_RIGHTS if kind == "service" else ("SELECT",)
    tables = [(schema, table) for schema, table in conn.execute(_TABLES)]
    return {
        each: views if each[0] == "views" else named[each] for each in tables if each[0] == "views" or each in named
    }


def _wanted(conn: Connection[Any], kind: Kind) -> set[str]:
    return {
        *(
            f"{right} {schema}.{name}"
            for (schema, name), rights in _table_rights(conn, kind).items()
            for right in rights
        ),
        *(f"USAGE schema {schema}" for schema in _SCHEMAS[kind]),
        *(f"{privilege} database" for privilege in _DATABASE[kind]),
        *(f"EXECUTE views.{each}" for each in _FUNCTIONS if kind == "service"),
    }


def _beyond(conn: Connection[Any], owner: int) -> dict[str, tuple[bool, list[str]]]:
    """By role: whether it is the owner or may become it, and what it is allowed that no right of a table tells."""
    found = {name: (owns, list(more)) for name, owns, more in conn.execute(_ATTRIBUTES, (owner,))}
    # Before PostgreSQL 15 a superuser alone could.
    if conn.info.server_version >= 150_000:
        for (name,) in conn.execute(_MAY_SILENCE):
            if name in found:
                found[name][1].append("may set session_replication_role: no trigger binds it")
    return found


def _role(name: str, held: set[str], wanted: Mapping[str, set[str]], owns: bool, beyond: list[str]) -> Role:
    if owns:
        return Role(name, "owner", [], beyond)
    holds = "other"
    if "INSERT journal.ledger_events" in held:
        holds = "service"
    elif "SELECT journal.ledger_events" in held:
        holds = "reader"
    needed = wanted.get(holds, set())
    return Role(name, holds, sorted(needed - held), [*beyond, *sorted(held - needed - _HARMLESS)])


def _one(conn: Connection[Any], query: str, *params: object) -> tuple[Any, ...]:
    row = conn.execute(query.encode(), params).fetchone()
    assert row is not None
    return tuple(row)
