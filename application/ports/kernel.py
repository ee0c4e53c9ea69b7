"""The fast kernel: the calculation law over columns, bit-identical to ``domain.kernel`` or silent.

Keeps: what it answers is what the reference would answer; an account whose rows it cannot prove (an irregular row, a
formula beyond 63 bits, a sum beyond the bound, anything booked that differs from its recomputation) is named in
``unproven`` and nothing is said about it: the caller asks the reference, which also names the difference.
Leaves to the caller: where rows come from, and replaying unproven accounts with ``domain.replay``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from application.ports.archive import Codes, Ints, Names, Rows
from domain.revision import Scope
from domain.rulebook import RevisionRun, Rulebook

REASONS: Final = ("", "no_factor_for_region", "quantity_out_of_range")
"""Why a line has no computed mass; index 0: it has one."""


class Balances(NamedTuple):
    """One row per (account, behavior) with a credit, by account; ``account`` indexes ``Rows.ids``; masses in mg."""

    account: Codes
    behavior: Codes
    credited_mg: Ints
    credits: Ints


class RunSums(NamedTuple):
    """What one run did to these accounts; masses in mg. ``digests``: (account index, digest of its lines)."""

    accounts: int
    changed_accounts: int
    credits: int
    before_mg: int
    after_mg: int
    digests: list[tuple[int, bytes]]


class Recomputed(NamedTuple):
    """Rows recomputed. ``balances`` and ``runs`` (by run id) leave out the ``unproven`` accounts.

    ``lines``: the balances as they stand under a book's digest; empty where an account is unproven.
    """

    balances: Balances
    runs: dict[str, RunSums]
    unproven: Codes
    lines: bytes


class Lines(NamedTuple):
    """The lines of one run for some accounts, in columns: by account, then log order.

    ``account`` indexes ``Rows.ids``; ``row`` is the credit's row; ``computed_mg`` is ``NONE`` where ``reason`` (index
    into ``REASONS``) is not 0. ``last_version``: the newest version of each account's stream in the rows, by account
    index. ``balance_mg``: what each account holds before the run, over all behaviors, by account index.
    Accounts that are ``unproven`` have no lines here.
    """

    account: Codes
    row: Ints
    credit: Ints
    day: Codes
    region: Codes
    before_mg: Ints
    computed_mg: Ints
    credited_mg: Ints
    reason: npt.NDArray[np.int8]
    last_version: Ints
    balance_mg: Ints
    unproven: Codes


class Kernel(Protocol):
    """Port of the fast kernel, for one rulebook."""

    def replay(self, rows: Rows, until: int) -> Recomputed:
        """Recompute whole accounts as they stand at log size ``until`` and compare with what was booked."""

    def lines(self, rows: Rows, scope: Scope) -> Lines:
        """The lines of a run, from what is booked (as ``domain.revision.lines_for``)."""


class KernelFactory(Protocol):
    """Makes the kernel for a rulebook; ``runs``: approved runs with their scopes (``domain.replay.approved_runs``)."""

    def __call__(self, rulebook: Rulebook, runs: Sequence[tuple[RevisionRun, Scope]], names: Names) -> Kernel: ...
