"""``carbon-ledger behaviors``: crediting a file, reversing a credit."""

from __future__ import annotations

import shlex
from contextlib import nullcontext
from itertools import count
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import RenderableType
from rich.text import Text

from application import accounts
from application.importing import ImportResult, import_behaviors
from interfaces.cli.command import Cli, command, group
from interfaces.cli.options import LOCAL_PARTNER, AccountRef, By, InputFile, Partner, Reason, SourceRef
from interfaces.cli.output import Answer, count_text, facts, heading, mass_text, table

app = group("Behaviors: credit a file of them, reverse one.")

OpenAccounts = Annotated[
    bool,
    typer.Option(
        "--open-accounts",
        help="The partner asserts consent for everything before the file was received: opens unknown accounts and "
        "renews the asserted consent of known ones (never where the person granted or withdrew one directly). Give it "
        "with every file, or record consents with `consent grant`.",
    ),
]
Rejects = Annotated[
    Path | None,
    typer.Option("--rejects", metavar="FILE", help="Write refused rows here, ready to be repaired and imported."),
]
NoEvidence = Annotated[
    bool,
    typer.Option(
        "--no-evidence",
        help="Keep no copy of the file in the evidence store: you keep the original yourself, and the log says so.",
    ),
]
Strict = Annotated[bool, typer.Option("--strict", help="Exit with 1 if any row was refused.")]


@command(app, "import", example="behaviors import trips.csv --partner metro --rejects refused.csv")
def import_(
    cli: Cli,
    file: InputFile,
    partner: Partner = LOCAL_PARTNER,
    open_accounts: OpenAccounts = False,
    rejects: Rejects = None,
    no_evidence: NoEvidence = False,
    strict: Strict = False,
) -> Answer:
    """Credit a file of behaviors (CSV, JSON Lines or Parquet). Running it again doubles nothing and resumes.

    The file itself is kept, sealed, in the evidence store of the home.
    """
    from interfaces.bootstrap import RejectsFile, behavior_file

    source = behavior_file(file)
    with (
        cli.ledger() as ledger,
        nullcontext() if rejects is None else RejectsFile(rejects) as sink,
        cli.progress.reading(source) as tell,
    ):
        result = import_behaviors(
            ledger.book,
            source,
            partner,
            opens_accounts=open_accounts,
            evidence=None if no_evidence else ledger.evidence,
            rejects=sink,
            progress=tell,
        )
    payload = _payload(result) | {"partner": partner, "digest": source.digest}
    human = _human(result, file)
    if result.rejected and rejects is None:
        human.append(Text("The same command with --rejects FILE lists every refused row with its remedy."))
    elif result.rejected and rejects is not None:
        opening = " --open-accounts" if open_accounts else ""
        again = f"{_quoted(rejects)}{_partner(partner)}{opening} --rejects {_quoted(_fresh(rejects))}"
        human.append(cli.following(f"behaviors import {again}   (once its rows are repaired)"))
    return Answer(payload, human, 1 if strict and result.rejected else 0)


@command(app, "reverse", example='behaviors reverse ann-01 trip-77 --reason "refunded" --by alice')
def reverse(
    cli: Cli, account: AccountRef, source: SourceRef, reason: Reason, by: By, partner: Partner = LOCAL_PARTNER
) -> Answer:
    """Reverse one credit: it is worth 0 from here on, and stays in the history."""
    with cli.ledger() as ledger:
        acted, reversed_mg = accounts.reverse(ledger.book, account, source, by, reason, partner)
    return Answer(
        {"position": acted.position, "reversed_mg": str(reversed_mg), "account_id": str(acted.account_id)},
        [
            heading(f"reversed {mass_text(reversed_mg)}"),
            facts([("account", acted.account_id), ("position", acted.position)]),
            cli.following(f"account explain {shlex.quote(account)} {shlex.quote(source)}{_partner(partner)}"),
        ],
    )


def _partner(partner: str) -> str:
    return "" if partner == LOCAL_PARTNER else f" --partner {partner}"


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))


def _fresh(taken: Path) -> Path:
    """A name for the next rejects file, since none is ever overwritten: refused.csv, refused-2.csv, refused-3.csv."""
    stem, _, number = taken.stem.rpartition("-")
    if not stem or not (number.isascii() and number.isdigit()):
        stem, number = taken.stem, "1"
    following = (taken.with_name(f"{stem}-{each}{taken.suffix}") for each in count(int(number) + 1))
    return next(each for each in following if not each.exists())


def _payload(result: ImportResult) -> dict[str, Any]:
    return {
        "intake_id": result.intake_id,
        "read": result.read,
        "credited": result.credited,
        "duplicates": result.duplicates,
        "rejected": result.rejected,
        "rejected_by_code": dict(sorted(result.rejected_by_code.items())),
        "credited_mg": str(result.credited_mg),
        "accounts_opened": result.accounts_opened,
        "position": result.position,
        "seconds": round(result.seconds, 3),
        "evidence": result.evidence,
    }


def _human(result: ImportResult, file: Path) -> list[RenderableType]:
    rate = f" ({result.read / result.seconds:,.0f} rows/s)" if result.seconds else ""
    human: list[RenderableType] = [
        heading(f"{file.name}: every row is accounted for"),
        facts(
            [
                ("read", count_text(result.read)),
                ("credited", f"{count_text(result.credited)}, {mass_text(result.credited_mg)}"),
                ("duplicates", count_text(result.duplicates)),
                ("rejected", count_text(result.rejected)),
                ("accounts opened", count_text(result.accounts_opened)),
                ("intake", result.intake_id),
                ("evidence", result.evidence),
                ("position", result.position),
                ("time", f"{result.seconds:.1f} s{rate}"),
            ]
        ),
    ]
    if result.rejected:
        rows = [(code, count_text(count)) for code, count in result.rejected_by_code.most_common()]
        human.append(table(("rejected because", "rows>"), rows))
    return human
