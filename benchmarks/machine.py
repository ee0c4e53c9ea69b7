"""What the figures were measured on and with."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psycopg

_PACKAGES = (
    *("carbon-ledger", "eventsourcing", "psycopg", "msgspec", "cryptography"),
    *("numpy", "numba", "pyarrow", "pyspark", "umadb"),
)
_SETTINGS = ("fsync", "synchronous_commit", "wal_sync_method", "full_page_writes", "shared_buffers", "max_wal_size")


def describe(conninfo: str, folder: Path, command: str) -> list[tuple[str, str]]:
    """Names and values, for the head of the report."""
    with psycopg.connect(conninfo) as conn:
        server = conn.info.parameter_status("server_version") or str(conn.info.server_version)
        rows = conn.execute("SELECT name, current_setting(name) FROM unnest(%s::text[]) AS s(name)", [list(_SETTINGS)])
        settings = ", ".join(f"{name} = {value}" for name, value in rows)
    python = f"Python {platform.python_version()}"
    packages = [f"{name} {found}" for name in _PACKAGES if (found := _version(name))]
    return [
        ("command", f"`{command}`"),
        ("date", datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")),
        ("revision", _revision()),
        ("processors", f"{processors()} x {_processor_model()}"),
        ("memory", _memory()),
        ("system", f"{platform.system()} {platform.release()}, {' '.join(platform.libc_ver())}".rstrip(", ")),
        ("disk", file_system(folder) or "unknown"),
        ("load before", " ".join(f"{load:.1f}" for load in os.getloadavg())),
        ("versions", ", ".join([python, f"PostgreSQL {server}", *packages])),
        ("server", f"embedded, Unix socket; {settings}"),
    ]


def file_system(path: Path) -> str:
    """Type of the file system that holds ``path``; empty where the system does not tell."""
    mounts = Path("/proc/mounts")
    if not mounts.exists():
        return ""
    found = [line.split()[1:3] for line in mounts.read_text("utf-8", "replace").splitlines()]
    holding = [(len(point), kind) for point, kind in found if path.resolve().is_relative_to(point)]
    return max(holding, default=(0, ""))[1]


def processors() -> int:
    """How many this process may use."""
    usable = getattr(os, "sched_getaffinity", None)
    return len(usable(0)) if usable else os.cpu_count() or 1


def _processor_model() -> str:
    information = Path("/proc/cpuinfo")
    found = re.search(r"(?m)^model name\s*: (.+)$", information.read_text()) if information.exists() else None
    return found[1] if found else platform.processor() or platform.machine()


def _memory() -> str:
    return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f} GiB"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _revision() -> str:
    here = Path(__file__).resolve().parents[1]
    try:
        command = ["git", "-C", str(here), "describe", "--always", "--dirty", "--exclude", "*"]
        return subprocess.run(command, capture_output=True, check=True, text=True, timeout=30).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"
