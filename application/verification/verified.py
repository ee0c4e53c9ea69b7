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

    @property
    def not_shown(self) -> list[str]:
        """What such a bundle cannot show, whatever it holds."""
        told = []
        if self.attested is not None and not self.complete:
            position = self.attested.checkpoint.rulebook_position
            told = [
                f"that no rule was made behind position {position}, where the checkpoint says that the rulebook ends: "
                "a bundle of the whole log shows that",
                "that what is credited here was not credited to another account too, and that no intake counts more "
                "credits than there are: a bundle of the whole log shows that",
            ]
        if self.attested is not None and not self.attested.witnesses:
            told.append("that everybody was told the same history: witnesses of the checkpoint show that")
        return told
