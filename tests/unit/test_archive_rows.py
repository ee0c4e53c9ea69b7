"""What events say in the archive's columns: exactly, or marked as irregular."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from application.archive_rows import ArchiveRow, archive_rows
from application.ports.archive import (
    BOUND,
    CLOSED,
    CONSENT_WITHDRAWN,
    CONSENTED,
    CREDITED,
    ERASED,
    ERASURE_REQUESTED,
    FROZEN,
    IRREGULAR,
    LINE,
    NONE,
    OPENED,
    REVERSED,
    REVISED,
    UNFROZEN,
)
from domain.digest import sm3_hex
from domain.events import account as events
from domain.events.base import Event, Recorded
from domain.events.registry import EVENTS
from domain.instants import instant_of
from domain.values import day_number

ACCOUNT = uuid4()
DAY = day_number("2026-03-01")

OPENING = events.AccountOpened(kind="individual")
CONSENT = events.ConsentGranted(
    scope=("travel.metro", "travel.bus"),
    terms_version="t1",
    basis="direct",
    valid_from="2026-01-01T00:00:00Z",
    valid_to=None,
    evidence="0" * 64,
    asserter=None,
)
CREDIT = events.BehaviorCredited(
    partner="metro-co",
    intake=7,
    line=3,
    ref="0" * 32,
    behavior="travel.metro",
    day="2026-03-01",
    region="CN-44",
    quantity="12350",
    scale=3,
    unit="km",
    methodology="TRAVEL-METRO@1",
    decision="D1",
    rule="v1",
    consent=2,
    computed_mg="889200",
    credited_mg="800000",
)
REVERSAL = events.BehaviorReversed(
    credit=3, behavior="travel.metro", day="2026-03-01", reversed_mg="800000", by="alice"
)
FREEZING: dict[str, Any] = {"by": "alice"}


def line(credit: int, credited_mg: str = "5", computed_mg: str | None = "6", reason: str = "") -> events.RevisedLine:
    return events.RevisedLine(credit, "2026-03-01", "4", computed_mg, credited_mg, reason)


def revised(*lines: events.RevisedLine, part: int = 1, last: bool = True, **others: str) -> events.FactorRevised:
    names = {"revision": "R1", "behavior": "travel.metro", "methodology": "TRAVEL-METRO@2", "rule": "v1"} | others
    return events.FactorRevised(part=part, last=last, lines=lines, **names)


def rows(*said: Event) -> list[ArchiveRow]:
    """The rows of a stream that says this, at positions 101, 102 ..."""
    recorded = [Recorded(ACCOUNT, version, 100 + version, event, None) for version, event in enumerate(said, start=1)]
    return list(archive_rows(ACCOUNT, recorded))


def kinds(*said: Event) -> list[int]:
    return [row.kind for row in rows(*said)]


def test_a_credit_keeps_every_fact_that_its_recomputation_needs() -> None:
    assert rows(CREDIT) == [
        ArchiveRow(
            kind=CREDITED,
            position=101,
            version=1,
            behavior="travel.metro",
            year=2026,
            refers_to=2,
            day=DAY,
            region="CN-44",
            quantity=12_350,
            computed_mg=889_200,
            credited_mg=800_000,
            before_mg=0,
            methodology="TRAVEL-METRO@1",
            decision="D1",
            terms="v1;km;3",
            partner="metro-co",
            intake=7,
        )
    ]


def test_a_reversal_names_its_credit_and_what_that_was_worth() -> None:
    assert rows(REVERSAL) == [
        ArchiveRow(REVERSED, 101, 1, behavior="travel.metro", year=2026, refers_to=3, day=DAY, credited_mg=800_000)
    ]


def test_a_consent_keeps_its_terms_and_validity_but_not_its_evidence() -> None:
    (row,) = rows(CONSENT)
    assert (row.kind, row.terms) == (CONSENTED, "direct;t1;travel.metro,travel.bus")
    assert (row.valid_from_us, row.valid_to_us) == (instant_of("2026-01-01T00:00:00Z"), NONE)
    assert CONSENT.evidence not in str(row)


def test_every_kind_of_event_of_an_account_has_its_kind_of_row() -> None:
    withdrawn = events.ConsentWithdrawn(consent=2)
    said = (
        OPENING,
        CONSENT,
        withdrawn,
        CREDIT,
        REVERSAL,
        revised(line(3)),
        events.AccountFrozen(**FREEZING),
        events.AccountUnfrozen(**FREEZING),
        events.AccountClosed(**FREEZING),
        events.ErasureRequested(ground="unlawful", by="alice"),
        events.PersonalDataErased(request=10, epoch=1, by="bob"),
    )
    assert {type(event) for event in said} == {cls for cls in EVENTS if cls.STREAM == "account"}
    expected = [OPENED, CONSENTED, CONSENT_WITHDRAWN, CREDITED, REVERSED, REVISED, LINE, FROZEN, UNFROZEN, CLOSED]
    assert kinds(*said) == [*expected, ERASURE_REQUESTED, ERASED]
    assert rows(*said)[2].refers_to == 2


def test_rows_about_the_account_stand_before_any_behavior() -> None:
    said = rows(OPENING, CONSENT, events.AccountFrozen(**FREEZING), revised(line(3)))
    assert {(row.behavior, row.year) for row in said if row.kind < CREDITED} == {("", 0)}


def test_a_revision_has_one_row_of_its_own_and_one_for_each_line() -> None:
    lines = (line(3), line(5, "0", None, "no_factor_for_region"))
    header, first, second = rows(revised(*lines))
    assert (header.kind, header.refers_to, header.decision, header.terms) == (REVISED, 2, "R1", "v1")
    assert header.digest.hex() == sm3_hex(msgspec.json.encode(list(lines)))
    assert (first.kind, first.refers_to, first.before_mg, first.computed_mg, first.credited_mg) == (LINE, 3, 4, 6, 5)
    assert (second.computed_mg, second.credited_mg, second.terms) == (NONE, 0, "v1;no_factor_for_region")
    assert {row.position for row in (header, first, second)} == {101}


def test_the_digest_of_a_revision_in_parts_is_over_all_its_lines_and_stands_in_the_last_part() -> None:
    said = rows(revised(line(3), last=False), revised(line(5), part=2))
    digests = [row.digest for row in said if row.kind == REVISED]
    assert digests == [b"", bytes.fromhex(sm3_hex(msgspec.json.encode([line(3), line(5)])))]


@pytest.mark.parametrize(
    "said",
    [
        [revised(line(3), last=False)],
        [revised(line(3), last=False), CREDIT],
        [revised(line(3), last=False), revised(line(5), part=3)],
        [revised(line(3), last=False), revised(line(5), part=2, revision="R2")],
        [revised(line(3), last=False), revised(line(5), part=2, behavior="travel.bus")],
        [revised(line(3), last=False), revised(line(5), part=2, methodology="TRAVEL-METRO@3")],
        [revised(line(3), last=False), revised(line(5), part=2, rule="v2")],
        [revised(line(3), part=2)],
        [revised(line(5), line(3))],
        [revised(line(3), line(3))],
        [revised(line(3), last=False), revised(line(2), part=2)],
    ],
)
def test_a_revision_whose_parts_or_lines_are_out_of_order_is_irregular(said: list[Event]) -> None:
    assert IRREGULAR in kinds(*said)


def test_a_revision_in_parts_is_regular_again_after_it_is_complete() -> None:
    said = (revised(line(3), last=False), revised(line(5), part=2), revised(line(3), revision="R2"), CREDIT)
    assert IRREGULAR not in kinds(*said)


def _with(**changes: Any) -> events.BehaviorCredited:
    return msgspec.structs.replace(CREDIT, **changes)


@pytest.mark.parametrize("field", ["quantity", "computed_mg", "credited_mg"])
@pytest.mark.parametrize(
    "text",
    [str(BOUND), str(-BOUND), str(NONE), str(2**70), "", "1.0", "+1", "007", "-0", " 1", "1_000", "١", "1e3", "x"],
)
def test_a_number_that_the_columns_cannot_give_back_is_irregular(field: str, text: str) -> None:
    assert kinds(OPENING, _with(**{field: text}), CREDIT) == [OPENED, IRREGULAR, CREDITED]


@pytest.mark.parametrize("field", ["quantity", "computed_mg", "credited_mg"])
@pytest.mark.parametrize("value", [BOUND - 1, 1 - BOUND, 0, -1])
def test_a_number_within_the_bound_is_kept(field: str, value: int) -> None:
    (row,) = rows(_with(**{field: str(value)}))
    assert getattr(row, field) == value


@pytest.mark.parametrize(
    "event",
    [
        _with(day="2026-3-1"),
        _with(day="2026-02-30"),
        _with(day="20260301"),
        _with(consent=2**63),
        _with(intake=-1),
        _with(unit="km;3", scale=0),
        _with(rule="v1;km"),
        msgspec.structs.replace(REVERSAL, day=""),
        msgspec.structs.replace(REVERSAL, reversed_mg="0800000"),
        msgspec.structs.replace(REVERSAL, credit=2**64),
        msgspec.structs.replace(CONSENT, scope=("travel.metro,travel.bus",)),
        msgspec.structs.replace(CONSENT, scope=("",)),
        msgspec.structs.replace(CONSENT, basis="direct;t1"),
        msgspec.structs.replace(CONSENT, terms_version="t1;*"),
        msgspec.structs.replace(CONSENT, valid_to="tomorrow"),
        msgspec.structs.replace(CONSENT, valid_to="2026-01-01T00:00:00"),
        events.ConsentWithdrawn(consent=-1),
        revised(line(3, "05")),
        revised(line(3, computed_mg=str(NONE))),
        revised(line(-3)),
        revised(line(3), rule="v1;"),
    ],
)
def test_what_an_event_of_the_ledger_never_says_is_irregular(event: Event) -> None:
    assert kinds(OPENING, event, CREDIT) == [OPENED, IRREGULAR, CREDITED]


def test_an_irregular_row_says_nothing_but_where_it_stands() -> None:
    assert rows(OPENING, _with(quantity="x"))[1] == ArchiveRow(IRREGULAR, 102, 2)


def test_an_event_of_another_stream_is_irregular() -> None:
    class Strange(Event, frozen=True, kw_only=True):
        TOPIC = "strange"
        STREAM = "account"

    assert kinds(OPENING, Strange()) == [OPENED, IRREGULAR]


def test_nothing_personal_reaches_a_row() -> None:
    opened = events.AccountOpenedPersonal(account_ref="person-77")
    credited = events.BehaviorCreditedPersonal(source_ref="trip-77", occurred_at="2026-03-01T08:15:00+08:00")
    recorded = [Recorded(ACCOUNT, 1, 1, OPENING, opened), Recorded(ACCOUNT, 2, 2, CREDIT, credited)]
    without = [each._replace(personal=None) for each in recorded]
    assert list(archive_rows(ACCOUNT, recorded)) == list(archive_rows(UUID(int=0), without))
