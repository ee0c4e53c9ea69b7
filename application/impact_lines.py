"""Lines of revisions in columns, for reports: from the reference, and from one candidate to another.

Keeps: the reference's answer is only put into other shape; masses beyond 62 bits stay exact, in object columns.
Leaves to others: which accounts there are, what the lines are summed to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, TypeAlias
from uuid import UUID

import numpy as np

from application.book import Book
from application.exact_columns import added, column_of, sums_by
from application.ports.archive import NONE, Names
from application.ports.kernel import REASONS, Lines
from domain.errors import Corrupt
from domain.events.account import RevisedLine
from domain.events.registry import ACCOUNT_TOPICS
from domain.history import AccountHistory
from domain.revision import Scope, lines_for
from domain.values import day_number, integer_of

_CREDITS_PER_PART = 20_000


class Part(NamedTuple):
    """Whole accounts: their ids (ascending), the words of the region codes, and their lines under each scope."""

    ids: Sequence[UUID]
    regions: Sequence[str]
    lines: Sequence[Lines]


Parts: TypeAlias = Callable[[Book, Sequence[Scope], int], Iterable[Part]]
"""Where reports take lines from: all accounts as they stand at a log size, each in exactly one part."""


def reference_parts(book: Book, scopes: Sequence[Scope], upto: int) -> Iterator[Part]:
    """Every account's lines under each scope by the reference, read from the log up to size ``upto``."""
    names = Names()
    waiting: list[tuple[UUID, AccountHistory]] = []
    size = 0
    for stream, recorded in book.journal.streams(ACCOUNT_TOPICS, upto):
        waiting.append((stream, AccountHistory().extend(recorded)))
        size += len(recorded)
        if size >= _CREDITS_PER_PART:
            yield reference_part(waiting, scopes, names)
            waiting, size = [], 0
    yield reference_part(waiting, scopes, names)


def reference_part(accounts: Sequence[tuple[UUID, AccountHistory]], scopes: Sequence[Scope], names: Names) -> Part:
    """These accounts (ids ascending) by ``domain.revision.lines_for``; ``names`` gets the regions they name.

    The columns ``row`` are ``NONE``: the reference reads streams, not rows of an archive.
    """
    return Part(
        [account for account, _ in accounts],
        names.words["region"],
        [_columns(accounts, [lines_for(history, scope) for _, history in accounts], names) for scope in scopes],
    )


def _columns(
    accounts: Sequence[tuple[UUID, AccountHistory]], lines: Sequence[Sequence[RevisedLine]], names: Names
) -> Lines:
    flat = [(index, line) for index, of_account in enumerate(lines) for line in of_account]
    regions = [accounts[index][1].credits[line.credit].facts.region for index, line in flat]
    return Lines(
        account=np.array([index for index, _ in flat], dtype=np.int32),
        row=np.full(len(flat), NONE, dtype=np.int64),
        credit=np.array([line.credit for _, line in flat], dtype=np.int64),
        day=np.array([day_number(line.day) for _, line in flat], dtype=np.int32),
        region=np.array([names.code("region", region) for region in regions], dtype=np.int32),
        before_mg=column_of(integer_of(line.before_mg) for _, line in flat),
        computed_mg=column_of(NONE if line.computed_mg is None else integer_of(line.computed_mg) for _, line in flat),
        credited_mg=column_of(integer_of(line.credited_mg) for _, line in flat),
        reason=np.array([REASONS.index(line.reason) for _, line in flat], dtype=np.int8),
        last_version=np.array([history.version for _, history in accounts], dtype=np.int64),
        balance_mg=column_of(sum(credit.worth for credit in history.credits.values()) for _, history in accounts),
        unproven=np.empty(0, dtype=np.int32),
    )


def between(one: Lines, other: Lines) -> Lines:
    """What it would mean to go from one candidate to another: lines from what ``one`` credits to what ``other`` does.

    Both must be of the same accounts and of runs with the same period and region, so that their credits are the same.
    A credit that only ``other`` cannot value keeps its reason. Raises Corrupt ``candidates_differ_in_scope``.
    """
    if not all(np.array_equal(getattr(one, name), getattr(other, name)) for name in ("account", "credit", "before_mg")):
        raise Corrupt(
            "candidates_differ_in_scope",
            "two candidates for the same period and region do not take the same credits",
            field="lines",
            remedy="this is a defect of the ledger; report it",
        )
    gained = added(one.credited_mg, -one.before_mg)
    balance = added(one.balance_mg, sums_by(one.account, len(one.balance_mg), gained))
    lost = np.where(one.reason == 0, other.reason, 0).astype(np.int8)
    return other._replace(before_mg=one.credited_mg, balance_mg=balance, reason=lost)
