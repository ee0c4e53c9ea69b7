"""The look-ups by reference and by account, where they lead to nothing: refused by name instead of believed.

Keeps: whoever reads through a look-up gets what the log holds or Corrupt with the row that is wrong, the same code that
``check`` has for it; a wrong row never makes anybody try for ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from application.ports.journal import Journal, Moved, RefTaken
from domain.account import Account
from domain.crediting import Known
from domain.errors import Corrupt

_CHECK = "run `carbon-ledger check`, keep a copy as evidence, and let the owner of the database delete the row"


def heads_of(journal: Journal, ids: Sequence[UUID]) -> dict[UUID, Account]:
    """Heads of accounts that look-ups lead to. Raises Corrupt ``account_name_loose`` where one was never opened."""
    heads = journal.accounts(ids)
    for account in ids:
        if account not in heads:
            raise Corrupt(
                "account_name_loose",
                "a name leads to an account that was never opened",
                field=f"journal.account_refs {account}",
                remedy=_CHECK,
            )
    return heads


def known_of(journal: Journal, refs: Sequence[bytes]) -> dict[bytes, Known]:
    """What taken references were recorded as. Raises Corrupt where one leads to what is not its credit."""
    found = journal.find_refs(refs)
    for ref, known in found.items():
        if getattr(known.facts, "ref", "") != ref.hex():  # any event may stand there
            raise Corrupt(
                "reference_loose",
                f"a reference leads to what is not its credit: {known.account}@{known.version}",
                field=f"journal.behavior_refs {UUID(bytes=ref)} position {known.position}",
                remedy="run `carbon-ledger check`, and let the owner of the database put the row right from a backup",
            )
    return found


def moved_under_lock(journal: Journal, refs: Sequence[bytes], moved: Moved) -> Corrupt:
    """Why an append was refused though nothing could move since its decision: what is read hides what is stored."""
    if isinstance(moved, RefTaken):
        found = journal.find_refs(refs)
        loose = {ref: at for ref, at in journal.ref_positions(refs).items() if ref not in found}
        for ref, position in loose.items():
            return Corrupt(
                "reference_loose",
                f"{len(loose)} of these references lead to no credit, the first to position {position}",
                field=f"journal.behavior_refs {UUID(bytes=ref)} position {position}",
                remedy=_CHECK,
            )
    return _contradicts("journal", str(moved))


def never_room(stream: UUID) -> Corrupt:
    """An event that was refused time after time, though each time what had moved was read again."""
    return _contradicts(f"stream {stream}", "its next version is taken, and no event shows it")


def _contradicts(place: str, why: str) -> Corrupt:
    return Corrupt(
        "look_up_contradicts",
        f"the log refuses what it shows room for: {why}",
        field=place,
        remedy="run `carbon-ledger check`: it names the rows that are wrong",
    )
