"""Which kernel a command uses: the reference on the log, or the same law compiled, on the archive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from application.fast_lines import fast_parts
from application.impact_lines import Parts, reference_parts
from application.run_accounts import RunAccounts, fast_accounts, reference_accounts

if TYPE_CHECKING:
    from interfaces.bootstrap import Ledger

KERNELS: Final = ("reference", "fast", "auto")
FAST_FROM_EVENTS: Final = 200_000
"""Below it the reference is done before the compiled code is loaded."""

_AUTO: Final = f"auto: fast from {FAST_FROM_EVENTS:,} events on."


def _kernel(text: str) -> str:
    if text not in KERNELS:
        raise typer.BadParameter(f"{text!r} is not a kernel: {', '.join(KERNELS)}")
    return text


ReplayKernel = Annotated[
    str,
    typer.Option(
        "--kernel",
        metavar="KERNEL",
        help="reference: the law, in plain Python, judges the log. fast: the same law compiled judges the archive, "
        f"whose rows it does not compare with the log's (`archive verify` does). {_AUTO}",
        parser=_kernel,
    ),
]
Kernel = Annotated[
    str,
    typer.Option(
        "--kernel",
        metavar="KERNEL",
        help="reference: the law, in plain Python, on the log. fast: the same law compiled, on the archive. "
        f"{_AUTO} The answer is the same where the archive is what the log says.",
        parser=_kernel,
    ),
]


def is_fast(kernel: str, ledger: Ledger) -> bool:
    """Whether the fast kernel is to be used."""
    return kernel == "fast" or (kernel == "auto" and ledger.book.journal.head().size >= FAST_FROM_EVENTS)


def parts_by(kernel: str, ledger: Ledger) -> Parts:
    """Where impact reports take their lines from."""
    return fast_parts(ledger.archive, ledger.kernels) if is_fast(kernel, ledger) else reference_parts


def accounts_by(kernel: str, ledger: Ledger) -> RunAccounts:
    """Who works out the lines that a revision records."""
    return fast_accounts(ledger.archive, ledger.kernels) if is_fast(kernel, ledger) else reference_accounts
