"""The access log: who was shown or handed personal facts (PIPL 51, 54; GB/T 35273 7.1).

Keeps: one event for each request; what is said of one account stands in a stream of that account alone, so that it can
be shown without anybody else's; of an export the accounts are told by their number and a digest.
Leaves to ``application.access``: that nothing is answered before the event is durable.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple
from uuid import UUID

from domain.actors import check_actor
from domain.digest import new_sm3
from domain.events.access import PersonalDataRead, RecordsExported
from domain.streams import stream_id

GIVEN, LOGIN = "given", "login"
EXPORTS = stream_id("access", "exports")


class Reader(NamedTuple):
    """Who asks. ``known_by``: ``GIVEN`` or ``LOGIN``."""

    name: str
    known_by: str


def access_stream(account: UUID) -> UUID:
    """The stream of accesses to one account."""
    return stream_id("access", str(account))


def read(reader: Reader, command: str, account: UUID) -> PersonalDataRead:
    """Raises Rejected ``actor_malformed``."""
    return PersonalDataRead(
        account=str(account), command=command, by=check_actor(reader.name), known_by=reader.known_by
    )


def exported(
    reader: Reader, command: str, accounts: Iterable[UUID] | None, *, personal: bool, about: str = ""
) -> RecordsExported:
    """``accounts``: None where they are not counted. Raises Rejected ``actor_malformed``."""
    ids, digest = sorted(accounts or ()), new_sm3()
    for account in ids:
        digest.update(f"{account}\n".encode())
    return RecordsExported(
        command=command,
        object=about,
        accounts=len(ids),
        accounts_sm3="" if accounts is None else digest.hexdigest(),
        personal=personal,
        by=check_actor(reader.name),
        known_by=reader.known_by,
    )
