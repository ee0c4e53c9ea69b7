"""A log as a bundle shows it, and what the domain finds in it, in the words of docs/spec/valuation.md."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from uuid import UUID

from domain.digest import MerkleRoot
from domain.events.base import Recorded, RulebookEvent
from domain.events.registry import encode
from domain.replay import AccountReplay, approved_runs
from domain.revision import Impact, lines_entry
from domain.rulebook import Rulebook
from domain.timeliness import untimely
from tests.fixtures.independent_rulebook import Line
from tests.fixtures.independent_valuation import Found, Judged, judged

Times = Mapping[int, int]


def lines_of(log: Iterable[Recorded], times: Times) -> list[Line]:
    """Rulebook and accounts, for a program that was written from the document alone."""
    return [
        Line(
            each.position,
            each.stream,
            each.version,
            each.event.TOPIC,
            times[each.position],
            json.loads(encode(each.event))["facts"],
        )
        for each in log
        if isinstance(each.event, RulebookEvent) or each.event.STREAM == "account"
    ]


def by_the_document(log: Iterable[Recorded], times: Times, until: int) -> Judged:
    return judged((line for line in lines_of(log, times) if line.position <= until), until)


def by_the_domain(log: Iterable[Recorded], times: Times, until: int) -> tuple[set[Found], dict[UUID, dict[str, int]]]:
    """What a bundle's verifier finds in its accounts, and the balances that it computes."""
    upto = [each._replace(personal=None) for each in log if each.position <= until]
    rulebook = Rulebook()
    rulebook.extend(each for each in upto if isinstance(each.event, RulebookEvent))
    streams: dict[UUID, list[Recorded]] = {}
    for each in upto:
        if each.event.STREAM == "account":
            streams.setdefault(each.stream, []).append(each)
    runs, found, balances = approved_runs(rulebook, until), set[Found](), dict[UUID, dict[str, int]]()
    totals = {run.id: (Impact(), MerkleRoot()) for run, _ in runs}
    for stream in sorted(streams):
        account = AccountReplay(rulebook, runs, stream, until)
        balances[stream] = account.run(streams[stream])
        found |= {(wrong.position, _name(wrong.what)) for wrong in account.mismatches}
        for revised in account.revised:
            impact, root = totals[revised.revision]
            impact.add(revised.lines)
            root.add(lines_entry(stream, revised.lines))
        found |= {(e.position, "day_impossible") for e in streams[stream] if _untimely(rulebook, e, times)}
    for run, _ in runs:
        if run.completed is not None:
            impact, root = totals[run.id]
            sums = {**impact.as_dict(), "lines_root": root.hex()}
            found |= {(run.completed_position, n) for n, v in sums.items() if getattr(run.completed, n) != v}
    return found, balances


def _untimely(rulebook: Rulebook, each: Recorded, times: Times) -> bool:
    try:
        return untimely(rulebook, each, times[each.position]) is not None
    except ValueError:
        return False


def _name(what: str) -> str:
    return "lines" if what.startswith("line of credit") else what
