"""Options and steps of commands that have a checkpoint cosigned before they answer."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from application import checkpoints, cosignatures
from application.witness_exchange import DONE, REFUSED, Exchanged, Rounds
from interfaces.cli.verifying import VERIFICATION_FAILED, key_text

if TYPE_CHECKING:
    from interfaces.bootstrap import Ledger

PATIENCE_S = 5

WitnessFolders = Annotated[
    list[Path],
    typer.Option(
        "--witness-folder",
        metavar="DIR",
        help="A folder that this ledger and one witness reach: inbox is for the witness, outbox is its answer; may be "
        "repeated.",
        exists=True,
        file_okay=False,
        show_default=False,
    ),
]
WitnessKeys = Annotated[
    list[Path],
    typer.Option(
        "--witness",
        metavar="PUB",
        help="The public key of a witness, as `witness show --public` prints it; may be repeated.",
        exists=True,
        dir_okay=False,
        show_default=False,
    ),
]
Wait = Annotated[
    float,
    typer.Option(
        "--wait", metavar="SECONDS", min=0, max=240, help="How long to wait for the witnesses of the folders."
    ),
]


class Witnesses:
    """The witnesses of the folders, waited for by a command that gives something out. ``found``: how they stand."""

    def __init__(self, folders: Sequence[Path], keys: list[bytes], wait_s: float) -> None:
        self._folders, self._keys, self._wait_s = folders, keys, wait_s
        self.found: list[Exchanged] = []

    def waited_for(self, ledger: Ledger) -> AbstractContextManager[None]:
        """Nobody else signs while it lasts: a witness does not go back to an older checkpoint."""
        return ledger.auditing.log.signing() if self._folders else nullcontext()

    def ask(self, ledger: Ledger, signed: checkpoints.Signed) -> None:
        """Have a checkpoint cosigned."""
        self.found = asked(ledger, self._folders, self._keys, signed, self._wait_s)

    def note(self, ledger: Ledger, signed: checkpoints.Signed) -> bytes:
        """The checkpoint's note, with the witnesses' lines."""
        self.ask(ledger, signed)
        return cosignatures.cosigned_note(ledger.auditing, signed)

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """How they stand, for people."""
        return [(each.place, f"{each.state} {each.code}".rstrip()) for each in self.found]


def told(found: Sequence[Exchanged]) -> list[dict[str, Any]]:
    """How witnesses stand, for machines."""
    return [{key: value for key, value in each._asdict().items() if key != "new"} for each in found]


def exit_code_of(found: Sequence[Exchanged]) -> int:
    """3 if a witness refused."""
    return VERIFICATION_FAILED if any(each.state == REFUSED for each in found) else 0


def asked(
    ledger: Ledger, folders: Sequence[Path], keys: list[bytes], signed: checkpoints.Signed, wait_s: float
) -> list[Exchanged]:
    """Ask for a checkpoint until all witnesses have answered, or time is up."""
    rounds = rounds_of(ledger, folders, keys, 0)
    until, new = time.monotonic() + wait_s, dict[str, int]()
    while True:
        found = rounds.step(signed)
        for each in found:
            new[each.place] = new.get(each.place, 0) + each.new
        if all(each.state in DONE for each in found) or time.monotonic() >= until:
            return [each._replace(new=new[each.place]) for each in found]
        time.sleep(0.1)


def rounds_of(ledger: Ledger, folders: Sequence[Path], keys: list[bytes], every_s: float) -> Rounds:
    from interfaces.bootstrap import folder_of_log

    patience = max(PATIENCE_S, round(PATIENCE_S / every_s)) if every_s else 0
    return Rounds(ledger.auditing, [folder_of_log(folder) for folder in folders], keys, patience)


def witness_keys(paths: Sequence[Path], folders: Sequence[object]) -> list[bytes]:
    """The keys whose cosignatures are kept."""
    from interfaces.bootstrap import public_key_of

    if folders and not paths:
        raise typer.BadParameter(
            "whose signatures are to be kept? give the public key of each", param_hint="'--witness'"
        )
    return [public_key_of(key_text(path)) for path in paths]
