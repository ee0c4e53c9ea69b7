"""``carbon-ledger actor``: the keys of people, and what they sign with them (docs/spec/acts.md)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from application import actors
from application.actors import Registration
from application.acts import Signing
from domain import acts, partnering, registering
from domain.actor_keys import ActorKey
from domain.errors import Rejected
from domain.signing import signed_bytes
from interfaces.cli.acting import ToSign, refuse_in_home, signable, signature_by, signer_of
from interfaces.cli.command import Cli, command, group
from interfaces.cli.files import read_small, write_new
from interfaces.cli.options import By, OpenReason
from interfaces.cli.output import Answer, facts, heading, table
from interfaces.cli.verifying import key_text

if TYPE_CHECKING:
    from application.ports.signer import Signer

app = group("People who sign what they do: their keys, registered by one and approved by another.")
key_app = group("The key of a person, in a file of his own.")
app.add_typer(key_app, name="key")

_MAX_TEXT_BYTES = 10_000
_TEXTS = tuple(signed_bytes(purpose, b"") for purpose in (acts.PURPOSE, registering.PURPOSE, partnering.PURPOSE))

KeyFile = Annotated[Path, typer.Argument(metavar="FILE", help="The key file.", show_default=False)]
Text = Annotated[
    Path,
    typer.Argument(metavar="FILE", help="The text, as --to-sign wrote it.", exists=True, dir_okay=False),
]
Actor = Annotated[str, typer.Argument(metavar="NAME", help="The actor's name, as --by gives it.", show_default=False)]
OwnKey = Annotated[Path, typer.Option("--actor-key", metavar="KEY", help="The actor's own key file.")]
NewKey = Annotated[
    Path | None,
    typer.Option("--actor-key", metavar="KEY", help="The new key, where its file is at hand.", show_default=False),
]
OldKey = Annotated[
    Path | None,
    typer.Option("--old-key", metavar="KEY", help="The key that it replaces, at hand.", show_default=False),
]
PublicKey = Annotated[
    Path | None,
    typer.Option(
        "--key", metavar="PUB", help="The new public key as PEM.", exists=True, dir_okay=False, show_default=False
    ),
]
Possession = Annotated[
    Path | None,
    typer.Option(
        "--possession",
        metavar="SIG",
        help="Signature (DER) of the new key over what --to-sign wrote.",
        exists=True,
        dir_okay=False,
        show_default=False,
    ),
]
OfOld = Annotated[
    Path | None,
    typer.Option(
        "--old-signature",
        metavar="SIG",
        help="Signature (DER) of the key that it replaces over the same text.",
        exists=True,
        dir_okay=False,
        show_default=False,
    ),
]
OneKey = Annotated[
    str | None, typer.Option("--key", metavar="ID", help="Which of the actor's keys.", show_default=False)
]
Out = Annotated[Path, typer.Option("--out", metavar="SIG", help="Write the signature (DER) into this new file.")]


@command(key_app, "new", example="actor key new bob.key")
def new_key(cli: Cli, file: KeyFile) -> Answer:
    """Make a key for one person, in a new file that he alone can read; never in a ledger's home.

    It is sealed where CARBON_LEDGER_ACTOR_PASSPHRASE_FILE names a file with a passphrase.
    """
    from interfaces.bootstrap import create_actor_key

    settings = cli.settings()
    refuse_in_home(settings, file)
    key = create_actor_key(settings, file)
    return _key_shown(key, file, "the key is made", settings.actor_passphrase_file is not None)


@command(key_app, "show", example="actor key show bob.key")
def show_key(cli: Cli, file: KeyFile) -> Answer:
    """The public half of a key, as PEM: what is registered, and what an auditor is given."""
    return _key_shown(signer_of(cli.settings(), file), file, "", sealed=False)


@command(app, "sign", example="actor sign review.txt --actor-key bob.key --out review.sig")
def sign(cli: Cli, text: Text, actor_key: OwnKey, out: Out) -> Answer:
    """Sign the text of an act or of a registration, on any machine; no ledger is needed."""
    from interfaces.bootstrap import signature_to_der

    content = read_small(text, _MAX_TEXT_BYTES)
    if not content.startswith(_TEXTS):
        raise Rejected(
            "text_malformed",
            "this is not the text of an act or of a registration",
            field=str(text),
            remedy="take the file that --to-sign wrote",
        )
    signer = signer_of(cli.settings(), actor_key)
    told = content.partition(b"\0")[2].decode("utf-8", "backslashreplace")
    file = str(write_new(out, signature_to_der(signer.sign(content))))
    pairs = [("text", told), ("key", signer.key_id), ("signature", file)]
    return Answer({"text": told, "key": signer.key_id, "file": file}, [heading("signed"), facts(pairs)])


@command(app, "register", example="actor register bob --actor-key bob.key --by alice")
def register(
    cli: Cli,
    actor: Actor,
    by: By,
    actor_key: NewKey = None,
    key: PublicKey = None,
    possession: Possession = None,
    old_key: OldKey = None,
    old_signature: OfOld = None,
    to_sign: ToSign = None,
) -> Answer:
    """Register an actor's key; it signs once somebody else approves it. The actor's earlier key has to sign too.

    With --key the owner keeps the private half elsewhere, and signs there what --to-sign writes.
    """
    from interfaces.bootstrap import public_key_of, verifier

    if (actor_key is None) == (key is None):
        raise typer.BadParameter("give one of --actor-key and --key", param_hint="'--actor-key'")
    settings = cli.settings()
    new = None if actor_key is None else signer_of(settings, actor_key)
    old = None if old_key is None else signer_of(settings, old_key)
    public_key = public_key_of(key_text(key)) if key is not None else new.public_key if new is not None else b""
    with cli.ledger() as ledger:
        text, replaces = actors.to_register(ledger.book, actor, public_key)
        if to_sign is not None:
            payload = {"actor": actor, "replaces": replaces or None, "file": str(write_new(to_sign, text))}
            return Answer(payload, [heading("nothing is done yet"), facts(list(payload.items()))])
        signatures = signature_by(new, possession, text), signature_by(old, old_signature, text)
        done = actors.register(ledger.book, actor, public_key, by, *signatures, verifier().verify)
    hint = cli.following(f"actor approve-key {actor} --by SOMEBODY-ELSE   (not {by}, not {actor})")
    return _done(done, "registered, and signs nothing before somebody else approves it", hint)


@command(app, "approve-key", example="actor approve-key bob --by carol")
@signable
def approve_key(cli: Cli, signing: Signing, actor: Actor, by: By) -> Answer:
    """Approve a registered key; neither by its owner nor by who registered it. Compare its id with the owner first."""
    with cli.ledger() as ledger:
        return _done(actors.approve(ledger.book, actor, by, signing), "active: acts in this name have to be signed")


@command(app, "revoke", example='actor revoke bob --reason "lost laptop" --by carol')
@signable
def revoke(cli: Cli, signing: Signing, actor: Actor, by: By, reason: OpenReason, key: OneKey = None) -> Answer:
    """End an actor's key, or a registration that waits. The name cannot act before another key is approved."""
    with cli.ledger() as ledger:
        return _done(actors.revoke(ledger.book, actor, by, reason, key, signing), "revoked")


@command(app, "list", example="actor list")
def list_(cli: Cli) -> Answer:
    """All keys of people, where they stand, who registered and approved them."""
    with cli.ledger() as ledger:
        rulebook = ledger.book.rulebook()
    listed = [_key(each) for each in rulebook.actor_keys.all.values()]
    rows = [(each["actor"], each["key"], each["state"], each["by"], each["approved_by"]) for each in listed]
    shown = table(("actor", "key", "state", "registered by", "approved by"), rows)
    signed_acts = rulebook.genesis is not None and rulebook.genesis.signed_acts
    payload = {"actors": listed, "signed_acts": signed_acts, "position": rulebook.position}
    return Answer(payload, [shown if rows else heading("no keys of people: acts are recorded with names alone")])


def _key_shown(key: Signer, file: Path, said: str, sealed: bool) -> Answer:
    from interfaces.bootstrap import public_pem

    pem = public_pem(key.public_key)
    payload = {"key": key.key_id, "public_pem": pem, "file": str(file)}
    if not said:
        return Answer(payload, [pem.rstrip("\n")])
    kept = "sealed under the passphrase" if sealed else "in clear: who can read the file can sign"
    return Answer(payload, [heading(said), facts([("key", key.key_id), ("file", f"{file}, {kept}")]), pem.rstrip("\n")])


def _key(key: ActorKey) -> dict[str, Any]:
    return {
        "actor": key.actor,
        "key": key.key,
        "public_key": key.public_key.hex(),
        "state": key.state,
        "by": key.by,
        "approved_by": key.approver or None,
        "replaces": key.replaces or None,
        "registered": key.registered,
        "approved": key.approved,
    }


def _done(done: Registration, said: str, *hints: Any) -> Answer:
    pairs = [("actor", done.key.actor), ("key", done.key.key), ("position", done.position)]
    payload = {"actor": done.key.actor, "key": done.key.key, "state": done.key.state, "position": done.position}
    return Answer(payload, [heading(f"the key is {said}"), facts(pairs), *hints])
