"""``carbon-ledger checkpoint run`` and ``collect``: signing without anybody at the keyboard, and asking witnesses."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from application import checkpoints, cosignatures
from application.background_signing import BackgroundSigner
from application.witness_exchange import COSIGNED, FAILED, REFUSED, Exchanged
from domain.errors import Rejected, Unavailable
from interfaces.cli.asking import (
    Wait,
    WitnessFolders,
    WitnessKeys,
    asked,
    exit_code_of,
    rounds_of,
    told,
    witness_keys,
)
from interfaces.cli.command import Cli, command
from interfaces.cli.files import read_small
from interfaces.cli.output import Answer, count_text, facts, heading, table
from interfaces.cli.stopping import Stop, stoppable

if TYPE_CHECKING:
    from interfaces.bootstrap import Ledger

_MAX_NOTE_BYTES = 64 * 1024
_LONGEST_PAUSE_S = 10
_WORTH_TRYING = {
    *("server_lost", "server_stopped", "server_not_ready", "server_busy", "server_read_only"),
    *("ledger_busy", "disk_full", "keys_moved", "key_missing", "signing_key_missing"),
}
"""What may be over in a while: a restart, a failover, a key that another process is just writing."""

Every = Annotated[float, typer.Option("--every", metavar="SECONDS", min=0.05, help="How often it looks for news.")]
MapEvery = Annotated[
    float, typer.Option("--map-every", metavar="SECONDS", min=0.05, help="How often a checkpoint names a map.")
]
Notes = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="[NOTE]...",
        help="Notes that witnesses signed, as `witness cosign --out` writes them.",
        exists=True,
        dir_okay=False,
        show_default=False,
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands to those of checkpoints."""
    command(app, "run", example="checkpoint run --witness-folder shared --witness w1.pem")(run)
    command(app, "collect", example="checkpoint collect --witness-folder shared --witness w1.pem --wait 30")(collect)


def run(
    cli: Cli,
    every: Every = 1.0,
    map_every: MapEvery = 60.0,
    witness_folder: WitnessFolders = (),  # type: ignore[assignment]
    witness: WitnessKeys = (),  # type: ignore[assignment]
) -> Answer:
    """Sign in the background until SIGTERM or Ctrl-C: whenever there is news, with a map every so often.

    A database that is lost is waited for. A log that is not what was signed, or what a witness signed, ends it with 3.
    """
    running = _Running(
        BackgroundSigner(map_every, time.monotonic), witness_folder, witness_keys(witness, witness_folder), every
    )
    with stoppable() as stop:
        _tell("signing in the background; SIGTERM or Ctrl-C ends it")
        while not stop.wait(running.pause_s):
            try:
                with cli.ledger() as ledger:
                    running.steps(ledger, stop)
            except Unavailable as error:
                running.failed(error)
    return running.answer()


class _Running:
    """What goes on from one connection to the next."""

    def __init__(self, signer: BackgroundSigner, folders: Sequence[Path], keys: list[bytes], every: float) -> None:
        self._signer, self._folders, self._keys, self._every = signer, folders, keys, every
        self._told: dict[str, tuple[str, str]] = {}
        self._failures = 0
        self._failing = ""
        self._began = False
        self._counts = {"signed": 0, "with_map": 0, "cosignatures": 0, "retries": 0}
        self._size = 0

    @property
    def pause_s(self) -> float:
        """How long to wait before the ledger is opened: not at all at first, longer with each failure."""
        return min(self._every * 2**self._failures, _LONGEST_PAUSE_S) if self._failing else 0.0

    def steps(self, ledger: Ledger, stop: Stop) -> None:
        """Sign until asked to stop, or until something fails."""
        auditing, rounds = ledger.auditing, rounds_of(ledger, self._folders, self._keys, self._every)
        while True:
            signed = self._signer.step(auditing)
            self._began = True
            if self._failing:
                _tell("signing again")
            self._failing, self._failures, self._size = "", 0, signed.checkpoint.size
            self._counts["signed"] += signed.is_new
            self._counts["with_map"] += signed.is_new and signed.checkpoint.map_position > 0
            for each in rounds.step(signed):
                self._counts["cosignatures"] += each.new
                self._tell_of(each)
            if stop.wait(self._every):
                return

    def failed(self, error: Unavailable) -> None:
        """Go on later, or raise it: a ledger that never opened will not open by itself."""
        if not self._began or error.code not in _WORTH_TRYING:
            raise error
        self._failures += 1
        self._counts["retries"] += 1
        if error.code != self._failing:
            _tell(f"{error.code}: {error.message} (nothing is signed meanwhile; trying again)")
        self._failing = error.code

    def answer(self) -> Answer:
        """What was done."""
        pairs = [(name.replace("_", " "), count_text(count)) for name, count in self._counts.items()]
        payload: dict[str, Any] = {"size": self._size, **self._counts}
        return Answer(
            payload, [heading("the signer has stopped"), facts([("log size", count_text(self._size)), *pairs])]
        )

    def _tell_of(self, each: Exchanged) -> None:
        """Once, when a witness begins to be in another state."""
        now = (each.state, each.code)
        if each.state in (REFUSED, FAILED) and self._told.get(each.place) != now:
            _tell(f"{each.place}: {each.state}: {each.code}: {each.message}")
        if each.state == COSIGNED and self._told.get(each.place, now) != now:
            _tell(f"{each.place}: signs again")
        if each.state in (REFUSED, FAILED, COSIGNED):
            self._told[each.place] = now


def collect(
    cli: Cli,
    note: Notes = None,
    witness_folder: WitnessFolders = (),  # type: ignore[assignment]
    witness: WitnessKeys = (),  # type: ignore[assignment]
    wait: Wait = 0,
) -> Answer:
    """Sign the log as it stands, ask the witnesses of the folders for it, and keep what they and the notes say.

    3 if a witness refused.
    """
    if not note and not witness_folder:
        raise typer.BadParameter("name a note or a --witness-folder", param_hint="'[NOTE]...'")
    keys = witness_keys(witness, ["a note"])
    with cli.ledger() as ledger:
        new = sum(_collect_note(ledger, path, keys) for path in note or ())
        signed = checkpoints.sign(ledger.auditing)
        found = asked(ledger, witness_folder, keys, signed, wait)
        new += sum(each.new for each in found)
        text = cosignatures.cosigned_note(ledger.auditing, signed).decode()
    payload: dict[str, Any] = {
        "size": signed.checkpoint.size,
        "new": new,
        "note": text,
        "witnesses": told(found),
    }
    rows = [(each.place, each.state, count_text(each.size), each.code, each.message) for each in found]
    human: list[Any] = [
        heading(f"{count_text(new)} new cosignatures"),
        facts([("log size", count_text(payload["size"]))]),
    ]
    if rows:
        human.append(table(("folder", "state", "signed up to>", "code", "what"), rows))
    return Answer(payload, human, exit_code_of(found))


def _collect_note(ledger: Ledger, path: Path, keys: list[bytes]) -> int:
    collected = cosignatures.collect(ledger.auditing, read_small(path, _MAX_NOTE_BYTES), keys)
    if not collected.known:
        raise Rejected(
            "witness_unknown",
            "none of the witness keys that were given has signed this note",
            field=str(path),
            remedy="give the witness's public key with --witness",
        )
    return collected.new


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
