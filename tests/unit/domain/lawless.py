"""A book in memory whose writer also records what no rule would let him."""

from __future__ import annotations

import json
from typing import Any

from domain.digest import sm3_hex
from domain.events import rulebook as events
from domain.events.base import Recorded, RulebookEvent
from domain.events.registry import encode
from domain.replay import Mismatch
from domain.rulebook_replay import check_rulebook
from tests.fixtures.independent_rulebook import Line
from tests.unit.domain.worlds import World


class Lawless(World):
    """A book whose writer also records what no rule would let him; ``planted``: where he did."""

    def __init__(self) -> None:
        super().__init__()
        self.planted: list[int] = []

    def plant(self, kind: type[RulebookEvent], name: str, **facts: Any) -> str:
        event = kind(previous=self.rulebook.position, **facts)
        self.planted.append(self.append(self.rulebook.record(kind.STREAM, name, event)))
        return name

    def forged(self, kind: type[Any], **changes: Any) -> list[Recorded]:
        """The log with the last event of a kind, which was decided lawfully, saying something else."""
        self.planted.append([e.recorded.position for e in self.log if isinstance(e.recorded.event, kind)][-1])
        return self.altered(self.planted[-1], **changes)

    def draft_anyhow(self, document: dict[str, Any], by: str = "dora", text: str | None = None) -> str:
        text = methodology_text(document) if text is None else text
        facts = {"code": document["code"], "version": document["version"], "document": text, "by": by}
        name = f"{document['code']}@{document['version']}"
        return self.plant(events.MethodologyDrafted, name, digest=digest_of(text), **facts)

    def step(self, kind: type[RulebookEvent], name: str, by: str, **more: Any) -> str:
        return self.plant(kind, name, methodology=name, by=by, **more)

    def propose_anyhow(self, name: str, start: str | None = None, end: str | None = None, **changes: Any) -> str:
        decision = f"D{len(self.rulebook.proposals) + 1}"
        terms: dict[str, Any] = {"methodology": name, "start": start, "end": end, "region": "*", "releases": {}}
        terms |= {"decision": decision, "leave_gap": False, "by": "alice"} | changes
        return self.plant(events.DecisionProposed, terms["decision"], **terms)

    def approve_anyhow(self, decision: str, by: str = "bob") -> str:
        return self.plant(events.DecisionApproved, decision, decision=decision, by=by)

    def plan_anyhow(self, name: str, **changes: Any) -> str:
        run = f"R{len(self.rulebook.revisions) + 1}"
        terms: dict[str, Any] = {"methodology": name, "start": None, "end": None, "region": "*", "releases": {}}
        since = self.rulebook.behavior_position(self.rulebook.methodologies[name].method.behavior)
        terms |= {"as_of": self.size, "behavior_position": since, "plan_digest": "0" * 64, "by": "alice"}
        return self.plant(events.RevisionPlanned, run, revision=run, **(terms | changes))

    def approve_run_anyhow(self, run: str, by: str = "bob") -> str:
        digest = self.rulebook.revisions[run].plan_digest
        return self.plant(events.RevisionApproved, run, revision=run, plan_digest=digest, by=by)

    def complete_anyhow(self, run: str, **changes: Any) -> str:
        sums: dict[str, Any] = {"accounts": 0, "changed_accounts": 0, "credits": 0, "lines_root": "0" * 64}
        sums |= {"before_mg": "0", "after_mg": "0", "delta_mg": "0"} | changes
        return self.plant(events.RevisionCompleted, run, revision=run, **sums)


def methodology_text(document: object) -> str:
    return json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def digest_of(text: str) -> str:
    return sm3_hex(text.encode())


def found_in(world: World, log: list[Recorded] | None = None) -> list[Mismatch]:
    recorded = world.events() if log is None else log
    return check_rulebook([each for each in recorded if isinstance(each.event, RulebookEvent)], world.times())


def lines_of(world: World, log: list[Recorded]) -> list[Line]:
    """The rulebook as a bundle shows it, for a program that was written from the document alone."""
    times = world.times()
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
        if isinstance(each.event, RulebookEvent)
    ]
