"""The life cycle of methodologies, factor releases and decisions, by several actors, through the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.cli_tools import CommandLine, methodology
from tests.e2e.test_cli_commands import factor_release

ROW = "t1,ann,test.behavior,2026-03-01T08:15:00+08:00,2,km,CN-440300"


def test_a_version_needs_three_actors_and_the_right_order(cli: CommandLine) -> None:
    file = cli.json_file(methodology())
    drafted = cli("methodology", "import", file, "--by", "ann")
    assert (drafted["code"], drafted["version"], drafted["state"]) == ("TEST-CODE", 1, "drafted")
    assert cli.refused("methodology", "import", file, "--by", "ann") == "version_exists"
    assert cli.refused("methodology", "certify", "TEST-CODE@1", "--by", "cat") == "wrong_state"
    assert cli.refused("methodology", "review", "TEST-CODE@1", "--by", "ann") == "same_actor"
    assert cli("methodology", "review", "TEST-CODE@1", "--by", "bob")["state"] == "reviewed"
    for actor in ("ann", "bob"):
        assert cli.refused("methodology", "certify", "TEST-CODE@1", "--by", actor) == "same_actor"
    assert cli("methodology", "certify", "TEST-CODE@1", "--by", "cat")["state"] == "certified"
    published = cli("methodology", "publish", "TEST-CODE@1", "--by", "ann")
    assert (published["state"], published["digest"]) == ("published", drafted["digest"])
    shown = cli("methodology", "show", "TEST-CODE@1")
    assert [shown[f"{role}_by"] for role in ("drafted", "reviewed", "certified")] == ["ann", "bob", "cat"]
    assert shown["document"] == methodology()


def test_people_are_told_what_comes_next_in_the_life_cycle(cli: CommandLine) -> None:
    file = cli.json_file(methodology())
    assert (
        "methodology review TEST-CODE@1 --by SOMEBODY-ELSE"
        in cli.run("methodology", "import", file, "--by", "ann").stdout
    )
    for step, actor, then in (
        ("review", "bob", "methodology certify TEST-CODE@1"),
        ("certify", "cat", "methodology publish TEST-CODE@1"),
        ("publish", "dan", "applicability propose TEST-CODE@1"),
    ):
        assert then in cli.run("methodology", step, "TEST-CODE@1", "--by", actor).stdout


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"{", "json_malformed"),
        (b"\xff", "json_malformed"),
        (b'{"code": 1, "code": 2}', "json_malformed"),
        (b'{"code": NaN}', "json_malformed"),
        (b"[" * 100_000, "json_malformed"),
        (b"[]", "methodology_malformed"),
        (json.dumps(methodology() | {"extra": 1}).encode(), "methodology_malformed"),
    ],
)
def test_a_methodology_file_that_is_not_one_is_refused_with_its_place(
    content: bytes, code: str, cli: CommandLine
) -> None:
    assert cli.refused("methodology", "import", cli.bytes(content, name="m.json"), "--by", "ann") == code


def test_a_decision_needs_two_actors_and_shows_what_changes_hands(cli: CommandLine) -> None:
    name = cli.publish(methodology())
    propose = ("applicability", "propose", name, "--from", "2026-01-01", "--to", "open", "--region", "CN-44")
    proposed = cli(*propose, "--by", "ann")
    assert cli.refused("applicability", "approve", proposed["decision_id"], "--by", "ann") == "same_actor"
    approved = cli("applicability", "approve", proposed["decision_id"], "--by", "bob")
    after = {"methodology": name, "decision": proposed["decision_id"]}
    change = {"region": "CN-44", "from": "2026-01-01", "to": None, "before": None, "after": after}
    assert approved["changes"] == [change]
    assert cli.refused("applicability", "approve", proposed["decision_id"], "--by", "bob") == "already_approved"
    assert cli.credit(ROW)["credited_mg"] == "20000"


def test_the_past_is_not_decided_forward(cli: CommandLine) -> None:
    first = cli.publish(methodology())
    cli.decide(first, "open", "open")
    second = cli.publish(methodology(version=2))
    past = cli("applicability", "propose", second, "--from", "2020-01-01", "--to", "open", "--by", "ann")
    assert cli.refused("applicability", "approve", past["decision_id"], "--by", "bob") == "use_revision"


def test_a_withdrawal_falls_back_to_the_older_decision_and_shows_it(cli: CommandLine) -> None:
    first, second = cli.publish(methodology()), cli.publish(methodology(version=2))
    cli.decide(first, "open", "open")
    later = cli.decide(second, "2999-01-01", "open")
    assert [change["before"]["methodology"] for change in later["changes"]] == [first]
    assert cli.refused("methodology", "approve-withdrawal", second, "--by", "bob") == "withdrawal_not_proposed"
    cli("methodology", "propose-withdrawal", second, "--by", "ann")
    assert cli.refused("methodology", "approve-withdrawal", second, "--by", "ann") == "same_actor"
    (change,) = cli("methodology", "approve-withdrawal", second, "--by", "bob")["changes"]
    assert (change["from"], change["before"]["methodology"], change["after"]["methodology"]) == (
        "2999-01-01",
        second,
        first,
    )


def test_a_withdrawal_that_leaves_a_gap_must_say_so(cli: CommandLine) -> None:
    name = cli.publish(methodology())
    decision = cli.decide(name, "open", "open")["decision_id"]
    cli("methodology", "propose-withdrawal", name, "--by", "ann")
    assert cli.refused("methodology", "approve-withdrawal", name, "--by", "bob") == "gap_left"
    ran = cli.run("methodology", "approve-withdrawal", name, "--by", "bob", "--leave-gap")
    assert ran.code == 0
    assert "nothing" in ran.stdout.splitlines()[-1]
    listed = {each["decision_id"]: each["state"] for each in cli("applicability", "list")["decisions"]}
    assert listed[decision] == "withdrawn"


def test_a_factor_release_counts_only_for_decisions_that_name_it(cli: CommandLine) -> None:
    loaded = cli("factors", "import", cli.json_file(factor_release()), "--by", "ann")
    assert (loaded["factor_set"], loaded["release"], loaded["rows"]) == ("TEST-SET", 1, 1)
    assert [each["digest"] for each in cli("factors", "list")["releases"]] == [loaded["digest"]]
    assert cli.refused("factors", "import", cli.json_file(factor_release()), "--by", "ann") == "release_exists"
    name = cli.publish(methodology(parameters={"saving": {"unit": "g/km", "factor_set": "TEST-SET"}}))
    propose = ("applicability", "propose", name, "--from", "open", "--to", "open", "--by", "ann")
    assert cli.refused(*propose) == "release_missing"
    assert cli.refused(*propose, "--release", "TEST-SET=2") == "release_unknown"
    cli.decide(name, "open", "open", "--release", "TEST-SET=1")
    assert cli.credit(ROW)["credited_mg"] == "1000"
    explained = cli("account", "explain", "ann", "t1")["valuations"][0]
    assert explained["releases"] == {"TEST-SET": 1}
    assert explained["parameters"] == [{"name": "saving", "region": "CN", "value": "0.5"}]


def test_a_factor_release_file_that_is_not_one_is_refused(cli: CommandLine) -> None:
    broken: dict[str, Any] = factor_release() | {"rows": []}
    assert cli.refused("factors", "import", cli.json_file(broken), "--by", "ann") == "factors_malformed"


def test_the_evidence_of_a_consent_is_a_digest_or_the_file_it_is_taken_from(cli: CommandLine) -> None:
    cli("account", "open", "ann")
    Path("form.pdf").write_bytes(b"abc")
    grant = ("consent", "grant", "ann", "--terms", "v1", "--by", "branch", "--evidence")
    granted = cli(*grant, "form.pdf")
    # SM3 of "abc" is the first vector of GB/T 32905.
    assert granted["evidence"] == "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"
    assert cli(*grant, granted["evidence"].upper())["evidence"] == granted["evidence"]
    consents = cli("account", "show", "ann")["consents"]
    assert [each["consent"] for each in consents] == [granted["consent"], granted["consent"] + 1]
    assert (consents[0]["scope"], consents[0]["basis"]) == (["*"], "direct")


def test_a_consent_that_ends_before_it_begins_is_refused(cli: CommandLine) -> None:
    cli("account", "open", "ann")
    grant = ("consent", "grant", "ann", "--terms", "v1", "--by", "b", "--evidence", "0" * 64)
    period = ("--from", "2026-01-02T00:00:00Z", "--to", "2026-01-01T00:00:00Z")
    assert cli.refused(*grant, *period) == "consent_malformed"


def test_a_withdrawal_without_a_number_ends_every_consent(cli: CommandLine) -> None:
    cli("account", "open", "ann")
    kept, ended = cli.consent("ann")["consent"], cli.consent("ann")["consent"]
    withdraw = ("consent", "withdraw", "ann", "--by", "branch", "--reason", "by letter")
    cli(*withdraw, "--consent", str(ended))
    assert [each["consent"] for each in cli("account", "show", "ann")["consents"]] == [kept]
    cli.consent("ann")
    cli(*withdraw)
    assert cli("account", "show", "ann")["consents"] == []
    assert cli.refused(*withdraw) == "consent_unknown"
