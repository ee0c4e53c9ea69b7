"""``carbon-ledger-verify``: checks what a ledger has handed out, without the ledger and without a network.

Keeps: with ``--json`` there is one object on stdout and nothing else; exit codes are 0 verified, 2 wrong usage (nothing
was verified), 3 verification failed, 4 this Python does not do. It imports Python's library, ``gmssl`` in pure Python
and the ledger's rules, and is the composition root of these: nothing of the service is in it.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from typing import NoReturn

from domain.errors import LedgerError, Unavailable
from infrastructure.gm.hardened_gmssl import GmsslVerifier
from interfaces.verifier import files, known_answers, notes
from interfaces.verifier.answers import ENVIRONMENT, FAILED, FOUND, USAGE, WrongUsage, write_answer, write_failure

PROGRAM = "carbon-ledger-verify"
LONGEST_NUMBER = 4300
"""Digits of a number in text: Python's own limit, whatever its surroundings say."""

_ABOUT = "Check what a ledger has handed out, without the ledger and without a network."
_EXIT_CODES = "Exit codes: 0 verified, 2 wrong usage, 3 verification failed, 4 this Python does not do."


class _Parser(ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise WrongUsage(message, remedy=f"see `{self.prog} --help`")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    as_json = "--json" in words
    sys.set_int_max_str_digits(LONGEST_NUMBER)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        arguments = _parsed(words)
        verifier = GmsslVerifier()
        known_answers.ask(verifier)
        answer = arguments.run(arguments, verifier)
    except WrongUsage as error:
        write_failure("usage", _parts("usage", error.message, error.field, error.remedy), as_json=as_json)
        return USAGE
    except LedgerError as error:
        unable = isinstance(error, Unavailable)
        parts = _parts(error.code, error.message, error.field, error.remedy)
        write_failure("unavailable" if unable else FOUND, parts, as_json=as_json)
        return ENVIRONMENT if unable else FAILED
    write_answer(answer, as_json=as_json)
    return int(answer.exit_code)


def _parsed(words: Sequence[str]) -> Namespace:
    parser = _Parser(prog=PROGRAM, description=_ABOUT, epilog=_EXIT_CODES)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    note = commands.add_parser("note", help=notes.ABOUT, description=notes.ABOUT, epilog=_EXIT_CODES)
    notes.add_arguments(note)
    note.set_defaults(run=notes.run)
    verify = commands.add_parser("verify", help=files.ABOUT, description=files.ABOUT, epilog=_EXIT_CODES)
    files.add_arguments(verify)
    verify.set_defaults(run=files.run)
    for each in commands.choices.values():
        each.add_argument("--json", action="store_true", help="one JSON object on stdout, nothing else")
    return parser.parse_args(words)


def _parts(code: str, message: str, field: str, remedy: str) -> dict[str, str]:
    return {"code": code, "message": message, "field": field, "remedy": remedy}
