"""The steps around a start: programs and cluster that fit each other, settings that keep commits, the database.

Keeps: a server is not started on a data folder of another version or with settings that lose commits.
Leaves to others: when to take which step (``infrastructure.embedded_postgres``).
"""

from __future__ import annotations

import signal
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from domain.errors import Unavailable
from infrastructure.embedded.account import run_as
from infrastructure.embedded.binaries import Binaries, given_binaries, usable_binaries
from infrastructure.embedded.cluster import DATABASE, ROLE, cluster_major, create_cluster
from infrastructure.embedded.place import Place, client_folder, open_the_way
from infrastructure.embedded.safety import SAFE_VALUES, check_server_settings, check_setting, mentions_full_disk

# Said by a server that finds children of its killed predecessor still at work, or loses a race; it passes.
_PASSING = ("pre-existing shared memory block", 'lock file "postmaster.pid" already exists')


def make_startable(place: Place, given: Path | None) -> Binaries:
    """Create the cluster if there is none and return the programs that may start it.

    ``given``: the folder of programs that the caller insists on. Raises Unavailable ``postgres_not_found``,
    ``server_version_differs``, ``server_data_damaged``, ``unsafe_server_setting`` and what ``create_cluster`` does.
    """
    open_the_way(place)
    if place.has_cluster:
        programs = _programs(place, given, cluster_major(place.data))
    elif place.data.exists():
        raise Unavailable(
            "server_data_damaged",
            f"{place.data} exists but is no database (PG_VERSION is missing)",
            remedy="restore it from a backup, or delete it if nothing in it is needed",
        )
    else:
        programs = _programs(place, given, None)
        create_cluster(place, programs)
    _check_configured(place, programs)
    return programs


def open_database(place: Place) -> str:
    """Connect, check the settings, create the database if this is the first time; returns the conninfo."""
    parts = {
        "host": str(client_folder(place.run)),
        "hostaddr": "",  # PGHOSTADDR must not lead elsewhere
        "port": "5432",
        "user": ROLE,
        "requirepeer": place.account.name,
    }
    with psycopg.connect(make_conninfo("", dbname="postgres", **parts), autocommit=True, connect_timeout=10) as conn:
        check_server_settings(conn)
        if conn.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE]).rowcount == 0:
            conn.execute(f"CREATE DATABASE {DATABASE} TEMPLATE template0")
    return make_conninfo("", dbname=DATABASE, **parts)


def refuse_or_return(place: Place, status: int | None, words: str) -> str:
    """Raise for a server that ended while starting; a failure that passes by itself is returned instead.

    ``status``: its exit status, negative for a signal; ``words``: what it wrote. Raises Unavailable ``disk_full`` or
    ``server_not_started``.
    """
    # Killed from outside, by a person or for want of memory: that says nothing about the next attempt.
    if status == -signal.SIGKILL or any(passing in words for passing in _PASSING):
        return words
    if mentions_full_disk(words):
        raise Unavailable(
            "disk_full",
            f"no space is left for the database server: {words}",
            remedy=f"free some space on the disk of {place.base}, then try again; nothing committed is lost",
        )
    raise Unavailable(
        "server_not_started", f"the database server ended with {status}: {words}", remedy=f"its log is {place.log}"
    )


def _programs(place: Place, given: Path | None, major: int | None) -> Binaries:
    if given is None:
        return usable_binaries(place.account, major=major)
    programs = given_binaries(place.account, given)
    if major not in (None, programs.major):
        raise Unavailable(
            "server_version_differs",
            f"the data folder was made by PostgreSQL {major}, and {given} is {programs.version}",
            remedy=f"use the programs of PostgreSQL {major}; to move to a newer version use pg_upgrade",
        )
    return programs


def _check_configured(place: Place, programs: Binaries) -> None:
    # Before the server starts: even its recovery could lose what was safe if fsync were off.
    for name in SAFE_VALUES:
        answer = run_as(place.account, [programs.folder / "postgres", "-D", place.data, "-C", name], seconds=30)
        if answer.returncode != 0:
            raise Unavailable(
                "server_settings_invalid",
                f"PostgreSQL cannot read its settings: {answer.stdout.strip()[-2000:]}",
                remedy=f"correct postgresql.conf or postgresql.auto.conf in {place.data}",
            )
        check_setting(name, answer.stdout.strip().splitlines()[-1])
