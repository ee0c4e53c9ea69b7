"""Acts that people sign: keys registered by two, acts signed here and elsewhere, and checked by whoever wants to."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from domain.digest import sm3_hex
from interfaces.verifier import build
from tests.e2e.act_tools import People
from tests.e2e.cli_tools import METRO, CommandLine, methodology

NAME = "TEST-CODE@1"


@pytest.fixture
def people(cli: CommandLine) -> People:
    return People(cli)


def drafted(cli: CommandLine) -> str:
    cli("methodology", "import", cli.json_file(methodology()), "--by", "ann")
    return NAME


def verify(cli: CommandLine, *options: str, code: int = 0) -> dict[str, Any]:
    """A bundle of the book, verified by the service and by the file of the verifier, which must agree."""
    bundle, key = cli.folder / "book.zip", cli.folder / "log.pem"
    bundle.unlink(missing_ok=True)
    key.write_text(cli("keys", "show")["public_pem"])
    cli("export", "bundle", str(bundle))
    found = cli("verify", str(bundle), "--key", str(key), *options, code=code)
    alone = cli.bytes(build.archive(build.contents()), name=build.NAME)
    words = [alone, "verify", str(bundle), "--key", str(key), *options, "--json"]
    ran = subprocess.run([sys.executable, "-I", "-S", *words], env={}, capture_output=True, check=False, timeout=120)
    told = json.loads(ran.stdout)
    told.pop("verifier_sm3")
    assert (ran.returncode, told) == (code, found)
    return found


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


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl here")
def test_openssl_alone_signs_an_act(cli: CommandLine, people: People) -> None:
    name, key = drafted(cli), people.new("openssl.key")

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], check=True, capture_output=True)

    def signed(text: str, out: str) -> str:
        options = ("-pkeyopt", "distid:1234567812345678", "-digest", "sm3", "-rawin")
        openssl("pkeyutl", "-sign", "-inkey", key, "-in", text, "-out", people.new(out), *options)
        return people.new(out)

    openssl("genpkey", "-algorithm", "SM2", "-out", key)
    openssl("pkey", "-in", key, "-pubout", "-out", people.new("openssl.pem"))
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
    assert verify(cli)["acts"]["signed"] == 2


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
