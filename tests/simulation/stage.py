"""One book on which ledger and model act side by side, and others act in the middle.

Keeps: an act is done by the ledger first and by the model afterwards; what others did meanwhile is put where the log
says that it happened, so every interleaving has one right answer. A row refused on what was known a moment before
keeps that refusal (each row stands alone); everything booked must be right where it stands in the log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from itertools import zip_longest
from typing import Any, NamedTuple, cast
from uuid import UUID

from application.book import Book
from application.crediting import Crediting
from application.ports.journal import Append, Appended, Head, Journal
from application.ports.keys import Keys
from domain.errors import Rejected
from domain.events.account import AccountOpened, AccountOpenedPersonal, PersonalDataErased
from domain.events.base import Recorded
from tests.simulation.comparing import Disagreement, agree, fact_of
from tests.simulation.erasing import erased_name
from tests.simulation.law import Refused
from tests.simulation.model import Model


class Refusal(NamedTuple):
    """An act that was refused."""

    code: str


class Killed(BaseException):
    """The process is gone; nothing of it runs on. Not an Exception, so that no handler holds it up."""


class Outage(Exception):
    """The journal could not be reached. The process lives on and is used again."""


class Waiting(Exception):
    """A writer waits for another one who is interrupted, and can go on only after him."""


class Stopped(Exception):
    """The model has come to where the ledger stopped."""


class Point(NamedTuple):
    """Before the ``nth``-th call of ``name`` ("" = any), or when a batch was ``appended``."""

    name: str
    nth: int


NOWHERE = Point("", 0)


class Interruptible:
    """A journal before one of whose calls, or just after an append, something else happens, once."""

    def __init__(self, journal: Journal, names: dict[UUID, str]) -> None:
        """``names``: takes the references of the accounts that are opened here, who may be erased before a look."""
        self._journal = journal
        self._names = names
        self._at = NOWHERE
        self._meanwhile: Callable[[], None] | None = None
        self._held = False

    def interrupt(self, at: Point, meanwhile: Callable[[], None] | None) -> None:
        """From now on, at the point."""
        self._at, self._meanwhile = at, meanwhile

    def __getattr__(self, name: str) -> Any:
        self._reach(name)
        return getattr(self._journal, name)

    def append(self, batch: Append) -> Appended:
        self._reach("append")
        appended = self._journal.append(batch)
        for new in batch.events:
            if isinstance(new.personal, AccountOpenedPersonal):
                self._names[new.stream] = new.personal.account_ref
        self._reach("appended")
        return appended

    @contextmanager
    def exclusive(self) -> Iterator[Head]:
        self._reach("exclusive")
        with self._journal.exclusive() as head:
            self._held = True
            try:
                yield head
            finally:
                self._held = False

    @contextmanager
    def claim(self, stream: UUID) -> Iterator[bool]:
        self._reach("claim")
        with self._journal.claim(stream) as ours:
            if not ours:
                raise Waiting
            yield True

    def _reach(self, name: str) -> None:
        if self._meanwhile is None or self._held or self._at.name not in ("", name):
            return
        self._at = self._at._replace(nth=self._at.nth - 1)
        if self._at.nth == 0:
            meanwhile, self._meanwhile = self._meanwhile, None
            meanwhile()


class Writer:
    """A process of the ledger: its own book and caches. ``step`` tells how far the act at hand has come."""

    def __init__(self, journal: Journal, keys: Keys, names: dict[UUID, str] | None = None) -> None:
        self.journal = Interruptible(journal, {} if names is None else names)
        self.book = Book(cast(Journal, self.journal), keys)
        self.crediting = Crediting(self.book)
        self.step = 0


class Meanwhile(NamedTuple):
    """What happened during an act, at which log size and step: an act of others and its answer, or a failure."""

    size: int
    step: int
    act: Act | type[BaseException]
    answer: Any


class Turn:
    """Called by the model before each step of an act: lets others act where the log says that they did."""

    def __init__(self, model: Model, meanwhile: Meanwhile | None) -> None:
        self._model = model
        self._left = meanwhile

    def __call__(self, *steps: int) -> Model | None:
        """The model as it was before the others acted, if they did so here (``steps`` of the ledger; none = any).

        Raises Stopped.
        """
        left = self._left
        if left is None or left.size != self._model.size:
            return None
        if isinstance(left.act, type):
            raise Stopped
        if steps and left.step not in steps:
            return None
        self._left = None
        earlier = deepcopy(self._model)
        agree(
            f"meanwhile {left.act.name}", left.answer, left.act.model(self._model, left.answer, Turn(self._model, None))
        )
        return earlier

    def close(self) -> None:
        """Everything that happened must have found its place."""
        self()
        if self._left is not None:
            raise Disagreement(f"no place in the log for {self._left}, model at {self._model.size}")


class Act(NamedTuple):
    """Something done to the book: by the ledger, and by the model, which is told the ledger's answer."""

    name: str
    ledger: Callable[[Writer], Any]
    model: Callable[[Model, Any, Turn], Any]


def plainly(name: str, ledger: Callable[[Writer], Any], on_model: Callable[[Model], Any]) -> Act:
    """An act of one append: it happens before or after what others did, and may be refused on either."""

    def model(book: Model, answer: Any, turn: Turn) -> Any:
        earlier = turn()
        if isinstance(answer, Refusal) and earlier is not None:
            if _answered(on_model, earlier, answer) == answer:
                return answer
            if answer.code == "account_erased" and _erased(book) > _erased(earlier):
                # Whoever had found the account before others erased it hears what became of it, and not that its
                # reference leads nowhere now.
                return answer
        return _answered(on_model, book, answer)

    return Act(name, ledger, model)


def _erased(book: Model) -> set[str]:
    return {name for name, account in book.accounts.items() if account.status == "erased"}


def _answered(on_model: Callable[[Model], Any], book: Model, answer: Any) -> Any:
    """The model's answer; of several reasons for a refusal the ledger may give any."""
    try:
        return on_model(book)
    except Refused as refused:
        if isinstance(answer, Refusal) and answer.code in refused.codes:
            return answer
        return refused.codes


def answer_of(act: Act, writer: Writer) -> Any:
    """What the ledger answers."""
    writer.step = 0
    try:
        return act.ledger(writer)
    except Rejected as rejected:
        return Refusal(rejected.code)


class Stage:
    """The ledger's processes and the model. ``recorded``: the whole log as the ledger has it."""

    def __init__(self, journal: Journal, keys: Keys, model: Model) -> None:
        self.journal = journal
        self.keys = keys
        self.model = model
        self.refs: dict[UUID, str] = {}
        self.writers = [Writer(journal, keys, self.refs), Writer(journal, keys, self.refs)]
        self.recorded: list[Recorded] = []

    def perform(self, act: Act, by: int, *, at: Point = NOWHERE, others: Act | type[BaseException] = Killed) -> str:
        """Do an act on both sides; where the journal is ``at``, others do theirs, or the act fails.

        Returns "" or the failure. Raises Disagreement.
        """
        writer, happened, later = self.writers[by], list[Meanwhile](), list[Act]()

        def meanwhile() -> None:
            size, step = self.journal.head().size, writer.step
            if isinstance(others, type):
                raise others
            try:
                happened.append(Meanwhile(size, step, others, answer_of(others, self.writers[1 - by])))
            except Waiting:
                later.append(others)

        writer.journal.interrupt(at, None if at == NOWHERE else meanwhile)
        try:
            answer, failure = answer_of(act, writer), ""
        except (Killed, Outage) as error:
            answer, failure = None, type(error).__name__
            happened = [Meanwhile(self.journal.head().size, 0, type(error), None)]
        writer.journal.interrupt(NOWHERE, None)
        if failure == "Killed":
            self.writers[by] = Writer(self.journal, self.keys, self.refs)
        before = len(self.recorded)
        self._read()
        try:
            turn = Turn(self.model, happened[0] if happened else None)
            expected = act.model(self.model, answer, turn)
            turn.close()
        except Stopped:
            expected = None
        answers = "" if failure else f", answered {answer} and {expected}"
        for each, fact in zip_longest(self.recorded[before:], self.model.log[before:]):
            booked = None if each is None else fact_of(each, self.refs.get(each.stream, ""))
            agree(f"log after {act.name}{answers}", booked, fact)
        if not failure:
            agree(act.name, answer, expected)
        for waited in later:
            self.perform(waited, 1 - by)
        return failure

    def _read(self) -> None:
        """What the ledger recorded since the last look."""
        for each in self.journal.log(len(self.recorded), self.journal.head().size, personal=True):
            self.recorded.append(each)
            if isinstance(each.event, AccountOpened):
                self.model.ids[self.refs[each.stream]] = each.stream
            elif isinstance(each.event, PersonalDataErased):
                self.refs[each.stream] = erased_name(self.refs[each.stream], each.position)
                self.model.ids[self.refs[each.stream]] = each.stream
