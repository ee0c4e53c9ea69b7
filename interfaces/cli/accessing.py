"""``carbon-ledger access``: who was shown or handed what; and how every command that shows it says so first.

Keeps: an access is recorded before the answer is written; where it cannot be, there is no answer.
"""

from __future__ import annotations

import os
import pwd
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from application.access import accesses, opened_for
from application.accounts import account_id
from application.answers import access_json
from domain.access import GIVEN, LOGIN, Reader
from domain.instants import instant_of
from interfaces.cli.command import Cli, command, group
from interfaces.cli.options import DayAfter, FirstDay, actor_text
from interfaces.cli.output import Answer, count_text, heading, table

if TYPE_CHECKING:
    from interfaces.bootstrap import Ledger

app = group("The access log: who read, exported, erased and decided what.")

ReadBy = Annotated[
    str | None,
    typer.Option(
        "--by",
        metavar="ACTOR",
        help="Who asks; is recorded before anything is shown. Without it the name under which this command runs.",
        parser=actor_text,
        show_default=False,
    ),
]
OfAccount = Annotated[
    str | None,
    typer.Option(
        "--account", metavar="REF", help="Only what is about this account, by reference or id.", show_default=False
    ),
]
OfActor = Annotated[
    str | None,
    typer.Option("--actor", metavar="ACTOR", help="Only what this actor did.", parser=actor_text, show_default=False),
]


def reader(by: str | None) -> Reader:
    """Who asks: the name that was given, else the one that the operating system knows."""
    if by is not None:
        return Reader(by, GIVEN)
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        name = f"uid {os.getuid()}"
    return Reader(name, LOGIN)


def about_to_show(ledger: Ledger, by: str | None, asked: str, account: str) -> None:
    """Record that personal facts of an account are shown next. ``account``: its id. Without keys none can be shown."""
    opened_for(ledger.book, reader(by), asked, UUID(account))


@command(app, "list", example="access list --account ann-01")
def list_(
    cli: Cli, account: OfAccount = None, actor: OfActor = None, from_: FirstDay = None, to: DayAfter = None
) -> Answer:
    """Who was shown personal facts, exported records, erased people, and reviewed or approved what.

    Days are those on which it was recorded, at +08:00. Exports are not told by account: the log holds how many accounts
    they were about, and a digest of their ids.
    """
    with cli.ledger() as ledger:
        found = list(
            accesses(
                ledger.book,
                account=None if account is None else account_id(ledger.book, account),
                actor=actor,
                from_us=0 if from_ is None else _start_us(from_),
                to_us=None if to is None else _start_us(to),
            )
        )
        position = ledger.book.journal.head().size
    listed = [access_json(each) for each in found]
    shown = ("position", "recorded_at", "kind", "by", "known_by", "command")
    rows = [(*(each[name] for name in shown), _what(each)) for each in listed]
    columns = ("position>", "recorded", "kind", "by", "known by", "command", "what")
    human: list[Any] = [heading(f"{count_text(len(listed))} accesses and acts")]
    if rows:
        human.append(table(columns, rows))
    return Answer({"accesses": listed, "position": position}, human)


def _start_us(day: str) -> int:
    return instant_of(f"{day}T00:00:00+08:00")


def _what(each: dict[str, Any]) -> str:
    return each["account_id"] or each["object"] or (f"{each['accounts']:,} accounts" if each["accounts"] else "")
