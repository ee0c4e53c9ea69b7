"""What a server must promise before the ledger trusts it, and what its failures mean to a person.

Keeps: no work on a server that may forget a commit; failures get the same code whatever raised them.
Leaves to others: where the server comes from (embedded or a DSN).
"""

from __future__ import annotations

import errno
import re
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import tuple_row

from domain.errors import Unavailable
from infrastructure.embedded.binaries import OLDEST_MAJOR

# The values under which a commit is on this server's disk when it is acknowledged.
SAFE_VALUES = {
    "fsync": ("on",),
    "full_page_writes": ("on",),
    "synchronous_commit": ("on", "local", "remote_write", "remote_apply"),
}
# A refused login has no state code either. In another language of the server it reads as a lost one, with its words.
_REFUSED_LOGINS = (
    "authentication failed",
    "no pg_hba.conf entry",
    "permission denied for database",
    "is not permitted to log in",
    "does not exist",
    "no password supplied",
)
_FULL_DISK_MESSAGES = ("No space left on device", "Disk quota exceeded", "disk full")


def check_setting(name: str, value: str) -> None:
    """Raise Unavailable ``unsafe_server_setting`` when the value may lose an acknowledged commit."""
    if value not in SAFE_VALUES[name]:
        raise Unavailable(
            "unsafe_server_setting",
            f"the database server has {name} = {value}, so that it may lose what it has acknowledged",
            field=name,
            remedy=f"set {name} to on (postgresql.conf, ALTER SYSTEM, ALTER ROLE or ALTER DATABASE) and try again",
        )


def check_server_settings(conn: psycopg.Connection[Any]) -> None:
    """Refuse a server, embedded or by DSN, that is too old or may lose a commit. Leaves no transaction open.

    Raises Unavailable ``server_version_unsupported`` or ``unsafe_server_setting``. Source: DESIGN 4, scale.
    """
    if conn.info.server_version < OLDEST_MAJOR * 10_000:
        raise Unavailable(
            "server_version_unsupported",
            f"the database server is PostgreSQL {conn.info.server_version // 10_000}",
            remedy=f"use PostgreSQL {OLDEST_MAJOR} or newer",
        )
    with conn.transaction(), conn.cursor(row_factory=tuple_row) as cursor:
        cursor.execute("SELECT name, setting FROM pg_settings WHERE name = ANY(%s)", [list(SAFE_VALUES)])
        for name, value in cursor.fetchall():
            check_setting(name, value)


def mentions_full_disk(text: str) -> bool:
    """Whether a program's messages say that the disk or quota is used up."""
    return any(message in text for message in _FULL_DISK_MESSAGES)


def explain(error: BaseException, *, log: str = "") -> Unavailable | None:
    """The failure of a server or disk as a person should read it, or None when it is something else.

    ``log``: what the server wrote meanwhile, if known: it tells why a connection was lost. Follows ``__cause__``.
    """
    cause: BaseException | None = error
    while cause is not None:
        found = _explain_one(cause, log)
        if found is not None:
            return found
        cause = cause.__cause__
    return None


def _explain_one(error: BaseException, log: str) -> Unavailable | None:
    if isinstance(error, Unavailable):
        return _with_the_logs_help(error, log)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return _disk_full(str(error))
    if isinstance(error, psycopg.errors.DiskFull):
        return _disk_full(str(error))
    if isinstance(error, psycopg.errors.AdminShutdown):
        return Unavailable("server_stopped", "the database server was stopped", remedy="run the command again")
    if isinstance(error, psycopg.errors.CannotConnectNow):
        return Unavailable(
            "server_not_ready", f"the database server is not ready: {error}", remedy="wait a little and try again"
        )
    if isinstance(error, psycopg.errors.TooManyConnections):
        return Unavailable("server_busy", str(error), remedy="close other programs or raise max_connections")
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return Unavailable(
            "not_permitted",
            f"the database role of this session may not do that: {error}",
            remedy="use the role that owns the ledger: whoever is shown personal facts is recorded first",
        )
    if isinstance(error, psycopg.errors.ReadOnlySqlTransaction):
        return Unavailable("server_read_only", str(error), remedy="connect to the primary server")
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return _right_missing(error)
    if isinstance(error, psycopg.errors.IoError):
        return Unavailable("disk_failed", str(error), remedy="check the disk before going on")
    if _is_lost(error) and any(word in str(error) for word in _REFUSED_LOGINS):
        return Unavailable(
            "login_refused",
            f"the database server does not let this role in: {error}",
            field="CARBON_LEDGER_DSN",
            remedy="check user, database and how it logs in; `carbon-ledger database grant` gives CONNECT "
            "to a new role",
        )
    if _is_lost(error):
        lost = Unavailable(
            "server_lost",
            f"the database does not answer, or no longer: {error}",
            remedy="run the command again; if it fails again, see the server's log",
        )
        return _with_the_logs_help(lost, log)
    return None


def _right_missing(error: psycopg.errors.InsufficientPrivilege) -> Unavailable:
    said = error.diag.message_primary or str(error)
    # Such as "permission denied for table account_keys"; in another language of the server the name stands there too.
    named = re.search(r"[a-z_]+$", said)
    return Unavailable(
        "right_missing",
        f"this database role may not do that: {said}",
        field="" if named is None else named[0],
        remedy="`carbon-ledger database show` tells what this role may do. With the role that owns the database, "
        "`database grant ROLE --as service` gives what the service needs, `--as reader` what reads without names, "
        "references and keys; what only an owner may do is `database migrate`",
    )


def _with_the_logs_help(error: Unavailable, log: str) -> Unavailable:
    """A lost connection may have been explained already where the log was not at hand."""
    # What one statement met (ERROR) may be long past; these two end connections.
    last_words = [line for line in log.splitlines() if "PANIC:" in line or "FATAL:" in line]
    full = [line for line in last_words if mentions_full_disk(line)]
    return _disk_full(f"{full[-1]} ({error.message})") if full and error.code == "server_lost" else error


def _is_lost(error: BaseException) -> bool:
    if isinstance(error, psycopg.errors.CrashShutdown):
        return True
    # Without a state code the server did not say it: the connection broke or was never made.
    return isinstance(error, psycopg.OperationalError) and error.sqlstate is None


def _disk_full(detail: str) -> Unavailable:
    return Unavailable(
        "disk_full", f"no space is left: {detail.strip()}", remedy="free some space, then run the command again"
    )


def size_of(log: Path) -> int:
    """Bytes in a log; 0 when there is none."""
    return log.stat().st_size if log.exists() else 0


def read_tail(log: Path, *, start: int = 0, limit: int = 4_000) -> str:
    """The last ``limit`` bytes of a log written after byte ``start``; empty when there is no log."""
    try:
        with open(log, "rb") as file:
            end = file.seek(0, 2)
            file.seek(max(start if start <= end else 0, end - limit))
            return file.read().decode("utf-8", "replace").strip()
    except FileNotFoundError:
        return ""
