"""``carbon-ledger consent``: what a person allows."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import RenderableType
from rich.text import Text

from application import accounts
from domain.instants import instant_of, instant_text
from interfaces.cli.command import Cli, command, group
from interfaces.cli.files import evidence_digest
from interfaces.cli.options import AccountRef, By, Reason, ValidFrom, ValidTo
from interfaces.cli.output import Answer, facts, heading

app = group("Consents: which behaviors of a person may be credited.")

Scope = Annotated[
    list[str] | None,
    typer.Option(
        "--scope", metavar="BEHAVIOR", help="Behavior that is allowed, * for all; may be given several times."
    ),
]
Terms = Annotated[str, typer.Option("--terms", metavar="VERSION", help="Version of the terms that were agreed to.")]
Evidence = Annotated[
    str,
    typer.Option(
        "--evidence", metavar="FILE|SM3", help="The document that proves it, or its SM3 digest; the digest is recorded."
    ),
]
ConsentNumber = Annotated[
    int | None,
    typer.Option("--consent", metavar="N", help="Which one, as `account show` numbers them; all without it.", min=1),
]


@command(app, "grant", example="consent grant ann-01 --terms 2026-01 --evidence form.pdf --by branch-7")
def grant(
    cli: Cli,
    account: AccountRef,
    terms: Terms,
    evidence: Evidence,
    by: By,
    scope: Scope = None,
    valid_from: ValidFrom = None,
    valid_to: ValidTo = None,
) -> Answer:
    """Record that a person allows behaviors to be credited; for the given time, or without limits."""
    digest = evidence_digest(evidence)
    allowed = tuple(scope or ("*",))
    with cli.ledger() as ledger:
        acted = accounts.grant_consent(
            ledger.book,
            account,
            scope=allowed,
            terms_version=terms,
            valid_from=_in_utc(valid_from),
            valid_to=_in_utc(valid_to),
            evidence=digest,
            by=by,
        )
        number = ledger.book.journal.stream(acted.account_id, acted.position)[-1].version
        rulebook = ledger.book.rulebook()
    unknown = [behavior for behavior in allowed if behavior != "*" and not rulebook.published(behavior)]
    payload = {
        "account_id": str(acted.account_id),
        "position": acted.position,
        "consent": number,
        "evidence": digest,
        "unknown_behaviors": unknown,
    }
    pairs = [("scope", ", ".join(allowed)), ("evidence (SM3)", digest), ("position", acted.position)]
    human: list[RenderableType] = [heading(f"consent {number} of account {account} is granted"), facts(pairs)]
    if unknown:
        human.append(Text(f"No published methodology names {', '.join(unknown)}: check the spelling."))
    return Answer(payload, human)


@command(app, "withdraw", example='consent withdraw ann-01 --reason "by letter" --by branch-7')
def withdraw(cli: Cli, account: AccountRef, by: By, reason: Reason, consent: ConsentNumber = None) -> Answer:
    """Record that a person no longer allows it: every active consent, or one. What was credited stays."""
    with cli.ledger() as ledger:
        acted = accounts.withdraw_consent(ledger.book, account, by, reason, consent)
    what = "all consents" if consent is None else f"consent {consent}"
    are = "are" if consent is None else "is"
    return Answer(
        {"account_id": str(acted.account_id), "position": acted.position},
        [heading(f"{what} of account {account} {are} withdrawn"), facts([("position", acted.position)])],
    )


def _in_utc(text: str | None) -> str | None:
    return None if text is None else instant_text(instant_of(text))
