"""The operating system account that runs the database server, and commands run as that account.

Keeps: PostgreSQL never runs as root; a started command sees no ``PG*`` variable and no foreign locale, so that
nothing in the caller's environment changes the server and its messages can be read by a program.
Leaves to others: which folders the account may reach (``place``).
"""

from __future__ import annotations

import errno
import os
import pwd
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from domain.errors import Unavailable

_STAND_INS = ("postgres", "_postgres", "nobody")


@dataclass(frozen=True, slots=True)
class Account:
    """Who runs the server. ``dropped``: we are root and the server must become this account."""

    uid: int
    gid: int
    name: str
    dropped: bool


def current_user_name() -> str:
    """Name of the user that runs the ledger; PostgreSQL refuses users that have none."""
    uid = os.geteuid()
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        raise Unavailable(
            "user_without_name",
            f"the user id {uid} has no entry in the user database, and PostgreSQL needs one",
            remedy="run as a user listed in /etc/passwd, or set CARBON_LEDGER_DSN to a PostgreSQL server",
        ) from None


def server_account() -> Account:
    """The account for a new cluster: the current user, or for root an unprivileged stand-in.

    Raises Unavailable ``no_unprivileged_account`` when root has no account to become.
    """
    uid = os.geteuid()
    if uid != 0:
        return Account(uid, os.getegid(), current_user_name(), dropped=False)
    for name in _STAND_INS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(entry.pw_uid, entry.pw_gid, entry.pw_name, dropped=True)
    raise Unavailable(
        "no_unprivileged_account",
        "PostgreSQL refuses to run as root, and there is neither a user 'postgres' nor 'nobody' to run it as",
        remedy="create a user named postgres, or run the ledger as an ordinary user",
    )


def owner_account(data: Path) -> Account:
    """The account of an existing cluster: the owner of its data folder, whatever a new cluster would get."""
    found = data.stat()
    if os.geteuid() != 0:
        if found.st_uid == os.geteuid():
            return server_account()
    elif found.st_uid != 0:
        try:
            entry = pwd.getpwuid(found.st_uid)
        except KeyError:
            pass
        else:
            return Account(found.st_uid, entry.pw_gid, entry.pw_name, dropped=True)
    raise Unavailable(
        "server_account_wrong",
        f"the data folder {data} belongs to user id {found.st_uid}, which cannot run its server here",
        remedy=f"give it back to the account that ran it, for example: chown -R {server_account().name} '{data}'",
    )


def clean_environment() -> dict[str, str]:
    """The environment for PostgreSQL's programs: no ``PG*``, messages in English."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "LC_")) and k not in ("LANG", "LANGUAGE")}
    return kept | {"LC_ALL": "C"}


def run_as(account: Account, command: Sequence[str | Path], *, seconds: float) -> subprocess.CompletedProcess[str]:
    """Run a command as the account to its end; output and errors come together in ``stdout``.

    Raises TimeoutError when it takes longer than ``seconds``.
    """
    try:
        return _run_as(account, command, seconds)
    except subprocess.TimeoutExpired as error:
        raise TimeoutError(errno.ETIMEDOUT, f"no answer in {seconds:g} s", str(command[0])) from error


def _run_as(account: Account, command: Sequence[str | Path], seconds: float) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=clean_environment(),
        cwd="/",
        encoding="utf-8",
        errors="replace",
        timeout=seconds,
        check=False,
        start_new_session=True,  # Ctrl-C is answered by the ledger, which then cleans up
        umask=0o077,
        user=account.uid if account.dropped else None,
        group=account.gid if account.dropped else None,
        extra_groups=[] if account.dropped else None,
    )
