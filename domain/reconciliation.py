"""Reconciliation: a partner's row held against the credit that has its reference.

Keeps: a row agrees with a credit exactly when sending it again would be answered as a duplicate of it (DESIGN 3,
Idempotency; a test holds the two rules together); otherwise every column that differs is named, with both values.
Leaves to the caller: finding the credit, and whose account it is.
"""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

from domain.behavior import Behavior, decimal_text
from domain.crediting import Known
from domain.instants import instant_of
from domain.values import day_number, integer_of


class Difference(NamedTuple):
    """A column in which row and credit differ, with what each says of it."""

    column: str
    listed: str
    booked: str


def differences(row: Behavior, credit: Known, account: UUID | None, day: int | None) -> list[Difference]:
    """In column order; empty when they agree.

    ``account``: whose the row is, None where no account has this reference. ``day``: the row's civil day, by which it
    is compared where the exact instant was erased with the person; then whose it was cannot be told either.
    """
    facts, personal = credit.facts, credit.personal
    quantity = integer_of(facts.quantity)
    if personal is None:
        same_account, same_time = account in (None, credit.account), day in (None, day_number(facts.day))
    else:
        same_account, same_time = account == credit.account, row.instant_us == instant_of(personal.occurred_at)
    compared = (
        (same_account, Difference("account_ref", row.account_ref, str(credit.account))),
        (row.behavior == facts.behavior, Difference("behavior", row.behavior, facts.behavior)),
        (
            same_time,
            Difference("occurred_at", row.occurred_at, facts.day if personal is None else personal.occurred_at),
        ),
        (
            row.quantity * 10**facts.scale == quantity * 10**row.scale,
            Difference("quantity", decimal_text(row.quantity, row.scale), decimal_text(quantity, facts.scale)),
        ),
        (row.unit == facts.unit, Difference("unit", row.unit, facts.unit)),
        (row.region == facts.region, Difference("region", row.region, facts.region)),
    )
    return [difference for same, difference in compared if not same]
