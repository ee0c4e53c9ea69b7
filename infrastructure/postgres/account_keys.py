"""The key of each account, wrapped under the key-encryption key (KEK) of the epoch, in ``journal.account_keys``.

Keeps: a key is read anew from the table by every page that needs it, so that an erased one opens nothing from the next
page on, in whatever process; only the unwrapping is remembered, by what was unwrapped. A key is stored by the append
that opens its account, or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from psycopg import Connection, Cursor, ServerCursor
from psycopg.rows import tuple_row

from domain.errors import Corrupt, Unavailable
from infrastructure.gm.sm4 import SM4Key, aad_of, key_version, new_key, open_sealed, seal

KEPT = 100_000
"""How many opened keys are remembered, of some 200 bytes each."""
FIRST_VERSION = 1

_KEYS = "SELECT account_id, wrapped FROM journal.account_keys WHERE account_id = ANY(%s)"

_REWRAP = """
UPDATE journal.account_keys AS k SET wrapped = n.wrapped
FROM unnest(%s::uuid[], %s::bytea[]) AS n(account_id, wrapped) WHERE k.account_id = n.account_id
"""
_PAGE = 5_000

Fetch = Callable[[str, Any], list[Any]]


class KeyMissing(Corrupt):
    """A personal part cannot be sealed or opened: its account has no key."""


class NewKey(NamedTuple):
    """A key as it is stored."""

    account: UUID
    epoch: int
    wrapped: bytes


class AccountKeys:
    """``kek`` None: nothing can be sealed or opened here; facts can still be read."""

    def __init__(self, fetch: Fetch, kek: SM4Key | None = None) -> None:
        self._fetch = fetch
        self.kek = kek
        self.opened = lru_cache(maxsize=KEPT)(self._unwrapped)

    def of(self, accounts: Iterable[UUID]) -> dict[UUID, SM4Key]:
        """The keys of these accounts; an erased account has none and is left out."""
        rows = self._fetch(_KEYS, (list(accounts),))
        return {account: self.opened(account, bytes(wrapped)) for account, wrapped in rows}

    def forget(self) -> None:
        """Remember no opened key any more."""
        self.opened.cache_clear()

    def make(self, accounts: Iterable[UUID]) -> tuple[dict[UUID, SM4Key], list[NewKey]]:
        """Keys for new accounts, and what is to be stored of them."""
        kek = self._required()
        keys = {account: new_key(FIRST_VERSION) for account in accounts}
        return keys, [NewKey(account, kek.version, wrapped(kek, account, key)) for account, key in keys.items()]

    def _unwrapped(self, account: UUID, sealed: bytes) -> SM4Key:
        return unwrapped(self._required(), account, sealed)

    def _required(self) -> SM4Key:
        if self.kek is None:
            raise Unavailable(
                "keys_locked", "personal facts need the key store", remedy="open the ledger with the keys of its home"
            )
        return self.kek


def rewrap(conn: Connection[Any], old: SM4Key, new: SM4Key) -> int:
    """Wrap every account's key under another epoch, within the transaction of ``conn``; returns how many.

    Appends wait until it ends. May be asked for again after an interruption: what is wrapped under ``new`` stays.
    """
    conn.execute("SELECT FROM journal.log_head FOR UPDATE")
    done = 0
    with ServerCursor(conn, "keys", row_factory=tuple_row) as rows:
        rows.execute("SELECT account_id, wrapped FROM journal.account_keys")
        while page := rows.fetchmany(_PAGE):
            left = [(account, bytes(sealed)) for account, sealed in page if key_version(bytes(sealed)) != new.version]
            again = [wrapped(new, account, unwrapped(old, account, sealed)) for account, sealed in left]
            conn.execute(_REWRAP, ([account for account, _ in left], again))
            done += len(left)
    conn.execute("UPDATE journal.log_head SET key_epoch = %s WHERE key_epoch > 0", (new.version,))
    return done


def erase(cursor: Cursor[Any], accounts: Sequence[UUID]) -> None:
    """Destroy the keys of accounts, and what leads to the accounts from their references."""
    cursor.execute("DELETE FROM journal.account_keys WHERE account_id = ANY(%s)", (list(accounts),))
    cursor.execute("DELETE FROM journal.account_refs WHERE account_id = ANY(%s)", (list(accounts),))


def wrapped(kek: SM4Key, account: UUID, key: SM4Key) -> bytes:
    """An account's key under a KEK, bound to the account."""
    return seal(kek, key.version.to_bytes(4, "big") + key.exposed(), _aad(account))


def unwrapped(kek: SM4Key, account: UUID, sealed: bytes) -> SM4Key:
    """The key again. Raises Unavailable ``keys_moved`` (wrapped under another epoch), Corrupt."""
    try:
        found = key_version(sealed)
        if found != kek.version:
            raise Unavailable(
                "keys_moved",
                f"account keys are wrapped under epoch {found}, the key store is at {kek.version}",
                remedy="run `carbon-ledger keys rewrap`: one was interrupted, or another process does it now"
                if found > kek.version
                else "the database is older than the key store, which has destroyed its epoch: restore a newer one",
            )
        plain = open_sealed(kek, sealed, _aad(account))
    except Corrupt as error:
        raise Corrupt(error.code, error.message, field=f"account key {account}", remedy=error.remedy) from None
    return SM4Key(plain[4:], int.from_bytes(plain[:4], "big"))


def _aad(account: UUID) -> bytes:
    return aad_of(b"carbon-ledger/account-key/1", account.bytes)
