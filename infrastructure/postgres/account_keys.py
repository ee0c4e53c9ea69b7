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

from domain.errors import Corrupt, LedgerError, Unavailable
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


def rewrap(conn: Connection[Any], old: SM4Key, new: SM4Key) -> list[LedgerError]:
    """Wrap every account's key under another epoch, within the transaction of ``conn``.

    Returns why those do not open that do not; they stay as they are. Raises the first of these where none opens at
    all. Appends wait until the transaction ends. May be asked for again after an interruption: what is wrapped under
    ``new`` stays.
    """
    conn.execute("SELECT FROM journal.log_head FOR UPDATE")
    broken: list[LedgerError] = []
    opened = 0
    with ServerCursor(conn, "keys", row_factory=tuple_row) as rows:
        rows.execute("SELECT account_id, wrapped FROM journal.account_keys")
        while page := rows.fetchmany(_PAGE):
            again: dict[UUID, bytes] = {}
            for account, sealed in page:
                try:
                    key, is_done = _any_unwrapped(old, new, account, bytes(sealed))
                except LedgerError as error:
                    broken.append(error)
                else:
                    opened += 1
                    if not is_done:
                        again[account] = wrapped(new, account, key)
            conn.execute(_REWRAP, (list(again), list(again.values())))
    if broken and not opened:
        raise broken[0]
    conn.execute("UPDATE journal.log_head SET key_epoch = %s WHERE key_epoch > 0", (new.version,))
    return broken


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
                field=f"journal.account_keys {account}",
                remedy="run `carbon-ledger keys rewrap`: one was interrupted, or another process does it now"
                if found > kek.version
                else "the database is older than the key store, which has destroyed its epoch: restore a newer one; or "
                "it is a key that `keys rewrap --leave-broken` left, which nothing opens any more",
            )
        plain = open_sealed(kek, sealed, _aad(account))
    except Corrupt as error:
        raise Corrupt(error.code, error.message, field=f"journal.account_keys {account}", remedy=error.remedy) from None
    return SM4Key(plain[4:], int.from_bytes(plain[:4], "big"))


def _any_unwrapped(old: SM4Key, new: SM4Key, account: UUID, sealed: bytes) -> tuple[SM4Key, bool]:
    """The key, and whether it is wrapped under ``new`` already. Raises as ``unwrapped``."""
    is_done = sealed[1:5] == new.version.to_bytes(4, "big")
    return unwrapped(new if is_done else old, account, sealed), is_done


def _aad(account: UUID) -> bytes:
    return aad_of(b"carbon-ledger/account-key/1", account.bytes)
