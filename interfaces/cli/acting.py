"""Options of the acts that people sign, and what is done with them (docs/spec/acts.md).

Keeps: a key of a person never lies in a ledger's home; with ``--to-sign`` nothing is done but the text written.
Leaves to ``application.acts``: whether the signature is good.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, cast

import typer

from application.act_answers import to_sign_json
from application.acts import Handed, Signing, TextToSign
from application.ports.signer import Signer
from domain.errors import Rejected
from interfaces.cli.command import Cli, Parameters
from interfaces.cli.files import read_small, write_new
from interfaces.cli.output import Answer, facts, heading

if TYPE_CHECKING:
    from interfaces.bootstrap import Settings

_MAX_SIGNATURE_BYTES = 200

ActorKeyFile = Annotated[
    Path | None,
    typer.Option(
        "--actor-key",
        metavar="FILE",
        help="The actor's own key, as `actor key new` made it: signs this act.",
        show_default=False,
    ),
]
SignatureFile = Annotated[
    Path | None,
    typer.Option(
        "--signature",
        metavar="SIG",
        help="Instead: the actor's signature (DER) over what --to-sign wrote, made on another machine.",
        exists=True,
        dir_okay=False,
        show_default=False,
    ),
]
SignedAt = Annotated[
    int | None,
    typer.Option(
        "--signed-at",
        metavar="N",
        help="The rulebook position that the signed text names, where the rulebook has moved since.",
        min=0,
        show_default=False,
    ),
]
ToSign = Annotated[
    Path | None,
    typer.Option(
        "--to-sign",
        metavar="OUT",
        help="Do nothing: write the text that the actor signs into this new file.",
        show_default=False,
    ),
]


_OPTIONS = {"actor_key": ActorKeyFile, "signature": SignatureFile, "signed_at": SignedAt, "to_sign": ToSign}


def signable(
    function: Callable[Concatenate[Cli, Signing, Parameters], Answer],
) -> Callable[Concatenate[Cli, Parameters], Answer]:
    """A command of an act: called with how it is signed, and with the options that say so in its signature."""

    def run(cli: Cli, /, **arguments: Any) -> Answer:
        chosen = {name: arguments.pop(name) for name in _OPTIONS}
        out = chosen["to_sign"]
        try:
            return function(cli, signing_of(cli, **chosen), **arguments)  # type: ignore[call-arg]
        except TextToSign as asked:
            return _text(asked, out)

    own = list(inspect.signature(function, eval_str=True).parameters.values())
    keyword = inspect.Parameter.KEYWORD_ONLY
    options = [inspect.Parameter(name, keyword, annotation=kind, default=None) for name, kind in _OPTIONS.items()]
    first = own[0].replace(kind=inspect.Parameter.POSITIONAL_ONLY)
    run.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # `command` reads it from here
        [first, *(each.replace(kind=keyword) for each in own[2:]), *options]
    )
    run.__name__, run.__doc__ = function.__name__, function.__doc__
    return cast("Callable[Concatenate[Cli, Parameters], Answer]", run)


def signing_of(
    cli: Cli, *, actor_key: Path | None, signature: Path | None, signed_at: int | None, to_sign: Path | None
) -> Signing:
    """What the options say. Raises BadParameter, and as ``signer_of`` and ``signature_of``."""
    from interfaces.bootstrap import verifier

    if sum(each is not None for each in (actor_key, signature, to_sign)) > 1:
        raise typer.BadParameter("give one of --actor-key, --signature and --to-sign", param_hint="'--actor-key'")
    if signed_at is not None and signature is None:
        raise typer.BadParameter("it belongs to --signature", param_hint="'--signed-at'")
    handed = None if signature is None else Handed(signature_of(signature), signed_at)
    signer = None if actor_key is None else signer_of(cli.settings(), actor_key)
    return Signing(verifier().verify, signer, handed, only_text=to_sign is not None)


def signer_of(settings: Settings, path: Path) -> Signer:
    """The key of a person. Raises Rejected ``actor_key_in_home``; Unavailable as ``read_actor_key``."""
    from interfaces.bootstrap import read_actor_key

    refuse_in_home(settings, path)
    return read_actor_key(settings, path)


def refuse_in_home(settings: Settings, path: Path) -> None:
    """Raises Rejected ``actor_key_in_home``: whoever runs the ledger could sign in everybody's name."""
    if path.resolve().is_relative_to(settings.home.resolve()):
        raise Rejected(
            "actor_key_in_home",
            "a person's key does not belong into the ledger's home",
            field=str(path),
            remedy="keep it where the person alone can read it",
        )


def signature_of(path: Path) -> bytes:
    """A signature of 64 bytes from a DER file. Raises Rejected ``signature_malformed``."""
    from interfaces.bootstrap import signature_from_der

    return signature_from_der(read_small(path, _MAX_SIGNATURE_BYTES))


def signature_by(signer: Signer | None, file: Path | None, text: bytes) -> bytes:
    """Over the text, by a key at hand, or as it was made elsewhere; empty where there is neither."""
    if signer is not None:
        return signer.sign(text)
    return b"" if file is None else signature_of(file)


def _text(asked: TextToSign, out: Path | None) -> Answer:
    assert out is not None
    act = asked.act
    payload = {**to_sign_json(asked), "file": str(write_new(out, asked.text))}
    pairs = [
        ("act", f"{act.name} of {act.object}"),
        ("actor", act.actor),
        ("SM3 of what is shown", act.shown),
        ("what is shown", act.content or "the report of the plan: `revision report`"),
        ("rulebook position", asked.seen),
        ("text to sign", out),
    ]
    return Answer(payload, [heading("nothing is done yet: this is what the actor signs"), facts(pairs)])
