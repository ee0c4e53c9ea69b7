"""The whole book as of a civil day and a log position, from the archive (DESIGN 2.6; DESIGN 3, Balance).

Keeps: the sum of the valuations known at position P of behaviors of days before D; only what was booked is used, never
computed anew. An account that the archive's columns cannot hold exactly is answered from its stream. Memory stays flat.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple
from uuid import UUID

import numpy as np

from application import queries
from application.book import Book
from application.exact_columns import sums_from
from application.ports.archive import CREDITED, IRREGULAR, REVERSED, Archive, Rows
from application.ports.views import BehaviorTotal
from application.queries import BookTotals
from domain.errors import Corrupt
from domain.history import AccountHistory

_COLUMNS: Final = frozenset(("kind", "behavior", "day", "credited_mg", "before_mg"))


class Balance(NamedTuple):
    """What an account holds of one behavior, and from how many credits."""

    account: UUID
    behavior: str
    credited_mg: int
    credits: int


def totals(
    book: Book,
    archive: Archive,
    known: int,
    before_day: int,
    *,
    by_ref: bool = False,
    progress: Callable[[int], None] | None = None,
) -> BookTotals:
    """The book as ``queries.totals`` tells it, of behaviors of civil days before ``before_day`` as known at ``known``.

    ``progress``: accounts answered. Follows the log first where the archive does not reach ``known``.
    """
    sums: dict[str, BehaviorTotal] = {}
    accounts = 0

    def counted() -> Iterator[tuple[UUID, str, int]]:
        nonlocal accounts
        last: UUID | None = None
        for account, behavior, mg, credits in balances(book, archive, known, before_day):
            if account != last:
                accounts, last = accounts + 1, account
                if progress is not None:
                    progress(accounts)
            before = sums.get(behavior) or BehaviorTotal(behavior, 0, 0, 0)
            sums[behavior] = BehaviorTotal(
                behavior, before.credited_mg + mg, before.credits + credits, before.accounts + 1
            )
            yield account, behavior, mg

    digest = queries.digest_by_ref(book, counted()) if by_ref else queries.digest_of(counted())
    return BookTotals(known, accounts, [sums[behavior] for behavior in sorted(sums)], digest)


def follow(archive: Archive, position: int, progress: Callable[[int], None] | None = None) -> None:
    """Let the archive follow the log where it does not reach a position yet. ``progress``: events of the log done."""
    if archive.status().position < position:
        archive.build(progress=progress)


def balances(book: Book, archive: Archive, known: int, before_day: int) -> Iterator[Balance]:
    """Every (account, behavior) with a credit of a day before ``before_day`` recorded by ``known``, in this order."""
    follow(archive, known)
    for rows in archive.rows(known, _COLUMNS):
        irregular = set(rows.account[rows.kind == IRREGULAR].tolist())
        found = _from_columns(rows, before_day, irregular)
        for account in irregular:
            found += _from_stream(book, rows.ids[account], account, known, before_day)
        last, account_id = -1, UUID(int=0)
        for account, behavior, mg, credits in sorted(found) if irregular else found:
            if account != last:
                last, account_id = account, rows.ids[account]
            yield Balance(account_id, behavior, mg, credits)


_Sum = tuple[int, str, int, int]


def _from_columns(rows: Rows, before_day: int, without: set[int]) -> list[_Sum]:
    """Account index, behavior, mg and credits, by account and behavior; accounts ``without`` are left out."""
    wanted = (rows.kind >= CREDITED) & (rows.day < before_day)
    if without:
        wanted &= ~np.isin(rows.account, list(without))
    account, behavior, kind = rows.account[wanted], rows.behavior[wanted], rows.kind[wanted]
    if not len(account):
        return []
    mg = rows.credited_mg[wanted]
    # Below 2^62 each, so that neither step can leave 63 bits; the sums are another matter.
    changes = np.where(kind == REVERSED, -mg, mg) - rows.before_mg[wanted]
    starts = np.concatenate(([0], np.flatnonzero((np.diff(account) != 0) | (np.diff(behavior) != 0)) + 1))
    credits = np.add.reduceat((kind == CREDITED).astype(np.int64), starts)
    columns = (account[starts], behavior[starts], sums_from(changes, starts), credits)
    words = rows.names.words["behavior"]
    return [
        (place, words[code], mg, count)
        for place, code, mg, count in zip(*(column.tolist() for column in columns), strict=True)
        if count
    ]


def _from_stream(book: Book, account: UUID, place: int, known: int, before_day: int) -> list[_Sum]:
    try:
        history = AccountHistory().extend(book.journal.stream(account, known))
    except (ValueError, KeyError) as error:
        raise Corrupt(
            "unreadable_facts",
            f"an event of the account cannot be read: {error!r}",
            field=str(account),
            remedy="run `carbon-ledger replay`, which names it, and restore it from a backup",
        ) from error
    counts: dict[str, int] = {}
    for credit in history.credits.values():
        if credit.day < before_day:
            counts[credit.facts.behavior] = counts.get(credit.facts.behavior, 0) + 1
    held = history.balances(known=known, before_day=before_day)
    return [(place, behavior, mg, counts[behavior]) for behavior, mg in held.items()]
