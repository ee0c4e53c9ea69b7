"""``carbon-ledger keys``: the keys of a home. What they are is never shown; which they are, is."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.text import Text

from application import signing_keys
from domain.errors import Rejected
from domain.signing_keys import SigningKey, key_at
from interfaces.cli.command import Cli, command, group
from interfaces.cli.options import By
from interfaces.cli.output import Answer, facts, heading, table

app = group("Keys of this home: what signs the log, and what everything secret is wrapped under.")

Public = Annotated[bool, typer.Option("--public", help="Print the public key that signs now, as PEM, and no more.")]
Size = Annotated[
    int | None,
    typer.Option("--size", min=1, help="Print the public key, as PEM, that signs checkpoints of this size."),
]

LeaveBroken = Annotated[
    bool,
    typer.Option(
        "--leave-broken", help="Leave keys that do not open as they are: nothing opens them afterwards; 3 if any."
    ),
]
SOME_LEFT = 3

_ROOTS = {
    "generated": "a file made beside the store (keys/root.key): whoever copies the home has it",
    "file": "the file that CARBON_LEDGER_KEK_FILE names",
    "passphrase": "the passphrase in the file that CARBON_LEDGER_PASSPHRASE_FILE names",
}


@command(app, "init", example="keys init")
def init(cli: Cli) -> Answer:
    """Make the keys of a home before `init` does: say with the environment where the root key comes from."""
    from interfaces.bootstrap import create_keys

    keys = create_keys(cli.settings())
    return Answer(
        {"root": keys.root, "epoch": keys.epoch},
        [heading("the keys are made"), facts([("root key", _ROOTS[keys.root])]), cli.following("init")],
    )


@command(app, "show", example="keys show --public")
def show(cli: Cli, public: Public = False, size: Size = None) -> Answer:
    """Which keys there are, and which log sizes each of them signs. Raises Rejected ``size_not_signed``."""
    from interfaces.bootstrap import public_pem

    with cli.ledger() as ledger:
        keys = signing_keys.keys_of(ledger.book, ledger.verifier)
        root, epoch = ledger.keys.root, ledger.keys.epoch
    listed = [_key(key) for key in keys]
    if size is not None and key_at(keys, size) is None:
        raise Rejected("size_not_signed", f"no key signs a log of size {size}", field="size", remedy="see `keys show`")
    shown_key = key_at(keys, size) if size is not None else next(reversed(keys), None)
    pem = public_pem(shown_key.public_key) if shown_key is not None else ""
    told: dict[str, Any] = {"root": root, "epoch": epoch, "public_pem": pem, "signing": listed}
    if public or size is not None:
        return Answer(told, [pem.rstrip("\n")])
    rows = [(each["key"], each["first_size"], each["last_size"] or "in use") for each in listed]
    return Answer(
        told,
        [
            facts([("root key", _ROOTS[root]), ("wrapped under", f"KEK of epoch {epoch}")]),
            table(("signing key", "first log size>", "last>"), rows),
        ],
    )


@command(app, "rotate", example="keys rotate --by alice")
def rotate(cli: Cli, by: By) -> Answer:
    """Let a new key sign the log from the next position on; the old one and the new one sign that."""
    with cli.ledger() as ledger:
        used = {key.key for key in signing_keys.keys_of(ledger.book, ledger.verifier)}
        new = ledger.keys.next_signer(used)
        key = signing_keys.rotate(ledger.book, ledger.keys.signer, new, ledger.verifier, by)
    shown = facts([("signing key", key.key), ("first log size", key.first_size)])
    return Answer(_key(key), [heading("a new key signs the log"), shown, cli.following("keys show --public")])


@command(app, "rewrap", example="keys rewrap")
def rewrap(cli: Cli, leave_broken: LeaveBroken = False) -> Answer:
    """Wrap everything under a new key-encryption key and destroy the old one. Erasures before it are effective then.

    A key that does not open refuses it (`keys_broken`), with its place, before anything is changed.
    """
    with cli.ledger() as ledger:
        epoch, left = ledger.rewrap(leave_broken=leave_broken)
    backup = (
        "Make a new base backup of the database: an older one opens personal data only together with all WAL since. "
        "Destroy backups of the key store from before, if people were erased."
    )
    told = heading(f"everything is wrapped under the KEK of epoch {epoch}; the old is gone")
    human: list[Any] = [told, Text(backup)]
    if left:
        human.append(table(("LEFT, under no epoch", "what"), [(each.field, each.message) for each in left]))
    return Answer({"epoch": epoch, "left": [each.field for each in left]}, human, SOME_LEFT if left else 0)


def _key(key: SigningKey) -> dict[str, Any]:
    return {
        "key": key.key,
        "public_key": key.public_key.hex(),
        "first_size": key.first_size,
        "last_size": key.last_size,
    }
