"""``carbon-ledger methodology``: the life cycle of methodology versions."""

from __future__ import annotations

import json
from typing import Any

from rich.text import Text

from application import methodologies
from application.act_answers import changes_json
from application.acts import Signing
from application.answers import methodology_json
from application.methodologies import Standing
from domain import methodology as rules
from domain.behavior import decimal_text
from interfaces.cli.acting import signable
from interfaces.cli.changes import changes_table
from interfaces.cli.command import Cli, command, group
from interfaces.cli.files import read_json
from interfaces.cli.options import By, InputFile, LeaveGap, Version
from interfaces.cli.output import Answer, facts, heading, table

app = group("Methodology versions: drafted, reviewed, certified, published, withdrawn. Immutable once published.")


@command(app, "import", example="methodology import metro-2.json --by alice")
def import_(cli: Cli, file: InputFile, by: By) -> Answer:
    """Draft a methodology version from its file (format: docs/formats.md)."""
    document = read_json(file)
    with cli.ledger() as ledger:
        standing = methodologies.import_methodology(ledger.book, document, by)
    return _standing(cli, standing, by, "review")


@command(app, "review", example="methodology review TRAVEL-METRO@2 --by bob")
@signable
def review(cli: Cli, signing: Signing, version: Version, by: By) -> Answer:
    """Review a drafted version; not by its drafter."""
    with cli.ledger() as ledger:
        standing = methodologies.review(ledger.book, version, by, signing)
    return _standing(cli, standing, by, "certify")


@command(app, "certify", example="methodology certify TRAVEL-METRO@2 --by carol")
@signable
def certify(cli: Cli, signing: Signing, version: Version, by: By) -> Answer:
    """Certify a reviewed version; neither by its drafter nor by its reviewer."""
    with cli.ledger() as ledger:
        standing = methodologies.certify(ledger.book, version, by, signing)
    return _standing(cli, standing, by, "publish")


@command(app, "publish", example="methodology publish TRAVEL-METRO@2 --by dave")
@signable
def publish(cli: Cli, signing: Signing, version: Version, by: By) -> Answer:
    """Publish a certified version. It is then known, and not yet applicable to anything."""
    with cli.ledger() as ledger:
        standing = methodologies.publish(ledger.book, version, by, signing)
    answer = _standing(cli, standing, by, None)
    name = f"{standing.code}@{standing.version}"
    hints = cli.following(
        f"applicability propose {name} --from DATE --to open --by {by}   (for days to come)",
        f"revision plan {name} --from DATE --to DATE --by {by}   (for days past)",
    )
    return answer._replace(human=[*answer.human, hints])


@command(app, "propose-withdrawal", example="methodology propose-withdrawal TRAVEL-METRO@1 --by alice")
@signable
def propose_withdrawal(cli: Cli, signing: Signing, version: Version, by: By) -> Answer:
    """Propose that a published version's decisions end."""
    with cli.ledger() as ledger:
        standing = methodologies.propose_withdrawal(ledger.book, version, by, signing)
    answer = _standing(cli, standing, by, "approve-withdrawal")
    said = f"withdrawal of {version} is proposed by {by}; it stays in force until somebody else approves it"
    return answer._replace(human=[heading(said), *answer.human[1:]])


@command(app, "approve-withdrawal", example="methodology approve-withdrawal TRAVEL-METRO@1 --by bob")
@signable
def approve_withdrawal(cli: Cli, signing: Signing, version: Version, by: By, leave_gap: LeaveGap = False) -> Answer:
    """Approve a withdrawal; not by its proposer. Look-up falls back to the next older decision from here on."""
    with cli.ledger() as ledger:
        standing, changes = methodologies.approve_withdrawal(ledger.book, version, by, signing, leave_gap=leave_gap)
    answer = _standing(cli, standing, by, None)
    kept = Text(
        "Booked credits keep their value; to change them: revision plan CODE@V --from DATE --to DATE --by ACTOR"
    )
    human = [*answer.human, kept, changes_table(changes, "What values new rows from here on")]
    return Answer(answer.payload | {"changes": changes_json(changes)}, human)


@command(app, "list", example="methodology list")
def list_(cli: Cli) -> Answer:
    """All versions and where they stand. Superseded: a later version is published; its own decisions go on."""
    with cli.ledger() as ledger:
        rulebook = ledger.book.rulebook()
    versions = [methodology_json(rulebook, version) for version in rulebook.methodologies.values()]
    rows = [
        (
            f"{each['code']}@{each['version']}",
            each["behavior"],
            each["unit"],
            each["state"],
            ", ".join(each["in_force"]) or "-",
            each["formula"],
        )
        for each in versions
    ]
    shown = table(("version", "behavior", "unit", "state", "in force", "formula"), rows)
    return Answer({"methodologies": versions, "position": rulebook.position}, [shown])


@command(app, "show", example="methodology show CYCLING-SHARED@2")
def show(cli: Cli, version: Version) -> Answer:
    """One version in full: who did what, its formula, values, caps and sources."""
    with cli.ledger() as ledger:
        rulebook = ledger.book.rulebook()
    found = rules.find(rulebook, version)
    summary = methodology_json(rulebook, found)
    method = found.method
    lowest, highest = (decimal_text(bound, method.scale) for bound in (method.minimum, method.maximum))
    pairs = [
        ("state", summary["state"]),
        ("in force", ", ".join(summary["in_force"]) or "no decision"),
        ("behavior", method.behavior),
        ("title", " / ".join(method.title.values())),
        ("formula", f"{method.formula_text}, rounded {method.rounding} to mg"),
        ("quantity", f"{lowest} to {highest} {method.unit}"),
        ("late window", f"{method.late_window_days} days"),
        ("drafted by", found.drafter),
        ("reviewed by", found.reviewer or "nobody yet"),
        ("certified by", found.certifier or "nobody yet"),
        ("digest", found.digest),
    ]
    if found.withdrawal_proposer:
        pairs.append(("withdrawal proposed by", found.withdrawal_proposer))
    document = json.loads(found.document)
    return Answer(
        summary | {"document": document, "position": rulebook.position},
        [heading(found.name), facts(pairs), *_document_tables(document)],
    )


def _document_tables(document: dict[str, Any]) -> list[Any]:
    rows = []
    for name, parameter in document["parameters"].items():
        if "factor_set" in parameter:
            rows.append((name, f"release of {parameter['factor_set']}", parameter["unit"], "", "", ""))
        rows += [
            (name, row["value"], parameter["unit"], row["region"], row["from"] or "open", row["to"] or "open")
            for row in parameter.get("rows", ())
        ]
    shown = [table(("parameter", "value>", "unit", "region", "from", "to"), rows)]
    if document["caps"]:
        caps = [(cap["window"], cap["kind"], cap["limit"], cap.get("unit", "credits")) for cap in document["caps"]]
        shown.append(table(("cap per", "of", "limit>", "unit"), caps))
    sources = [(source["title"], source["page"] or "", source["grade"]) for source in document["sources"]]
    shown.append(table(("source", "page", "grade"), sources))
    return shown


def _standing(cli: Cli, standing: Standing, by: str, then: str | None) -> Answer:
    name = f"{standing.code}@{standing.version}"
    payload = {
        "code": standing.code,
        "version": standing.version,
        "state": standing.state,
        "digest": standing.digest,
        "position": standing.position,
    }
    human: list[Any] = [heading(f"{name} is {standing.state}"), facts([("digest", standing.digest)])]
    if then is not None:
        human.append(cli.following(f"methodology {then} {name} --by SOMEBODY-ELSE   (not {by})"))
    return Answer(payload, human)
