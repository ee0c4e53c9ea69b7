"""``carbon-ledger prove``: files that show an event or a balance to whoever holds a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from application import proofs
from application.accounts import account_id
from domain.audit.proofs import balance_proof_text, consistency_proof_text, event_proof_text
from interfaces.cli.asking import (
    Wait,
    Witnesses,
    WitnessFolders,
    WitnessKeys,
    exit_code_of,
    told,
    witness_keys,
)
from interfaces.cli.command import Cli, command, group
from interfaces.cli.files import write_new
from interfaces.cli.options import AccountRef
from interfaces.cli.output import Answer, count_text, facts, heading

if TYPE_CHECKING:
    from application.checkpoints import Signed

app = group("Proofs: small files that anybody checks with `verify` and the log's public key, without this ledger.")

Position = Annotated[
    int, typer.Argument(metavar="POSITION", min=1, help="Where in the log the event stands.", show_default=False)
]
Old = Annotated[
    int, typer.Argument(metavar="OLD", min=1, help="The log size of an older checkpoint.", show_default=False)
]
New = Annotated[
    int | None,
    typer.Argument(metavar="NEW", min=1, help="That of a newer one; now, without it.", show_default=False),
]
Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="FILE", help="Write the proof into this new file.", show_default=False),
]


@command(app, "event", example="prove event 12 --out event-12.json")
def event(
    cli: Cli,
    position: Position,
    out: Out = None,
    witness_folder: WitnessFolders = (),  # type: ignore[assignment]
    witness: WitnessKeys = (),  # type: ignore[assignment]
    wait: Wait = 30,
) -> Answer:
    """That an event is in the log: its facts, and the way from them to the signed root. Nothing personal is shown."""
    witnesses = Witnesses(witness_folder, witness_keys(witness, witness_folder), wait)
    with cli.ledger() as ledger, witnesses.waited_for(ledger):
        proof, signed = proofs.prove_event(ledger.auditing, position)
        text = event_proof_text(proof, witnesses.note(ledger, signed))
    return _answer(text, signed, out, f"the event at position {position} is in the log", witnesses)


@command(app, "balance", example="prove balance ann-01 --out ann-01.json")
def balance(
    cli: Cli,
    account: AccountRef,
    out: Out = None,
    witness_folder: WitnessFolders = (),  # type: ignore[assignment]
    witness: WitnessKeys = (),  # type: ignore[assignment]
    wait: Wait = 30,
) -> Answer:
    """What an account holds: its place in the signed map of all accounts, and every event behind its balances."""
    witnesses = Witnesses(witness_folder, witness_keys(witness, witness_folder), wait)
    with cli.ledger() as ledger, witnesses.waited_for(ledger):
        proof, signed = proofs.prove_balance(ledger.auditing, account_id(ledger.book, account))
        text = balance_proof_text(proof, witnesses.note(ledger, signed))
    return _answer(text, signed, out, f"the account holds {sum(proof.balances.values())} mg", witnesses)


@command(app, "consistency", example="prove consistency 120 --out since-120.json")
def consistency(cli: Cli, old: Old, new: New = None, out: Out = None) -> Answer:
    """That the log of a checkpoint begins with that of an older one: nothing was taken out or changed in between."""
    nobody = Witnesses((), [], 0)
    with cli.ledger() as ledger:
        proof, newer, _ = proofs.prove_consistency(ledger.auditing, old, new)
        text = consistency_proof_text(proof, nobody.note(ledger, newer))
    return _answer(text, newer, out, f"the log only grew since its size {old}", nobody)


def _answer(text: str, signed: Signed, out: Path | None, said: str, witnesses: Witnesses) -> Answer:
    payload: dict[str, Any] = {
        "size": signed.checkpoint.size,
        "root": signed.checkpoint.root.hex(),
        "file": None if out is None else str(write_new(out, text.encode())),
        "proof": text if out is None else None,
        "witnesses": told(witnesses.found),
    }
    code = exit_code_of(witnesses.found)
    if out is None:
        return Answer(payload, [text.rstrip("\n")], code)
    pairs = [("checkpoint", f"log size {count_text(signed.checkpoint.size)}"), ("written", str(out))]
    return Answer(payload, [heading(said), facts([*pairs, *witnesses.pairs])], code)
