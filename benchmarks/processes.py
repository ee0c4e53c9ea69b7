"""The parent's side of a measurement: a server in a temporary home, and one child process per task.

Keeps: everything started here is stopped here, also after a failure, an interrupt or a SIGTERM; a task that hangs is
killed. The parent itself loads little: a child's peak memory is never less than what its parent held when it was made.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from benchmarks.machine import file_system
from infrastructure.embedded.place import settle
from infrastructure.embedded_postgres import EmbeddedPostgres

ROOT = Path(__file__).resolve().parents[1]
TASK_SECONDS = 1_800
_IN_MEMORY = ("tmpfs", "ramfs")


@dataclass(frozen=True, slots=True)
class Done:
    """What a task answered, and the peak memory of its process in bytes."""

    rows: int
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    answer: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Home:
    """A folder of our own with a running server; ``files`` is for everything else."""

    folder: Path
    conninfo: str

    @property
    def files(self) -> Path:
        return self.folder / "files"

    def database(self, name: str) -> str:
        """A new empty database; returns its conninfo."""
        with psycopg.connect(self.conninfo, autocommit=True) as conn:
            conn.execute(f"CREATE DATABASE {name} TEMPLATE template0".encode())
        return make_conninfo(self.conninfo, dbname=name)


@contextmanager
def temporary_home(parent: Path | None) -> Iterator[Home]:
    """A server on a real disk (below ``parent`` if given), deleted at the end."""
    folder = Path(tempfile.mkdtemp(prefix="carbon-ledger-bench-", dir=parent or _disk_folder()))
    try:
        (folder / "files").mkdir()
        with EmbeddedPostgres(folder) as conninfo:
            yield Home(folder, conninfo)
    finally:
        if (folder / "postgres").exists():
            # As root the data may lie elsewhere.
            shutil.rmtree(settle(folder, folder / "postgres").base, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)


def run(task: str, arguments: dict[str, Any], files: Path, at_most_seconds: float = TASK_SECONDS) -> Done:
    """Run one task in a process of its own."""
    answer = files / "answer.json"
    command = [sys.executable, "-m", "benchmarks.tasks", task, json.dumps(arguments)]
    with answer.open("wb") as out:
        child = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out)
    peak_bytes = _wait(child, at_most_seconds)
    if child.returncode != 0:
        raise RuntimeError(f"{task} ended with {child.returncode}")
    found = json.loads(answer.read_bytes())
    return Done(found["rows"], found["seconds"], found["cpu_seconds"], peak_bytes, found)


def _wait(child: subprocess.Popen[bytes], at_most_seconds: float) -> int:
    deadline = time.monotonic() + at_most_seconds
    try:
        while time.monotonic() < deadline:
            pid, status, usage = os.wait4(child.pid, os.WNOHANG)
            if pid:
                child.returncode = os.waitstatus_to_exitcode(status)
                return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1_024)
            time.sleep(0.05)
        raise TimeoutError(f"a task took longer than {at_most_seconds:,.0f} s")
    finally:
        if child.returncode is None:
            child.kill()
            child.wait()


def _disk_folder() -> Path:
    """The first usual place that is not in memory: there a commit would cost nothing."""
    places = (Path(tempfile.gettempdir()), Path("/var/tmp"), ROOT)
    return next((place for place in places if file_system(place) not in _IN_MEMORY), places[0])
