"""Sends behaviors to a carbon-ledger. Start with ``PartnerClient`` or ``AsyncPartnerClient``."""

from __future__ import annotations

from carbon_ledger_sdk.client import AsyncPartnerClient, PartnerClient
from carbon_ledger_sdk.errors import Misused, NoAnswer, NotAuthentic, Refused, SdkError, TooBusy, Untrusted
from carbon_ledger_sdk.flow import Retries
from carbon_ledger_sdk.gm import PartnerKey
from carbon_ledger_sdk.model import Acknowledged, Behavior, Credited, Duplicate, Kept, Receipt, RefusedItem, Result

__all__ = [
    "Acknowledged", "AsyncPartnerClient", "Behavior", "Credited", "Duplicate", "Kept", "Misused", "NoAnswer",
    "NotAuthentic", "PartnerClient", "PartnerKey", "Receipt", "Refused", "RefusedItem", "Result", "Retries",
    "SdkError", "TooBusy", "Untrusted",
]  # fmt: skip
