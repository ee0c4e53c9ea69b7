"""What an auditor waits for: signing, exporting, verifying; and the least that a verification has to compute.

Keeps: each as a command does it. The floor is bare: the leaf of every event of the bundle from bytes that were read
before, and the reference kernel over accounts that were decoded before.
"""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Any
from uuid import UUID

from application import checkpoints
from application.exporting import Selection, export_bundle
from application.verification.bundle import verify_bundle
from application.verification.bundle_reader import BundleReader
from application.verification.notes import Trusted
from benchmarks.ours import PARTNER, ledger_of
from benchmarks.stopwatch import Stopwatch, untimed
from domain.audit.bundle import ACCOUNTS, RULEBOOK, parse_event
from domain.events.base import Recorded
from domain.events.registry import decode_facts
from domain.replay import AccountReplay, approved_runs
from domain.rulebook import Rulebook
from interfaces.bootstrap import public_key_of, public_pem, signature_to_der, verifier

__all__ = ["PARTNER", "bundle", "floor", "sign", "verify"]


def sign(home: str, conninfo: str) -> dict[str, Any]:
    """The first checkpoint with a map: everything from the first event on."""
    with ledger_of(home, conninfo) as ledger, Stopwatch() as watch:
        size = checkpoints.sign(ledger.auditing, with_map=True).checkpoint.size
    return watch.answer(size)


def bundle(home: str, conninfo: str, file: str) -> dict[str, Any]:
    """Export the whole book, without personal facts; the public key is written beside it."""
    with ledger_of(home, conninfo) as ledger:
        key = ledger.auditing.keys()[-1].public_key
        Path(f"{file}.pem").write_text(public_pem(key), "ascii")
        with Path(file).open("wb") as target, Stopwatch() as watch:
            done = export_bundle(ledger.auditing, target, Selection(), signature_to_der, redacted=True)
    return watch.answer(done.events, bytes=Path(file).stat().st_size)


def verify(file: str) -> dict[str, Any]:
    """Verify the bundle."""
    trusted = Trusted([public_key_of(Path(f"{file}.pem").read_text("ascii"))])
    with Stopwatch() as watch:
        found = verify_bundle(Path(file), trusted, verifier().verify)
    if found.findings.total:
        raise RuntimeError(f"a good bundle has {found.findings.total} findings")
    return watch.answer(found.events)


def floor(file: str) -> dict[str, Any]:
    """Leaves and reference kernel alone."""
    with BundleReader(Path(file)) as reader:
        rulebook = Rulebook()
        rulebook.extend(_recorded(line) for line in reader.lines(RULEBOOK))
        events = [parse_event(line) for line in reader.lines(ACCOUNTS)]
    accounts = [
        (UUID(bytes=stream), [_decoded(each) for each in group])
        for stream, group in groupby(events, lambda e: e.stream)
    ]
    runs, book, end = approved_runs(rulebook, 1 << 62), bytes(16), 1 << 62
    with Stopwatch() as watch:
        for event in events:
            event.leaf(book)
        for stream, recorded in accounts:
            AccountReplay(rulebook, runs, stream, end).run(recorded)
    return watch.answer(len(events))


def nothing() -> dict[str, Any]:
    """What a process of these tasks takes before it does anything."""
    return untimed()


def _recorded(line: bytes) -> Recorded:
    return _decoded(parse_event(line))


def _decoded(event: Any) -> Recorded:
    facts = decode_facts(event.topic, event.facts)
    return Recorded(UUID(bytes=event.stream), event.version, event.position, facts, None)
