"""Who does something, and why: names, which are recorded for ever, and reasons, which are personal parts.

Keeps: both are printable text of bounded length; two-person acts are done by two.
"""

from __future__ import annotations

import re
import unicodedata

from domain.errors import Rejected

MAX_ACTOR_CHARACTERS = 64
MAX_REASON_CHARACTERS = 500

# Printable by category, and yet nobody sees it: joiners, fillers, variation selectors, the empty braille cell.
_UNSEEN = re.compile(r"[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\ufe00-\ufe0f\U000e0100-\U000e01ef]")


def check_actor(actor: str) -> str:
    """A usable actor name: 1 to 64 printable characters without spaces at the ends.

    Raises Rejected ``actor_malformed``.
    """
    if not 0 < len(actor) <= MAX_ACTOR_CHARACTERS or not actor.isprintable() or actor != actor.strip():
        raise Rejected(
            "actor_malformed",
            f"{actor!r} is not an actor name",
            field="by",
            remedy=f"give 1 to {MAX_ACTOR_CHARACTERS} printable characters, without spaces at the ends",
        )
    return actor


def same_actor(one: str, other: str) -> bool:
    """Whether two names are one person's: no second one is made by capitals, width, or what nobody sees."""
    return person_of(one) == person_of(other)


def person_of(name: str) -> str:
    """The one spelling of all names that are one person's."""
    return " ".join(_UNSEEN.sub("", unicodedata.normalize("NFKC", name)).split()).casefold()


def check_reason(reason: str) -> str:
    """A usable reason: 1 to 500 printable characters. Raises Rejected ``reason_malformed``."""
    if not reason.strip() or len(reason) > MAX_REASON_CHARACTERS or not reason.isprintable():
        raise Rejected(
            "reason_malformed",
            "the reason is empty, too long or not printable",
            field="reason",
            remedy=f"say why in 1 to {MAX_REASON_CHARACTERS} characters on one line",
        )
    return reason


def refuse_same_actor(by: str, **others: str) -> None:
    """Raises Rejected ``same_actor`` when ``by`` already acted in one of the roles."""
    for role, actor in others.items():
        if same_actor(by, actor):
            raise Rejected(
                "same_actor", f"{by} is already its {role}", field="by", remedy="somebody else has to do this step"
            )
