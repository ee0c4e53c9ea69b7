"""What a verification found, step by step. It stops at nothing: a step that fails is told, and the next one begins."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from domain.errors import LedgerError

FINDINGS_KEPT = 1_000


class Finding(NamedTuple):
    """Something that is not as the bundle says. ``place``: member and line, stream and version, or position."""

    step: str
    code: str
    place: str
    message: str


@dataclass
class Step:
    """One step: how many things were checked, and how many findings it made."""

    name: str
    checked: int = 0
    wrong: int = 0


@dataclass
class Findings:
    """The steps in order, and the first thousand findings."""

    steps: list[Step] = field(default_factory=list)
    kept: list[Finding] = field(default_factory=list)

    @property
    def total(self) -> int:
        return sum(step.wrong for step in self.steps)

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """A step; whatever is raised in it is its last finding."""
        step = Step(name)
        self.steps.append(step)
        try:
            yield step
        except LedgerError as error:
            self.add(step, error.code, error.field, error.message)
        except Exception as error:  # noqa: BLE001  # a stranger's file must not be able to end the verification
            self.add(step, "unreadable", "", f"{type(error).__name__}: {error}"[:500])

    def add(self, step: Step, code: str, place: str, message: str) -> None:
        """Count all, keep the first ones."""
        step.wrong += 1
        if len(self.kept) < FINDINGS_KEPT:
            self.kept.append(Finding(step.name, code, place, message))
