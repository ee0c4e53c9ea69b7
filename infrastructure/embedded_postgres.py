"""The product's own PostgreSQL server in its home folder, for whoever has none.

Keeps: one server per home, shared by all processes that use it and stopped by the last one that leaves, also when
others were killed; a running server without users is taken over, the traces of a killed one are cleared; every
commit survives; the server is reached through a socket in the home that only the home's owner can open.
Leaves to others: what is inside the database (``infrastructure.postgres``), and servers named by a DSN, for which
``check_server_settings`` and ``explain`` are meant as well. Decision: docs/adr/0005-embedded-postgresql.md.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import psycopg

from domain.errors import Unavailable
from infrastructure.embedded import process
from infrastructure.embedded.binaries import Binaries, find_binaries
from infrastructure.embedded.launch import make_startable, open_database, refuse_or_return
from infrastructure.embedded.locks import FileLock
from infrastructure.embedded.place import Place, client_folder, home_errors, prepare_folder, remove_link, settle
from infrastructure.embedded.safety import check_server_settings, explain, read_tail, size_of

__all__ = ["EmbeddedPostgres", "check_server_settings", "explain", "find_binaries"]

_PAUSE_SECONDS = 0.03
_LONGEST_PAUSE_SECONDS = 0.25


class EmbeddedPostgres:
    """A use of the server of one home: ``with EmbeddedPostgres(home) as conninfo``, or ``start`` and ``stop``.

    ``binaries`` names the folder of PostgreSQL's programs instead of the search; ``patience_seconds`` bounds each wait
    for a start, a stop, or another process that is doing either.
    """

    def __init__(self, home: Path, *, binaries: Path | None = None, patience_seconds: float | None = None) -> None:
        self._home = Path(home).expanduser().resolve()
        self._binaries = binaries
        self._patience = patience_seconds or float(os.environ.get("CARBON_LEDGER_PG_START_SECONDS", "60"))
        self._guard = threading.Lock()
        self._use: FileLock | None = None
        self._place: Place | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    def __enter__(self) -> str:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    @property
    def log(self) -> Path:
        """The server's log."""
        return self._home / "postgres" / "server.log"

    def explain(self, error: BaseException) -> Unavailable | None:
        """As the function ``explain``; with the log's help it tells a server that died of a full disk from others."""
        return explain(error, log=read_tail(self.log, start=self._log_start))

    def start(self) -> str:
        """Make sure that the server runs, creating cluster and database on first use; returns the conninfo.

        Safe to call again (it revives a killed server) and from several processes at once. Raises Unavailable:
        ``postgres_not_found``, ``server_version_differs``, ``unsafe_server_setting``, ``disk_full``, ``home_*``,
        ``server_*``. Source: DESIGN 4, embedded default.
        """
        with self._guard, home_errors(self._home):
            folder = prepare_folder(self._home)
            with self._turn(folder):
                return self._start_in_turn(folder)

    def stop(self) -> None:
        """End this use; the last user of the home stops the server cleanly. Without a use it does nothing.

        Raises Unavailable ``server_still_stopping`` when the server takes longer than the patience.
        """
        with self._guard, home_errors(self._home):
            if self._use is None or self._place is None:
                return
            if not self._use.held:  # made by fork: the use is our parent's
                self._forget()
                return
            with self._turn(self._place.folder):
                self._leave()

    @contextlib.contextmanager
    def _turn(self, folder: Path) -> Iterator[None]:
        """One process at a time starts or stops the server of a home."""
        turn = FileLock(folder / "turn.lock")
        turn.exclude(2 * self._patience)
        try:
            yield
        finally:
            turn.release()

    def _start_in_turn(self, folder: Path) -> str:
        fresh = self._use is None or not self._use.held
        if fresh:
            self._forget()
            self._use = FileLock(folder / "use.lock")
            self._use.share(self._patience)
        try:
            self._place = settle(self._home, folder)
            return self._ensure_running(self._place)
        except BaseException as error:
            # A server that is still recovering is left alone: stopping it would only throw its progress away.
            if isinstance(error, Unavailable) and error.code == "server_still_starting":
                self._forget()
            elif fresh:
                with contextlib.suppress(Unavailable):
                    self._leave()
            raise

    def _ensure_running(self, place: Place) -> str:
        """Wait for the server that runs, or start it; whatever others do to it meanwhile, go by what is seen."""
        process.shorten_log(place.log)
        self._log_start = size_of(place.log)
        deadline = time.monotonic() + self._patience
        words = ""
        launched_at: int | None = None  # size of the log then
        programs: Binaries | None = None
        pause = _PAUSE_SECONDS
        while time.monotonic() < deadline:
            if place.run.exists() and process.is_listening(client_folder(place.run)):
                try:
                    return open_database(place)
                except psycopg.OperationalError as error:
                    words = str(error)
                    if _is_final(error):
                        raise self.explain(error) or error from error
            elif not self._child_lives() and process.live_server(place) is None:
                if launched_at is not None and self._child is not None:
                    words = refuse_or_return(place, self._child.returncode, read_tail(place.log, start=launched_at))
                if programs is None:
                    programs = make_startable(place, self._binaries)
                    deadline = time.monotonic() + self._patience  # creating the cluster took its own time
                launched_at = size_of(place.log)
                self._child = process.spawn(place, programs)
                if self._child is None:
                    words = "processes of an earlier server are still at work"
            time.sleep(pause)
            pause = min(1.2 * pause, _LONGEST_PAUSE_SECONDS)  # every refused attempt is a line in the log
        raise Unavailable(
            "server_still_starting",
            f"the database server was not ready after {self._patience:g} s: {words or read_tail(place.log)}",
            remedy="after a crash it may need longer: try again, it goes on by itself; "
            f"its log is {place.log}, CARBON_LEDGER_PG_START_SECONDS waits longer",
        )

    def _leave(self) -> None:
        """End the use, and the server with the last one. The turn is ours."""
        if self._use is None:
            return
        try:
            if self._use.try_exclude() and self._place is not None:
                self._stop_server(self._place)
        finally:
            self._forget()

    def _forget(self) -> None:
        """End the use without a look at the server."""
        if self._use is not None:
            self._use.release()
            self._use = None

    def _stop_server(self, place: Place) -> None:
        deadline = time.monotonic() + self._patience
        pid = self._child.pid if self._child is not None and self._child_lives() else process.live_server(place)
        if pid is None:
            return
        process.ask_to_stop(pid)
        while self._child_lives() or process.live_server(place) is not None:
            if time.monotonic() >= deadline:
                raise Unavailable(
                    "server_still_stopping",
                    f"the database server did not stop in {self._patience:g} s: {read_tail(place.log)}",
                    remedy=f"it goes on stopping by itself; its log is {place.log}",
                )
            time.sleep(_PAUSE_SECONDS)
        remove_link(place.run)

    def _child_lives(self) -> bool:
        return self._child is not None and self._child.poll() is None


def _is_final(error: psycopg.OperationalError) -> bool:
    """Whether trying again is no use: not while the server comes up or goes down (57P..), or does not say."""
    if error.sqlstate is None:
        return "authentication failed" in str(error)
    return not error.sqlstate.startswith("57P")
