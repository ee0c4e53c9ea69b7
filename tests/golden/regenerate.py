"""Writes the golden histories: ``python -m tests.golden.regenerate`` (``--check`` only compares).

Keeps: a log as it is stored, one JSON object per event with the state as text, and beside it what everybody must read
out of it: balances at every position, heads, digest. Once a version has been released, its files never change again:
a new shape of an event goes into a new version folder, told by the code that writes it, and the old folder stays to
be read.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from uuid import UUID

from domain.account import Account
from domain.digest import sm3_hex
from domain.events.base import Recorded
from domain.history import AccountHistory
from domain.instants import instant_text
from domain.rulebook import Rulebook
from domain.values import day_text
from tests.golden.stories import STORIES, told
from tests.unit.domain.worlds import Entry, World

FOLDER = Path(__file__).parent / "v1"


def line_of(entry: Entry) -> str:
    """One stored event as one line."""
    each = entry.recorded
    stored = {
        "position": each.position,
        "stream": str(each.stream),
        "version": each.version,
        "topic": entry.topic,
        "recorded_at": instant_text(entry.recorded_us),
        "state": entry.state.decode(),
    }
    return json.dumps(stored, ensure_ascii=False, separators=(",", ":"))


def expected_of(log: list[Recorded], rulebook: Rulebook) -> dict[str, Any]:
    """What the log says, derived by folding."""
    streams = account_streams(log)
    histories = {stream: AccountHistory().extend(events) for stream, events in streams.items()}
    digests: dict[str, str] = {}
    for position in range(len(log) + 1):
        digest = digest_of(histories, position)
        if digest not in list(digests.values())[-1:]:
            digests[str(position)] = digest
    return {
        "events": len(log),
        "digest": digest_of(histories, len(log)),
        "digest_from_position": digests,
        "balances": {
            str(stream): {behavior: str(mg) for behavior, mg in history.balances().items()}
            for stream, history in histories.items()
        },
        "heads": {str(stream): head_of(Account(stream).extend(events)) for stream, events in streams.items()},
        "rulebook": {
            "position": rulebook.position,
            "methodologies": {name: rulebook.state_of(name) for name in rulebook.methodologies},
            "releases": [f"{name}={number}" for name, number in rulebook.releases],
            "decisions": {name: proposal.approved for name, proposal in rulebook.proposals.items()},
            "revisions": {name: run.state for name, run in rulebook.revisions.items()},
            # Books without partners say what they said before there were any.
            **({"partners": partners_of(rulebook)} if rulebook.partners.all else {}),
        },
    }


def partners_of(rulebook: Rulebook) -> dict[str, Any]:
    """Every registered partner: how it stands, since when, and its keys."""
    return {
        name: {
            "state": partner.state,
            "since": partner.now.since,
            "behaviors": None if partner.now.terms.behaviors is None else list(partner.now.terms.behaviors),
            "quotas": [partner.now.terms.rows_per_day, partner.now.terms.rows_per_request],
            "keys": {key.key: key.state for key in rulebook.partners.keys_of(name)},
        }
        for name, partner in rulebook.partners.all.items()
    }


def account_streams(log: Iterable[Recorded]) -> dict[UUID, list[Recorded]]:
    """The events of each account, by account id."""
    streams: dict[UUID, list[Recorded]] = {}
    for each in log:
        if each.event.STREAM == "account":
            streams.setdefault(each.stream, []).append(each)
    return dict(sorted(streams.items()))


def digest_of(histories: dict[UUID, AccountHistory], position: int) -> str:
    """SM3 over the balances as known at a position (DESIGN 7)."""
    lines = sorted(
        f"{stream},{behavior},{mg}\n"
        for stream, history in histories.items()
        for behavior, mg in history.balances(known=position).items()
    )
    return sm3_hex("".join(lines).encode())


def head_of(account: Account) -> dict[str, Any]:
    """An account's head in words and decimal strings."""
    return {
        "version": account.version,
        "kind": account.kind,
        "status": account.status,
        "consents": [consent.version for consent in account.consents],
        "withdrawn": account.withdrawn,
        "revised": account.revised,
        "cap_use": {
            code: {
                "since": day_text(use.since),
                "days": {day_text(day): [str(mg), number] for day, (mg, number) in sorted(use.days.items())},
            }
            for code, use in sorted(account.uses.items())
        },
    }


def files_of(name: str, world: World) -> dict[Path, str]:
    """The two files of a story."""
    expected = expected_of(world.events(), world.rulebook)
    return {
        FOLDER / f"{name}.jsonl": "".join(f"{line_of(entry)}\n" for entry in world.log),
        FOLDER / f"{name}.expected.json": json.dumps(expected, ensure_ascii=False, indent=1) + "\n",
    }


def all_files() -> dict[Path, str]:
    """Every golden file as the code writes it today."""
    files: dict[Path, str] = {}
    for name in STORIES:
        files |= files_of(name, told(name))
    return files


def differing() -> list[str]:
    """Names of the files that are not what the code writes today."""
    return [path.name for path, text in all_files().items() if not path.exists() or path.read_text("utf-8") != text]


def main(arguments: list[str]) -> int:
    """Exit code 1 when ``--check`` finds a difference, 2 for unknown arguments."""
    if arguments not in ([], ["--check"]):
        sys.stderr.write("usage: python -m tests.golden.regenerate [--check]\n")
        return 2
    if arguments:
        names = differing()
        sys.stderr.write("".join(f"{name} is not what the code writes today\n" for name in names))
        return 1 if names else 0
    FOLDER.mkdir(exist_ok=True)
    for path, text in all_files().items():
        path.write_text(text, "utf-8")
        sys.stdout.write(f"{path.name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
