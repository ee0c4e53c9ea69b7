"""What the verifier says, and its exit codes: the same as those of ``carbon-ledger``."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

DONE, USAGE, FAILED, ENVIRONMENT = 0, 2, 3, 4
FOUND = "not verified"
"""How a failure of what was to be verified is called."""


class WrongUsage(Exception):
    """The command cannot be run as it was given; nothing was verified."""

    def __init__(self, message: str, field: str = "", remedy: str = "see --help") -> None:
        super().__init__(message)
        self.message, self.field, self.remedy = message, field, remedy


class Answer(NamedTuple):
    """What was found: for machines, and for people as pairs of label and value."""

    payload: dict[str, Any]
    human: Sequence[tuple[str, str]]
    exit_code: int = DONE


def write_answer(answer: Answer, *, as_json: bool) -> None:
    """On stdout: one JSON object, or one line for each thing that was found."""
    if as_json:
        print(json.dumps(answer.payload))
        return
    width = max((len(label) for label, _ in answer.human), default=0) + 1
    for label, value in answer.human:
        print(f"{f'{label}:':{width}} {value}")


def write_failure(word: str, parts: dict[str, str], *, as_json: bool) -> None:
    """One JSON object on stdout, or text on stderr."""
    if as_json:
        # What was verified and found wrong is an answer; that nothing could be verified is none.
        print(json.dumps({"ok": False, **parts} if word == FOUND else {"error": parts}))
        return
    place = f" [{parts['field']}]" if parts["field"] else ""
    named = word if parts["code"] == word else f"{word}: {parts['code']}"
    remedy = f"\n  remedy: {parts['remedy']}" if parts["remedy"] else ""
    print(f"{named}{place}\n  {parts['message']}{remedy}", file=sys.stderr)
