"""Whom the auditor trusts: public keys in files, from elsewhere and never from what is to be verified."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from application.verification.notes import Trusted, trusted_by
from domain.errors import Rejected
from infrastructure.gm.sm2_format import public_key_from_pem
from interfaces.verifier.answers import WrongUsage

_MAX_KEY_BYTES = 10_000


def add_arguments(parser: ArgumentParser) -> None:
    """The options that name keys."""
    parser.add_argument(
        "--key", type=Path, action="append", required=True, metavar="PUB",
        help="the log's public key as PEM; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--witness", type=Path, action="append", default=[], metavar="PUB",
        help="the public key of a witness; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--actor", action="append", default=[], metavar="NAME=PUB",
        help="an actor's public key: acts in this name count with this key alone; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--need",
        metavar="K",
        help="how many of these witnesses must have signed: 2, or '2 of 3'; more than half without it",
    )


def trusted(arguments: Namespace) -> Trusted:
    """The keys named. Raises WrongUsage."""
    keys = [_key(path, "--key") for path in arguments.key]
    witnesses = [_key(path, "--witness") for path in arguments.witness]
    actors = [_actor(text) for text in arguments.actor]
    try:
        return trusted_by(keys, witnesses, arguments.need, actors)
    except ValueError as error:
        raise WrongUsage(str(error), "--need", "see --help") from error


def _actor(text: str) -> tuple[str, bytes]:
    name, _, file = text.rpartition("=")
    if not name:
        raise WrongUsage(f"{text!r} is not NAME=PUB", "--actor", "name the actor as the log does, and a PEM file")
    return name, _key(Path(file), "--actor")


def _key(path: Path, option: str) -> bytes:
    content = read(path, _MAX_KEY_BYTES, option)
    try:
        return public_key_from_pem(content.decode("ascii", "replace"))
    except Rejected as error:
        raise WrongUsage(f"{path}: {error.message}", option, error.remedy) from error


def read(path: Path, most: int, field: str) -> bytes:
    """A file, or as much of it as shows that it has more than ``most`` bytes. Raises WrongUsage."""
    try:
        with path.open("rb") as file:
            return file.read(most + 1)
    except (OSError, ValueError) as error:
        raise WrongUsage(f"{path}: {error}", field, "check the name and the permissions") from error
