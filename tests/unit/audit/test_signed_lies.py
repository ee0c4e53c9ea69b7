"""A book that no ledger would write, and whose operator has signed all of it: what a verifier finds all the same."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from application.verification.bundle import verify_bundle
from application.verification.notes import Trusted
from application.verification.telling import bundle_json, bundle_pairs
from application.verification.verified import Verified
from domain.audit.bundle import ABOUT, ACCOUNTS, RULEBOOK, SAMPLES, TREE, WORKINGS
from domain.audit.proofs import check_balance
from domain.errors import Rejected
from domain.events.account import BehaviorCredited
from domain.events.base import NewEvent
from domain.events.intake import IntakeClosed
from domain.streams import stream_id
from infrastructure.gm.hardened_gmssl import GmsslVerifier
from infrastructure.gm.sm2 import PyxVerifier
from infrastructure.gm.sm2_format import signature_from_der
from tests.fixtures import independent_verifier
from tests.golden.signing_story import FIRST, public_of
from tests.unit.domain.documents import metro
from tests.unit.domain.signed_books import SignedBook, begun
from tests.unit.domain.worlds import PARTNER, World, trip

KEY = public_of(FIRST)
DAY_US = 86_400_000_000


def told(path: Path) -> Verified:
    return verify_bundle(path, Trusted([KEY]), PyxVerifier().verify)


def codes(verified: Verified) -> set[tuple[str, str]]:
    return {(each.step, each.code) for each in verified.findings.kept}


def independent(path: Path) -> str:
    """The code by which a program written from the documents refuses a bundle; "" when it holds."""

    def signed(body: bytes, der: bytes) -> bool:
        return GmsslVerifier().verify(KEY, body, signature_from_der(der))

    try:
        independent_verifier.verify(path, signed)
    except independent_verifier.Wrong as wrong:
        return str(wrong)
    return ""


@pytest.fixture
def town() -> World:
    """Ann and ben, two files."""
    town = begun()
    town.introduce(metro(late_window_days=60))
    town.tell("2026-03-02T00:00:00Z")
    town.credited(trip("t1", "ann"), trip("t2", "ben", quantity="2.5"))
    town.credited(trip("t3", "ann", quantity="12.35"), partner="bike-co")
    return town


def test_the_honest_book_holds_and_says_what_it_covers(town: World, tmp_path: Path) -> None:
    whole = told(SignedBook(town).bundle(tmp_path / "all.zip"))
    assert (codes(whole), whole.complete, len(whole.not_shown)) == (set(), True, 1)
    assert independent(tmp_path / "all.zip") == ""
    some = told(SignedBook(town).bundle(tmp_path / "some.zip", [town.account_id("ann")]))
    assert (codes(some), some.complete, len(some.not_shown)) == (set(), False, 3)
    assert dict(bundle_pairs(whole))["rulebook"] == "up to position 8, the last of the log"
    assert dict(bundle_pairs(some))["rulebook"] == "up to position 8, as the checkpoint says"


def test_every_behavior_credited_twice_under_its_reference_is_found_with_both_places(
    town: World, tmp_path: Path
) -> None:
    once = told(SignedBook(town).bundle(tmp_path / "once.zip")).balances
    town.refs.clear()
    rows = [trip("t1", "ann"), trip("t2", "ben", quantity="2.5")]
    town.credited(*rows)
    town.credited(trip("t3", "ann", quantity="12.35"), partner="bike-co")
    found = told(SignedBook(town).bundle(tmp_path / "twice.zip"))
    assert {behavior: 2 * mg for behavior, mg in once.items()} == found.balances
    assert codes(found) == {("references", "reference_twice")}
    assert found.findings.total == 3
    assert independent(tmp_path / "twice.zip") == "reference_twice"
    ann = [each.position for each in town.streams[town.account_id("ann")]]
    assert (f"position {ann[4]}", f"its reference was credited at position {ann[2]} already") in [
        (each.place, each.message) for each in found.findings.kept
    ]
    # The same reference of another partner is another behavior; and of one account what is shown is judged.
    some = told(SignedBook(town).bundle(tmp_path / "some.zip", [town.account_id("ben")]))
    assert (codes(some), some.findings.total) == ({("references", "reference_twice")}, 1)


def test_a_value_that_does_not_follow_is_found_by_whoever_has_the_documents_alone(town: World, tmp_path: Path) -> None:
    (credit,) = [each for each in town.all_of(BehaviorCredited) if each.partner == "bike-co"]
    intake = town.intake(content="one row more")
    more = {"intake": intake.position, "partner": PARTNER, "ref": "5e" * 16, "credited_mg": f"{credit.credited_mg}0"}
    town.append_to(town.account_id("ann"), msgspec.structs.replace(credit, **more))
    found = told(SignedBook(town).bundle(tmp_path / "bundle.zip"))
    # The map that was signed holds what was booked, and the ledger's verifier puts what it computed in its place.
    assert codes(found) == {("accounts", "mismatch"), ("map", "not_in_map")}
    assert independent(tmp_path / "bundle.zip") == "mismatch"


def test_two_references_for_one_line_of_a_file_are_found(town: World, tmp_path: Path) -> None:
    intake = town.intake(content="one row")
    town.credit(intake, [trip("x1", line=2), trip("x2", line=2), trip("x3", line=3)])
    found = told(SignedBook(town).bundle(tmp_path / "bundle.zip"))
    assert (codes(found), found.findings.total) == ({("references", "line_twice")}, 1)
    assert independent(tmp_path / "bundle.zip") == "line_twice"


def closed(town: World, read: int, credited: int, rejected: int = 0, by_code: int | None = None) -> World:
    """An intake of two credits to ann, closed with these counts."""
    intake = town.intake(content=f"{read} {credited}")
    town.credit(intake, [trip(f"{town.size} {line}", line=line) for line in (2, 3)])
    rejects = {"malformed": rejected if by_code is None else by_code}
    event = IntakeClosed(
        read=read, credited=credited, duplicates=read - credited - rejected, rejected=rejected, rejected_by_code=rejects
    )
    town.append(NewEvent(stream_id("intake", f"{PARTNER}\0{intake.digest}"), 2, event))
    return town


@pytest.mark.parametrize(
    ("read", "credited", "rejected", "by_code", "step"),
    [
        (2, 2, 0, None, ""),
        (2, 1, 0, None, ""),  # a claim was lost, and another process credited one of them
        (3, 3, 0, None, "references"),
        (1, 1, 0, None, "references"),
        (4, 2, 2, 1, "intakes"),
        (1 << 70, 1 << 70, 0, None, "references"),
    ],
)
def test_an_intake_that_counts_other_credits_than_there_are_is_found(
    town: World, tmp_path: Path, read: int, credited: int, rejected: int, by_code: int | None, step: str
) -> None:
    path = SignedBook(closed(town, read, credited, rejected, by_code)).bundle(tmp_path / "bundle.zip")
    found = told(path)
    assert codes(found) == ({(step, "mismatch")} if step else set())
    assert independent(path) == ("mismatch" if step else "")


def test_of_some_accounts_it_is_said_that_credits_of_an_intake_may_be_elsewhere(town: World, tmp_path: Path) -> None:
    book = SignedBook(closed(town, 3, 3))
    found = told(book.bundle(tmp_path / "some.zip", [town.account_id("ann")]))
    assert codes(found) == set()
    assert any("no intake counts more credits than there are" in each for each in found.not_shown)
    assert bundle_json(found)["not_shown"] == found.not_shown
    # More credits than rows were read show in any bundle.
    town = closed(town, 1, 1)
    assert codes(told(SignedBook(town).bundle(tmp_path / "more.zip", [town.account_id("ann")])))


def test_an_intake_in_another_stream_than_that_of_its_bytes_is_found(town: World, tmp_path: Path) -> None:
    (entry,) = [e for e in town.log if e.topic == "carbon.intake.opened.v1" and e.recorded.event.partner == "bike-co"]
    town.append(NewEvent(stream_id("intake", "elsewhere"), 1, entry.recorded.event))
    town.append(
        NewEvent(
            stream_id("intake", "closed only"),
            1,
            IntakeClosed(read=0, credited=0, duplicates=0, rejected=0, rejected_by_code={}),
        )
    )
    found = told(SignedBook(town).bundle(tmp_path / "bundle.zip"))
    assert (codes(found), found.findings.total) == ({("intakes", "mismatch")}, 2)


def at(town: World, position: int, recorded_us: int) -> None:
    town.log[position - 1] = town.log[position - 1]._replace(recorded_us=recorded_us)


def test_an_event_recorded_before_the_one_before_it_is_found(town: World, tmp_path: Path) -> None:
    position = town.size - 1
    at(town, position, town.log[0].recorded_us - 6 * 365 * DAY_US)
    path = SignedBook(town).bundle(tmp_path / "bundle.zip")
    found = told(path)
    # Six years before the record no late window reaches either.
    assert codes(found) == {("log", "time_went_back"), ("accounts", "day_impossible")}
    assert [each.place for each in found.findings.kept if each.code == "time_went_back"] == [f"position {position}"]
    assert independent(path) == "time_went_back"


@pytest.mark.parametrize("shift_us", [-1, 1, -6 * 365 * DAY_US])
def test_a_checkpoint_with_another_time_than_that_of_its_last_event_is_found(
    town: World, tmp_path: Path, shift_us: int
) -> None:
    book = SignedBook(town, lambda honest: honest._replace(recorded_us=honest.recorded_us + shift_us))
    path = book.bundle(tmp_path / "bundle.zip")
    assert codes(told(path)) == {("log", "time_went_back")}
    assert independent(path) == "time_went_back"


def test_where_the_last_event_is_not_shown_the_checkpoint_may_be_later_and_not_earlier(
    town: World, tmp_path: Path
) -> None:
    ben = [town.account_id("ben")]
    latest = max(town.log[each.position - 1].recorded_us for each in town.streams[ben[0]])
    for recorded_us, wrong in ((town.log[-1].recorded_us + 1, False), (latest - 1, True)):
        book = SignedBook(town, lambda honest, at=recorded_us: honest._replace(recorded_us=at))  # type: ignore[misc]
        assert codes(told(book.bundle(tmp_path / f"{wrong}.zip", ben))) == (
            {("log", "time_went_back")} if wrong else set()
        )


@pytest.mark.parametrize(("days", "wrong"), [(0, False), (-57, True), (5, False), (6, True), (365, True)])
def test_a_day_ahead_of_its_record_or_beyond_the_late_window_is_found(
    town: World, tmp_path: Path, days: int, wrong: bool
) -> None:
    """The behaviors are of 5 January, the records of 2 March, the window has 60 days and one for midnight."""
    for number, entry in enumerate(town.log):
        town.log[number] = entry._replace(recorded_us=entry.recorded_us + days * DAY_US)
    found = told(SignedBook(town).bundle(tmp_path / "bundle.zip"))
    assert codes(found) == ({("accounts", "day_impossible")} if wrong else set())
    assert found.findings.total == (3 if wrong else 0)


def with_a_later_rule(town: World) -> SignedBook:
    """A decision that the checkpoint does not count."""
    before = town.rulebook.position
    town.decide(town.publish(metro(2, "90", late_window_days=60)), "2026-06-01")
    return SignedBook(town, lambda honest: honest._replace(rulebook_position=before))


def test_of_some_accounts_a_rule_behind_the_checkpoints_end_is_not_seen_and_that_is_said(
    town: World, tmp_path: Path
) -> None:
    before = town.rulebook.position
    found = told(with_a_later_rule(town).bundle(tmp_path / "some.zip", [town.account_id("ann")]))
    assert codes(found) == set()
    assert f"no rule was made behind position {before}" in found.not_shown[0]
    assert bundle_json(found)["rulebook_position"] == before


@pytest.mark.parametrize(
    ("member", "expected"), [(RULEBOOK, "rulebook_incomplete"), (ACCOUNTS, "topic_elsewhere"), (TREE, "about_differs")]
)
def test_of_the_whole_log_a_rule_behind_the_checkpoints_end_is_found_wherever_it_is_put(
    town: World, tmp_path: Path, member: str, expected: str
) -> None:
    before = town.rulebook.position
    book, path = with_a_later_rule(town), tmp_path / "bundle.zip"
    later = b"".join(line + b"\n" for line in book.lines[town.size - 6 :])
    assert town.log[town.size - 7].recorded.position > before
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in book.members().items():
            if member != TREE:
                content = b"" if name == TREE else content + later if name == member else content
            archive.writestr(name, content)
    assert expected in {code for _, code in codes(told(path))}


def test_workings_lead_from_a_sample_to_the_line_of_its_file_and_to_its_number(town: World, tmp_path: Path) -> None:
    members = SignedBook(town).members(None, "seed")
    lines = [json.loads(line) for line in members[WORKINGS].splitlines()]
    (line,) = [each for each in lines if each["partner"] == "bike-co"]
    intake = town.log[line["intake"] - 1].recorded.event
    assert (line["digest"], line["line"], intake.partner) == (intake.digest, 2, "bike-co")
    assert (line["formula"], line["parameters"]) == (
        "quantity * rate",
        [{"name": "rate", "region": "*", "value": "72"}],
    )
    assert (line["quantity"], line["exact"], line["computed_mg"]) == ("12.350", "889.200", "889200")
    assert (line["decision"], line["methodology"]) == ("D1", "TRAVEL-METRO@1")
    assert [(each["stream"], each["version"]) for each in lines] == [
        (each["stream"], each["version"]) for each in map(json.loads, members[SAMPLES].splitlines())
    ]
    assert codes(told(SignedBook(town).bundle(tmp_path / "bundle.zip", None, "seed"))) == set()


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.replace(b"889200", b"889201"),
        lambda content: content.replace(b'"line":2', b'"line":3'),
        lambda content: content.splitlines(keepends=True)[0],
        lambda content: content + b"{}\n",
        lambda content: b"",
    ],
)
def test_other_workings_than_follow_are_found(town: World, tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "bundle.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in SignedBook(town).members(None, "seed").items():
            archive.writestr(name, change(content) if name == WORKINGS else content)
    assert codes(told(path)) == {("samples", "workings_differ")}


def test_a_credit_that_nothing_values_has_no_workings_and_ends_nothing(town: World, tmp_path: Path) -> None:
    """Its day lies before the decision begins: no ledger credits it."""
    place = next(e for e in town.log if e.topic == BehaviorCredited.TOPIC)
    members = SignedBook(town).members(None, "seed")
    replaced = msgspec.structs.replace(place.recorded.event, behavior="travel.unknown")
    town.log[place.recorded.position - 1] = place._replace(recorded=place.recorded._replace(event=replaced))
    streams = town.streams[place.recorded.stream]
    streams[place.recorded.version - 1] = place.recorded._replace(event=replaced)
    path = tmp_path / "bundle.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {**SignedBook(town).members(), ABOUT: members[ABOUT], SAMPLES: members[SAMPLES]}.items():
            archive.writestr(name, content)
        archive.writestr(WORKINGS, members[WORKINGS])
    found = codes(told(path))
    assert {("accounts", "mismatch"), ("samples", "workings_differ")} <= found
    assert "unreadable" not in {code for _, code in found}


def test_the_events_of_a_balance_proof_were_recorded_in_their_order(town: World) -> None:
    ann = town.account_id("ann")
    held = [each.position for each in town.streams[ann]]
    at(town, held[1], town.log[held[0] - 1].recorded_us - 1)
    book = SignedBook(town)
    with pytest.raises(Rejected, match="recorded before the one before it") as refused:
        check_balance(book.balance(ann), book.checkpoint)
    assert refused.value.code == "time_went_back"
