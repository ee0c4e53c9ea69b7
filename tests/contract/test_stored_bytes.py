"""What stands in the database, read with SQL and docs/spec alone: leaves that give the head's root, nobody in clear."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import psycopg
import pytest

from domain.audit.merkle import subtree_root
from infrastructure.eventsourcing_journal import EventsourcingJournal
from interfaces.bootstrap import Ledger, Settings
from tests.contract.journal_contract import credited, frozen, opened, put, rule
from tests.fixtures.tampering import write_facts
from tests.unit.domain.test_event_vectors import Reader, header

_EVENTS = """
SELECT (SELECT uuid_send(book) FROM journal.log_head), e.notification_id, uuid_send(e.originator_id),
    e.originator_version, e.topic, (SELECT c.recorded_us FROM journal.log_commits AS c
        WHERE c.last_position >= e.notification_id ORDER BY c.last_position LIMIT 1), e.state
FROM journal.ledger_events AS e ORDER BY e.notification_id
"""
_TABLES = "SELECT schemaname, tablename FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"


@pytest.fixture
def conn(ledger: Ledger, book_settings: Settings) -> Any:
    """A connection with every right, beside the ledger."""
    assert book_settings.dsn is not None
    with psycopg.connect(book_settings.dsn.get_secret_value(), autocommit=True) as conn:
        yield conn


@pytest.fixture
def journal(ledger: Ledger) -> EventsourcingJournal:
    """The journal of a book with its catalogue, where three accounts were written to by appends of many sizes."""
    journal = ledger.book.journal
    assert isinstance(journal, EventsourcingJournal)
    for clock in (None, lambda: 0, None):  # one that stands still: then the time of a commit is not the clock's
        journal.recorder.clock = clock
        account = uuid4()
        put(journal, opened(account), refs=[(account.bytes, 0)], openings=[(account.bytes, account)])
        put(journal, *(credited(account, version) for version in range(2, 9)))
        put(journal, frozen(account, 9))
        rule(journal)
    return journal


def root_of_rows(conn: psycopg.Connection[Any]) -> tuple[int, bytes]:
    """How many events there are, and the root that their bytes give."""
    leaves = [Reader.of(bytes(state)).leaf(header(*place)) for *place, state in conn.execute(_EVENTS)]
    return len(leaves), subtree_root(leaves)


def head_of(conn: psycopg.Connection[Any]) -> tuple[int, bytes]:
    """What the head says of the same."""
    row = conn.execute("SELECT size, root FROM journal.log_head").fetchone()
    assert row is not None
    return row[0], bytes(row[1])


def test_the_head_holds_the_root_over_the_stored_bytes_after_every_append(
    journal: EventsourcingJournal, conn: psycopg.Connection[Any]
) -> None:
    assert root_of_rows(conn) == head_of(conn)
    account = uuid4()
    put(journal, opened(account))
    assert root_of_rows(conn) == head_of(conn)


def test_one_altered_byte_of_facts_gives_another_root_than_the_heads(
    journal: EventsourcingJournal, conn: psycopg.Connection[Any]
) -> None:
    position = journal.head().size - 3
    facts = next(iter(journal.log(position - 1, position))).event
    assert facts.TOPIC == "carbon.account.behavior-credited.v1"
    row = conn.execute("SELECT state FROM journal.ledger_events WHERE notification_id = %s", (position,)).fetchone()
    assert row is not None
    stored = Reader.of(bytes(row[0])).facts
    conn.execute("SET session_replication_role = replica")
    write_facts(conn, position, stored.replace(b'"CN-44"', b'"CN-45"'))
    assert root_of_rows(conn) != head_of(conn)
    write_facts(conn, position, stored)
    assert root_of_rows(conn) == head_of(conn)


def test_no_personal_fact_stands_in_clear_in_any_table(
    journal: EventsourcingJournal, ledger: Ledger, conn: psycopg.Connection[Any]
) -> None:
    ledger.views.advance(journal.head().size)
    told = {
        getattr(each.personal, name)
        for each in journal.log(0, journal.head().size, personal=True)
        if each.personal is not None
        for name in each.personal.__struct_fields__
    }
    assert len(told) == 3 + 7 + 1
    found = set()
    for schema, table in conn.execute(_TABLES).fetchall():
        rows = conn.execute(f'SELECT t::text FROM "{schema}"."{table}" AS t'.encode()).fetchall()
        text = "\n".join(row[0] for row in rows)
        found |= {each for each in (*told, "metro-co") if each in text or each.encode().hex() in text}
    assert found == {"metro-co"}, "a fact is found by the same search"


def test_an_account_whose_key_is_gone_keeps_its_facts_its_leaves_and_the_root(
    journal: EventsourcingJournal, conn: psycopg.Connection[Any]
) -> None:
    size = journal.head().size
    accounts = sorted({e.stream for e in journal.log(0, size, personal=True) if e.personal is not None})
    before, root = {each: journal.stream(each, personal=True) for each in accounts}, root_of_rows(conn)
    conn.execute("SET session_replication_role = replica")  # as somebody with every right would
    conn.execute("DELETE FROM journal.account_keys WHERE account_id = %s", (accounts[0],))
    assert journal.stream(accounts[0], personal=True) == [each._replace(personal=None) for each in before[accounts[0]]]
    assert [journal.stream(each, personal=True) for each in accounts[1:]] == [before[each] for each in accounts[1:]]
    assert root_of_rows(conn) == root == head_of(conn)
