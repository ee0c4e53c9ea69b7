"""Evidence and log held against each other: what is missing, changed, destroyed too early or not at all is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from application import evidence
from application.accounts import account_id, open_account
from application.importing import ImportResult
from application.intakes import open_intake
from application.ports.behavior_source import RefusedRow
from application.ports.journal import Append, StreamMoved
from application.replaying import replay
from domain.behavior import Behavior
from domain.digest import sm3_hex
from domain.errors import LedgerError, Rejected, Unavailable
from domain.events.intake import EvidenceDestroyed, IntakeClosed, IntakeOpened
from domain.evidence import destroy
from domain.values import day_number
from tests.e2e.cli_tools import HEADER
from tests.unit.memory_town import MemoryTown

TIME = "2026-05-01T08:00:00+08:00"
RIDE = f"r1,ann,cycling.shared_bike,{TIME},3.1,km,CN-440300"
BUS = f"b1,bob,travel.bus,{TIME},1,trip,"
BAD = f"x1,ann,cycling.shared_bike,{TIME},1e3,km,"
LATE = "2031-07-01T00:00:00Z"
BEFORE = day_number("2026-06-15")


@pytest.fixture
def town(tmp_path: Path) -> MemoryTown:
    return MemoryTown(tmp_path)


def digest_of(town: MemoryTown, result: ImportResult) -> str:
    event = next(iter(town.journal.log(result.intake_id - 1, result.intake_id))).event
    assert isinstance(event, IntakeOpened)
    return event.digest


def events(town: MemoryTown, *kinds: type[Any]) -> list[Any]:
    return [each.event for each in town.journal.log(0, town.journal.head().size) if isinstance(each.event, kinds)]


def expire(town: MemoryTown, before: int = BEFORE) -> evidence.Expired:
    return evidence.expire(town.book, town.store, before, "olga", "its retention is over")


def codes(town: MemoryTown) -> list[str]:
    found = evidence.verify(town.book, town.store)
    assert found.total == len(found.findings)
    assert all(each.place and each.message and each.remedy for each in found.findings)
    return [each.code for each in found.findings]


def code_of(act: Callable[..., Any], *arguments: object, kind: type[LedgerError] = Rejected) -> str:
    with pytest.raises(kind) as refused:
        act(*arguments)
    assert refused.value.remedy
    return refused.value.code


def test_the_bytes_of_an_import_are_kept_before_its_first_credit_and_the_intake_says_so(town: MemoryTown) -> None:
    first = town.receive(RIDE, BUS)
    assert (first.evidence, first.credited) == ("stored", 2)
    (opened,) = events(town, IntakeOpened)
    assert opened.evidence == "kept"
    content = f"{HEADER}\n{RIDE}\n{BUS}\n".encode()
    assert town.store.held == {sm3_hex(content): content}
    assert opened.digest == sm3_hex(content)
    assert replay(town.book).mismatches == 0


def test_a_file_that_somebody_keeps_elsewhere_is_not_stored_and_the_intake_says_so(town: MemoryTown) -> None:
    assert town.receive(RIDE, kept=False).evidence == "elsewhere"
    assert [each.evidence for each in events(town, IntakeOpened)] == ["elsewhere"]
    assert town.store.held == {}
    assert evidence.verify(town.book, town.store).elsewhere == 1


def test_the_same_bytes_again_also_of_another_partner_are_stored_once(town: MemoryTown) -> None:
    assert [town.receive(RIDE, partner=partner).evidence for partner in ("metro", "metro", "bikes")] == [
        "stored",
        "present",
        "present",
    ]
    assert len(town.store.held) == 1
    assert len(evidence.list_evidence(town.book, town.store)) == 3
    assert evidence.verify(town.book, town.store).files == 1


def test_a_file_that_cannot_be_stored_credits_nothing(town: MemoryTown, monkeypatch: pytest.MonkeyPatch) -> None:
    source, before = town.file(RIDE), town.journal.head().size
    monkeypatch.setattr(type(source), "blocks", lambda _: iter([b"other bytes"]))
    assert code_of(town.receive, RIDE) == "file_changed"
    assert town.journal.head().size == before


def test_every_intake_is_listed_with_where_its_file_is_and_when_it_may_go(town: MemoryTown) -> None:
    kept, elsewhere = town.receive(RIDE), town.receive(BUS, kept=False, name="b.csv")
    lost = town.receive(RIDE.replace("r1", "r2"), name="c.csv")
    del town.store.held[digest_of(town, lost)]
    listed = evidence.list_evidence(town.book, town.store)
    assert [(each.intake.position, each.intake.evidence, each.stored) for each in listed] == [
        (kept.intake_id, "kept", True),
        (elsewhere.intake_id, "elsewhere", False),
        (lost.intake_id, "kept", False),
    ]
    assert {each.may_go_from for each in listed} == {"2031-06-02"}
    assert evidence.shown(town.book, town.store, kept.intake_id) == listed[0]


def test_the_files_that_hold_rows_of_one_person_are_found_whoever_sent_them(town: MemoryTown) -> None:
    first = town.receive(RIDE, BUS)
    town.receive(BUS.replace("b1", "b2"), name="bob.csv")
    again = town.receive(RIDE, BUS, partner="bikes")
    ann = account_id(town.book, "ann")
    listed = evidence.list_evidence(town.book, town.store, ann)
    assert [each.intake.position for each in listed] == [first.intake_id, again.intake_id]
    town.receive(RIDE.replace("r1", "r2"), kept=False, name="more.csv")
    assert [each.stored for each in evidence.list_evidence(town.book, town.store, ann)] == [True, True, False]
    opened = open_account(town.book, "new").account_id
    assert evidence.list_evidence(town.book, town.store, opened) == []


@pytest.mark.parametrize("position", [0, 1, 10_000, -3])
def test_a_position_that_is_no_intake_is_refused(town: MemoryTown, position: int) -> None:
    town.receive(RIDE)
    assert code_of(evidence.shown, town.book, town.store, position) == "intake_unknown"


def test_the_bytes_of_an_intake_are_shown_as_they_were_received(town: MemoryTown) -> None:
    intake = evidence.shown(town.book, town.store, town.receive(RIDE, BUS).intake_id).intake
    assert b"".join(evidence.read(town.store, intake)) == f"{HEADER}\n{RIDE}\n{BUS}\n".encode()


def test_a_line_is_shown_with_the_credit_that_has_its_reference(town: MemoryTown) -> None:
    result = town.receive(RIDE, BAD, BUS)
    again = town.receive(RIDE, name="again.csv")
    intake = evidence.shown(town.book, town.store, result.intake_id).intake
    ride = evidence.line(town.book, town.store, intake, 2)
    assert isinstance(ride.row, Behavior)
    assert ride.credit is not None
    assert (ride.row.source_ref, ride.credit.facts.line, ride.credit.facts.intake) == ("r1", 2, result.intake_id)
    bad = evidence.line(town.book, town.store, intake, 3)
    assert isinstance(bad.row, RefusedRow)
    assert (bad.row.columns[0], bad.credit) == ("x1", None)
    second = evidence.shown(town.book, town.store, again.intake_id).intake
    duplicate = evidence.line(town.book, town.store, second, 2)
    assert duplicate.credit is not None
    assert duplicate.credit.facts.intake == result.intake_id
    for number in (1, 5, 999):
        assert code_of(evidence.line, town.book, town.store, intake, number) == "line_unknown"


def test_a_line_that_was_refused_for_its_content_has_no_credit(town: MemoryTown) -> None:
    result = town.receive(RIDE.replace("3.1", "-3.1"))
    intake = evidence.shown(town.book, town.store, result.intake_id).intake
    assert evidence.line(town.book, town.store, intake, 2).credit is None


def test_evidence_that_is_kept_elsewhere_or_destroyed_is_told_as_such(town: MemoryTown) -> None:
    elsewhere, kept = town.receive(BUS, kept=False), town.receive(RIDE, name="r.csv")
    town.tell(LATE)
    assert expire(town).files == 1
    for result, code in ((elsewhere, "evidence_elsewhere"), (kept, "evidence_destroyed")):
        intake = evidence.shown(town.book, town.store, result.intake_id).intake
        assert code_of(evidence.read, town.store, intake) == code
        assert code_of(evidence.line, town.book, town.store, intake, 2) == code


def test_bytes_said_to_be_elsewhere_are_shown_where_they_are_here_after_all(town: MemoryTown) -> None:
    elsewhere = town.receive(RIDE, kept=False)
    town.receive(RIDE, partner="bikes")
    intake = evidence.shown(town.book, town.store, elsewhere.intake_id).intake
    assert b"r1,ann" in b"".join(evidence.read(town.store, intake))


def test_verifying_an_untouched_store_finds_nothing_and_counts_what_it_opened(town: MemoryTown) -> None:
    town.receive(RIDE)
    town.receive(BUS, name="b.csv")
    told: list[int] = []
    found = evidence.verify(town.book, town.store, told.append)
    assert (found.files, found.total, found.destroyed, found.unnamed) == (2, 0, 0, 0)
    assert found.size_bytes == sum(map(len, town.store.held.values())) == told[-1]


def test_each_way_to_tamper_with_the_store_has_its_code(town: MemoryTown) -> None:
    result = town.receive(RIDE)
    digest = digest_of(town, result)
    right = town.store.held.pop(digest)
    assert codes(town) == ["evidence_missing"]
    town.store.held[digest] = right + b" "
    assert codes(town) == ["evidence_differs"]
    town.store.held[digest] = right
    assert codes(town) == []
    town.alter(result.intake_id, size_bytes=1)
    assert codes(town) == ["evidence_size"]


def test_a_file_that_no_intake_names_is_counted_and_goes_only_when_that_is_asked_for(town: MemoryTown) -> None:
    town.receive(RIDE)
    town.store.held["00" * 32] = b"of an import that never began, or of a log whose end was lost"
    assert evidence.verify(town.book, town.store).unnamed == 1
    long_ago = day_number("2000-01-01")
    assert (expire(town, long_ago).unnamed, len(town.store.held)) == (0, 2)
    done = evidence.expire(town.book, town.store, long_ago, "olga", "a test run", with_unnamed=True)
    assert (done.files, done.finished, done.unnamed, len(town.store.held)) == (0, 0, 1, 1)


def test_nothing_goes_before_its_retention_is_over_and_then_it_goes_on_record(town: MemoryTown) -> None:
    town.receive(RIDE)
    town.receive(RIDE, partner="bikes")
    town.tell("2031-06-01T15:59:59Z")
    size, held = town.journal.head().size, dict(town.store.held)
    with pytest.raises(Rejected) as refused:
        expire(town)
    assert (refused.value.code, refused.value.field) == ("evidence_retained", "before")
    assert "2031-06-02" in refused.value.message
    assert (town.journal.head().size, town.store.held) == (size, held)
    town.tell("2031-06-01T16:00:00Z")
    done = expire(town)
    assert (done.files, done.size_bytes, done.finished) == (1, sum(map(len, held.values())), 0)
    assert (done.position, town.store.held) == (size + 2, {})
    assert [(e.by, e.reason, e.digest) for e in events(town, EvidenceDestroyed)] == [
        ("olga", "its retention is over", next(iter(held)))
    ] * 2
    assert expire(town).files == 0
    assert codes(town) == []
    assert evidence.verify(town.book, town.store).destroyed == 1
    assert {each.intake.evidence for each in evidence.list_evidence(town.book, town.store)} == {"destroyed"}
    assert replay(town.book).mismatches == 0


def test_a_book_that_keeps_people_for_ten_years_keeps_their_originals_as_long(tmp_path: Path) -> None:
    town = MemoryTown(tmp_path, retention_days=3_653)
    town.receive(RIDE)
    assert [each.may_go_from for each in evidence.list_evidence(town.book, town.store)] == ["2036-06-02"]
    town.tell(LATE)
    assert code_of(expire, town) == "evidence_retained"
    town.tell("2036-06-02T00:00:00Z")
    assert expire(town).files == 1
    assert codes(town) == []


def test_a_clock_that_was_set_back_keeps_nothing_longer_than_the_log_has_lasted(town: MemoryTown) -> None:
    town.receive(RIDE)
    town.tell(LATE)
    open_account(town.book, "somebody")
    town.tell("2026-06-02T00:00:00Z")
    assert expire(town).files == 1


def test_who_destroys_and_why_is_checked_before_anything_is_done(town: MemoryTown) -> None:
    town.receive(RIDE)
    town.tell(LATE)
    for by, reason, code in ((" ", "r", "actor_malformed"), ("olga", "", "reason_malformed")):
        assert code_of(evidence.expire, town.book, town.store, BEFORE, by, reason) == code
    assert len(town.store.held) == 1


def test_the_same_bytes_received_after_they_were_destroyed_are_kept_again(town: MemoryTown) -> None:
    town.receive(RIDE)
    town.tell(LATE)
    expire(town)
    assert town.receive(RIDE).evidence == "stored"
    assert codes(town) == []
    names = [type(event).__name__ for event in events(town, IntakeOpened, IntakeClosed, EvidenceDestroyed)]
    assert names == ["IntakeOpened", "IntakeClosed", "EvidenceDestroyed", "IntakeOpened", "IntakeClosed"]
    assert [each.may_go_from for each in evidence.list_evidence(town.book, town.store)] == ["2036-07-02"] * 2


def test_what_was_recorded_as_destroyed_and_was_not_is_found_and_finished(
    town: MemoryTown, monkeypatch: pytest.MonkeyPatch
) -> None:
    town.receive(RIDE)
    town.tell(LATE)

    def killed(digest: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(town.store, "destroy", killed)
    with pytest.raises(KeyboardInterrupt):
        expire(town)
    monkeypatch.undo()
    assert codes(town) == ["evidence_not_destroyed"]
    done = expire(town)
    assert (done.files, done.finished, town.store.held) == (0, 1, {})
    assert codes(town) == []


def test_evidence_destroyed_before_its_time_is_found_in_the_log(town: MemoryTown) -> None:
    town.receive(RIDE)
    (each,) = evidence._evidence(town.book).values()
    town.journal.append(Append(list(destroy(each, "eve", "inconvenient")), town.journal.head().rulebook_position))
    town.store.held.clear()
    assert codes(town) == ["evidence_destroyed_early"]


def test_a_file_received_again_just_now_is_looked_at_again_before_anything_goes(
    town: MemoryTown, monkeypatch: pytest.MonkeyPatch
) -> None:
    town.receive(RIDE)
    town.tell(LATE)
    append = town.journal.append
    source = town.file(RIDE)

    def late(batch: Append) -> Any:
        if isinstance(batch.events[0].event, EvidenceDestroyed):
            monkeypatch.setattr(town.journal, "append", append)
            # Kept elsewhere, so it does not wait for the store.
            open_intake(town.book, "metro", source.digest, source.size_bytes, "csv", opens_accounts=True)
            raise StreamMoved
        return append(batch)

    monkeypatch.setattr(town.journal, "append", late)
    assert expire(town).files == 0
    assert (len(town.store.held), events(town, EvidenceDestroyed)) == (1, [])


def test_many_files_are_destroyed_in_several_appends(town: MemoryTown, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "_FILES_PER_APPEND", 2)
    monkeypatch.setattr(evidence, "_POSITIONS_PER_QUERY", 2)
    for number in range(5):
        town.receive(RIDE.replace("r1", f"r{number}"), name=f"{number}.csv")
    town.tell(LATE)
    assert expire(town).files == 5
    assert town.store.held == {}
    assert codes(town) == []


def test_only_the_first_findings_are_listed_and_all_are_counted(
    town: MemoryTown, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence, "FINDINGS_KEPT", 2)
    for number in range(5):
        town.receive(RIDE.replace("r1", f"r{number}"), name=f"{number}.csv")
    town.store.held.clear()
    found = evidence.verify(town.book, town.store)
    assert (found.total, len(found.findings)) == (5, 2)


def test_keys_are_not_wrapped_again_while_all_evidence_is_away(town: MemoryTown) -> None:
    evidence.refuse_lost(town.book, town.store)
    town.receive(RIDE)
    evidence.refuse_lost(town.book, town.store)
    held, town.store.held = town.store.held, {}
    assert code_of(evidence.refuse_lost, town.book, town.store, kind=Unavailable) == "evidence_lost"
    town.store.held = held
    town.tell(LATE)
    expire(town)
    evidence.refuse_lost(town.book, town.store)
