"""Arguments and options that several commands share, and the reading of their texts.

Keeps: a text that is not of its grammar is wrong usage (exit code 2) before anything is opened.
"""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from domain.actors import check_actor
from domain.errors import Rejected
from domain.instants import instant_of
from domain.partners import PARTNER_NAME
from domain.values import AFTER_LAST_DAY, FIRST_DAY, Period, day_number

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_INSTANT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})")
_REVISION = re.compile(r"R[1-9][0-9]{0,8}")
_RELEASE = re.compile(r"([^=]+)=([1-9][0-9]{0,8})")
_MAX_REASON_CHARACTERS = 500

LOCAL_PARTNER = "local"
OPEN = "open"


def actor_text(text: str) -> str:
    """A usable actor name."""
    try:
        return check_actor(text)
    except Rejected as error:
        raise typer.BadParameter(f"{error.message}: {error.remedy}") from error


def _reason(text: str) -> str:
    if not text.strip() or len(text) > _MAX_REASON_CHARACTERS:
        raise typer.BadParameter(f"give a reason of 1 to {_MAX_REASON_CHARACTERS} characters")
    return text


def civil_day(text: str) -> str:
    try:
        if not _DAY.fullmatch(text):
            raise ValueError
        date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a civil date such as 2026-03-01") from None
    return text


def _day_or_open(text: str) -> str:
    return text if text == OPEN else civil_day(text)


def _instant(text: str) -> str:
    try:
        if not _INSTANT.fullmatch(text):
            raise ValueError
        instant_of(text)
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            f"{text!r} is not an RFC 3339 time with offset such as 2026-03-01T08:15:00+08:00"
        ) from None
    return text


def partner_text(text: str) -> str:
    if not PARTNER_NAME.fullmatch(text):
        raise typer.BadParameter("a partner is named by 1 to 64 ASCII letters, digits, hyphens and dots")
    return text


def _revision(text: str) -> str:
    if not _REVISION.fullmatch(text):
        raise typer.BadParameter(f"{text!r} is not the name of a revision such as R1; `revision list` shows all")
    return text


def _release(text: str) -> str:
    if not _RELEASE.fullmatch(text):
        raise typer.BadParameter(f"{text!r} is not SET=N such as CN-ELEC-AVG=2")
    return text


Version = Annotated[
    str, typer.Argument(metavar="CODE@V", help="Methodology version, as in TRAVEL-METRO@1.", show_default=False)
]
AccountRef = Annotated[
    str,
    typer.Argument(metavar="REF", help="The account's reference, as the bank names it; or its id.", show_default=False),
]
SourceRef = Annotated[
    str, typer.Argument(metavar="SOURCE_REF", help="The partner's reference of the behavior.", show_default=False)
]
FirstVersion = Annotated[
    str, typer.Argument(metavar="A", help="Methodology version, as in CYCLING-SHARED@1.", show_default=False)
]
SecondVersion = Annotated[
    str, typer.Argument(metavar="B", help="Another version of the same code.", show_default=False)
]
RevisionId = Annotated[
    str,
    typer.Argument(
        metavar="ID", help="The revision, as `revision plan` named it: R1.", parser=_revision, show_default=False
    ),
]
By = Annotated[
    str,
    typer.Option(
        "--by",
        metavar="ACTOR",
        help="Who does this; is recorded for ever, as given: staff or a system, never an account holder.",
        parser=actor_text,
    ),
]
Reason = Annotated[
    str,
    typer.Option(
        "--reason", metavar="TEXT", help="Why; is recorded, sealed like everything about a person.", parser=_reason
    ),
]
OpenReason = Annotated[
    str,
    typer.Option(
        "--reason", metavar="TEXT", help="Why; stands in the log in clear, for ever: name no person.", parser=_reason
    ),
]
Start = Annotated[str, typer.Option("--from", metavar="DATE", help="First civil day, or `open`.", parser=_day_or_open)]
End = Annotated[
    str,
    typer.Option("--to", metavar="DATE|open", help="First civil day after the last, or `open`.", parser=_day_or_open),
]
Region = Annotated[
    str, typer.Option("--region", metavar="R", help="Region with all below it: CN-440300, CN-44, CN, or * for all.")
]
Releases = Annotated[
    list[str] | None,
    typer.Option(
        "--release",
        metavar="SET=N",
        help="Release of a factor set that the version uses; once for each set.",
        parser=_release,
        show_default=False,
    ),
]
ReleasesOfFirst = Annotated[
    list[str] | None,
    typer.Option(
        "--release-a",
        metavar="SET=N",
        help="Release of a factor set that the first version uses; once for each set.",
        parser=_release,
        show_default=False,
    ),
]
ReleasesOfSecond = Annotated[
    list[str] | None,
    typer.Option(
        "--release-b",
        metavar="SET=N",
        help="Release of a factor set that the second version uses; once for each set.",
        parser=_release,
        show_default=False,
    ),
]
ReportTo = Annotated[
    Path | None,
    typer.Option(
        "--report",
        metavar="DIR",
        help="Write report.json, report.csv and report.html into this folder; existing ones are never overwritten.",
        show_default=False,
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Work it out and record nothing; the version need not be published.")
]
LeaveGap = Annotated[bool, typer.Option("--leave-gap", help="Accept that some days are valued by nothing afterwards.")]
Partner = Annotated[
    str,
    typer.Option(
        "--partner",
        metavar="P",
        help="Who sends (or sent) it: ASCII letters, digits, dots and hyphens.",
        parser=partner_text,
    ),
]
OnlyPartner = Annotated[
    str | None,
    typer.Option(
        "--partner", metavar="P", help="Only what involves this partner.", parser=partner_text, show_default=False
    ),
]
PartnerName = Annotated[
    str, typer.Argument(metavar="PARTNER", help="Whose list it is.", parser=partner_text, show_default=False)
]
RegisteredPartner = Annotated[
    str,
    typer.Argument(
        metavar="PARTNER",
        help="The partner's name, as `behaviors import --partner` gives it.",
        parser=partner_text,
        show_default=False,
    ),
]
Before = Annotated[
    str | None,
    typer.Option(
        "--occurred-before", metavar="DATE", help="Only behaviors of civil days before this.", parser=civil_day
    ),
]
KnownAt = Annotated[
    str | None,
    typer.Option(
        "--known-at",
        metavar="T",
        help="As the ledger knew it at this RFC 3339 time, such as 2026-03-01T08:15:00+08:00.",
        parser=_instant,
    ),
]
AtPosition = Annotated[
    int | None,
    typer.Option("--at-position", metavar="N", help="As the ledger knew it when its log had N events.", min=0),
]
ValidFrom = Annotated[
    str | None, typer.Option("--from", metavar="T", help="Valid from this RFC 3339 time on.", parser=_instant)
]
ValidTo = Annotated[
    str | None, typer.Option("--to", metavar="T", help="Valid before this RFC 3339 time.", parser=_instant)
]
ReceivedBefore = Annotated[
    str,
    typer.Option("--before", metavar="DATE", help="What was last received before this civil day.", parser=civil_day),
]
FirstDay = Annotated[
    str | None, typer.Option("--from", metavar="DATE", help="First civil day.", parser=civil_day, show_default=False)
]
DayAfter = Annotated[
    str | None,
    typer.Option("--to", metavar="DATE", help="First civil day after the last.", parser=civil_day, show_default=False),
]
InputFile = Annotated[Path, typer.Argument(metavar="FILE", help="The file to read.", show_default=False)]


def wire_day(text: str) -> str | None:
    """A civil day of an option as events hold it; None for ``open``."""
    return None if text == OPEN else text


def period_of(first: str | None, after: str | None) -> Period:
    """The civil days of ``--from`` and ``--to``; an empty period is wrong usage."""
    start = FIRST_DAY if first is None else day_number(first)
    end = AFTER_LAST_DAY if after is None else day_number(after)
    if start >= end:
        raise typer.BadParameter("the period is empty: --to names the first day after the last", param_hint="'--to'")
    return Period(start, end)


def before_day(text: str | None) -> int | None:
    """Civil day number of ``--occurred-before``."""
    return None if text is None else day_number(text)


def releases_of(texts: list[str] | None, option: str = "--release") -> dict[str, int]:
    """``SET=N`` options as a mapping; naming one set twice is wrong usage."""
    releases: dict[str, int] = {}
    for text in texts or ():
        name, _, number = text.partition("=")
        if name in releases:
            raise typer.BadParameter(f"{name} is named twice", param_hint=f"'{option}'")
        releases[name] = int(number)
    return releases
