"""Events of who read or exported what about people: one for each request, beside the rulebook."""

from __future__ import annotations

from typing import ClassVar

from domain.events.base import Event


class PersonalDataRead(Event, frozen=True, kw_only=True):
    """Personal facts of one account were shown. One stream for each account.

    ``command``: what was asked. ``by``: who asked. ``known_by``: given (the name that was told, and nobody checked) or
    login (the name under which the operating system ran the command, or that the checked token of a request bore).
    """

    TOPIC: ClassVar[str] = "carbon.access.read.v1"
    STREAM: ClassVar[str] = "access"
    account: str
    command: str
    by: str
    known_by: str


class RecordsExported(Event, frozen=True, kw_only=True):
    """Records of several people were written out. All in one stream.

    ``command``: what was asked. ``object``: what of, "" for accounts. ``accounts``: how many, 0 where that was not
    counted. ``accounts_sm3``: SM3 over their ids in order, each with a line end, so that who has the list can show that
    it is this one; "" where they were not counted. ``personal``: whether personal facts were among it. ``by``: who
    asked. ``known_by``: given or login.
    """

    TOPIC: ClassVar[str] = "carbon.access.exported.v1"
    STREAM: ClassVar[str] = "access"
    command: str
    object: str
    accounts: int
    accounts_sm3: str
    personal: bool
    by: str
    known_by: str
