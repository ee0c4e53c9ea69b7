"""An event and the bytes that the journal stores of it: facts in clear, the personal part sealed (DESIGN 2.7).

Keeps: every event gets a random salt of its own; a personal part is sealed under its account's key and bound to book,
stream, version and topic, so that no row can be put in another's place; where the key is gone the personal part is
gone, and facts are read as ever.
Leaves to ``domain.audit.leaves``: the bytes of an envelope; to ``account_keys``: where keys live.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence, Set
from typing import Any, Final
from uuid import UUID

from domain.audit.leaves import SALT_BYTES, pack, unpack
from domain.errors import Corrupt
from domain.events.account import AccountOpened
from domain.events.base import Event, NewEvent, Personal, Recorded
from domain.events.registry import decode_facts, decode_personal, encode_part, placed
from infrastructure.gm.sm4 import SM4Key, aad_of, fresh_nonces, open_sealed, seal
from infrastructure.postgres.account_keys import AccountKeys, KeyMissing, NewKey

_AAD: Final = b"carbon-ledger/personal/1"

StateRow = tuple[UUID, int, str, bytes]
"""Stream, version, topic, state."""

Parts = tuple[UUID, int, str, bytes, bytes | None]
"""Stream, version, topic, facts, personal part in clear."""


class StoredEvents:
    """The way from events to rows and back. ``book``: asked once for the id of the book."""

    def __init__(self, keys: AccountKeys, book: Callable[[], UUID]) -> None:
        self.keys = keys
        self._ask, self._book = book, b""

    def rows(self, events: Sequence[NewEvent]) -> tuple[list[StateRow], list[NewKey]]:
        """The rows of an append, and the keys of the accounts that it opens."""
        opened = {e.stream for e in events if isinstance(e.event, AccountOpened)}
        return self.rows_of([_parts(each) for each in events], opened)

    def rows_of(self, parts: Sequence[Parts], opened: Set[UUID]) -> tuple[list[StateRow], list[NewKey]]:
        """The same for events whose parts are bytes already. Raises KeyMissing."""
        made, new = self.keys.make(opened) if opened else ({}, [])
        others = {part[0] for part in parts if part[4] is not None} - opened
        keys = {**self.keys.of(others), **made} if others else made
        salts = secrets.token_bytes(SALT_BYTES * len(parts))
        nonces = iter(fresh_nonces(sum(part[4] is not None for part in parts)))
        rows = []
        for place, (stream, version, topic, facts, personal) in enumerate(parts):
            salt = salts[place * SALT_BYTES : (place + 1) * SALT_BYTES]
            sealed = b""
            if personal is not None:
                key = keys.get(stream)
                if key is None:
                    raise _key_missing(stream, version)
                sealed = seal(key, personal, self._aad(stream, version, topic), next(nonces))
            rows.append((stream, version, topic, pack(salt, facts, sealed)))
        return rows, new

    def facts(self, stream: UUID, version: int, topic: str, state: bytes) -> Event:
        """The facts of a stored row. Raises Corrupt with the place."""
        try:
            return decode_facts(topic, unpack(state).facts)
        except Corrupt as error:
            raise placed(error, stream, version, 0) from error

    def recorded(self, rows: Sequence[Sequence[Any]], *, personal: bool) -> list[Recorded]:
        """Rows (stream, version, position, topic, state) as events, with their personal parts or without."""
        keys: dict[UUID, SM4Key] | None = None
        found = []
        for stream, version, position, topic, state in rows:
            try:
                _, facts, sealed = unpack(bytes(state))
                opened = None
                if sealed and personal:
                    keys = self.keys.of({row[0] for row in rows}) if keys is None else keys
                    opened = self._opened(keys.get(stream), stream, version, topic, sealed)
                found.append(Recorded(stream, version, position, decode_facts(topic, facts), opened))
            except Corrupt as error:
                raise placed(error, stream, version, position) from error
        return found

    def unopened(self, rows: Sequence[StateRow]) -> list[tuple[int, Corrupt]]:
        """Which of these rows, all with a personal part, do not open, and why."""
        keys = self.keys.of({row[0] for row in rows})
        found = []
        for place, (stream, version, topic, state) in enumerate(rows):
            try:
                if self._opened(keys.get(stream), stream, version, topic, unpack(state).sealed) is None:
                    raise _key_missing(stream, version)
            except Corrupt as error:
                found.append((place, error))
        return found

    def _opened(self, key: SM4Key | None, stream: UUID, version: int, topic: str, sealed: bytes) -> Personal | None:
        if key is None:
            return None
        return decode_personal(topic, open_sealed(key, sealed, self._aad(stream, version, topic)))

    def _aad(self, stream: UUID, version: int, topic: str) -> bytes:
        self._book = self._book or self._ask().bytes
        return aad_of(_AAD, self._book, stream.bytes, version.to_bytes(8, "big"), topic.encode())


def _key_missing(stream: UUID, version: int) -> KeyMissing:
    return KeyMissing(
        "account_key_missing",
        "the account has no key: it was erased, or the table of keys was changed",
        field=f"{stream}@{version}",
        remedy="if it was not erased, restore journal.account_keys from a backup",
    )


def _parts(each: NewEvent) -> Parts:
    personal = None if each.personal is None else encode_part(each.personal)
    return each.stream, each.version, each.event.TOPIC, encode_part(each.event), personal
