"""Acts that people sign: keys registered by two, acts signed here and elsewhere, and checked by whoever wants to."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from domain.digest import sm3_hex
from interfaces.verifier import build
from tests.contract.gm_tools import openssl
from tests.e2e.act_tools import People
from tests.e2e.cli_tools import METRO, CommandLine, methodology
from tests.fixtures.ledgers import Server
from tests.fixtures.rewriting import make_everything_fit
from tests.fixtures.tampering import replace_in_facts

NAME = "TEST-CODE@1"


@pytest.fixture
def people(cli: CommandLine) -> People:
    return People(cli)


def drafted(cli: CommandLine) -> str:
    cli("methodology", "import", cli.json_file(methodology()), "--by", "ann")
    return NAME


def verify(cli: CommandLine, *options: str, code: int = 0) -> dict[str, Any]:
    """A bundle of the book, verified by the service."""
    bundle, key = cli.folder / "book.zip", cli.folder / "log.pem"
    if not bundle.exists():
        key.write_text(cli("keys", "show")["public_pem"])
        cli("export", "bundle", str(bundle))
    answer = cli("verify", str(bundle), "--key", str(key), *options, code=code)
    assert answer.pop("verifier").startswith("carbon-ledger ")
    return answer


def told_by_the_file(cli: CommandLine, *options: str) -> tuple[int, dict[str, Any]]:
    """What the verifier in one file says of the same bundle."""
    with zipfile.ZipFile(cli.folder / "book.zip") as bundle:
        alone = bundle.extract(build.NAME, cli.folder)
    words = [alone, "verify", str(cli.folder / "book.zip"), "--key", str(cli.folder / "log.pem"), *options, "--json"]
    ran = subprocess.run([sys.executable, "-I", "-S", *words], env={}, capture_output=True, check=False, timeout=120)
    told = json.loads(ran.stdout)
    told.pop("verifier_sm3")
    return ran.returncode, told


def test_whoever_has_a_registered_key_acts_by_signature_and_everybody_can_check_it(
    cli: CommandLine, people: People
) -> None:
    name = drafted(cli)
    people.join("bob")
    assert cli("actor", "list")["actors"][0]["state"] == "active"
    review = ("methodology", "review", name, "--by")
    assert cli.refused(*review, "bob") == "act_unsigned"
    assert cli.refused(*review, "ＢＯＢ") == "act_unsigned"
    assert cli.refused(*review, "bob", "--actor-key", people.key("carol")) == "act_signature_wrong"
    assert cli.refused(*review, "nobody", "--actor-key", people.key("bob")) == "act_signature_wrong"
    cli(*review, "bob", "--actor-key", people.key("bob"))
    cli("methodology", "certify", name, "--by", "cat")
    people.join("dan", sign="")
    cli("methodology", "publish", name, "--by", "dan", "--actor-key", people.key("dan"))
    checked = cli("check")
    assert checked["ok"]
    assert checked["acts"]["signed"] == 2
    assert checked["acts"]["unsigned_by"]["cat"] == 1
    assert "cat (1)" in cli.run("check").stdout
    found = verify(cli, "--actor", f"bob={people.public('bob')}")
    assert found["acts"] == checked["acts"]
    # Two who agree can register any key for a name; whoever knows the person's own key sees it.
    other = verify(cli, "--actor", f"bob={people.public('carol')}", code=3)
    assert [each["code"] for each in other["findings"]] == ["actor_key_other"]
    assert other["acts"]["wrong"] == 1
    assert told_by_the_file(cli, "--actor", f"bob={people.public('carol')}") == (3, other)


def test_a_reviewer_signs_on_a_machine_of_his_own_what_he_was_shown(cli: CommandLine, people: People) -> None:
    name, text, later = drafted(cli), people.new("review.txt"), people.new("later.txt")
    public, statement = people.public("rita"), people.new("rita.txt")
    cli("actor", "register", "rita", "--key", public, "--by", "ann", "--to-sign", statement)
    possession = people.signature(statement, "rita", "rita.sig")
    assert cli.refused("actor", "register", "rita", "--key", public, "--by", "ann") == "actor_key_not_proven"
    cli("actor", "register", "rita", "--key", public, "--by", "ann", "--possession", possession)
    cli("actor", "approve-key", "rita", "--by", "bob")
    review = ("methodology", "review", name, "--by", "rita")
    shown = cli(*review, "--to-sign", text)
    document = json.dumps(methodology(), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    assert (shown["content"], shown["shown"]) == (document, sm3_hex(document.encode()))
    told = json.loads(Path(text).read_bytes().partition(b"\0")[2])
    assert told["act"] == "methodology.review"
    assert (told["actor"], told["object"], told["shown"]) == ("rita", name, shown["shown"])
    cli(*review, "--to-sign", later)
    assert Path(text).read_bytes() == Path(later).read_bytes()
    other = people.signature(text, "mallory", "mallory.sig")
    assert cli.refused(*review, "--signature", other) == "act_signature_wrong"
    signature = people.signature(text, "rita", "review.sig")
    certify = ("methodology", "certify", name, "--by", "rita", "--signature", signature)
    assert cli.refused(*certify) == "wrong_state"
    # The rulebook moves on meanwhile: the text says at which position it was signed.
    cli("methodology", "import", cli.json_file(methodology(version=2)), "--by", "ann")
    assert cli.refused(*review, "--signature", signature) == "act_signature_wrong"
    cli(*review, "--signature", signature, "--signed-at", str(shown["rulebook"]))
    assert cli("check")["acts"]["signed"] == 1


def test_openssl_alone_signs_an_act(cli: CommandLine, people: People) -> None:
    name, key = drafted(cli), people.new("openssl.key")

    def done(*words: str) -> None:
        assert openssl(*words).returncode == 0

    def signed(text: str, out: str) -> str:
        options = ("-pkeyopt", "distid:1234567812345678", "-digest", "sm3", "-rawin")
        done("pkeyutl", "-sign", "-inkey", key, "-in", text, "-out", people.new(out), *options)
        return people.new(out)

    done("genpkey", "-algorithm", "SM2", "-out", key)
    done("pkey", "-in", key, "-pubout", "-out", people.new("openssl.pem"))
    register = ("actor", "register", "bob", "--key", people.new("openssl.pem"), "--by", "ann")
    cli(*register, "--to-sign", people.new("register.txt"))
    cli(*register, "--possession", signed(people.new("register.txt"), "register.sig"))
    cli("actor", "approve-key", "bob", "--by", "cat")
    review = ("methodology", "review", name, "--by", "bob")
    cli(*review, "--to-sign", people.new("review.txt"))
    cli(*review, "--signature", signed(people.new("review.txt"), "review.sig"))
    assert cli("check")["acts"]["signed"] == 1


def test_keys_are_changed_by_the_old_one_and_a_revoked_one_signs_nothing(cli: CommandLine, people: People) -> None:
    name = drafted(cli)
    people.join("bob")
    again = ("actor", "register", "bob", "--by", "ann")
    assert cli.refused(*again, "--actor-key", people.key("bob")) == "actor_key_known"
    assert cli.refused(*again, "--actor-key", people.key("bob2")) == "actor_key_not_proven"
    cli(*again, "--actor-key", people.key("bob2"), "--old-key", people.key("bob"))
    assert cli.refused(*again, "--actor-key", people.key("bob3")) == "registration_waits"
    for who in ("ann", "bob"):
        assert cli.refused("actor", "approve-key", "bob", "--by", who) == "same_actor"
    # Until it is approved the old key signs.
    review = ("methodology", "review", name, "--by", "bob")
    assert cli.refused(*review, "--actor-key", people.key("bob2")) == "act_signature_wrong"
    cli(*review, "--actor-key", people.key("bob"))
    cli("actor", "approve-key", "bob", "--by", "cat")
    cli("methodology", "certify", name, "--by", "cat")
    publish = ("methodology", "publish", name, "--by", "bob")
    assert cli.refused(*publish, "--actor-key", people.key("bob")) == "act_signature_wrong"
    revoke = ("actor", "revoke", "bob", "--reason", "lost laptop", "--by")
    assert cli.refused(*revoke, "bob") == "act_unsigned"
    cli(*revoke, "cat")
    assert cli.refused(*publish) == "act_unsigned"
    assert cli.refused(*publish, "--actor-key", people.key("bob2")) == "act_signature_wrong"
    assert cli.refused(*revoke, "cat") == "actor_key_unknown"
    cli("actor", "register", "bob", "--actor-key", people.key("bob3"), "--by", "ann")
    cli("actor", "approve-key", "bob", "--by", "cat")
    cli(*publish, "--actor-key", people.key("bob3"))
    states = [each["state"] for each in cli("actor", "list")["actors"]]
    assert states == ["replaced", "revoked", "active"]
    assert cli("check")["acts"]["signed"] == 2


def test_decisions_revisions_withdrawals_and_erasures_are_signed_too(cli: CommandLine, people: People) -> None:
    cli.credit(METRO, "b1,ann,cycling.shared_bike,2019-03-01T09:15:00+08:00,3.1,km,CN-440300")
    name = cli.publish(methodology())
    people.join("bob")
    signed = ("--by", "bob", "--actor-key", people.key("bob"))
    days = ("--from", "2027-01-01", "--to", "2028-01-01")
    proposed = cli("applicability", "propose", name, *days, "--by", "ann")["decision_id"]
    approve = ("applicability", "approve", proposed)
    shown = cli(*approve, "--by", "bob", "--to-sign", people.new("decision.txt"))
    assert json.loads(shown["content"])["methodology"] == name
    handed = ("--by", "bob", "--signature", people.signature(people.new("decision.txt"), "bob", "decision.sig"))
    # After he signed, somebody else decides on the same behavior: what he was shown is not what he would decide.
    other = cli("applicability", "propose", name, "--from", "2040-01-01", "--to", "open", "--by", "ann")["decision_id"]
    cli("applicability", "approve", other, "--by", "cat")
    assert cli.refused(*approve, *handed, "--signed-at", str(shown["rulebook"])) == "act_stale"
    cli(*approve, *signed)
    past = ("CYCLING-SHARED@2", "--from", "2019-01-01", "--to", "2020-01-01")
    cli("revision", "plan", *past, "--by", "alice")
    assert cli.refused("revision", "approve", "R1", "--by", "bob") == "act_unsigned"
    cli("revision", "approve", "R1", *signed)
    cli("revision", "apply", "R1")
    cli("methodology", "propose-withdrawal", name, *signed)
    assert cli.refused("methodology", "approve-withdrawal", name, *signed, "--leave-gap") == "same_actor"
    people.join("cat")
    cli("methodology", "approve-withdrawal", name, "--by", "cat", "--actor-key", people.key("cat"), "--leave-gap")
    erase = ("account", "erase", "ann", "--reason", "a letter")
    assert cli.refused(*erase, "--by", "bob") == "act_unsigned"
    asked = cli(*erase, *signed)["account_id"]
    approval = ("account", "approve-erasure", asked, "--by", "cat")
    shown = cli(*approval, "--to-sign", people.new("erasure.txt"))
    assert json.loads(shown["content"])["account"] == asked
    cli(*approval, "--signature", people.signature(people.new("erasure.txt"), "cat", "erasure.sig"))
    assert cli("check")["acts"]["signed"] == 6
    found = verify(cli)
    assert (found["ok"], found["acts"]["signed"], found["acts"]["wrong"]) == (True, 6, 0)


def test_an_act_put_into_a_name_that_signs_is_found_though_everything_else_fits(
    cli: CommandLine, people: People
) -> None:
    people.join("bob")
    name = drafted(cli)
    cli("methodology", "review", name, "--by", "cat")
    cli("checkpoint", "sign")
    with cli.sql() as conn:
        (edited,) = replace_in_facts(conn, "carbon.methodology.reviewed.v1", '"by":"cat"', '"by":"bob"')
        make_everything_fit(cli.settings, conn)
    cli("checkpoint", "rebuild")
    replayed = cli("replay", code=3)
    assert (replayed["mismatches"], replayed["acts"]["wrong"]) == (0, 1)
    assert cli("replay", "--until", str(edited.position - 1))["acts"]["wrong"] == 0
    found = cli("check", code=3)
    assert [(each["area"], each["code"]) for each in found["findings"]] == [("acts", "act_unsigned")]
    assert found["findings"][0]["place"] == f"position {edited.position}"
    told = verify(cli, code=3)
    assert [(each["step"], each["code"]) for each in told["findings"]] == [("acts", "act_unsigned")]


def test_in_a_book_of_signed_acts_a_name_alone_does_nothing(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.execute("CREATE DATABASE {name} TEMPLATE template0", name="signed_acts")
    settings = server.settings("signed_acts")
    assert settings.dsn is not None
    monkeypatch.setenv("CARBON_LEDGER_HOME", str(settings.home))
    monkeypatch.setenv("CARBON_LEDGER_DSN", settings.dsn.get_secret_value())
    cli = CommandLine(settings, tmp_path)
    assert cli.run("init", "--signed-acts").code == 2
    assert cli("init", "--signed-acts", "--empty")["signed_acts"] is True
    people, name = People(cli), drafted(cli)
    assert cli.refused("methodology", "review", name, "--by", "rita") == "act_unsigned"
    # The first key is approved by a name; every other one by somebody who signs.
    people.join("bob")
    cli("actor", "register", "rita", "--actor-key", people.key("rita"), "--by", "ann")
    assert cli.refused("actor", "approve-key", "rita", "--by", "dan") == "act_unsigned"
    cli("actor", "approve-key", "rita", "--by", "bob", "--actor-key", people.key("bob"))
    cli("methodology", "review", name, "--by", "rita", "--actor-key", people.key("rita"))
    assert cli("init", "--empty")["signed_acts"] is True
    assert cli("actor", "list")["signed_acts"] is True
    assert cli("check")["acts"] == {"signed": 2, "unsigned": 1, "wrong": 0, "unsigned_by": {"approver": 1}}
    server.execute("DROP DATABASE {name} WITH (FORCE)", name="signed_acts")


def test_a_book_that_was_opened_without_signed_acts_stays_so(cli: CommandLine) -> None:
    assert cli.refused("init", "--signed-acts", "--empty") == "signed_acts_recorded"
    assert cli("init")["signed_acts"] is False


def test_a_key_of_a_person_is_kept_apart_sealed_and_never_overwritten(
    cli: CommandLine, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = str(cli.settings.home / "bob.key")
    assert cli.refused("actor", "key", "new", inside) == "actor_key_in_home"
    plain = people.key("bob")
    assert Path(plain).stat().st_mode & 0o777 == 0o600
    assert cli.refused("actor", "key", "new", plain) == "file_exists"
    Path(plain).chmod(0o644)
    assert cli.refused("actor", "key", "show", plain, code=4) == "key_exposed"
    phrase = Path(cli.bytes(b"a long passphrase of bob\n", name="phrase"))
    phrase.chmod(0o600)
    monkeypatch.setenv("CARBON_LEDGER_ACTOR_PASSPHRASE_FILE", str(phrase))
    sealed = people.key("bob2")
    public = cli("actor", "key", "show", sealed)["public_pem"]
    assert public == cli("actor", "key", "show", sealed)["public_pem"]
    phrase.write_text("another passphrase\n")
    assert cli.refused("actor", "key", "show", sealed, code=4) == "key_wrong"
    monkeypatch.delenv("CARBON_LEDGER_ACTOR_PASSPHRASE_FILE")
    assert cli.refused("actor", "key", "show", sealed, code=4) == "passphrase_missing"
    damaged = Path(cli.bytes(b"{}", name="damaged.key"))
    damaged.chmod(0o600)
    assert cli.refused("actor", "key", "show", str(damaged), code=4) == "actor_key_damaged"
    other = cli.bytes(b"anything", name="other.txt")
    assert cli.refused("actor", "sign", other, "--actor-key", sealed, "--out", people.new("sig")) == "text_malformed"


def test_options_that_contradict_each_other_are_wrong_usage(cli: CommandLine, people: People) -> None:
    review = ("methodology", "review", drafted(cli), "--by", "bob")
    both = ("--actor-key", people.key("bob"), "--to-sign", people.new("text"))
    assert cli.run(*review, *both).code == 2
    assert cli.run(*review, "--signed-at", "3").code == 2
    assert cli.run("actor", "register", "bob", "--by", "ann").code == 2
    bundle = cli.bytes(b"", name="x")
    assert cli.run("verify", bundle, "--key", people.public("bob"), "--actor", "bob").code == 2
