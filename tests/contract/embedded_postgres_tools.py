"""Real homes, real processes and real signals for the tests of the embedded server.

Keeps: homes lie directly below ``/dev/shm`` or ``/tmp``, where the server's account can go when the tests run as root;
every server that a test leaves behind is killed; whatever runs as another user is a forked child that ends by itself.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import pwd
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from domain.errors import Unavailable
from infrastructure.embedded import process
from infrastructure.embedded.account import owner_account
from infrastructure.embedded.place import Place, settle
from infrastructure.embedded_postgres import EmbeddedPostgres

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 30.0
_ROOM_FOR_HOMES = 8 << 30
IS_ROOT = os.geteuid() == 0

# A ledger process that tells when it is in, and leaves when its input is closed.
USER_OF_A_HOME = """
import sys
from pathlib import Path
import psycopg
from infrastructure.embedded_postgres import EmbeddedPostgres
use = EmbeddedPostgres(Path(sys.argv[1]), patience_seconds=60)
with psycopg.connect(use.start(), autocommit=True) as conn:
    if sys.argv[2] == "create":
        conn.execute("SELECT pg_advisory_lock(1)")  # IF NOT EXISTS is not safe against others doing the same
        conn.execute("CREATE TABLE IF NOT EXISTS visitor (pid int)")
        conn.execute("INSERT INTO visitor VALUES (pg_backend_pid())")
print("in", flush=True)
sys.stdin.read()
use.stop()
print("out", flush=True)
"""


def _folder_of_homes() -> str:
    """In memory where there is plenty: a test kills processes and never the machine, so it need not wait for a disk."""
    memory = Path("/dev/shm")  # a folder of its own is made in it
    plenty = os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > _ROOM_FOR_HOMES
    return str(memory) if plenty else "/tmp"  # short: a socket's path has 107 bytes


@contextlib.contextmanager
def temporary_home(name: str = "home") -> Iterator[Path]:
    """A folder for a home that does not exist yet; afterwards its server and its files are gone."""
    top = Path(tempfile.mkdtemp(prefix="carbon-ledger-test-", dir=_folder_of_homes()))
    top.chmod(0o755)
    try:
        yield top / name
    finally:
        kill_servers_below(top)
        shutil.rmtree(top)


@contextlib.contextmanager
def copied_home(made: Path) -> Iterator[Path]:
    """A home of one's own, copied because that is faster than making it."""
    with temporary_home() as copy:
        subprocess.run(["cp", "-a", made, copy], check=True)
        yield copy


def kill_servers_below(top: Path) -> None:
    """Only what is proven to be a server of a home in this folder."""
    for pid_file in top.rglob("postmaster.pid"):
        base = pid_file.parent.parent
        server = process.live_server(Place(base, base, base, owner_account(pid_file.parent)))
        if server is not None:
            kill_tree(server)


def embedded(home: Path, **options: Any) -> EmbeddedPostgres:
    return EmbeddedPostgres(home, **{"patience_seconds": PATIENCE, **options})


def refusal(home: Path, **options: Any) -> Unavailable:
    """What the person is told who tries to start here."""
    with pytest.raises(Unavailable) as caught:
        embedded(home, **options).start()
    assert caught.value.remedy
    return caught.value


def query(conninfo: str, statement: str) -> Any:
    """The first column of the first row."""
    with psycopg.connect(conninfo, autocommit=True) as conn:
        cursor = conn.execute(statement.encode())
        row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None


def server_of(home: Path) -> int | None:
    """Process id of the living server of a home."""
    return process.live_server(settle(home, home / "postgres"))


def running_server(home: Path) -> int:
    pid = server_of(home)
    assert pid is not None
    return pid


def state_of(pid: int) -> str:
    """The kernel's letter for a process: S sleeps, T is stopped, Z is a zombie; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return ""


def children_of(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1]) == pid:
                found.append(int(entry.name))
    return found


def kill_tree(pid: int) -> None:
    """``kill -9`` of a server and all its children, the server first, as a crash of the machine would not wait."""
    for victim in [pid, *children_of(pid)]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)


def wait_until(condition: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds:g} s in vain: {what}"
        time.sleep(0.02)


@contextlib.contextmanager
def visitor(home: Path, doing: str = "create") -> Iterator[subprocess.Popen[str]]:
    """Another ledger process that uses the home until its input is closed; killed if the test forgets it."""
    command = [sys.executable, "-c", USER_OF_A_HOME, str(home), doing]
    pipe = subprocess.PIPE
    same_modules = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])}
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=ROOT, env=same_modules) as child:
        try:
            yield child
        finally:
            child.kill()


def said(child: subprocess.Popen[str]) -> str:
    """Its next line, in bounded time."""
    assert child.stdout is not None
    ready, _, _ = select.select([child.stdout], [], [], 2 * PATIENCE)
    return child.stdout.readline().strip() if ready else "nothing"


def leave(child: subprocess.Popen[str]) -> None:
    assert child.stdin is not None
    child.stdin.close()
    assert said(child) == "out"
    assert child.wait(PATIENCE) == 0


def ordinary_account() -> pwd.struct_passwd:
    """Somebody who is not root: ourselves, or ``nobody`` when the tests run as root."""
    return pwd.getpwnam("nobody") if IS_ROOT else pwd.getpwuid(os.geteuid())


def as_user(uid: int, gid: int, work: Callable[[], Any]) -> Any:
    """The result of a function run by a forked child under another user, or its error, raised here.

    Forked, not started: the modules are loaded already, so it does not matter whether that user may read them.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        _report_as(uid, gid, work, writer)
    os.close(writer)
    with open(reader, "rb") as pipe:
        ready, _, _ = select.select([pipe], [], [], 2 * PATIENCE)
        if not ready:
            os.kill(child, signal.SIGKILL)
        answer = pipe.read()
    os.waitpid(child, 0)
    assert answer, "the child under another user died or took too long"
    fine, result = pickle.loads(answer)
    if not fine:
        raise result
    return result


def _report_as(uid: int, gid: int, work: Callable[[], Any], writer: int) -> None:
    try:
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(gid)
            os.setuid(uid)
        try:
            report = (True, work())
        except (Unavailable, AssertionError, OSError, psycopg.Error) as error:
            report = (False, error if isinstance(error, Unavailable) else AssertionError(repr(error)))
        with open(writer, "wb") as pipe:
            pipe.write(pickle.dumps(report))
    finally:
        os._exit(0)
