"""What a bundle was found to show."""

from __future__ import annotations

from dataclasses import dataclass, field

from application.verification.findings import Findings
from application.verification.notes import Attested
from application.verification.signed_acts import ActsFound


@dataclass
class Verified:
    """What a bundle shows. ``complete``: it holds every event of the log, so that ``digest`` is the book's (DESIGN 7).

    ``accesses``: events of the access log that are shown. ``balances``: mg by behavior over the accounts shown.
    ``sample_seed``: by what the samples were drawn; whether it is the one that the auditor named, only the auditor can
    tell.
    """

    findings: Findings
    attested: Attested | None = None
    events: int = 0
    accounts: int = 0
    credits: int = 0
    complete: bool = False
    digest: str = ""
    sample_seed: str = ""
    acts: ActsFound | None = None
    accesses: int = 0
    balances: dict[str, int] = field(default_factory=dict)
