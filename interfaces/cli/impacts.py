"""What a revision does or would do, as commands tell it to machines and to people.

Keeps: the sums have the same names in every answer; ``report`` of a plan is what its digest was taken of.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from application.act_answers import DIRECTIONS
from application.revising import Planned
from interfaces.cli.changes import changes_table
from interfaces.cli.output import count_text, facts, heading, mass_text, table


def plan_text(payload: dict[str, Any], planned: Planned) -> list[RenderableType]:
    """The same for people."""
    report = payload["report"]
    version = report["methodology"]
    days = f"from {report['from'] or 'open'} to {report['to'] or 'open'} in region {report['region']}"
    name, done = (payload["revision_id"], "planned") if payload["revision_id"] else ("dry run", "asked for")
    human: list[RenderableType] = [
        heading(f"{name}: {version} {days}, {done} by {report['planned_by']}"),
        impact_facts(payload),
        changes_table(planned.changes),
    ]
    if not payload["credits"]:
        human.append(Text("No booked credit is in scope; approving it only decides how late rows are valued."))
    elif not payload["changed_accounts"]:
        human.append(Text("This changes no account's balance."))
    if payload["not_valued"]:
        human.append(Text(f"{payload['not_valued']:,} credits cannot be valued by {version} and would be worth 0:"))
        human += [
            Text(f"  {each['credits']:,} in region {each['region'] or '(none)'}: {each['reason']}")
            for each in payload["not_valued_by"]
        ]
    if payload["left_out"]:
        human.append(Text(f"Regions that keep their own decision: {', '.join(payload['left_out'])}"))
    if not payload["revision_id"]:
        human.append(Text("A dry run: nothing was recorded."))
    return human + _written(payload["files"])


def comparison_text(payload: dict[str, Any]) -> list[RenderableType]:
    """A comparison for people."""
    first, second, difference = payload["first"], payload["second"], payload["difference"]
    days = f"from {first['from'] or 'open'} to {first['to'] or 'open'} in region {first['region']}"
    rows: list[tuple[str, ...]] = []
    for label, key in (("before", "before_mg"), ("after", "after_mg"), ("difference", "delta_mg")):
        one, two = int(first[key]), int(second[key])
        rows.append((label, mass_text(one), mass_text(two), mass_text(two - one)))
    for key in ("credits", *DIRECTIONS, "not_valued"):
        label = key.replace("_", " ")
        rows.append((label, *map(count_text, (first[key], second[key], second[key] - first[key]))))
    head = ("", f"{first['methodology']}>", f"{second['methodology']}>", "second - first>")
    return [
        heading(f"{first['methodology']} or {second['methodology']}, {days}; nothing was recorded"),
        table(head, rows),
        Text("The last column is what the second would make more than the first; a minus sign says less."),
        Text(
            f"Of {count_text(difference['accounts'])} accounts {count_text(difference['rising_accounts'])} would hold "
            f"more under the second than under the first, {count_text(difference['falling_accounts'])} less."
        ),
        facts([("digest", payload["digest"])]),
        *_written(payload["files"]),
    ]


def impact_facts(payload: dict[str, Any]) -> RenderableType:
    """The sums of a run."""
    changing = f"{count_text(payload['accounts'])}, of which {count_text(payload['changed_accounts'])} change"
    if "rising_accounts" in payload:
        changing += f": {count_text(payload['rising_accounts'])} rise, {count_text(payload['falling_accounts'])} fall"
    if payload.get("turned_negative_accounts"):
        changing += f", {count_text(payload['turned_negative_accounts'])} turn negative"
    return facts(
        [
            ("plan digest", payload["plan_digest"]),
            ("accounts", changing),
            ("credits", count_text(payload["credits"])),
            ("before", mass_text(int(payload["before_mg"]))),
            ("after", mass_text(int(payload["after_mg"]))),
            ("difference", mass_text(int(payload["delta_mg"]))),
        ]
    )


def _written(files: Sequence[str]) -> list[RenderableType]:
    return [Text("\n".join(f"written: {each}" for each in files))] if files else []
