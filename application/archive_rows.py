"""What each event of an account says in the columns of the archive: the pure part of building it.

Keeps: rows depend on the account's events alone; calculation facts only, nothing personal; whatever does not fit the
columns exactly (integers beyond the bound, a revision whose parts or lines are not in order, text that the ledger would
not have written for its number) becomes one ``IRREGULAR`` row, never an approximation.
Leaves to ``infrastructure.archive``: sorting, files, digests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from application.ports import archive as kinds
from application.ports.archive import BOUND, NONE
from domain.digest import sm3_hex
from domain.events import account as events
from domain.events.base import Recorded
from domain.instants import instant_of
from domain.values import day_number


class ArchiveRow(NamedTuple):
    """One row of the archive, words not yet coded; ``NONE`` stands for no value. See ``docs/archive.md``."""

    kind: int
    position: int
    version: int
    behavior: str = ""
    year: int = 0
    refers_to: int = 0
    day: int = 0
    region: str = ""
    quantity: int = 0
    computed_mg: int = NONE
    credited_mg: int = 0
    before_mg: int = 0
    methodology: str = ""
    decision: str = ""
    terms: str = ""
    partner: str = ""
    intake: int = 0
    valid_from_us: int = NONE
    valid_to_us: int = NONE
    digest: bytes = b""


def archive_rows(stream: UUID, recorded: Sequence[Recorded]) -> Iterator[ArchiveRow]:
    """The rows of one account's events, in stream order; all parts of a revision must be among them.

    Lines of a revision follow its ``REVISED`` row and share its position.
    """
    parts: list[events.FactorRevised] = []
    for each in recorded:
        try:
            rows = _ROWS[type(each.event)](each, parts)
        except (ValueError, OverflowError, KeyError):
            parts.clear()
            rows = [ArchiveRow(kinds.IRREGULAR, each.position, each.version)]
        yield from rows
    if parts:
        yield ArchiveRow(kinds.IRREGULAR, recorded[-1].position, recorded[-1].version)


class _Unfit(ValueError):
    """Something that the columns cannot hold so that the event's own text follows from them."""


def _integer(text: str) -> int:
    """The number of wire text; text that the ledger itself would not have written for it has no place in a column."""
    value = int(text)
    if not -BOUND < value < BOUND or str(value) != text:
        raise _Unfit(text)
    return value


def _number(value: int) -> int:
    if not 0 <= value < BOUND:
        raise _Unfit(value)
    return value


@lru_cache(maxsize=100_000)
def _day(text: str) -> tuple[int, int]:
    """Civil day and civil year."""
    day = day_number(text)
    return day, date.fromordinal(day).year


def _joined(*words: str) -> str:
    """Words in one column; they must be found again, whatever they are."""
    if any(";" in word for word in words[:-1]):
        raise _Unfit(words)
    return ";".join(words)


@lru_cache(maxsize=1_000)
def _terms(rule: str, unit: str, scale: int) -> str:
    return _joined(rule, unit, str(scale))


def _credited(each: Recorded, parts: list[events.FactorRevised]) -> list[ArchiveRow]:
    _expect_whole(parts)
    facts: events.BehaviorCredited = each.event
    day, year = _day(facts.day)
    return [
        ArchiveRow(
            kinds.CREDITED,
            each.position,
            each.version,
            facts.behavior,
            year,
            _number(facts.consent),
            day,
            facts.region,
            _integer(facts.quantity),
            _integer(facts.computed_mg),
            _integer(facts.credited_mg),
            0,
            facts.methodology,
            facts.decision,
            _terms(facts.rule, facts.unit, facts.scale),
            facts.partner,
            _number(facts.intake),
        )
    ]


def _reversed(each: Recorded, parts: list[events.FactorRevised]) -> list[ArchiveRow]:
    _expect_whole(parts)
    facts: events.BehaviorReversed = each.event
    day, year = _day(facts.day)
    return [
        ArchiveRow(
            kinds.REVERSED,
            each.position,
            each.version,
            facts.behavior,
            year,
            _number(facts.credit),
            day,
            credited_mg=_integer(facts.reversed_mg),
        )
    ]


def _revised(each: Recorded, parts: list[events.FactorRevised]) -> list[ArchiveRow]:
    facts: events.FactorRevised = each.event
    parts.append(facts)
    first = parts[0]
    named = (facts.revision, facts.behavior, facts.methodology, facts.rule)
    if named != (first.revision, first.behavior, first.methodology, first.rule) or facts.part != len(parts):
        raise _Unfit("parts of one revision follow each other and name the same run")
    rows = [_line(each, line) for line in facts.lines]
    digest = b""
    if facts.last:
        lines = [line for part in parts for line in part.lines]
        if any(one.credit >= two.credit for one, two in pairwise(lines)):
            raise _Unfit("lines stand in log order, one for each credit")
        digest = bytes.fromhex(sm3_hex(msgspec.json.encode(lines)))
        parts.clear()
    header = ArchiveRow(
        kinds.REVISED,
        each.position,
        each.version,
        refers_to=len(facts.lines),
        methodology=facts.methodology,
        decision=facts.revision,
        terms=facts.rule,
        digest=digest,
    )
    return [header, *rows]


def _line(each: Recorded, line: events.RevisedLine) -> ArchiveRow:
    facts: events.FactorRevised = each.event
    day, year = _day(line.day)
    return ArchiveRow(
        kinds.LINE,
        each.position,
        each.version,
        facts.behavior,
        year,
        _number(line.credit),
        day,
        computed_mg=NONE if line.computed_mg is None else _integer(line.computed_mg),
        credited_mg=_integer(line.credited_mg),
        before_mg=_integer(line.before_mg),
        methodology=facts.methodology,
        decision=facts.revision,
        terms=_joined(facts.rule, line.reason),
    )


def _opened(each: Recorded, parts: list[events.FactorRevised]) -> list[ArchiveRow]:
    return [_about_account(kinds.OPENED, each, parts)]


def _consented(each: Recorded, parts: list[events.FactorRevised]) -> list[ArchiveRow]:
    event: events.ConsentGranted = each.event
    return [
        _about_account(kinds.CONSENTED, each, parts)._replace(
            # Without the evidence: a word of its own in every account would make the words as many as the accounts.
            terms=_joined(event.basis, event.terms_version, _scope(event.scope)),
            valid_from_us=NONE if event.valid_from is None else instant_of(event.valid_from),
            valid_to_us=NONE if event.valid_to is None else instant_of(event.valid_to),
        )
    ]


def _scope(scope: Sequence[str]) -> str:
    if any(not word or "," in word for word in scope):
        raise _Unfit(scope)
    return ",".join(scope)


def _consent_withdrawn(each: Recorded, parts: list[events.FactorRevised]) -> list[ArchiveRow]:
    event: events.ConsentWithdrawn = each.event
    return [_about_account(kinds.CONSENT_WITHDRAWN, each, parts)._replace(refers_to=_number(event.consent))]


def _frozen(each: Recorded, parts: list[events.FactorRevised]) -> list[ArchiveRow]:
    return [_about_account(kinds.FROZEN, each, parts)]


def _unfrozen(each: Recorded, parts: list[events.FactorRevised]) -> list[ArchiveRow]:
    return [_about_account(kinds.UNFROZEN, each, parts)]


def _closed(each: Recorded, parts: list[events.FactorRevised]) -> list[ArchiveRow]:
    return [_about_account(kinds.CLOSED, each, parts)]


def _erasure_requested(each: Recorded, parts: list[events.FactorRevised]) -> list[ArchiveRow]:
    return [_about_account(kinds.ERASURE_REQUESTED, each, parts)]


def _erased(each: Recorded, parts: list[events.FactorRevised]) -> list[ArchiveRow]:
    return [_about_account(kinds.ERASED, each, parts)]


def _about_account(kind: int, each: Recorded, parts: list[events.FactorRevised]) -> ArchiveRow:
    _expect_whole(parts)
    return ArchiveRow(kind, each.position, each.version)


def _expect_whole(parts: Sequence[events.FactorRevised]) -> None:
    """Nothing stands between the parts of one revision."""
    if parts:
        raise _Unfit("nothing stands between the parts of a revision")


_ROWS: dict[type[Any], Callable[[Recorded, list[events.FactorRevised]], list[ArchiveRow]]] = {
    events.AccountOpened: _opened,
    events.ConsentGranted: _consented,
    events.ConsentWithdrawn: _consent_withdrawn,
    events.BehaviorCredited: _credited,
    events.BehaviorReversed: _reversed,
    events.FactorRevised: _revised,
    events.AccountFrozen: _frozen,
    events.AccountUnfrozen: _unfrozen,
    events.AccountClosed: _closed,
    events.ErasureRequested: _erasure_requested,
    events.PersonalDataErased: _erased,
}
