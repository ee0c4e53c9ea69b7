"""``carbon-ledger account``: open, look at, freeze, close one account."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import Annotated, Any

import typer
from rich.console import RenderableType
from rich.text import Text

from application import accounts, erasing, queries, statements
from application.accounts import Acted
from application.acts import Signing
from application.answers import account_json, explanation_json, statement_json
from application.book import Book
from domain.account import KINDS
from domain.erasure import GROUNDS
from domain.instants import instant_of
from interfaces.cli.accessing import ReadBy, about_to_show
from interfaces.cli.acting import signable
from interfaces.cli.command import Cli, command, group
from interfaces.cli.explaining import explain_text
from interfaces.cli.options import (
    LOCAL_PARTNER,
    AccountRef,
    AtPosition,
    Before,
    By,
    KnownAt,
    Partner,
    Reason,
    SourceRef,
    before_day,
)
from interfaces.cli.output import Answer, facts, heading, mass_text, masses_table, table

app = group("One account: open it, ask what it holds and why, freeze or close it.")


def _kind(text: str) -> str:
    if text not in KINDS:
        raise typer.BadParameter(f"{text!r} is not one of {', '.join(KINDS)}")
    return text


def _ground(text: str) -> str:
    if text not in GROUNDS:
        raise typer.BadParameter(f"{text!r} is not one of {', '.join(GROUNDS)}")
    return text


Ground = Annotated[
    str,
    typer.Option("--ground", metavar="GROUND", help=f"By PIPL 47: {', '.join(GROUNDS)}; is recorded.", parser=_ground),
]
Kind = Annotated[str, typer.Option("--kind", metavar="KIND", help="individual, household or enterprise.", parser=_kind)]


@command(app, "open", example="account open ann-01")
def open_(cli: Cli, account: AccountRef, kind: Kind = "individual") -> Answer:
    """Open an account. It takes credits once it has a consent."""
    with cli.ledger() as ledger:
        acted = accounts.open_account(ledger.book, account, kind)
    answer = _acted(acted, f"account {account} is open")
    hint = cli.following(f"consent grant {shlex.quote(account)} --terms VERSION --evidence FILE --by ACTOR")
    return answer._replace(human=[*answer.human, hint])


@command(app, "show", example="account show ann-01 --occurred-before 2026-01-01")
def show(
    cli: Cli,
    account: AccountRef,
    occurred_before: Before = None,
    known_at: KnownAt = None,
    at_position: AtPosition = None,
    by: ReadBy = None,
) -> Answer:
    """What an account holds: now, or as the ledger knew it, of all its days or of those before one."""
    if known_at is not None and at_position is not None:
        raise typer.BadParameter("give --known-at or --at-position, not both")
    with cli.ledger() as ledger:
        instant = None if known_at is None else instant_of(known_at)
        known = queries.known_at(ledger.book, position=at_position, instant_us=instant)
        view = queries.show_account(ledger.book, account, known, before_day(occurred_before))
        payload = account_json(view, ledger.key_epoch, occurred_before=occurred_before, known_at=known_at)
        about_to_show(ledger, by, "account show", view.account_id)
    return Answer(payload, _view(view, occurred_before, known_at, payload["erasure"]))


@command(app, "statement", example="account statement ann-01")
def statement(cli: Cli, account: AccountRef, by: ReadBy = None) -> Answer:
    """Every credit, reversal and revision of an account, in the order in which they were recorded."""
    with cli.ledger() as ledger:
        found = accounts.account_id(ledger.book, account)
        shown = statements.statement(ledger.book, ledger.views, found, personal=ledger.book.opens)
        closed = "erased" if ledger.book.opens else "not opened"
        about_to_show(ledger, by, "account statement", shown.account_id)
    table_of = _entries_table(shown.entries, closed)
    return Answer(statement_json(shown), [heading(f"account {account}"), table_of, masses_table(shown.by_behavior)])


@command(app, "explain", example="account explain ann-01 trip-77")
def explain(
    cli: Cli, account: AccountRef, source: SourceRef, partner: Partner = LOCAL_PARTNER, by: ReadBy = None
) -> Answer:
    """Why a credit is worth what it is: formula, inputs, factors, sources, decision, every valuation over time."""
    with cli.ledger() as ledger:
        position = ledger.book.journal.head().size
        found = queries.explain(ledger.book, account, source, partner)
        about_to_show(ledger, by, "account explain", found["account_id"])
    payload = explanation_json(found, position)
    return Answer(payload, explain_text(payload))


@command(app, "freeze", example='account freeze ann-01 --reason "court order 12/2026" --by alice')
def freeze(cli: Cli, account: AccountRef, by: By, reason: Reason) -> Answer:
    """Accept no credits until it is unfrozen. Revisions still apply."""
    return _act(cli, accounts.freeze, account, by, reason, "frozen")


@command(app, "unfreeze", example='account unfreeze ann-01 --reason "order lifted" --by alice')
def unfreeze(cli: Cli, account: AccountRef, by: By, reason: Reason) -> Answer:
    """Accept credits again."""
    return _act(cli, accounts.unfreeze, account, by, reason, "open")


@command(app, "close", example='account close ann-01 --reason "customer left" --by alice')
def close(cli: Cli, account: AccountRef, by: By, reason: Reason) -> Answer:
    """Accept no credits any more, for ever. Its history stays and revisions still apply."""
    return _act(cli, accounts.close, account, by, reason, "closed")


@command(app, "erase", example='account erase ann-01 --reason "letter of 2026-03-01" --by alice')
@signable
def erase(
    cli: Cli, signing: Signing, account: AccountRef, by: By, reason: Reason, ground: Ground = GROUNDS[0]
) -> Answer:
    """Ask to erase the person behind an account; somebody else approves it. Numbers, history and proofs stay.

    Refused while the law asks to keep the records: restrict the account until then (`consent withdraw`, `account
    freeze`).
    """
    with cli.ledger() as ledger:
        acted = erasing.request(ledger.book, account, by, reason, ground, signing)
    answer = _acted(acted, f"erasure of account {account} is asked for: nothing is erased yet")
    hint = cli.following(f"account approve-erasure {acted.account_id} --by ACTOR   (somebody else)")
    return Answer(answer.payload | {"ground": ground}, [*answer.human, hint])


@command(app, "approve-erasure", example="account approve-erasure ann-01 --by bob")
@signable
def approve_erasure(cli: Cli, signing: Signing, account: AccountRef, by: By) -> Answer:
    """Erase the person behind an account, as somebody else has asked: for ever, and nobody can undo it."""
    with cli.ledger() as ledger:
        erased = erasing.approve(ledger.book, account, by, signing)
    payload = {"account_id": str(erased.account_id), "position": erased.position, "epoch": erased.epoch}
    pairs = [("account", erased.account_id), ("position", erased.position), ("effective", _until(erased.epoch))]
    hint = cli.following("keys rewrap")
    return Answer(payload | {"effective": False}, [heading("the personal data are erased"), facts(pairs), hint])


def _until(epoch: int) -> str:
    return f"for backups of the database: once the KEK of epoch {epoch} is destroyed, by `keys rewrap`"


def _erasure_pairs(found: dict[str, Any]) -> list[tuple[str, Any]]:
    asked = f"asked for by {found['requested_by']} at position {found['requested']} ({found['ground']})"
    if found["erased"] is None:
        return [("erasure", f"{asked}, not approved; reason: {found['reason']}")]
    effective = "everywhere, backups of the database included" if found["effective"] else _until(found["epoch"])
    return [
        ("personal data", f"erased at position {found['erased']} by {found['approved_by']}; {asked}"),
        ("effective", effective),
    ]


def _act(
    cli: Cli, act: Callable[[Book, str, str, str], Acted], account: str, by: str, reason: str, status: str
) -> Answer:
    with cli.ledger() as ledger:
        acted = act(ledger.book, account, by, reason)
    answer = _acted(acted, f"account {account} is {status}")
    return answer._replace(payload=answer.payload | {"status": status})


def _acted(acted: Acted, what: str) -> Answer:
    payload = {"account_id": str(acted.account_id), "position": acted.position}
    return Answer(payload, [heading(what), facts([("account", acted.account_id), ("position", acted.position)])])


def _view(
    view: queries.AccountView, occurred_before: str | None, known_at: str | None, erasure: dict[str, Any] | None
) -> list[RenderableType]:
    known = f"at log position {view.position}"
    if known_at is not None:
        known += f", the last one recorded by {known_at}"
    if view.provisional:
        known += " (provisional: that time is not over, more may be recorded before it)"
    pairs = [
        ("account", view.account_id),
        ("kind", view.kind),
        ("status", view.status),
        ("known", known),
        ("days", "all" if occurred_before is None else f"before {occurred_before}"),
        *([] if erasure is None else _erasure_pairs(erasure)),
    ]
    human: list[RenderableType] = [heading(f"{mass_text(view.credited_mg)} CO2e"), facts(pairs)]
    if view.by_behavior:
        human.append(masses_table(view.by_behavior))
    if view.consents:
        rows = [
            (
                each["consent"],
                ", ".join(each["scope"]),
                each["basis"],
                each["valid_from"] or "open",
                each["valid_to"] or "open",
            )
            for each in view.consents
        ]
        human.append(table(("consent", "scope", "basis", "from", "to"), rows))
    else:
        human.append(Text("No active consent: no behavior can be credited."))
    return human


def _entries_table(entries: list[dict[str, Any]], closed: str) -> RenderableType:
    """``closed``: what stands for a reference that is not there to be read."""
    rows = [
        (
            entry["position"],
            entry["recorded_at"],
            entry["kind"] if entry["kind"] != "revised" else _revised(entry),
            entry["behavior"],
            entry["day"],
            entry["partner"],
            closed if entry["partner"] and entry["source_ref"] is None else entry["source_ref"],
            mass_text(int(entry["change_mg"])),
            mass_text(int(entry["balance_mg"])),
        )
        for entry in entries
    ]
    columns = ("position>", "recorded", "what", "behavior", "day", "partner", "source_ref", "change>", "balance>")
    return table(columns, rows)


def _revised(entry: dict[str, Any]) -> str:
    return f"revised by {entry['source']} ({entry['lines']:,} credit{'s' if entry['lines'] > 1 else ''})"
