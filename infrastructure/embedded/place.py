"""Where things are in a home: locks, log, data folder, socket; and the permissions that keep them apart.

Keeps: nothing outside the home and the ledger's own folder below ``/var/lib`` changes its owner or mode; as root,
every folder in which root creates or renames something belongs to root, so that the server's account cannot lead
root astray with links; clients reach the socket by a path short enough for the kernel.
Leaves to others: who may start or stop the server (``locks``), what is inside the data folder (``cluster``).
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from domain.errors import Unavailable
from infrastructure.embedded import binaries
from infrastructure.embedded.account import Account, owner_account, run_as, server_account

SOCKET_NAME = ".s.PGSQL.5432"
_SOCKET_PATH_BYTES = 103  # 107 on Linux, 103 on macOS
_RECORD = "moved-to.txt"
_NOTICE = """{base}

The first line is where the database of this home lies. The server must not run as root, and the account that runs it
({account}) cannot enter the folders above this home, which the ledger does not open for it. Move both together, and
delete both together.
"""


@dataclass(frozen=True, slots=True)
class Place:
    """``folder`` is ``HOME/postgres`` and belongs to the ledger's user; ``base`` is the same folder, or one below
    ``/var/lib/carbon-ledger`` when the server's account cannot reach the home."""

    home: Path
    folder: Path
    base: Path
    account: Account

    @property
    def data(self) -> Path:
        return self.base / "data"

    @property
    def run(self) -> Path:
        return self.base / "run"

    @property
    def log(self) -> Path:
        return self.folder / "server.log"

    @property
    def has_cluster(self) -> bool:
        return (self.data / "PG_VERSION").exists()


@contextlib.contextmanager
def home_errors(home: Path) -> Iterator[None]:
    """Tell the system's refusals as Unavailable ``disk_full`` or ``home_not_usable``."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Unavailable(
                "disk_full", f"no space is left for {error.filename or home}", remedy="free some space and try again"
            ) from error
        raise Unavailable(
            "home_not_usable",
            f"the home {home} cannot be used: {error}",
            remedy="choose a --home that you can write, or repair its permissions",
        ) from error


def prepare_folder(home: Path) -> Path:
    """Create the home and its ``postgres`` folder if need be and check that they are ours to write.

    Raises Unavailable ``home_of_another_user``, and OSError for ``home_errors`` to tell.
    """
    folder = home / "postgres"
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    _check_owner(home)
    folder.mkdir(mode=0o700, exist_ok=True)
    _check_owner(folder)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, "not writable", str(folder))
    return folder


def settle(home: Path, folder: Path) -> Place:
    """Decide, once for all, where the cluster of a home lies, or read what was decided. Call it under the lock.

    Raises Unavailable ``home_copied``, ``home_not_reachable``, ``data_folder_missing`` or ``server_account_wrong``.
    """
    if (folder / "data").exists():
        base, account = folder, owner_account(folder / "data")
    elif (folder / _RECORD).exists():
        base = _recorded_base(home, folder)
        account = owner_account(base / "data") if (base / "data").exists() else server_account()
    else:
        account = server_account()
        _let_in(home, folder, account)
        base = folder if _reachable(account, folder) else _elsewhere(home, folder, account)
    return Place(home, folder, base, account)


def open_the_way(place: Place) -> None:
    """Before the server starts: its account can reach the data, and owns a folder for the socket.

    Raises Unavailable ``home_not_reachable`` when the home was moved to where the server's account cannot go.
    """
    if place.base == place.folder:
        _let_in(place.home, place.folder, place.account)
    place.run.mkdir(mode=0o700, exist_ok=True)
    if place.account.dropped:
        os.chown(place.run, place.account.uid, place.account.gid, follow_symlinks=False)
    if not _reachable(place.account, place.run):
        raise Unavailable(
            "home_not_reachable",
            f"the account {place.account.name}, which runs the database server, cannot enter {place.base}",
            remedy="let it pass the folders above (chmod o+x), or move the home back to where it was made",
        )


def client_folder(run: Path) -> Path:
    """The folder that clients name as ``host``: the socket's own, or a short link to it when its path does not fit.

    Raises Unavailable ``socket_path_too_long`` when no private folder for the link can be had.
    """
    plain = os.fsencode(run)
    if len(plain) + 1 + len(SOCKET_NAME) <= _SOCKET_PATH_BYTES and b"," not in plain and _is_utf8(plain):
        return run
    for folder in _runtime_folders():
        with contextlib.suppress(OSError):
            folder.mkdir(mode=0o700, exist_ok=True)
            found = folder.lstat()
            if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077:
                return _link(folder, run)
    raise Unavailable(
        "socket_path_too_long",
        f"the path {run} is too long for a socket, and no private folder for a short link to it is to be had",
        remedy="choose a shorter --home, or set XDG_RUNTIME_DIR to a short private folder",
    )


def remove_link(run: Path) -> None:
    """After the last use: take away what ``client_folder`` left outside the home."""
    folder = client_folder(run)
    if folder != run:
        folder.unlink(missing_ok=True)


def _check_owner(folder: Path) -> None:
    found = folder.lstat()
    if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid():
        return
    if not stat.S_ISDIR(found.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, "not a folder", str(folder))
    raise Unavailable(
        "home_of_another_user",
        f"{folder} belongs to user id {found.st_uid}, and you are {os.geteuid()}",
        remedy="run as its owner, or choose another --home",
    )


def _let_in(home: Path, folder: Path, account: Account) -> None:
    """As root, let the server's account pass through the home (not list it); what is private inside stays private."""
    if not account.dropped:
        return
    os.chown(folder, 0, account.gid, follow_symlinks=False)
    folder.chmod(0o710)
    # A home that somebody else's group may use keeps its group; the data then goes elsewhere.
    if not home.stat().st_mode & 0o077:
        os.chown(home, 0, account.gid)
        home.chmod(0o710)


def _reachable(account: Account, folder: Path) -> bool:
    # Only the account itself can tell: access lists and mounts decide too, not only the modes.
    enter = ["/bin/sh", "-c", 'cd -- "$1"', "sh", str(folder)]
    return not account.dropped or run_as(account, enter, seconds=30).returncode == 0


def _elsewhere(home: Path, folder: Path, account: Account) -> Path:
    # The name tells the home; the token keeps a home made anew at the same path from finding the old one's data.
    name = f"{hashlib.sha256(os.fsencode(home)).hexdigest()[:16]}-{secrets.token_hex(4)}"
    base = binaries.SYSTEM_FOLDER / name
    binaries.SYSTEM_FOLDER.mkdir(mode=0o755, parents=True, exist_ok=True)
    base.mkdir(mode=0o700)
    os.chown(base, 0, account.gid)
    base.chmod(0o710)
    if not _reachable(account, base):
        base.rmdir()
        raise Unavailable(
            "home_not_reachable",
            f"the account {account.name}, which must run the server, can enter neither {home} nor {base.parent}",
            remedy="choose a --home below folders that every user may pass, or run the ledger as an ordinary user",
        )
    _write_durably(base / "home.txt", f"{home}\n")
    _write_durably(folder / _RECORD, _NOTICE.format(base=base, account=account.name))
    return base


def _recorded_base(home: Path, folder: Path) -> Path:
    base = Path((folder / _RECORD).read_text("utf-8", "surrogateescape").split("\n", 1)[0])
    try:
        former = Path((base / "home.txt").read_text("utf-8", "surrogateescape").rstrip("\n"))
    except FileNotFoundError:
        raise Unavailable(
            "data_folder_missing",
            f"{folder / _RECORD} says that the data lies in {base}, and it is not there",
            remedy="bring that folder back; if the data is meant to be gone, delete the home as well",
        ) from None
    if former == home:
        return base
    if (former / "postgres" / _RECORD).exists() and not former.samefile(home):
        raise Unavailable(
            "home_copied",
            f"{home} is a copy of {former}, and the data in {base} belongs to the original",
            remedy="copy the data as well: dump it from the original and load it into a new home",
        )
    _write_durably(base / "home.txt", f"{home}\n")
    return base


def _write_durably(path: Path, text: str) -> None:
    new = path.with_name(path.name + ".new")
    with open(new, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make a rename or a new entry in a folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _is_utf8(path: bytes) -> bool:
    try:
        path.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _runtime_folders() -> Iterator[Path]:
    me = os.geteuid()
    for runtime in (os.environ.get("XDG_RUNTIME_DIR", ""), f"/run/user/{me}"):
        # Root may have inherited a user's; what is made there would be in that user's way.
        if len(os.fsencode(runtime)) < 60 and os.path.isabs(runtime) and _owner(Path(runtime)) == me:
            yield Path(runtime, "carbon-ledger")
    yield Path(f"/tmp/carbon-ledger-{me}")


def _owner(path: Path) -> int | None:
    try:
        return path.stat().st_uid
    except OSError:
        return None


def _link(folder: Path, run: Path) -> Path:
    link = folder / hashlib.sha256(os.fsencode(run)).hexdigest()[:16]
    if not link.is_symlink() or link.readlink() != run:
        new = folder / f"{link.name}.{secrets.token_hex(4)}"
        new.symlink_to(run)
        new.replace(link)
    return link
