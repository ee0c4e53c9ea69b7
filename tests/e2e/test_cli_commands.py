"""Every command of DESIGN 7: what it answers, by which keys, with which exit code."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from domain.digest import sm3_hex
from interfaces.bootstrap import Settings
from tests.e2e.cli_tools import COMMANDS, METRO, CommandLine, methodology
from tests.e2e.witness_tools import WitnessLine

FORMATS = Path(__file__).resolve().parents[2] / "docs" / "formats.md"

DESIGN_KEYS = {
    "methodology import": "code version state digest",
    "methodology show": "code version state digest",
    "factors import": "factor_set release rows digest",
    "applicability propose": "decision_id position",
    "applicability approve": "decision_id position",
    "account open": "account_id position",
    "account freeze": "account_id position",
    "account erase": "account_id position",
    "account approve-erasure": "account_id position",
    "consent grant": "account_id position",
    "behaviors import": "intake_id read credited duplicates rejected rejected_by_code credited_mg accounts_opened "
    "position seconds",
    "behaviors reverse": "position reversed_mg",
    "account show": "account_id credited_mg by_behavior position",
    "account statement": "account_id credited_mg by_behavior position",
    "account explain": "account_id credited_mg by_behavior position",
    "totals": "accounts credits credited_mg by_behavior position digest",
    "revision plan": "revision_id plan_digest accounts changed_accounts credits before_mg after_mg delta_mg state",
    "revision approve": "revision_id plan_digest accounts changed_accounts credits before_mg after_mg delta_mg state",
    "revision apply": "revision_id plan_digest accounts changed_accounts credits before_mg after_mg delta_mg state",
    "revision status": "revision_id plan_digest accounts changed_accounts credits before_mg after_mg delta_mg state",
    "replay": "events credits revisions mismatches credited_mg digest seconds",
    "views rebuild": "views rows digest equal",
    "views check": "views rows digest equal",
}
"""What scripts may depend on, whatever else an answer says."""

OWN_TESTS = {"init", "demo", "keys init", "checkpoint run", "witness run", "database grant", "serve", "webhooks run"}
"""These make books, run until they are ended, or need roles: test_cli_process, test_demo, test_cli_keys,
test_cli_background, test_cli_database, test_http_process, test_webhooks.
"""


def documented_keys() -> dict[str, set[str]]:
    rows = re.findall(r"(?m)^\| `([a-z -]+)` \| (`.*`) \|$", FORMATS.read_text("utf-8"))
    return {command: keys_in(keys) for command, keys in rows if command in COMMANDS}


def documented_lists() -> dict[str, set[str]]:
    rows = re.findall(r"(?m)^\| `([a-z]+)\[\]` \| (`.*`) \|$", FORMATS.read_text("utf-8"))
    return {name: keys_in(keys) for name, keys in rows}


def keys_in(cell: str) -> set[str]:
    return set(re.findall(r"`([a-z_]+)(?:\[\])?`", cell))


def tell_a_story_with_every_command(cli: CommandLine) -> None:
    cli("account", "open", "zoe")
    cli.consent("zoe")
    cli("consent", "withdraw", "zoe", "--by", "branch", "--reason", "by letter")
    cli.credit(METRO, "b1,ann,cycling.shared_bike,2019-03-01T09:15:00+08:00,3.1,km,CN-440300")
    tell_of_evidence(cli)
    cli("account", "show", "ann")
    cli("account", "statement", "ann")
    cli("account", "explain", "ann", "t1")
    for step in ("freeze", "unfreeze"):
        cli("account", step, "ann", "--by", "alice", "--reason", "a check")
    cli("behaviors", "reverse", "ann", "t1", "--reason", "refunded", "--by", "alice")
    revised = ("CYCLING-SHARED@2", "--from", "2019-01-01", "--to", "2020-01-01")
    cli("revision", "compare", "CYCLING-SHARED@1", *revised)
    cli("revision", "plan", *revised, "--by", "alice")
    cli("revision", "report", "R1")
    cli("revision", "approve", "R1", "--by", "bob")
    cli("revision", "status", "R1")
    cli("revision", "apply", "R1")
    parameters = {"saving": {"unit": "g/km", "factor_set": "TEST-SET"}}
    cli("factors", "import", cli.json_file(factor_release()), "--by", "alice")
    cli("factors", "list")
    name = cli.publish(methodology(parameters=parameters))
    cli.decide(name, "open", "open", "--release", "TEST-SET=1")
    cli("methodology", "propose-withdrawal", name, "--by", "ann")
    cli("methodology", "approve-withdrawal", name, "--by", "bob", "--leave-gap")
    for listing in ("methodology", "applicability", "revision"):
        cli(listing, "list")
    cli("methodology", "show", name)
    cli("account", "close", "zoe", "--by", "alice", "--reason", "left")
    cli("account", "erase", "zoe", "--by", "alice", "--reason", "a letter")
    cli("account", "approve-erasure", "zoe", "--by", "bob")
    for audit in (("totals",), ("replay",), ("views", "rebuild"), ("views", "check")):
        cli(*audit)
    cli("keys", "show")
    cli("keys", "rotate", "--by", "alice")
    cli("keys", "rewrap")
    for act in ("migrate", "show"):
        cli("database", act)
    for act in ("create", "remove"):
        cli("dev-credentials", act)
    tell_of_webhooks(cli)
    for act in ("build", "status", "verify", "rebuild"):
        cli("archive", act)
    tell_of_people(cli)
    hand_out_what_an_auditor_checks(cli)
    have_it_witnessed(cli)


def tell_of_webhooks(cli: CommandLine) -> None:
    cli("webhooks", "allow", "https://hooks.example")
    made = [cli("webhooks", "subscribe", "https://hooks.example/x", "--kind", "credited") for _ in range(2)]
    for act in ("targets", "list"):
        cli("webhooks", act)
    for act in ("show", "dead-letters"):
        cli("webhooks", act, made[0]["id"])
    cli("webhooks", "replay", made[0]["id"], "--dead-letters")
    cli("webhooks", "unsubscribe", made[1]["id"])
    cli("webhooks", "disallow", "https://hooks.example")
    cli("webhooks", "allow", "https://hooks.example")


def tell_of_people(cli: CommandLine) -> None:
    key, text = str(cli.folder / "bob.key"), str(cli.folder / "approval.txt")
    cli("actor", "key", "new", key)
    cli("actor", "key", "show", key)
    cli("actor", "register", "bob", "--actor-key", key, "--by", "alice")
    cli("actor", "approve-key", "bob", "--by", "carl")
    cli("methodology", "import", cli.json_file(methodology("SIGNED", "test.signed")), "--by", "alice")
    review = ("methodology", "review", "SIGNED@1", "--by", "bob")
    told = json.loads(cli.run(*review, "--to-sign", text, "--json").stdout)
    assert set(told) == {"act", "object", "actor", "shown", "content", "rulebook", "file"}
    cli("actor", "sign", text, "--actor-key", key, "--out", str(cli.folder / "approval.sig"))
    cli(*review, "--actor-key", key)
    cli("actor", "revoke", "bob", "--by", "carl", "--reason", "left")
    cli("actor", "list")
    tell_of_partners(cli)
    cli("access", "list")


def tell_of_partners(cli: CommandLine) -> None:
    keys = [str(cli.folder / f"metro-{number}.key") for number in range(2)]
    for key in keys:
        cli("actor", "key", "new", key)
    alice, carl = ("--by", "alice"), ("--by", "carl", "--reason", "a check")
    first = cli("partner", "register", "metro-co", "--all-behaviors", "--partner-key", keys[0], *alice)
    cli("partner", "approve", first["proposal"], "--by", "carl")
    more = cli("partner", "add-key", "metro-co", "--partner-key", keys[1], *alice)
    cli("partner", "approve", more["proposal"], "--by", "carl")
    cli("partner", "revoke-key", "metro-co", "--key", first["key"], *carl)
    cli("partner", "suspend", "metro-co", *carl)
    cli("partner", "resume", "metro-co", "--by", "alice", "--reason", "repaired")
    cli("partner", "terms", "metro-co", "--behavior", "travel.metro", "--rows-per-day", "10000", *alice)
    cli("partner", "list")
    cli("partner", "show", "metro-co")


def hand_out_what_an_auditor_checks(cli: CommandLine) -> None:
    cli("checkpoint", "sign", "--with-map")
    for act in ("show", "list", "rebuild"):
        cli("checkpoint", act)
    cli("check")
    key = cli.bytes(cli("keys", "show")["public_pem"].encode(), name="log.pem")
    event, balance, bundle = (str(cli.folder / name) for name in ("event.json", "balance.json", "bundle.zip"))
    cli("prove", "event", "1", "--out", event)
    cli("prove", "balance", "ann", "--out", balance)
    cli("export", "bundle", bundle)
    events = str(cli.folder / "events.csv")
    cli("export", "events", events, "--format", "csv", "--until", "5")
    for file in (event, balance, bundle, f"{events}.manifest"):
        cli("verify", file, "--key", key)
    send_it_sealed(cli, bundle)


def send_it_sealed(cli: CommandLine, file: str) -> None:
    phrase, private, sealed = (str(cli.folder / name) for name in ("phrase", "exchange.key", "bundle.sealed"))
    Path(phrase).write_text("twelve bytes and more")
    Path(phrase).chmod(0o600)
    cli("transport-key", "new", private, "--passphrase-file", phrase)
    cli("seal", file, "--to", f"{private}.pem", "--out", sealed)
    cli("unseal", sealed, "--key", private, "--out", f"{file}.again", "--passphrase-file", phrase)


def have_it_witnessed(cli: CommandLine) -> None:
    cli("checkpoint", "sign", "--out", str(cli.folder / "given"))
    witness = WitnessLine.made(cli, "w1", "exchange.example/w1")
    size = witness.size
    rotated, key = str(cli.folder / "rotated.json"), cli("keys", "rotate", "--by", "alice")
    cli("prove", "event", str(key["first_size"]), "--out", rotated)
    witness("trust-key", rotated)
    grown, cosigned = str(cli.folder / "grown.json"), str(cli.folder / "cosigned")
    cli("prove", "consistency", str(size), "--out", grown)
    witness("cosign", grown, "--out", cosigned)
    cli("checkpoint", "collect", cosigned, "--witness", witness.pem)
    new = cli.bytes(cli("keys", "show")["public_pem"].encode(), name="new.pem")
    cli("verify", grown, "--key", str(cli.folder / "log.pem"), "--key", new)


def tell_of_evidence(cli: CommandLine) -> None:
    (intake,) = cli("evidence", "list")["intakes"]
    cli("evidence", "show", str(intake["intake_id"]), "--line", "2")
    cli("evidence", "verify")
    cli("evidence", "recover", "recovered")
    cli("evidence", "expire", "--before", "2020-01-01", "--by", "olga", "--reason", "its retention is over")
    cli("reconcile", "local", cli.file(METRO, name="list.csv"), "--from", "2026-03-01", "--to", "2026-04-01")
    cli("anomalies")


def factor_release() -> dict[str, object]:
    row = {
        "statistic": "average",
        "region": "CN",
        "data_year": 2022,
        "value": "0.5",
        "unit": "g/km",
        "source": "a test",
        "page": None,
        "document_sm3": None,
        "grade": "C",
    }
    return {"factor_set": "TEST-SET", "release": 1, "rows": [row]}


def test_every_command_answers_with_exactly_the_documented_keys(cli: CommandLine) -> None:
    tell_a_story_with_every_command(cli)
    assert set(cli.seen) == set(COMMANDS) - OWN_TESTS
    documented = documented_keys()
    assert {command: documented.get(command) for command in cli.seen} == cli.seen
    assert {command: set(keys.split()) - cli.seen[command] for command, keys in DESIGN_KEYS.items()} == {
        command: set() for command in DESIGN_KEYS
    }


def test_the_lists_in_answers_hold_exactly_the_documented_keys(cli: CommandLine) -> None:
    tell_a_story_with_every_command(cli)
    questions: dict[str, tuple[str, ...]] = {
        "methodologies": ("methodology", "list"),
        "intakes": ("evidence", "list"),
        "releases": ("factors", "list"),
        "actors": ("actor", "list"),
        "partners": ("partner", "list"),
        "keys": ("partner", "show", "metro-co"),
        "proposals": ("partner", "show", "metro-co"),
        "accesses": ("access", "list"),
        "targets": ("webhooks", "targets"),
        "webhooks": ("webhooks", "list"),
        "signing": ("keys", "show"),
        "roles": ("database", "show"),
        "decisions": ("applicability", "list"),
        "revisions": ("revision", "list"),
        "consents": ("account", "show", "ann"),
        "entries": ("account", "statement", "ann"),
        "valuations": ("account", "explain", "ann", "b1"),
        "checkpoints": ("checkpoint", "list"),
        "steps": ("verify", str(cli.folder / "bundle.zip"), "--key", str(cli.folder / "log.pem")),
    }
    assert {name: set(cli(*question)[name][0]) for name, question in questions.items()} == documented_lists()


def test_every_answer_is_also_told_to_people_without_json(cli: CommandLine) -> None:
    cli.credit(METRO)
    for arguments, shown in (
        (("totals",), "0.889200 kg"),
        (("account", "show", "ann"), "0.889200 kg"),
        (("account", "statement", "ann"), "travel.metro"),
        (("account", "explain", "ann", "t1"), "quantity * (baseline - project)"),
        (("methodology", "list"), "TRAVEL-METRO@1"),
        (("methodology", "show", "TRAVEL-METRO@1"), "DB11/T 3043-2024"),
        (("applicability", "list"), "TRAVEL-METRO@1"),
        (("factors", "list"), "no releases"),
        (("revision", "list"), "no revisions"),
        (("replay",), "the history is what it was"),
        (("views", "check"), "the views are what the log says"),
        (("views", "rebuild"), "nothing changed"),
    ):
        ran = cli.run(*arguments)
        assert (ran.code, ran.stderr) == (0, ""), arguments
        assert shown in ran.stdout, arguments
        assert "\x1b" not in ran.stdout, arguments
        assert not any(line != line.rstrip() for line in ran.stdout.splitlines()), arguments


def test_masses_are_strings_of_whole_milligrams(cli: CommandLine) -> None:
    cli.credit(METRO)
    totals = cli("totals")
    assert (totals["credited_mg"], totals["by_behavior"]) == ("889200", {"travel.metro": "889200"})
    assert cli("account", "show", "ann")["by_behavior"] == {"travel.metro": "889200"}
    assert cli("replay")["credited_mg"] == "889200"


def test_totals_replay_and_views_check_print_one_digest_for_one_log(cli: CommandLine) -> None:
    cli.credit(METRO, "t2,bob,travel.bus,2026-03-01T08:15:00+08:00,1,trip,")
    earlier = cli("totals")
    cli("behaviors", "reverse", "bob", "t2", "--reason", "refunded", "--by", "alice")
    later = cli("totals")
    assert later["digest"] != earlier["digest"]
    assert cli("replay")["digest"] == cli("views", "check")["digest"] == later["digest"]
    then = ("--until", str(earlier["position"]))
    assert cli("replay", *then)["digest"] == earlier["digest"]
    assert cli("totals", "--at-position", str(earlier["position"])) == earlier


def test_totals_by_reference_do_not_depend_on_the_random_account_ids(cli: CommandLine) -> None:
    cli.credit(METRO, "t2,bob,travel.bus,2026-03-01T08:15:00+08:00,1,trip,")
    lines = "ann,travel.metro,889200\nbob,travel.bus,80000\n"
    assert cli("totals", "--by-ref")["digest"] == sm3_hex(lines.encode())


def test_json_and_home_are_understood_before_and_after_the_command(cli: CommandLine) -> None:
    expected = cli.run("totals", "--json")
    home = str(cli.settings.home)
    for arguments in (
        ("--json", "totals"),
        ("--home", home, "--json", "totals"),
        ("totals", "--json", "--home", home),
        ("--home", "/nowhere", "totals", "--home", home, "--json"),
    ):
        assert cli.run(*arguments) == expected
    assert cli.run("methodology", "--json", "list") == cli.run("methodology", "list", "--json")


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("totals", "--nonsense"),
        ("totals", "extra"),
        ("totals", "--at-position", "-1"),
        ("totals", "--at-position", "many"),
        ("behaviors", "import"),
        ("behaviors", "import", "x.csv", "--partner", "no spaces"),
        ("behaviors", "import", "x.csv", "--partner", "x" * 65),
        ("account", "show", "ann", "--known-at", "2026-03-01"),
        ("account", "show", "ann", "--known-at", "2026-03-01T08:15:00"),
        ("account", "show", "ann", "--known-at", "2026-03-01T08:15:00Z", "--at-position", "1"),
        ("account", "show", "ann", "--occurred-before", "2026-W09-1"),
        ("account", "freeze", "ann", "--by", " x", "--reason", "y"),
        ("account", "freeze", "ann", "--by", "x", "--reason", " "),
        ("account", "freeze", "ann", "--by", "\udcff", "--reason", "y"),
        ("account", "show", "\udcff"),
        ("applicability", "propose", "X@1", "--from", "2026-02-30", "--to", "open", "--by", "x"),
        ("applicability", "propose", "X@1", "--from", "2018-W40-1", "--to", "open", "--by", "x"),
        ("applicability", "propose", "X@1", "--from", "open", "--to", "open", "--by", "x", "--release", "A"),
        (
            "revision",
            "plan",
            "X@1",
            "--from",
            "open",
            "--to",
            "open",
            "--by",
            "x",
            "--release",
            "A=1",
            "--release",
            "A=2",
        ),
        ("revision", "plan", "X@1", "--from", "open", "--to", "open"),
        ("replay", "--kernel", "other"),
        ("revision", "plan", "X@1", "--from", "open", "--to", "open", "--by", "x", "--kernel", "other"),
        ("revision", "apply", ""),
        ("revision", "status", "r1"),
        ("account", "open", "new", "--kind", "robot"),
        ("account", "erase", "ann", "--by", "x", "--reason", "y", "--ground", "whim"),
        ("init", "--retention-days", "-1"),
        ("views", "rebuild", "nonsense"),
        ("methodology",),
        (),
    ],
)
def test_wrong_usage_exits_with_two_before_anything_is_opened(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARBON_LEDGER_DSN", "host=nowhere.invalid")
    cli = CommandLine(Settings(home=tmp_path), tmp_path)
    assert cli.refused(*arguments, code=2) == "usage"
    assert cli.run(*arguments).code == 2


REFUSED = [
    (("behaviors", "import", "missing.csv"), "file_not_found"),
    (("behaviors", "reverse", "ann", "t9", "--reason", "x", "--by", "y"), "credit_unknown"),
    (("behaviors", "reverse", "ann", "t1", "--reason", "x", "--by", "y", "--partner", "other"), "credit_unknown"),
    (("account", "open", "ann"), "account_exists"),
    (("account", "open", " ann"), "account_ref_malformed"),
    (("account", "show", "nobody"), "account_unknown"),
    (("account", "show", "ann", "--at-position", "3"), "account_unknown"),
    (("account", "show", "ann", "--at-position", "999999"), "position_unknown"),
    (("account", "statement", "nobody"), "account_unknown"),
    (("account", "explain", "ann", "t9"), "credit_unknown"),
    (("account", "unfreeze", "ann", "--by", "x", "--reason", "y"), "account_not_frozen"),
    (("consent", "withdraw", "ann", "--by", "x", "--reason", "y", "--consent", "77"), "consent_unknown"),
    (("account", "erase", "nobody", "--by", "x", "--reason", "y"), "account_unknown"),
    (("account", "approve-erasure", "ann", "--by", "x"), "erasure_not_requested"),
    (("init", "--retention-days", "7"), "retention_recorded"),
    (("consent", "grant", "ann", "--terms", "1", "--evidence", "no.pdf", "--by", "x"), "evidence_not_found"),
    (("totals", "--at-position", "999999"), "position_unknown"),
    (("replay", "--until", "999999"), "position_unknown"),
    (("revision", "status", "R9"), "revision_unknown"),
    (("revision", "approve", "R9", "--by", "x"), "revision_unknown"),
    (("revision", "apply", "R9"), "revision_unknown"),
    (("applicability", "approve", "D99", "--by", "x"), "decision_unknown"),
    (("methodology", "show", "NO@1"), "methodology_unknown"),
    (("methodology", "import", "missing.json", "--by", "x"), "file_not_found"),
    (("factors", "import", "missing.json", "--by", "x"), "file_not_found"),
]


def test_what_the_rules_refuse_exits_with_one_and_names_a_remedy(cli: CommandLine) -> None:
    cli.credit(METRO)
    before = cli("totals")
    assert [(arguments, cli.refused(*arguments)) for arguments, _ in REFUSED] == REFUSED
    assert cli("totals") == before


def test_a_refusal_names_the_option_and_the_time_that_were_given(cli: CommandLine) -> None:
    cli.credit(METRO)
    assert cli("replay", "--until", "999999", code=1)["error"]["field"] == "until"
    early = cli("account", "show", "ann", "--known-at", "2001-02-03T04:05:06Z", code=1)["error"]
    assert "2001-02-03T04:05:06" in early["message"]
    assert "time" in early["remedy"]
    freeze = ("account", "freeze", "ann", "--by", "alice", "--reason", "a check")
    cli(*freeze)
    assert cli(*freeze, code=1)["error"]["remedy"] == "nothing to do"


def test_the_version_is_told_without_a_ledger(cli: CommandLine) -> None:
    ran = cli.run("--version")
    assert ran.code == 0
    assert re.fullmatch(r"carbon-ledger [0-9][0-9a-z.]*\n", ran.stdout)


def test_a_refusal_is_told_to_people_on_stderr_with_its_code_and_remedy(cli: CommandLine) -> None:
    ran = cli.run("account", "show", "nobody")
    assert (ran.code, ran.stdout) == (1, "")
    assert ran.stderr.splitlines()[0] == "rejected: account_unknown [account_ref]"
    assert "remedy: open it with `account open`" in ran.stderr
