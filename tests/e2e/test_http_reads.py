"""What the service answers: what the command line answers, for those who may be told, recorded where it is personal."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.e2e.cli_tools import METRO, CommandLine, methodology
from tests.e2e.http_tools import Served, serving
from tests.e2e.test_cli_background import until

BEN = METRO.replace("t1", "t9").replace("ann", "ben")
SECOND = METRO.replace("t1", "t2").replace("03-01T", "03-02T")
THIRD = METRO.replace("t1", "t3").replace("03-01T", "03-03T")
PERSONAL = {"account_ref", "source_ref", "occurred_at"}


def story(cli: CommandLine) -> str:
    """Three credits of ann, one of them reversed, and one of ben; the id of ann."""
    cli.credit(METRO, BEN, SECOND, THIRD)
    cli("behaviors", "reverse", "ann", "t2", "--reason", "a letter", "--by", "olga")
    account: str = cli("account", "show", "ann", "--by", "olga")["account_id"]
    return account


def without(answer: dict[str, Any], *names: str) -> dict[str, Any]:
    return {key: value for key, value in answer.items() if key not in names}


def test_an_account_is_told_as_the_command_line_tells_it_on_both_clocks(cli: CommandLine) -> None:
    account = story(cli)
    position = cli("totals")["position"]
    with serving(cli.settings) as served:
        asked = f"/v1/accounts/{account}"
        told = served(f"{asked}?at_position={position}", "bank_backend").body
        assert without(told, "personal") == cli("account", "show", "ann", "--at-position", str(position))
        assert (told["personal"], told["account_ref"]) == (True, "ann")
        day = "2026-03-02"
        told = served(f"{asked}?at_position={position}&occurred_before={day}", "compliance").body
        shown = cli("account", "show", "ann", "--at-position", str(position), "--occurred-before", day)
        assert without(told, "personal") == shown
        then = cli("account", "statement", "ann")["entries"][0]["recorded_at"]
        told = served(f"{asked}?known_at={quote(then)}", "bank_backend").body
        assert without(told, "personal") == cli("account", "show", "ann", "--known-at", then)
        assert told["by_behavior"]["travel.metro"] == told["credited_mg"]


def test_a_statement_comes_in_pages_that_join_to_what_the_command_line_tells(cli: CommandLine) -> None:
    account = story(cli)
    whole = cli("account", "statement", "ann")
    with serving(cli.settings) as served:
        entries, cursor, pages = [], "", 0
        while True:
            page = served(f"/v1/accounts/{account}/statement?limit=3{cursor}", "bank_backend").body
            entries += page["entries"]
            pages += 1
            assert page["credited_mg"] == whole["credited_mg"]
            if page["next"] is None:
                break
            cursor = f"&cursor={page['next']}"
        assert (entries, pages) == (whole["entries"], 2)
        assert served(f"/v1/accounts/{account}/statement?cursor=nonsense", "auditor").code == "cursor_malformed"
        assert served(f"/v1/accounts/{account}/statement?limit=0", "auditor").code == "request_malformed"


def test_a_credit_is_explained_as_the_command_line_explains_it(cli: CommandLine) -> None:
    account = story(cli)
    with serving(cli.settings) as served:
        sought = {"partner": "local", "source_ref": "t2"}
        found = served(f"/v1/accounts/{account}/credits/lookup", "bank_backend", method="POST", body=sought).body
        told = served(f"/v1/accounts/{account}/credits/{found['version']}", "bank_backend").body
        assert without(told, "personal", "position") == without(cli("account", "explain", "ann", "t2"), "position")
        unknown = served(f"/v1/accounts/{account}/credits/1", "auditor")
        assert (unknown.status, unknown.code) == (404, "credit_unknown")


def test_an_account_is_found_by_its_reference_in_a_body_and_nowhere_else(cli: CommandLine) -> None:
    account = story(cli)
    with serving(cli.settings) as served:
        assert served("/v1/accounts/lookup", "bank_backend", method="POST", body={"account_ref": "ann"}).body == {
            "account_id": account
        }
        nobody = served("/v1/accounts/lookup", "bank_backend", method="POST", body={"account_ref": "nobody"})
        assert (nobody.status, nobody.code) == (404, "account_unknown")
        by_id = served("/v1/accounts/lookup", "bank_backend", method="POST", body={"account_ref": account})
        assert by_id.code == "account_unknown"
        assert served("/v1/accounts/ann", "bank_backend").code == "request_malformed"
        assert served(f"/v1/accounts/{account}", "bank_backend").body["account_ref"] == "ann"
        # A line is written when its answer has been sent.
        until(lambda: account in served.log_text)
        assert "ann" not in served.log_text.replace(account, "")


def test_an_auditor_sees_every_number_and_nothing_personal(cli: CommandLine) -> None:
    account = story(cli)
    with serving(cli.settings) as served:
        size = cli("totals")["position"]
        paths = (f"/v1/accounts/{account}", f"/v1/accounts/{account}/statement", f"/v1/accounts/{account}/credits/4")
        for path in paths:
            credit = served(f"/v1/accounts/{account}/statement", "auditor").body["entries"][0]["credit"]
            asked = path.replace("credits/4", f"credits/{credit}")
            facts, all_of_it = served(asked, "auditor").body, served(asked, "bank_backend").body
            assert (facts["personal"], all_of_it["personal"]) == (False, True)
            assert _personal_values(facts) <= {None}
            assert _personal_values(all_of_it) > {None} or _personal_values(all_of_it) - {None}
            assert facts["credited_mg"] == all_of_it["credited_mg"]
        reads = [each for each in cli("access", "list")["accesses"] if each["position"] > size]
    assert {each["by"] for each in reads} == {"dev-bank-backend"}
    assert len(reads) == len(paths)


def _personal_values(answer: Any) -> set[Any]:
    if isinstance(answer, list):
        return {value for each in answer for value in _personal_values(each)}
    if isinstance(answer, dict):
        own = {value for key, value in answer.items() if key in PERSONAL}
        return own | {value for each in answer.values() for value in _personal_values(each)}
    return set()


def test_who_is_shown_a_person_is_in_the_access_log_before_the_answer(cli: CommandLine) -> None:
    account = story(cli)
    with serving(cli.settings) as served:
        before = cli("totals")["position"]
        served("/v1/accounts/lookup", "compliance", method="POST", body={"account_ref": "ann"})
        for path in ("", "/statement"):
            assert served(f"/v1/accounts/{account}{path}", "compliance").status == 200
        log = served(f"/v1/access-log?account_id={account}&actor=DEV-compliance", "compliance").body
        told = [(each["command"], each["by"], each["known_by"]) for each in log["accesses"]]
        assert told == [
            ("POST /v1/accounts/lookup", "dev-compliance", "login"),
            ("GET /v1/accounts/{id}", "dev-compliance", "login"),
            ("GET /v1/accounts/{id}/statement", "dev-compliance", "login"),
        ]
        assert min(each["position"] for each in log["accesses"]) > before
        assert log["accesses"] == [each for each in cli("access", "list")["accesses"] if each["position"] > before]
        first = served("/v1/access-log?limit=1&actor=dev-compliance", "compliance").body
        rest = served(f"/v1/access-log?actor=dev-compliance&cursor={first['next']}", "compliance").body
        assert first["accesses"] + rest["accesses"] == log["accesses"]
        assert rest["next"] is None
    assert cli("check")["ok"]


def test_where_an_access_can_not_be_recorded_nobody_is_shown_anything(cli: CommandLine) -> None:
    account = story(cli)
    with serving(cli.settings) as served:
        with cli.sql() as conn:
            conn.execute("SET session_replication_role = origin")
            conn.execute(REFUSES)
        refused = served(f"/v1/accounts/{account}", "bank_backend")
        assert (refused.status, refused.code) == (503, "right_missing")
        assert refused.body["detail"] == "the service cannot answer this now"
        assert served(f"/v1/accounts/{account}", "auditor").status == 200


REFUSES = """
CREATE FUNCTION public.refuse_accesses() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'this role may not write' USING ERRCODE = 'insufficient_privilege'; END $$;
CREATE TRIGGER refuse_accesses BEFORE INSERT ON journal.ledger_events FOR EACH ROW
    WHEN (NEW.topic LIKE 'carbon.access.%') EXECUTE FUNCTION public.refuse_accesses();
"""


def test_the_book_and_its_rules_are_told_as_the_command_line_tells_them(cli: CommandLine) -> None:
    story(cli)
    with serving(cli.settings) as served:
        totals = cli("totals")
        assert served("/v1/totals", "auditor").body == totals
        earlier = totals["position"] - 3
        assert served(f"/v1/totals?at_position={earlier}", "operator").body == cli(
            "totals", "--at-position", str(earlier)
        )
        assert served("/v1/methodologies", "partner").body == cli("methodology", "list")
        shown = cli("methodology", "show", "CYCLING-SHARED@2")
        assert served("/v1/methodologies/CYCLING-SHARED/2", "partner").body == shown
        assert served("/v1/factor-releases", "approver").body == cli("factors", "list")
        decisions = cli("applicability", "list")
        assert served("/v1/decisions", "methodology_owner").body == decisions
        first = decisions["decisions"][0]
        assert served(f"/v1/decisions/{first['decision_id']}", "approver").body == first
        cli("revision", "plan", "CYCLING-SHARED@2", "--from", "2026-01-01", "--to", "open", "--by", "ann")
        revisions = cli("revision", "list")
        assert served("/v1/revisions", "approver").body == revisions
        assert served("/v1/revisions/R1", "approver").body == revisions["revisions"][0]
        assert served("/v1/revisions/R9", "approver").code == "revision_unknown"
        assert served("/v1/decisions/D999", "approver").code == "decision_unknown"
        assert served("/v1/methodologies/NONE/1", "partner").code == "methodology_unknown"


def test_everybody_is_given_checkpoints_and_proofs_that_verify_and_nobody_signs_for_it(
    cli: CommandLine, tmp_path: Path
) -> None:
    account = story(cli)
    old = cli("checkpoint", "sign")["size"]
    with serving(cli.settings) as served:
        assert served(f"/v1/accounts/{account}/proof", "auditor").code == "no_checkpoint"
        cli.credit(METRO.replace("t1", "t5"), name="more.csv")
        signed = cli("checkpoint", "sign", "--with-map")
        listed = cli("checkpoint", "list")["checkpoints"]
        assert served("/v1/checkpoints").body["checkpoints"] == listed
        assert served("/v1/checkpoints?limit=1").body["checkpoints"] == listed[:1]
        latest = served("/v1/checkpoints/latest").body
        assert latest == without(cli("checkpoint", "show"), "is_new", "files")
        assert served(f"/v1/checkpoints/{signed['size']}").body == latest
        note = served(f"/v1/checkpoints/{signed['size']}/note")
        assert (note.body, note.headers["content-type"]) == (latest["note"], "text/plain; charset=utf-8")
        grown = served(f"/v1/checkpoints/{old}/consistency/{signed['size']}").body
        assert grown["proof"] == cli("prove", "consistency", str(old), str(signed["size"]))["proof"]
        assert served("/v1/events/1/proof").body["proof"] == cli("prove", "event", "1")["proof"]
        balance = served(f"/v1/accounts/{account}/proof", "auditor").body
        assert balance["proof"] == cli("prove", "balance", "ann")["proof"]
        key = cli.bytes(cli.run("keys", "show", "--public").stdout.encode(), name="log.pem")
        for name, proof in (("grown", grown), ("balance", balance)):
            file = cli.bytes(proof["proof"].encode(), name=f"{name}.json")
            assert cli("verify", file, "--key", key)["ok"]
        size = cli("totals")["position"]
        cli.credit(METRO.replace("t1", "t6"), name="yet.csv")
        assert served(f"/v1/events/{size + 1}/proof", "auditor").code == "not_signed_yet"
        assert served("/v1/events/999999/proof", "auditor").code == "position_unknown"
        assert served("/v1/checkpoints/1").code == "no_checkpoint"
        assert cli("checkpoint", "list")["checkpoints"] == listed


def test_what_the_log_says_of_accounts_is_proven_to_those_who_may_read_accounts(cli: CommandLine) -> None:
    account = story(cli)
    cli("checkpoint", "sign")
    position = cli("account", "statement", account)["entries"][0]["position"]
    with serving(cli.settings) as served:
        assert served(f"/v1/events/{position}/proof").code == "unauthenticated"
        assert served(f"/v1/events/{position}/proof", "partner").code == "forbidden"
        assert served(f"/v1/events/{position}/proof", "auditor").status == 200
        assert served("/v1/events/999999/proof").code == "unauthenticated"


def test_an_answer_that_is_still_the_same_is_not_given_and_not_recorded_again(cli: CommandLine) -> None:
    account = story(cli)
    cli("checkpoint", "sign", "--with-map")
    with serving(cli.settings) as served:
        _same_until(served, f"/v1/accounts/{account}", "bank_backend")
        _same_until(served, f"/v1/accounts/{account}/statement", "auditor")
        _same_until(served, "/v1/methodologies", "partner")
        _same_until(served, "/v1/checkpoints/latest", None)
        path, before = f"/v1/accounts/{account}", cli("totals")["position"]
        etag = served(path, "auditor").headers["etag"]
        assert served(path, "auditor", headers={"if-none-match": etag}).status == 304
        # Who may see more does not get by with what somebody else was shown.
        assert served(path, "compliance", headers={"if-none-match": etag}).status == 200
        assert cli("totals")["position"] == before + 1
        cli.credit(METRO.replace("t1", "t7").replace("03-01", "03-05"), name="new.csv")
        assert served(path, "auditor", headers={"if-none-match": etag}).status == 200


def _same_until(served: Served, path: str, role: str | None) -> None:
    first = served(path, role)
    again = served(path, role, headers={"if-none-match": f'"x", {first.headers["etag"]}'})
    assert (again.status, again.body, again.headers["etag"]) == (304, "", first.headers["etag"])
    assert served(path, role, headers={"if-none-match": '"x"'}).status == 200


def test_many_who_ask_at_once_are_all_answered_right_while_the_rules_and_the_log_move(cli: CommandLine) -> None:
    account = story(cli)
    expected = cli("account", "show", account)["credited_mg"]
    paths = (
        f"/v1/accounts/{account}",
        f"/v1/accounts/{account}/statement",
        "/v1/methodologies",
        "/v1/totals",
        "/readyz",
    )
    with serving(cli.settings, patience_seconds=30) as served, ThreadPoolExecutor(12) as callers:
        asked = [callers.submit(served, paths[number % len(paths)], "compliance") for number in range(60)]
        name = cli.publish(methodology("TEST-BUSY", "test.busy"))
        cli.credit(BEN.replace("t9", "t8"), name="busy.csv")
        asked += [callers.submit(served, paths[number % len(paths)], "compliance") for number in range(60)]
        replies = [each.result() for each in asked]
        assert {reply.status for reply in replies} == {200}
        told = [reply.body for reply in replies if "account_id" in reply.body]
        assert {each["credited_mg"] for each in told} == {expected}
        codes = {each["code"] for each in served("/v1/methodologies", "partner").body["methodologies"]}
        assert name.partition("@")[0] in codes
        # As many as looked at the person, and each of them once.
        reads = [each for each in cli("access", "list")["accesses"] if each["by"] == "dev-compliance"]
        assert len(reads) == len(told)
    assert cli("replay")["mismatches"] == 0
