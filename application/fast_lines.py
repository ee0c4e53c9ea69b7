"""Lines of a revision by the fast kernel over the archive, in the shape that the reference gives them.

Keeps: the same lines as ``application.impact_lines.reference_parts``; accounts that the kernel cannot prove are worked
out by the reference from the log and take their place among the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from application.book import Book
from application.impact_lines import Part, Parts, reference_part
from application.ports.archive import Archive, Rows
from application.ports.kernel import Kernel, KernelFactory, Lines
from domain.history import AccountHistory
from domain.revision import Scope
from domain.rulebook import Rulebook


def fast_parts(archive: Archive, kernels: KernelFactory) -> Parts:
    """Every account's lines under each scope, after the archive has followed the log far enough.

    Raises Corrupt ``archive_file_changed``, ``archive_manifest_broken``.
    """

    def parts(book: Book, scopes: Sequence[Scope], upto: int) -> Iterator[Part]:
        if archive.status().position < upto:
            archive.build()
        kernel = None
        for rows in archive.rows(upto):
            # A scope says all that lines need to know of the rulebook.
            kernel = kernel or kernels(Rulebook(), [], rows.names)
            lines = [lines_of(book, kernel, rows, scope, upto) for scope in scopes]
            yield Part(rows.ids, rows.names.words["region"], lines)

    return parts


def lines_of(book: Book, kernel: Kernel, rows: Rows, scope: Scope, upto: int) -> Lines:
    """The lines of some accounts under one scope, complete: ``unproven`` is empty."""
    lines = kernel.lines(rows, scope)
    if not len(lines.unproven):
        return lines
    streams = [rows.ids[account] for account in lines.unproven.tolist()]
    histories = [(stream, AccountHistory().extend(book.journal.stream(stream, upto))) for stream in streams]
    (asked,) = reference_part(histories, [scope], rows.names).lines
    return _joined(lines, asked)


def _joined(proven: Lines, asked: Lines) -> Lines:
    """The reference's lines (its accounts are the unproven ones, in order) put among the kernel's."""
    asked = asked._replace(account=proven.unproven[asked.account])
    order = np.argsort(np.concatenate([proven.account, asked.account]), kind="stable")
    by_line = {
        name: np.concatenate([getattr(proven, name), getattr(asked, name)])[order]
        for name in ("account", "row", "credit", "day", "region", "before_mg", "computed_mg", "credited_mg", "reason")
    }
    by_account = {}
    for name in ("last_version", "balance_mg"):
        column = getattr(proven, name).astype(getattr(asked, name).dtype)
        column[proven.unproven] = getattr(asked, name)
        by_account[name] = column
    return Lines(**by_line, **by_account, unproven=proven.unproven[:0])
