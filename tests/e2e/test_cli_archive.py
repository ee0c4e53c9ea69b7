"""The archive and the book as of a day, through the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.cli_tools import METRO, CommandLine
from tests.fixtures.tampering import replace_in_facts

BIKE = "b1,ann,cycling.shared_bike,2019-03-01T09:15:00+08:00,3.1,km,CN-440300"
OTHER = "t2,bob,travel.metro,2026-02-28T23:59:59+08:00,2,km,"
LATER = "t3,bob,travel.metro,2026-03-02T08:00:00+08:00,1,km,"


@pytest.fixture
def told(cli: CommandLine) -> CommandLine:
    """A book with a revision and a reversal, and behaviors recorded after them."""
    cli.credit(BIKE, METRO, OTHER)
    cli("revision", "plan", "CYCLING-SHARED@2", "--from", "2019-01-01", "--to", "2020-01-01", "--by", "alice")
    cli("revision", "approve", "R1", "--by", "bob")
    cli("revision", "apply", "R1")
    cli("behaviors", "reverse", "ann", "t1", "--reason", "refunded", "--by", "alice")
    cli.credit(LATER, name="later.csv")
    return cli


def files(cli: CommandLine) -> list[Path]:
    return sorted(path for path in (cli.settings.home / "archive").rglob("*") if path.is_file())


def test_a_book_without_an_archive_says_so(told: CommandLine) -> None:
    status = told("archive", "status")
    assert (status["position"], status["segments"], status["digest"]) == (0, [], "")
    ran = told.run("archive", "status")
    assert "there is no archive yet" in ran.stdout
    assert told("archive", "verify")["equal"] is True


def test_each_build_follows_the_log_with_one_segment(told: CommandLine) -> None:
    first = told("archive", "build")
    assert first["position"] == first["log_position"] == first["segments"][0]["upto"]
    assert [segment["after"] for segment in first["segments"]] == [0]
    assert told("archive", "build") == first
    told.credit("t9,cat,travel.metro,2026-03-03T08:00:00+08:00,1,km,", name="more.csv")
    status = told("archive", "status")
    assert (status["position"], status["digest"]) == (first["position"], first["digest"])
    assert status["log_position"] > status["position"]
    assert "events behind the log" in told.run("archive", "status").stdout
    second = told("archive", "build")
    assert [(segment["after"], segment["upto"]) for segment in second["segments"]] == [
        (0, first["position"]),
        (first["position"], second["position"]),
    ]
    assert second["segments"][0] == first["segments"][0]
    assert second["methodologies"]["TRAVEL-METRO@1"] == told("methodology", "show", "TRAVEL-METRO@1")["digest"]


def test_an_archive_equal_to_the_log_is_said_to_be(told: CommandLine) -> None:
    told("archive", "build")
    answer = told("archive", "verify")
    assert (answer["equal"], answer["differences"]) == (True, [])
    assert "the archive is what the log says" in told.run("archive", "verify").stdout


def test_where_there_is_no_archive_nobody_is_told_that_it_is_right(told: CommandLine) -> None:
    said = told.run("archive", "verify").stdout
    assert "there is no archive yet: nothing was compared" in said
    assert "archive build" in said
    assert "is what the log says" not in said


def test_a_missing_or_edited_file_ends_with_exit_code_three_until_it_is_rebuilt(told: CommandLine) -> None:
    told("archive", "build")
    told.credit("t9,cat,travel.metro,2026-03-03T08:00:00+08:00,1,km,", name="more.csv")
    whole = told("archive", "build")
    for path in files(told):
        for content in (None, path.read_bytes()[:-1] + b"!"):
            if content is None:
                path.unlink()
            else:
                path.write_bytes(content)
            answer = told("archive", "verify", code=3)
            if path.suffix == ".parquet":
                assert answer["equal"] is False
                assert [each["segment"] for each in answer["differences"]] == [path.stem]
            else:
                assert answer["error"]["code"] == "archive_manifest_broken"
                assert "archive rebuild" in answer["error"]["remedy"]
            assert told("totals", "--occurred-before", "2026-03-02", code=3)["error"]["code"].startswith("archive_")
            assert told("archive", "rebuild") == whole


def test_one_number_altered_in_the_log_is_named_by_account_and_position(told: CommandLine) -> None:
    told("archive", "build")
    with told.sql() as conn:
        ((position, account, _),) = replace_in_facts(
            conn, "carbon.account.behavior-credited.v1", '"quantity":"3100"', '"quantity":"3101"'
        )
    answer = told("archive", "verify", code=3)
    assert answer["differences"] == [
        {
            "segment": answer["segments"][0]["name"],
            "what": f"account {account}, position {position}: quantity",
            "archived": "3100",
            "expected": "3101",
        }
    ]
    ran = told.run("archive", "verify")
    assert ran.code == 3
    assert "THE ARCHIVE IS NOT WHAT THE LOG SAYS" in ran.stdout
    assert f"position {position}: quantity" in ran.stdout


def test_the_book_before_a_day_counts_only_behaviors_of_earlier_days(told: CommandLine) -> None:
    everything = told("totals")
    before = told("totals", "--occurred-before", "2026-03-02")
    assert before["by_behavior"] == {"cycling.shared_bike": "150970", "travel.metro": "144000"}
    assert (before["accounts"], before["credits"], before["credited_mg"]) == (2, 3, "294970")
    assert (before["occurred_before"], before["known_at"], before["provisional"]) == ("2026-03-02", None, False)
    assert told("totals", "--occurred-before", "2019-03-01")["by_behavior"] == {}
    all_days = told("totals", "--occurred-before", "9999-12-31")
    assert {**all_days, "occurred_before": None} == everything


def test_the_book_before_a_day_is_told_as_it_was_known(told: CommandLine) -> None:
    plan = told("account", "statement", "ann")["entries"]
    credited, revised = (next(each for each in plan if each["kind"] == kind) for kind in ("credited", "revised"))
    told("archive", "build")
    day = ("--occurred-before", "2026-03-02")
    then = told("totals", *day, "--at-position", str(revised["position"] - 1))
    assert then["by_behavior"] == {"cycling.shared_bike": "105028", "travel.metro": "1033200"}
    by_time = told("totals", *day, "--known-at", credited["recorded_at"])
    assert (by_time["known_at"], by_time["by_behavior"]) == (credited["recorded_at"], then["by_behavior"])
    of_views = told("totals", "--known-at", credited["recorded_at"])
    assert of_views["digest"] == told("totals", "--at-position", str(of_views["position"]))["digest"]


def test_a_time_that_is_not_over_is_provisional(told: CommandLine) -> None:
    for question in ((), ("--occurred-before", "2026-03-02")):
        answer = told("totals", *question, "--known-at", "2999-01-01T00:00:00Z")
        assert answer["provisional"] is True
        assert answer["position"] == told("totals")["position"]
        assert "Provisional" in told.run("totals", *question, "--known-at", "2999-01-01T00:00:00Z").stdout


def test_by_reference_it_does_not_depend_on_account_ids(told: CommandLine) -> None:
    whole = told("totals", "--by-ref")["digest"]
    assert told("totals", "--by-ref", "--occurred-before", "9999-12-31")["digest"] == whole
    assert told("totals", "--occurred-before", "9999-12-31")["digest"] != whole


@pytest.mark.parametrize(
    "wrong",
    [
        ("--occurred-before", "tomorrow"),
        ("--occurred-before", "2026-02-30"),
        ("--known-at", "2026-01-01"),
        ("--known-at", "2026-01-01T00:00:00Z", "--at-position", "3"),
    ],
)
def test_a_question_that_cannot_be_read_is_wrong_usage(cli: CommandLine, wrong: tuple[str, ...]) -> None:
    assert cli("totals", *wrong, code=2)["error"]["code"]
    assert cli.refused("totals", "--occurred-before", "2026-01-01", "--at-position", "99999") == "position_unknown"
