"""Logs that were written once are read for ever: the same bytes, the same heads, the same balances, no mismatch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import pytest

from domain.account import Account
from domain.digest import sm3_hex
from domain.events.account import BehaviorCredited, FactorRevised
from domain.events.base import Recorded, RulebookEvent
from domain.events.registry import TOPICS, encode, recorded
from domain.history import AccountHistory
from domain.instants import instant_of
from domain.rulebook import Rulebook
from domain.signing_keys import SIGNING_KEYS, signing_keys
from infrastructure.gm.hardened_gmssl import GmsslVerifier
from tests.fixtures.independent_rulebook import Line, refused_in
from tests.golden.regenerate import account_streams, differing, digest_of, expected_of, head_of, main
from tests.golden.stories import STORIES
from tests.unit.domain.worlds import replayed

FILES = sorted(Path(__file__).parent.glob("v*/*.jsonl"))
NAMES = [f"{path.parent.name}-{path.stem}" for path in FILES]


class Golden(NamedTuple):
    """A stored log as text and as events, and what is to be read out of it."""

    rows: list[dict[str, Any]]
    log: list[Recorded]
    recorded_us: dict[int, int]
    expected: dict[str, Any]


def read(path: Path) -> Golden:
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    log = [
        recorded(UUID(row["stream"]), row["version"], row["position"], row["topic"], row["state"].encode())
        for row in rows
    ]
    times = {row["position"]: instant_of(row["recorded_at"]) for row in rows}
    return Golden(rows, log, times, json.loads(path.with_suffix(".expected.json").read_text("utf-8")))


@pytest.fixture(params=FILES, ids=NAMES)
def golden(request: pytest.FixtureRequest) -> Golden:
    return read(request.param)


def test_every_story_has_a_stored_log() -> None:
    assert {path.stem for path in FILES} == set(STORIES)


def test_every_kind_of_event_stands_in_some_golden_log() -> None:
    topics = {row["topic"] for path in FILES for row in read(path).rows}
    assert topics == set(TOPICS)


def test_the_signing_keys_of_a_golden_log_vouch_for_each_other() -> None:
    log = read(Path(__file__).parent / "v1" / "edges.jsonl").log
    keys = signing_keys("town", [each for each in log if each.stream == SIGNING_KEYS], GmsslVerifier().verify)
    assert [(key.first_size, key.last_size) for key in keys] == [(len(log) - 1, len(log) - 1), (len(log), None)]


def test_a_golden_log_is_whole_and_in_order(golden: Golden) -> None:
    assert [row["position"] for row in golden.rows] == list(range(1, golden.expected["events"] + 1))
    times = [instant_of(row["recorded_at"]) for row in golden.rows]
    assert times == sorted(times)
    versions: dict[str, int] = {}
    for row in golden.rows:
        assert row["version"] == versions.get(row["stream"], 0) + 1
        versions[row["stream"]] = row["version"]


def test_a_golden_event_encodes_to_the_bytes_that_were_stored(golden: Golden) -> None:
    # Only while no shape has been superseded; afterwards the old files are told apart here by their topic.
    for row, each in zip(golden.rows, golden.log, strict=True):
        assert encode(each.event, each.personal) == row["state"].encode()
        assert type(each.event) is TOPICS[row["topic"]]


def test_a_golden_log_folds_to_the_heads_that_are_expected(golden: Golden) -> None:
    heads = {}
    for stream, events in account_streams(golden.log).items():
        account = Account(stream).extend(events)
        heads[str(stream)] = head_of(account)
        half = Account.from_snapshot(stream, Account(stream).extend(events[: len(events) // 2]).snapshot())
        assert half.extend(events[len(events) // 2 :]).snapshot() == account.snapshot()
    assert heads == golden.expected["heads"]


def test_a_golden_log_replays_without_a_mismatch_to_the_same_digest(golden: Golden) -> None:
    done = replayed(golden.log, golden.recorded_us)
    assert done.mismatches == []
    assert done.digest == golden.expected["digest"]
    balances = {str(s): {behavior: str(mg) for behavior, mg in sums.items()} for s, sums in done.balances.items()}
    assert balances == golden.expected["balances"]


def test_the_rulebook_of_a_golden_log_holds_for_whoever_knows_the_document_alone(golden: Golden) -> None:
    rules = [
        Line(
            row["position"],
            UUID(row["stream"]),
            row["version"],
            row["topic"],
            golden.recorded_us[row["position"]],
            json.loads(row["state"])["facts"],
        )
        for row, each in zip(golden.rows, golden.log, strict=True)
        if isinstance(each.event, RulebookEvent)
    ]
    assert refused_in(rules) == []


def test_what_was_known_at_every_position_of_a_golden_log_is_known_for_ever(golden: Golden) -> None:
    histories = {stream: AccountHistory().extend(events) for stream, events in account_streams(golden.log).items()}
    digest = ""
    for position in range(len(golden.log) + 1):
        digest = golden.expected["digest_from_position"].get(str(position), digest)
        assert digest_of(histories, position) == digest
        if position and not is_part(golden.log[position - 1]):
            done = replayed(golden.log, golden.recorded_us, until=position)
            assert (done.mismatches, done.digest) == ([], digest)


def is_part(each: Recorded) -> bool:
    """Whether an append goes on after this event: guarantees hold at its last part."""
    return isinstance(each.event, FactorRevised) and not each.event.last


def test_the_rulebook_of_a_golden_log_is_read_as_it_was_written(golden: Golden) -> None:
    rulebook = Rulebook()
    rulebook.extend(each for each in golden.log if isinstance(each.event, RulebookEvent))
    assert expected_of(golden.log, rulebook) == golden.expected
    for version in rulebook.methodologies.values():
        assert version.digest == sm3_hex(version.document.encode())


def test_one_altered_digit_of_a_golden_log_is_found(golden: Golden) -> None:
    for row in golden.rows:
        if TOPICS[row["topic"]] is BehaviorCredited:
            state = json.loads(row["state"])
            mass = int(state["facts"]["credited_mg"])
            altered = row["state"].replace(f'"credited_mg":"{mass}"', f'"credited_mg":"{mass + 1}"')
            log = list(golden.log)
            log[row["position"] - 1] = recorded(
                UUID(row["stream"]), row["version"], row["position"], row["topic"], altered.encode()
            )
            (mismatch,) = replayed(log, golden.recorded_us).mismatches
            assert (mismatch.position, mismatch.what) == (row["position"], "credited_mg")


def test_the_stories_told_again_give_the_stored_files() -> None:
    assert differing() == []


def test_the_generator_says_what_differs_and_refuses_other_arguments(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["--check"]) == 0
    assert main(["--chekc"]) == 2
    monkeypatch.setattr("tests.golden.regenerate.FOLDER", tmp_path / "v1")
    assert main(["--check"]) == 1
    assert "town.jsonl is not what the code writes today" in capsys.readouterr().err
    assert main([]) == 0
    assert main(["--check"]) == 0
    for path in FILES:
        assert (tmp_path / "v1" / path.name).read_bytes() == path.read_bytes()
