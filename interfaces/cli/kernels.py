"""Which kernel a command uses: the reference on the log, or the same law compiled, on the archive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from application.fast_lines import fast_parts
from application.impact_lines import Parts, reference_parts
from application.run_accounts import RunAccounts, fast_accounts, reference_accounts

if TYPE_CHECKING:
    from interfaces.bootstrap import Ledger

KERNELS: Final = ("reference", "fast")
FAST_FROM_EVENTS: Final = 200_000
"""Below it the reference is done before the compiled code is loaded."""

Kernel = Annotated[
    str,
    typer.Option(
        "--kernel",
        metavar="KERNEL",
        help="reference: the law, in plain Python, on the log. fast: the same law compiled, on the archive.",
    ),
]
AnyKernel = Annotated[
    str,
    typer.Option(
        "--kernel",
        metavar="KERNEL",
        help=f"reference, fast, or auto: fast from {FAST_FROM_EVENTS:,} events on. The answer is the same.",
    ),
]


def is_fast(kernel: str, ledger: Ledger | None = None) -> bool:
    """Whether the fast kernel is asked for; with a ledger ``auto`` is a choice too."""
    choices = KERNELS if ledger is None else ("auto", *KERNELS)
    if kernel not in choices:
        raise typer.BadParameter(f"{kernel!r} is not a kernel: {', '.join(choices)}", param_hint="'--kernel'")
    if kernel == "auto" and ledger is not None:
        return ledger.book.journal.head().size >= FAST_FROM_EVENTS
    return kernel == "fast"


def parts_by(kernel: str, ledger: Ledger) -> Parts:
    """Where impact reports take their lines from."""
    return fast_parts(ledger.archive, ledger.kernels) if is_fast(kernel, ledger) else reference_parts


def accounts_by(kernel: str, ledger: Ledger) -> RunAccounts:
    """Who works out the lines that a revision records."""
    return fast_accounts(ledger.archive, ledger.kernels) if is_fast(kernel, ledger) else reference_accounts
