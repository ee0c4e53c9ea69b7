"""Which kernel works out a revision: the reference on the log, or the same law compiled, on the archive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from application.fast_lines import fast_parts
from application.impact_lines import Parts, reference_parts
from application.run_accounts import RunAccounts, fast_accounts, reference_accounts

if TYPE_CHECKING:
    from interfaces.bootstrap import Ledger

FAST_FROM_EVENTS: Final = 200_000
"""Below it the reference is done before the compiled code is loaded."""


def is_fast(kernel: str, ledger: Ledger) -> bool:
    """Whether the fast kernel is to be used. ``kernel``: reference, fast or auto."""
    return kernel == "fast" or (kernel == "auto" and ledger.book.journal.head().size >= FAST_FROM_EVENTS)


def parts_by(kernel: str, ledger: Ledger) -> Parts:
    """Where impact reports take their lines from."""
    return fast_parts(ledger.archive, ledger.kernels) if is_fast(kernel, ledger) else reference_parts


def accounts_by(kernel: str, ledger: Ledger) -> RunAccounts:
    """Who works out the lines that a revision records."""
    return fast_accounts(ledger.archive, ledger.kernels) if is_fast(kernel, ledger) else reference_accounts
