"""Makes the data folder: a PostgreSQL cluster that only its owner can reach, with settings that keep every commit.

Keeps: a data folder is complete or absent (it is made under another name, synced, then renamed); checksums on, UTF-8,
locale C, times in UTC; no network; only the ledger's user and root log in, checked by the kernel (``peer``).
Leaves to others: starting the server, and the database inside it.
"""

from __future__ import annotations

import os
import pwd
import shutil
import tempfile
from pathlib import Path

from domain.errors import Unavailable
from infrastructure.embedded.account import Account, current_user_name, run_as
from infrastructure.embedded.binaries import Binaries
from infrastructure.embedded.place import Place, sync_folder
from infrastructure.embedded.safety import mentions_full_disk

ROLE = "carbon_ledger"
DATABASE = "carbon_ledger"
_UNFINISHED = "data.new-"
_INITDB_SECONDS = 300

# Relative paths: the home may be moved. Text of failed statements stays out of the log: it may hold personal data.
_SETTINGS = """
# ---- carbon-ledger; you may tune what follows, except the first two groups ----
listen_addresses = ''
unix_socket_directories = '../run'
unix_socket_permissions = 0700
port = 5432

fsync = on
synchronous_commit = on
full_page_writes = on

shared_buffers = '128MB'
max_wal_size = '2GB'
wal_compression = on
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
password_encryption = 'scram-sha-256'

# To standard error, which is HOME/postgres/server.log, opened for appending: it may be cut at any time.
logging_collector = off
log_min_messages = warning
log_min_error_statement = panic
log_error_verbosity = terse
log_checkpoints = off
log_connections = off
log_line_prefix = '%m [%p] '
"""
_LOGINS = """# Only over the socket; the kernel says who is calling, and pg_ident.conf who that may be.
local all all peer map=ledger
"""


def create_cluster(place: Place, binaries: Binaries) -> None:
    """Make ``place.data``; what an interrupted attempt left behind is removed first. Call it under the lock.

    Raises Unavailable ``disk_full`` or ``server_not_created``.
    """
    remove_unfinished(place.base)
    new = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=place.base))
    try:
        if place.account.dropped:
            os.chown(new, place.account.uid, place.account.gid)
        _run(place.account, [binaries.folder / "initdb", *_INITDB_OPTIONS, "-D", new])
        _write(place.account, new / "postgresql.conf", _SETTINGS, append=True)
        _write(place.account, new / "pg_hba.conf", _LOGINS)
        _write(place.account, new / "pg_ident.conf", _identities())
        _run(place.account, [binaries.folder / "initdb", "--sync-only", "-D", new])
        new.rename(place.data)
        sync_folder(place.base)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise


_INITDB_OPTIONS = (
    "--encoding=UTF8",
    "--locale=C",
    "--data-checksums",
    f"--username={ROLE}",
    "--auth-local=peer",
    "--auth-host=reject",
    "--no-instructions",
    "--no-sync",  # one sync at the end, after the settings are written
)


def remove_unfinished(base: Path) -> None:
    """Remove what interrupted attempts left; what cannot go now is tried again next time."""
    for left in base.glob(_UNFINISHED + "*"):
        shutil.rmtree(left, ignore_errors=True)


def cluster_major(data: Path) -> int:
    """Major version that made the data folder, from its ``PG_VERSION``."""
    text = (data / "PG_VERSION").read_text("ascii", "replace").strip()
    if not text.isdigit():
        raise Unavailable(
            "server_data_damaged",
            f"{data / 'PG_VERSION'} reads {text!r}, not a version",
            remedy="restore the data folder from a backup",
        )
    return int(text)


def _identities() -> str:
    names = {current_user_name(), pwd.getpwuid(0).pw_name}
    quoted = ('"' + name.replace('"', '""') + '"' for name in sorted(names))
    return "# map, user of this machine, database role\n" + "".join(f"ledger {name} {ROLE}\n" for name in quoted)


def _run(account: Account, command: list[str | Path]) -> None:
    answer = run_as(account, command, seconds=_INITDB_SECONDS)
    if answer.returncode == 0:
        return
    if mentions_full_disk(answer.stdout):
        raise Unavailable(
            "disk_full",
            "no space is left to create the database (it takes about 50 MB, and 2 GB to work)",
            field=str(command[-1]),
            remedy="free some space, or choose a --home on another disk",
        )
    raise Unavailable(
        "server_not_created",
        f"initdb failed: {answer.stdout.strip()[-2000:] or f'exit status {answer.returncode}'}",
        remedy="read the message above; if it names no cause, run as an ordinary user or set CARBON_LEDGER_DSN",
    )


def _write(account: Account, path: Path, text: str, *, append: bool = False) -> None:
    # initdb has made the file; a link or a second name in its place would be somebody leading root astray.
    handle = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | (os.O_APPEND if append else os.O_TRUNC))
    with open(handle, "w", encoding="utf-8") as file:
        found = os.fstat(handle)
        if found.st_uid != account.uid or found.st_nlink != 1:
            raise Unavailable("server_not_created", f"{path} was replaced while it was made", remedy="try again")
        file.write(text)
