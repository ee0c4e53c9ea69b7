"""Processes that write to one book at once, in an order that a seed decides or freely.

Keeps: every writer is a process of its own with connections of its own, started anew and not forked, and used for many
races. In order, it asks its parent before every call of the journal, so one process runs at a time and the seed says
which; the same seed gives the same race.
Leaves to ``racing``: what the writers do, and what must hold afterwards.
"""

from __future__ import annotations

import multiprocessing
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from application import crediting, intakes, revising
from application.book import Book
from interfaces.bootstrap import Settings, open_ledger
from tests.simulation.appending import EarlyAppends, LateAppends
from tests.simulation.racing import Answers, importer, jitter, office, partner_office, pausing_book

PATIENCE = 120.0
"""Seconds after which a writer hangs."""

Plant = Callable[[pytest.MonkeyPatch], None]
"""A mistake to make in the ledger."""


@dataclass(frozen=True)
class Import:
    """Import a file; the result is ``Answers``."""

    path: Path
    rows: Sequence[Sequence[str]]
    batch_rows: int

    def __call__(self, book: Book) -> Answers:
        answers = Answers(self.rows)
        importer(book, self.path, answers, self.batch_rows)()
        return answers


@dataclass(frozen=True)
class Office:
    """Decide, withdraw, revise, freeze and reverse."""

    seed: int
    acts: int
    rows: Sequence[Sequence[str]]

    def __call__(self, book: Book) -> None:
        office(book, self.seed, self.acts, self.rows)()


@dataclass(frozen=True)
class PartnerOffice:
    """Register the partner, suspend it, change its terms and let it send again."""

    seed: int
    acts: int

    def __call__(self, book: Book) -> None:
        partner_office(book, self.seed, self.acts)()


Work = Import | Office | PartnerOffice


@dataclass(frozen=True)
class _Task:
    """``number``: of the writer, when all run freely; None = it asks before every call."""

    work: Work
    seed: int
    number: int | None
    plant: Plant | None


@dataclass(frozen=True)
class _Done:
    result: Any
    failure: str


_ASKS, _SLEEPS, _IS_DONE, _GO = b"?", b"z", b".", b"!"


class Writers:
    """So many processes; ``with`` ends them."""

    def __init__(self, settings: Settings, count: int) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._pipes: list[Connection] = []
        self._processes = []
        for _ in range(count):
            ours, theirs = spawn.Pipe()
            process = spawn.Process(target=_serve, args=(theirs, settings), daemon=True)
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)

    def __enter__(self) -> Writers:
        return self

    def __exit__(self, *_: object) -> None:
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join(PATIENCE)
            process.kill()

    def run_in_order(self, seed: int, works: Sequence[Work], plant: Plant | None = None) -> list[Any]:
        """The results of the works, of which one goes on at a time; at every call the seed says which."""
        rng, done = Random(seed), dict[int, _Done]()
        for pipe, work in zip(self._pipes, works, strict=False):
            pipe.send(_Task(work, seed, None, plant))
        awake, asleep = list(range(len(works))), list[int]()
        for number in awake:
            assert self._hear(number) == _ASKS
        while awake:
            number = rng.choice(awake)
            self._pipes[number].send_bytes(_GO)
            said = self._hear(number)
            if said == _ASKS:
                continue
            awake.remove(number)
            if isinstance(said, _Done):
                # Whoever sleeps waits for somebody to be done; looking again before would be a race of nobody.
                done[number] = said
                awake, asleep = sorted(awake + asleep), []
            else:
                asleep.append(number)
        assert not asleep, "everybody waits for somebody"
        return _results(done)

    def run_freely(
        self, seed: int, works: Sequence[Work], meanwhile: Callable[[Callable[[], bool]], None]
    ) -> list[Any]:
        """The results of the works, which run at once; ``meanwhile`` is done here, and told whether all are done."""
        for number, (pipe, work) in enumerate(zip(self._pipes, works, strict=False)):
            pipe.send(_Task(work, seed, number, None))
        pipes = self._pipes[: len(works)]
        try:
            meanwhile(lambda: all(pipe.poll() for pipe in pipes))
        finally:
            said = {number: self._hear(number) for number in range(len(works))}
        return _results({number: each for number, each in said.items() if isinstance(each, _Done)})

    def _hear(self, number: int) -> _Done | bytes:
        """What the writer says next: that it is done, asks to go on, or sleeps."""
        pipe = self._pipes[number]
        if not pipe.poll(PATIENCE):
            raise AssertionError(f"writer {number} hangs")
        said = pipe.recv_bytes()
        if said != _IS_DONE:
            return said
        answered: _Done = pipe.recv()
        return answered


def _results(done: dict[int, _Done]) -> list[Any]:
    failures = [each.failure for each in done.values() if each.failure]
    assert not failures, "\n".join(failures)
    return [done[number].result for number in sorted(done)]


def set_limits(seed: int, patch: pytest.MonkeyPatch) -> None:
    """Snapshots and revisions in parts come as often as a small race needs, and nobody waits long."""
    patch.setattr(crediting, "SNAPSHOT_EVERY", (2, 5)[seed // 2 % 2])
    patch.setattr(revising, "_LINES_PER_APPEND", (1, 5_000)[seed // 4 % 2])
    patch.setattr(intakes, "LOOK_AGAIN_SECONDS", 0.001)


def _serve(pipe: Connection, settings: Settings) -> None:
    """A writer: does what it is told until nobody tells it any more."""
    with open_ledger(settings) as ledger:
        while True:
            try:
                task: _Task = pipe.recv()
            except EOFError:
                return
            with _set_up(task, pipe) as pause:
                try:
                    pause()
                    done = _Done(task.work(pausing_book(ledger, pause)), "")
                except BaseException:  # noqa: BLE001 - told to the parent, which fails
                    done = _Done(None, traceback.format_exc())
            pipe.send_bytes(_IS_DONE)
            pipe.send(done)


@contextmanager
def _set_up(task: _Task, pipe: Connection) -> Iterator[Callable[[], None]]:
    """The settings of one race, and what the writer does before every call of its journal."""

    def ask(word: bytes = _ASKS) -> None:
        pipe.send_bytes(word)
        pipe.recv_bytes()

    with pytest.MonkeyPatch.context() as patch:
        set_limits(task.seed, patch)
        if task.plant is not None:
            task.plant(patch)
        if task.number is None:
            patch.setattr(crediting, "ThreadPoolExecutor", (LateAppends, EarlyAppends)[task.seed % 2])
            patch.setattr(intakes, "time", SimpleNamespace(sleep=lambda _: ask(_SLEEPS)))
            yield ask
        else:
            yield jitter(task.seed * 10 + task.number)
