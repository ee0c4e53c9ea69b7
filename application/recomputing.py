"""Whole accounts through the fast kernel: what every engine does with the rows it is given.

Keeps: every credit of a proven account names an intake of its own partner that was opened before it, is counted there,
and is of what the partner might send; an account in which one is not is left to the reference, which names it.
Leaves to the engine: where rows come from and where this runs.
"""

from __future__ import annotations

import numpy as np

from application.ports.archive import CREDITED, IRREGULAR, Ints, Names, Rows
from application.ports.engine import Part, Task
from application.ports.kernel import KernelFactory


class Recomputing:
    """One task, on the rows of one reader of the archive."""

    def __init__(self, task: Task, kernels: KernelFactory, names: Names) -> None:
        """``names``: those of all rows to come."""
        self._task = task
        self._kernel = kernels(task.rulebook, task.runs, names)

    def part(self, rows: Rows) -> Part:
        """Recompute some whole accounts."""
        credits = np.flatnonzero(rows.kind == CREDITED)
        senders = self._senders(rows, credits)
        counts = _counted(senders)
        partners = rows.names.words["partner"]
        wrong = [each for each in counts if not self._fits(each, partners)]
        left = [credits[rows.intake[credits] >= rows.position[credits]], *self._barred(rows, credits)]
        left += [credits[np.isin(senders, wrong)]] if wrong else []
        if any(map(len, left)):
            # The kernel knows nothing of intakes and partners; a row that it cannot prove leaves the account to the
            # reference.
            kind = rows.kind.copy()
            kind[np.concatenate(left)] = IRREGULAR
            rows = rows._replace(kind=kind)
        recomputed = self._kernel.replay(rows, self._task.until)
        if len(recomputed.unproven):
            proven = np.ones(len(rows.ids), np.bool_)
            proven[recomputed.unproven] = False
            counts = _counted(senders[proven[rows.account[credits]]])
        intakes = {each // len(partners): count for each, count in counts.items()}
        return Part(rows.ids, rows.names.words["behavior"], recomputed, intakes)

    def _senders(self, rows: Rows, credits: Ints) -> Ints:
        """Intake and partner of each credit as one number; what cannot be a position counts as 0, which is none."""
        intakes = rows.intake[credits]
        possible = (intakes > 0) & (intakes <= self._task.until)
        senders: Ints = intakes * possible * len(rows.names.words["partner"]) + rows.partner[credits]
        return senders

    def _barred(self, rows: Rows, credits: Ints) -> list[Ints]:
        """The credits of behaviors that their registered partner might not send at their positions."""
        found = list[Ints]()
        behaviors = rows.names.words["behavior"]
        for code, name in enumerate(rows.names.words["partner"]):
            partner = self._task.rulebook.partners.all.get(name)
            if partner is None:
                continue
            own = credits[rows.partner[credits] == code]
            refused = [[False] * len(behaviors)]  # before it was registered nothing was asked of it
            refused += [[bool(each.refusal(behavior)) for behavior in behaviors] for each in partner.standings]
            since = [each.since for each in partner.standings]
            standing = np.searchsorted(since, rows.position[own])
            barred = own[np.array(refused)[standing, rows.behavior[own]]]
            if len(barred):
                found.append(barred)
        return found

    def _fits(self, sender: int, partners: list[str]) -> bool:
        intake, partner = divmod(sender, len(partners))
        return self._task.partners.get(intake) == partners[partner]


def _counted(senders: Ints) -> dict[int, int]:
    # Sorting is the cheapest way to few different numbers (15 ns a row; looking each one up takes 100, both measured).
    different, counts = np.unique(senders, return_counts=True)
    return dict(zip(different.tolist(), counts.tolist(), strict=True))
