"""The samples of a bundle: drawn again by its seed, and their workings made again from what the bundle shows.

Keeps: as many credits in memory as samples are drawn.
Leaves to the auditor: whether the seed is the one that was named.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from application.verification.bundle_reader import BundleReader
from application.verification.findings import Findings, Step
from domain.audit.bundle import INTAKES, SAMPLES, SAMPLES_DRAWN, WORKINGS, draw, parse_event, sample_line
from domain.errors import LedgerError, Rejected
from domain.events.account import BehaviorCredited
from domain.events.base import Recorded
from domain.events.intake import IntakeOpened
from domain.events.registry import decode_shown
from domain.rulebook import Rulebook
from domain.workings import workings_line


class Samples:
    """Takes the accounts, and holds what they draw against what the bundle says."""

    def __init__(self) -> None:
        self._drawn: list[tuple[bytes, Recorded]] = []

    def account(self, seed: str, events: Iterable[Recorded]) -> None:
        """The credits of an account's stream take part; none do without a seed."""
        for each in events if seed else ():
            if isinstance(each.event, BehaviorCredited):
                self._drawn.append((draw(seed, each.stream.bytes, each.version), each))
                if len(self._drawn) > 2 * SAMPLES_DRAWN:
                    self._drawn = self._least()

    def check(self, reader: BundleReader, rulebook: Rulebook, findings: Findings, step: Step) -> None:
        """Both members. Raises Rejected ``samples_differ``."""
        self._drawn = self._least()
        step.checked = len(self._drawn)
        expected = [sample_line(drawn, each.stream.bytes, each.version) for drawn, each in self._drawn]
        if list(islice(reader.lines(SAMPLES), SAMPLES_DRAWN + 1)) != expected:
            text = "other samples than the seed draws from the credits shown"
            remedy = "keep the bundle as evidence and ask who made it"
            raise Rejected("samples_differ", text, field=SAMPLES, remedy=remedy)
        if WORKINGS in reader.names:
            self._check_workings(reader, rulebook, findings, step)

    def _check_workings(self, reader: BundleReader, rulebook: Rulebook, findings: Findings, step: Step) -> None:
        intakes = self._intakes(reader)
        told = iter(islice(reader.lines(WORKINGS), SAMPLES_DRAWN + 1))
        for number, (_, each) in enumerate(self._drawn, start=1):
            try:
                expected = workings_line(rulebook, each, intakes[each.event.intake])
            except (ValueError, KeyError, LedgerError):
                expected = b""  # what is wrong with the credit is told where it stands
            if next(told, None) != expected:
                text = "not the workings of this sample, as they follow from the events shown"
                findings.add(step, "workings_differ", f"{WORKINGS} line {number}", text)
        if next(told, None) is not None:
            findings.add(step, "workings_differ", WORKINGS, "more lines than samples")

    def _intakes(self, reader: BundleReader) -> dict[int, IntakeOpened]:
        """The intakes of the samples, by position."""
        wanted, found = {each.event.intake for _, each in self._drawn}, dict[int, IntakeOpened]()
        for line in reader.lines(INTAKES) if wanted else ():
            event = parse_event(line)
            facts = decode_shown(event.topic, event.facts) if event.position in wanted else None
            if isinstance(facts, IntakeOpened):
                found[event.position] = facts
        return found

    def _least(self) -> list[tuple[bytes, Recorded]]:
        return sorted(self._drawn, key=lambda each: each[0])[:SAMPLES_DRAWN]
