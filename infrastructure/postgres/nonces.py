"""Numbers used once by partners, in ``journal.request_nonces``.

Keeps: of requests with the same number one is taken, whichever process they reach. That it is remembered is not waited
for: the write-ahead log keeps its order, so a request that was recorded made the number before it durable, and one
that was not recorded did nothing that a second one could double.
"""

from __future__ import annotations

import time
from typing import Final

from eventsourcing.postgres import PostgresDatastore

from infrastructure.postgres.connecting import connection

SWEEP_S: Final = 60
_TAKE = "INSERT INTO journal.request_nonces (key, nonce, until_s) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING"
_SWEEP = "DELETE FROM journal.request_nonces WHERE until_s < extract(epoch FROM clock_timestamp())"


class PostgresNonces:
    """Port ``application.ports.nonces``. Used by several threads."""

    def __init__(self, datastore: PostgresDatastore) -> None:
        self._datastore = datastore
        self._swept_s = time.monotonic()

    def take(self, key: str, nonce: str, until_s: int) -> bool:
        """See ``Nonces``. Raises Unavailable as ``connection``."""
        with connection(self._datastore) as conn, conn.transaction():
            conn.execute("SET LOCAL synchronous_commit = off")
            if time.monotonic() - self._swept_s > SWEEP_S:
                self._swept_s = time.monotonic()
                conn.execute(_SWEEP)
            return conn.execute(_TAKE, (key, nonce, until_s)).rowcount == 1
