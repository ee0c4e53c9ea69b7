"""Which kernel a command uses: the reference on the log, or the same law compiled, on the archive."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from interfaces.kernels import FAST_FROM_EVENTS

KERNELS: Final = ("reference", "fast", "auto")
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
