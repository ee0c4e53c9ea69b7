"""The eventsourcing library as it comes, doing as much of the job as it can: one event per behavior row.

Keeps: its own aggregate style, application, mapper and PostgreSQL recorder with default settings, a schema of its own
on the same server; the event has about the fields of the ledger's ``BehaviorCredited``. It is spared what the ledger
does besides: parsing, looking for duplicates, valuing. Accounts are opened before the clock starts, and have nothing
but that in their history: the shortest one there is to load.
"""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import psycopg
from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from psycopg.conninfo import conninfo_to_dict

from benchmarks.stopwatch import Stopwatch, untimed
from benchmarks.unsticking import unstick

SCHEMA = "stock"
_OPENED_AT_ONCE = 1_000
_CREDITED_MG = "123456"


class StockAccount(Aggregate):
    """An account that only adds up."""

    def __init__(self, account_ref: str) -> None:
        self.account_ref = account_ref
        self.credited_mg = 0

    @event("Credited")
    def credit(
        self,
        partner: str,
        intake: int,
        line: int,
        ref: str,
        behavior: str,
        day: str,
        region: str,
        quantity: str,
        scale: int,
        unit: str,
        methodology: str,
        decision: str,
        rule: str,
        consent: int,
        computed_mg: str,
        credited_mg: str,
        source_ref: str,
        occurred_at: str,
    ) -> None:
        self.credited_mg += int(credited_mg)


Row = tuple[str, dict[str, Any]]
"""Account, and the arguments of ``StockAccount.credit``."""


def create(conninfo: str) -> dict[str, Any]:
    """The schema; the library makes its tables itself."""
    with psycopg.connect(conninfo, autocommit=True) as conn:
        conn.execute(f"CREATE SCHEMA {SCHEMA}".encode())
    return untimed()


def one_by_one(conninfo: str, file: str, rows: int) -> dict[str, Any]:
    """Load the account, credit it, save it: a transaction per behavior."""
    credits_of = _read(file, rows)
    with _application(conninfo) as app:
        ids = {ref: account.id for ref, account in _open(app, credits_of).items()}
        with Stopwatch() as watch:
            for ref, arguments in credits_of:
                account = _get(app, ids[ref])
                account.credit(**arguments)
                app.save(account)
    return watch.answer(rows)


def cold(conninfo: str, file: str, rows: int, batch_rows: int) -> dict[str, Any]:
    """Per batch: load each account of it, credit its behaviors, one save for all."""
    credits_of = _read(file, rows)
    with _application(conninfo) as app:
        ids = {ref: account.id for ref, account in _open(app, credits_of).items()}
        with Stopwatch() as watch:
            for start in range(0, rows, batch_rows):
                batch = credits_of[start : start + batch_rows]
                accounts = {ref: _get(app, ids[ref]) for ref in {ref for ref, _ in batch}}
                _credit_batch(app, accounts, batch)
    return watch.answer(rows)


def loaded(conninfo: str, file: str, rows: int, batch_rows: int) -> dict[str, Any]:
    """As ``cold``, but every account is in memory already."""
    credits_of = _read(file, rows)
    with _application(conninfo) as app:
        accounts = _open(app, credits_of)
        with Stopwatch() as watch:
            for start in range(0, rows, batch_rows):
                _credit_batch(app, accounts, credits_of[start : start + batch_rows])
    return watch.answer(rows)


def replay(conninfo: str) -> dict[str, Any]:
    """Load every account from its events, as the library does it: they are folded, nothing is computed anew."""
    with psycopg.connect(conninfo) as conn:
        query = f"SELECT DISTINCT originator_id FROM {SCHEMA}.application_events ORDER BY originator_id"
        ids = [account for (account,) in conn.execute(query.encode())]
    with _application(conninfo) as app:
        held = 0
        with Stopwatch() as watch:
            for account in ids:
                held += _get(app, account).credited_mg
    return watch.answer(held // int(_CREDITED_MG))


@contextmanager
def _application(conninfo: str) -> Iterator[Application[UUID]]:
    unstick()
    parts = conninfo_to_dict(conninfo)
    names = {"DBNAME": "dbname", "HOST": "host", "PORT": "port", "USER": "user", "PASSWORD": "password"}
    env = {f"POSTGRES_{name}": str(parts.get(part) or "") for name, part in names.items()}
    with Application[UUID](
        {"PERSISTENCE_MODULE": "eventsourcing.postgres", "POSTGRES_SCHEMA": SCHEMA, **env}
    ) as application:
        yield application


def _get(app: Application[UUID], account: UUID) -> StockAccount:
    found: StockAccount = app.repository.get(account)
    return found


def _credit_batch(app: Application[UUID], accounts: Mapping[str, StockAccount], batch: Sequence[Row]) -> None:
    touched = {}
    for ref, arguments in batch:
        account = touched[ref] = accounts[ref]
        account.credit(**arguments)
    app.save(*touched.values())


def _open(app: Application[UUID], credits_of: Sequence[Row]) -> dict[str, StockAccount]:
    """New accounts for all that are named, recorded."""
    accounts = {ref: StockAccount(ref) for ref, _ in credits_of}
    new = iter(accounts.values())
    while some := list(itertools.islice(new, _OPENED_AT_ONCE)):
        app.save(*some)
    return accounts


def _read(file: str, rows: int) -> list[Row]:
    with open(file, encoding="utf-8", newline="") as source:
        return [_row(line, row) for line, row in enumerate(itertools.islice(csv.DictReader(source), rows), start=2)]


def _row(line: int, row: Mapping[str, str]) -> Row:
    return row["account_ref"], {
        "partner": "generated",
        "intake": 1,
        "line": line,
        "ref": f"{line:032x}",
        "behavior": row["behavior"],
        "day": row["occurred_at"][:10],
        "region": row["region"],
        "quantity": row["quantity"].replace(".", ""),
        "scale": 3,
        "unit": row["unit"],
        "methodology": "TRAVEL-METRO@1",
        "decision": "initial-TRAVEL-METRO",
        "rule": "v1",
        "consent": 2,
        "computed_mg": _CREDITED_MG,
        "credited_mg": _CREDITED_MG,
        "source_ref": row["source_ref"],
        "occurred_at": row["occurred_at"],
    }
