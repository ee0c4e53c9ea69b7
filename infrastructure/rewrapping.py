"""Everything of a home under a new key-encryption key: its key store, the keys of accounts, the keys of evidence.

Keeps: the old KEK is destroyed last. A key that does not open stops it before anything has moved, and every one is told
with its place; whoever says so leaves them behind as they are, since nothing would ever open them: what cannot be
restored must not keep the erasures of others from taking effect.
Leaves to ``check``: naming what was left for as long as it is there.
"""

from __future__ import annotations

from typing import NamedTuple

from domain.errors import Corrupt, LedgerError
from infrastructure.eventsourcing_journal import EventsourcingJournal
from infrastructure.evidence_store import EvidenceFolder
from infrastructure.gm.key_store import KeyStore
from infrastructure.gm.sm4 import SM4Key

_TOLD = 20


class Rewrapped(NamedTuple):
    """``left``: what did not open and stays as it was, under no epoch that is left; each with its place."""

    epoch: int
    left: list[LedgerError]


def rewrap(
    keys: KeyStore, journal: EventsourcingJournal, evidence: EvidenceFolder, *, leave_broken: bool = False
) -> Rewrapped:
    """Wrap everything under a new KEK, then destroy the old one.

    Raises Corrupt ``keys_broken``; as the first of them, with ``leave_broken`` too, where no key of an account opens:
    then it is the key store that is another one.
    """
    left: list[LedgerError] = list(keys.faults(()))

    def also(old: SM4Key, new: SM4Key) -> None:
        broken = list(evidence.broken_keys(old, new))
        left.extend(broken)
        # All are known before anything has moved: the keys of accounts move all or none, and evidence after them.
        journal.rewrap(old, new, refuse)
        evidence.rewrap(old, new, {each.field for each in broken})

    def refuse(broken: list[LedgerError]) -> None:
        left.extend(broken)
        if left and not leave_broken:
            raise _keys_broken(left)

    return Rewrapped(keys.rewrap(also), left)


def _keys_broken(broken: list[LedgerError]) -> Corrupt:
    told = "; ".join(f"{each.field} ({each.code})" for each in broken[:_TOLD])
    more = f"; and {len(broken) - _TOLD} more, which `check` names" if len(broken) > _TOLD else ""
    return Corrupt(
        "keys_broken",
        f"{len(broken)} keys do not open, and nothing was changed: {told}{more}",
        field=broken[0].field,
        remedy="restore them from a backup; to go on without what cannot be restored: `keys rewrap --leave-broken`",
    )
