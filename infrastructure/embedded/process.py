"""The server as an operating system process: is it alive, start it, stop it.

Keeps: a process id from a file is believed only after the kernel confirms that it is this cluster's server; a zombie
is dead; a started server outlives Ctrl-C and the process that started it; no server is started while any process of
an earlier one lives, because all of them hold ``server.lock``.
Leaves to others: who decides to start or stop (``infrastructure.embedded_postgres``).
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
from pathlib import Path

from infrastructure.embedded.account import clean_environment
from infrastructure.embedded.binaries import Binaries
from infrastructure.embedded.locks import FileLock
from infrastructure.embedded.place import SOCKET_NAME, Place

_LOG_LIMIT_BYTES = 4_000_000


def is_listening(folder: Path) -> bool:
    """Whether a server answers on the socket in this folder. Also true for a server in another container."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(5)
        try:
            probe.connect(str(folder / SOCKET_NAME))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        except (BlockingIOError, TimeoutError):  # its queue is full: it lives
            return True
        return True


def live_server(place: Place) -> int | None:
    """Process id of the cluster's server if it truly runs: not a zombie, not another program with a reused id."""
    try:
        pid = abs(int((place.data / "postmaster.pid").read_text("ascii", "replace").split("\n", 1)[0]))
    except (FileNotFoundError, ValueError):
        return None
    return pid if pid > 1 and _is_server(pid, place) else None


def clear_traces(place: Place) -> None:
    """Remove what a killed server left. Only after ``live_server`` found none.

    PostgreSQL itself would take a zombie or a reused process id in these files for a living server. Its other guard,
    the shared memory that surviving children hold, stays in force for servers that were started by hand.
    """
    for left in (place.data / "postmaster.pid", place.run / SOCKET_NAME, place.run / f"{SOCKET_NAME}.lock"):
        left.unlink(missing_ok=True)


def spawn(place: Place, binaries: Binaries) -> subprocess.Popen[bytes] | None:
    """Start the server in a session of its own, its messages appended to the log.

    None: processes of an earlier server are still alive, or the server was started a moment ago by somebody who died
    since; there is nothing to do but wait.
    """
    lock = FileLock(place.folder / "server.lock")
    if not lock.try_exclude():
        return None
    try:
        clear_traces(place)
        return _spawn(place, binaries, lock.fileno())
    finally:
        lock.hand_over()


def _spawn(place: Place, binaries: Binaries, lock: int) -> subprocess.Popen[bytes]:
    account = place.account
    with open(os.open(place.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600), "ab") as log:
        return subprocess.Popen(
            [binaries.folder / "postgres", "-D", place.data],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=clean_environment(),
            cwd="/",
            pass_fds=(lock,),
            start_new_session=True,
            umask=0o077,
            user=account.uid if account.dropped else None,
            group=account.gid if account.dropped else None,
            extra_groups=[] if account.dropped else None,
        )


def ask_to_stop(pid: int) -> None:
    """Fast shutdown: sessions are ended, what was committed is on disk, the next start needs no recovery."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGINT)


def shorten_log(log: Path) -> None:
    """Keep the log and one older piece, also while the server goes on appending."""
    try:
        if log.stat().st_size <= _LOG_LIMIT_BYTES:
            return
        log.with_suffix(".log.1").write_bytes(log.read_bytes()[-_LOG_LIMIT_BYTES:])
        os.truncate(log, 0)
    except FileNotFoundError:
        return


def _is_server(pid: int, place: Place) -> bool:
    if not Path("/proc/self/stat").exists():
        return _is_server_by_ps(pid, place)
    process = Path("/proc", str(pid))
    try:
        # After the command's name, which may hold anything: state, parent, ...
        state = (process / "stat").read_text("ascii", "replace").rsplit(")", 1)[1].split()[0]
        if state in "ZX" or process.stat().st_uid != place.account.uid:
            return False
        with contextlib.suppress(PermissionError):  # a container's root may not look
            return (process / "cwd").samefile(place.data)
        return os.fsencode(place.data) in (process / "cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError, IndexError):
        return False


def _is_server_by_ps(pid: int, place: Place) -> bool:
    answer = subprocess.run(
        ["ps", "-ww", "-o", "stat=,args=", "-p", str(pid)],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    state, _, command = answer.stdout.strip().partition(" ")
    return bool(state) and not state.startswith("Z") and str(place.data) in command
