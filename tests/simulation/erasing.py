"""Erasure in the model: who asks, who approves, when, and that nothing else moves (DOMAIN rule 19).

Keeps: as ``model``: written from the text alone. An erased account goes on under a name that nobody can ask for.
"""

from __future__ import annotations

from datetime import timedelta

from tests.simulation.law import Account, refuse_if
from tests.simulation.model import Model
from tests.simulation.plain import local_day

CHINA_MINUTES = 480


def ask(model: Model, ref: str) -> None:
    account = model.existing(ref)
    refuse_if(erasure_requested=account.asked_by is not None, **_held(model, account))
    model.record("ErasureRequested", ref)
    account.asked_by, account.asked = "ann", account.version


def approve(model: Model, ref: str, by: str) -> None:
    account = model.existing(ref)
    refuse_if(
        erasure_not_requested=account.asked_by is None,
        same_actor=account.asked_by == by,
        **_held(model, account),
    )
    position = model.record("PersonalDataErased", ref, account.asked)
    for credit in account.credits:
        credit.erased = True
    account.status = "erased"
    model.rename(ref, erased_name(ref, position))


def erased_name(ref: str, position: int) -> str:
    """What an erased account is called here."""
    return f"{ref}, erased at {position}"


def _held(model: Model, account: Account) -> dict[str, bool]:
    """The day of the last entry is not counted; without a retention period nothing is."""
    free = local_day(account.last, CHINA_MINUTES) + timedelta(days=model.retention_days + 1)
    retained = model.retention_days > 0 and local_day(model.now, CHINA_MINUTES) < free
    return {"account_frozen": account.status == "frozen", "retention_not_over": retained}
