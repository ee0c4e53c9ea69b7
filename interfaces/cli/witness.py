"""``carbon-ledger witness``: a second organization's signature on what a log says, given to one history only."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from application.witness_exchange import Answering
from application.witnessing import Cosigned, Refused, beginning
from domain.audit.note import cosigner_hash_of
from domain.audit.witnessing import STALE
from domain.errors import Rejected, Unavailable
from domain.instants import instant_text
from interfaces.cli.command import Cli, command, group
from interfaces.cli.files import read_small, write_new
from interfaces.cli.output import Answer, count_text, facts, heading, table
from interfaces.cli.stopping import stoppable
from interfaces.cli.verifying import VERIFICATION_FAILED, key_text

if TYPE_CHECKING:
    from application.witnessing import Witness
    from domain.audit.checkpoint import Checkpoint

app = group("A witness of a log: it signs every checkpoint that only adds to the one before, and keeps the others.")

_MAX_NOTE_BYTES = 64 * 1024
_MAX_PROOF_BYTES = 1024 * 1024

Origin = Annotated[
    str, typer.Option("--log-origin", metavar="ORIGIN", help="The log's name, the first line of its checkpoints.")
]
Key = Annotated[
    Path, typer.Option("--key", metavar="PUB", help="The log's public key as PEM.", exists=True, dir_okay=False)
]
First = Annotated[
    Path,
    typer.Option(
        "--first", metavar="NOTE", help="The first checkpoint, handed over by people.", exists=True, dir_okay=False
    ),
]
Name = Annotated[str, typer.Option("--name", metavar="NAME", help="The witness's name, as in exchange.example/w1.")]
ProofFile = Annotated[
    Path,
    typer.Argument(
        metavar="PROOF",
        help="A consistency proof from the witness's last checkpoint on, as `prove consistency` writes it.",
        exists=True,
        dir_okay=False,
        show_default=False,
    ),
]
Rotation = Annotated[
    Path,
    typer.Argument(
        metavar="PROOF",
        help="The proof of the event that rotates the log's key, as `prove event` writes it.",
        exists=True,
        dir_okay=False,
        show_default=False,
    ),
]
Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="FILE", help="Write the signed note into this new file.", show_default=False),
]
Inbox = Annotated[
    Path,
    typer.Option("--inbox", metavar="DIR", help="Where the log asks: request.json.", exists=True, file_okay=False),
]
Outbox = Annotated[
    Path,
    typer.Option(
        "--outbox",
        metavar="DIR",
        help="Where the witness answers: cosigned, refusal.json.",
        exists=True,
        file_okay=False,
    ),
]
Every = Annotated[float, typer.Option("--every", metavar="SECONDS", min=0.05, help="How often it looks.")]
Public = Annotated[bool, typer.Option("--public", help="Print the witness's public key as PEM, and no more.")]


@command(
    app,
    "init",
    example="witness init --home w1 --log-origin ORIGIN --key log.pem --first checkpoint --name exchange.example/w1",
)
def init(cli: Cli, log_origin: Origin, key: Key, first: First, name: Name) -> Answer:
    """Make a witness with a key of its own. Origin, key and first checkpoint come from people, not from the log."""
    from interfaces.bootstrap import create_witness, public_key_of, verifier

    note = read_small(first, _MAX_NOTE_BYTES)
    known = beginning(name, log_origin, public_key_of(key_text(key)), note, verifier())
    return _shown("a witness is made", create_witness(cli.settings(), known), public=False)


@command(app, "show", example="witness show --public")
def show(cli: Cli, public: Public = False) -> Answer:
    """Where the witness stands: its key, the newest checkpoint it accepted, what it refused."""
    from interfaces.bootstrap import open_witness

    return _shown("the witness", open_witness(cli.settings()), public=public)


@command(app, "cosign", example="witness cosign since-120.json --out cosigned")
def cosign(cli: Cli, proof: ProofFile, out: Out = None) -> Answer:
    """Answer one request by hand: sign the newer checkpoint of the proof, or refuse it; 3 if it is refused."""
    from interfaces.bootstrap import open_witness

    result = open_witness(cli.settings()).cosign(read_small(proof, _MAX_PROOF_BYTES))
    payload = _result(result)
    if isinstance(result, Refused):
        if result.code == STALE:
            remedy = f"ask for `prove consistency {result.checkpoint.size}`"
            raise Rejected(result.code, result.message, field=str(proof), remedy=remedy)
        pairs = [(result.code, result.message), ("kept as", result.evidence)]
        return Answer(payload, [heading("REFUSED"), facts(pairs)], VERIFICATION_FAILED)
    payload |= {"note": result.note.decode(), "file": None if out is None else str(write_new(out, result.note))}
    human = [result.note.decode().rstrip("\n")] if out is None else [heading("signed"), _facts(result.checkpoint)]
    return Answer(payload, human)


@command(app, "run", example="witness run --inbox shared/inbox --outbox shared/outbox")
def run(cli: Cli, inbox: Inbox, outbox: Outbox, every: Every = 1.0) -> Answer:
    """Answer the requests in a folder until SIGTERM or Ctrl-C; 3 if anything was refused meanwhile."""
    from interfaces.bootstrap import folder_of_witness, open_witness

    answering = Answering(open_witness(cli.settings()), folder_of_witness(inbox, outbox))
    newest, signed, refused, failed = answering.begin(), 0, 0, ""
    with stoppable() as stop:
        _tell(f"the witness stands at size {newest.size}; SIGTERM or Ctrl-C ends it")
        while not stop.wait(every):
            try:
                result = answering.step()
            except Unavailable as error:
                if error.code != "folder_failed":
                    raise
                if failed != error.message:
                    _tell(f"{error} (trying again)")
                failed = error.message
                continue
            if failed:
                _tell("the folder works again")
            failed = ""
            if isinstance(result, Cosigned):
                newest, signed = result.checkpoint, signed + 1
            elif result is not None:
                refused += bool(result.evidence)
                _tell(f"refused: {result.code}: {result.message} {result.evidence}".rstrip())
    payload = {"size": newest.size, "root": newest.root.hex(), "signed": signed, "refused": refused}
    pairs = [("log size", count_text(newest.size)), ("signed", count_text(signed)), ("refused", count_text(refused))]
    return Answer(payload, [heading("the witness has stopped"), facts(pairs)], VERIFICATION_FAILED if refused else 0)


@command(app, "trust-key", example="witness trust-key rotation.json")
def trust_key(cli: Cli, proof: Rotation) -> Answer:
    """Trust the log's next key: the old one must have signed for it, and somebody of the log's operator told you so."""
    from interfaces.bootstrap import open_witness

    key = open_witness(cli.settings()).trust(read_small(proof, _MAX_PROOF_BYTES))
    payload = {"key": key.key, "public_key": key.public_key.hex(), "first_size": key.first_size}
    return Answer(payload, [heading("the log's next key is trusted"), facts(list(payload.items()))])


def _shown(said: str, witness: Witness, *, public: bool) -> Answer:
    from interfaces.bootstrap import public_pem

    known, newest = witness.home.known(), witness.stands()
    pem, evidence = public_pem(witness.signer.public_key), witness.home.evidence()
    payload: dict[str, Any] = {
        "name": known.name,
        "origin": known.origin,
        "key_hash": cosigner_hash_of(known.name, b"\x04" + witness.signer.public_key).hex(),
        "public_pem": pem,
        "size": newest.size,
        "root": newest.root.hex(),
        "recorded_at": instant_text(newest.recorded_us),
        "log_keys": [each.key for each in known.keys],
        "refusals": evidence,
    }
    if public:
        return Answer(payload, [pem.rstrip("\n")])
    human: list[Any] = [heading(said), facts([("name", known.name), ("log", known.origin)]), _facts(newest)]
    if evidence:
        human.append(table(("refused, and kept as evidence",), [(each,) for each in evidence]))
    return Answer(payload, human)


def _facts(checkpoint: Checkpoint) -> Any:
    return facts(
        [
            ("log size", count_text(checkpoint.size)),
            ("root", checkpoint.root.hex()),
            ("last event", instant_text(checkpoint.recorded_us)),
        ]
    )


def _result(result: Cosigned | Refused) -> dict[str, Any]:
    told = {"size": result.checkpoint.size, "root": result.checkpoint.root.hex()}
    if isinstance(result, Refused):
        return {"ok": False, "code": result.code, "message": result.message, "evidence": result.evidence, **told}
    return {"ok": True, "is_new": result.is_new, **told}


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
