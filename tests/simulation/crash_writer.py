"""The process that is killed in the tests of crashes: it imports or applies, and says on a pipe what was acknowledged.

Keeps: it is forked from a server that has read the program already, so that hundreds of them cost hundreds of forks
and not hundreds of starts of Python; it opens the ledger itself, in a process group of its own.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from application import revising
from application.importing import ImportResult, import_behaviors
from interfaces.bootstrap import Settings, behavior_file, open_ledger

Work = tuple[str, Sequence[object]]
"""What a writer does: import or apply, and its arguments."""


@dataclass
class Writer:
    """A process that writes and says what was acknowledged."""

    process: ForkServerProcess
    pipe: Connection
    said: list[dict[str, object]] = field(default_factory=list)

    def first(self) -> dict[str, object]:
        """What it says first, when it has opened the ledger."""
        self.said.append(self.pipe.recv())
        return self.said[-1]

    def listen(self) -> None:
        """Take what it says, to its end; what a kill cut off was not said."""
        with suppress(EOFError, OSError):
            while True:
                self.said.append(self.pipe.recv())

    def last(self, key: str) -> object | None:
        return next((said[key] for said in reversed(self.said) if key in said), None)

    def kill(self) -> None:
        """Its process group, whatever it is doing."""
        if self.process.is_alive():
            assert self.process.pid is not None
            os.killpg(self.process.pid, signal.SIGKILL)

    def finish(self) -> None:
        """Wait for the end of its work."""
        self.listen()
        self.process.join()
        assert self.process.exitcode == 0, "the writer failed; its traceback is above"


def start(home: Path, work: Work) -> Writer:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    ours, theirs = context.Pipe(duplex=False)
    act, arguments = work
    process = context.Process(target=_write, args=(theirs, act, home, tuple(arguments)), daemon=True)
    process.start()
    theirs.close()
    return Writer(process, ours)


def counts(result: ImportResult) -> list[int]:
    return [result.read, result.credited, result.duplicates, result.rejected, result.credited_mg]


def _write(pipe: Connection, act: str, home: Path, arguments: Sequence[object]) -> None:
    os.setsid()
    with open_ledger(Settings(home=home, dsn=None)) as ledger:
        pipe.send({"size": ledger.book.journal.head().size})
        if act == "import":
            file, batch_rows, partner = arguments
            result = import_behaviors(
                ledger.book,
                behavior_file(Path(str(file))),
                str(partner),
                opens_accounts=True,
                progress=lambda result: pipe.send({"position": result.position}),
                batch_rows=int(str(batch_rows)),
            )
            pipe.send({"done": counts(result)})
        else:
            revising._LINES_PER_APPEND = 5

            def slowly(accounts: int) -> None:
                pipe.send({"accounts": accounts})
                time.sleep(0.008)  # or most runs would be over before the kill

            done = revising.apply(ledger.book, str(arguments[0]), progress=slowly)
            pipe.send({"done": [done.accounts, done.after_mg, done.lines_root]})
