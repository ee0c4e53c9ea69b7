"""What can go wrong, by what the caller can do about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class SdkError(Exception):
    """Any failure. ``code``: stable, the ledger's own or ours; ``field``: what it is about; ``remedy``: what helps;
    ``request_id``: what the ledger's operator finds it by; the last two may be "".
    """

    def __init__(self, code: str, message: str, *, field: str = "", remedy: str = "", request_id: str = "") -> None:
        super().__init__(f"{code}: {message}" + (f" ({remedy})" if remedy else ""))
        self.code, self.message, self.field, self.remedy, self.request_id = code, message, field, remedy, request_id


class Misused(SdkError):
    """Nothing was sent: what the caller gave cannot be."""


class Refused(SdkError):
    """The ledger refused the request whole, and recorded nothing of it. ``status``: of HTTP."""

    def __init__(self, status: int, code: str, message: str, **told: str) -> None:
        super().__init__(code, message, **told)
        self.status = status


class NotAuthentic(Refused):
    """Signature, key, clock or token: 401 and 403. Sending again changes nothing."""


class TooBusy(Refused):
    """429 or 503, also at the last try. ``retry_after_s``: when the ledger wants to be asked again, if it says so."""

    retry_after_s: float | None = None


class NoAnswer(SdkError):
    """No answer arrived. Whether something was recorded is not known; sending the same again counts nothing twice."""


class Untrusted(SdkError):
    """An answer came, but it does not prove what it says: a receipt, a certificate or a seal is wrong.

    Whether something was recorded is not known. Keep the answer and ask the ledger's operator.
    """


def untrusted(code: str, message: str) -> Untrusted:
    return Untrusted(code, message, remedy="keep the answer, and ask the ledger's operator by another way")


def refusal(status: int, told: Mapping[str, Any], retry_after_s: float | None) -> Refused:
    """The failure that a problem (RFC 9457) tells of; ``told`` is {} where the answer is none."""
    kind = NotAuthentic if status in (401, 403) else TooBusy if status in (429, 503) else Refused
    named = {name: str(told.get(name) or "") for name in ("field", "remedy", "request_id")}
    error = kind(
        status, str(told.get("code") or f"http_{status}"), str(told.get("detail") or "no reason told"), **named
    )
    if isinstance(error, TooBusy):
        error.retry_after_s = retry_after_s
    return error
