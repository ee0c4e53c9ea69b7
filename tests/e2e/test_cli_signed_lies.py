"""An operator who patched the refusals out and signs what comes of it: the auditor's verifier finds it all the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from interfaces.verifier import build
from tests.e2e.cli_tools import METRO, CommandLine
from tests.e2e.test_verifier_file_on_bundles import told_by_the_file, told_by_the_service
from tests.fixtures.rewriting import make_everything_fit

ROWS = (METRO, METRO.replace("t1", "t2").replace("ann", "bob"))


def told(cli: CommandLine, path: Path, code: int = 3) -> dict[str, Any]:
    """What both verifiers say."""
    found = told_by_the_service(cli, path, code)
    assert told_by_the_file(cli, path, code) == found
    return found


def test_every_behavior_imported_again_after_the_references_were_emptied_is_found(cli: CommandLine) -> None:
    cli.credit(*ROWS)
    cli.bytes(cli("keys", "show")["public_pem"].encode(), name="log.pem")
    cli.bytes(build.archive(build.contents()), name=build.NAME)
    once, twice, ann = (cli.folder / f"{name}.zip" for name in ("once", "twice", "ann"))
    cli("export", "bundle", str(once), "--redacted")
    honest = told(cli, once, 0)
    with cli.sql() as conn:
        conn.execute("TRUNCATE journal.behavior_refs")
    # A line that is refused gives the file another SM3, so that it is an intake of its own.
    assert cli.credit(*ROWS, METRO.replace("km", "mile"), name="again.csv")["credited"] == 2
    cli("export", "bundle", str(twice), "--redacted")
    found = told(cli, twice)
    assert (found["complete"], found["credits"]) == (True, 2 * honest["credits"])
    assert found["by_behavior"] == {"travel.metro": str(2 * int(honest["by_behavior"]["travel.metro"]))}
    assert [each["code"] for each in found["findings"]] == ["reference_twice"] * 2
    assert all(each["place"].startswith("position ") for each in found["findings"])
    assert all("at position" in each["message"] for each in found["findings"])
    refs = cli.bytes(b"ann\n", name="refs.txt")
    cli("export", "bundle", str(ann), "--redacted", "--accounts", refs)
    found = told(cli, ann)
    assert [each["code"] for each in found["findings"]] == ["reference_twice"]
    assert len(found["not_shown"]) == 3


def test_nothing_is_signed_over_times_that_go_back(cli: CommandLine) -> None:
    cli.credit(*ROWS)
    cli("checkpoint", "sign")
    cli.credit(METRO.replace("t1", "t3"), name="t3.csv")
    years = 6 * 365 * 86_400_000_000
    shift = "UPDATE journal.log_commits SET recorded_us = recorded_us - %s WHERE last_position = %s"
    with cli.sql() as conn:
        commits = conn.execute("SELECT last_position FROM journal.log_commits ORDER BY 1 DESC LIMIT 2").fetchall()
        (last,), (middle,) = commits

        def refused() -> None:
            make_everything_fit(cli.settings, conn)
            assert cli.refused("checkpoint", "sign", code=3) == "log_changed"
            assert cli.refused("checkpoint", "rebuild", code=3) == "log_changed"
            assert cli.refused("export", "bundle", str(cli.folder / "x.zip"), code=3) == "log_changed"
            assert not (cli.folder / "x.zip").exists()

        conn.execute(shift, (years, middle))
        refused()
        conn.execute(shift, (-years, middle))
        # The last commit, and with it the head: the next checkpoint would be of six years before.
        conn.execute(shift, (years, last))
        conn.execute("UPDATE journal.log_head SET recorded_us = recorded_us - %s", (years,))
        refused()
        conn.execute(shift, (-years, last))
        conn.execute("UPDATE journal.log_head SET recorded_us = recorded_us + %s", (years,))
        make_everything_fit(cli.settings, conn)
    cli("checkpoint", "sign")


def test_what_the_auditor_would_refuse_of_a_credit_the_operators_check_names_too(cli: CommandLine) -> None:
    cli.credit(*ROWS)
    (second,) = cli("evidence", "list")["intakes"]
    with cli.sql() as conn:
        # The second row says that it is the first one, and everything is made to fit.
        edited = conn.execute(
            "UPDATE journal.ledger_events SET state = decode(replace(encode(state, 'hex'), %s, %s), 'hex')"
            " WHERE topic LIKE %s AND position(%s::bytea in state) > 0",
            (b'"line":3,'.hex(), b'"line":2,'.hex(), "%behavior-credited%", b'"line":3,'),
        )
        assert edited.rowcount == 1
        make_everything_fit(cli.settings, conn)
        found = cli("check", code=3)["findings"]
        assert [(each["area"], each["code"]) for each in found] == [("log", "line_twice")]
        assert str(second["intake_id"]) in found[0]["message"]
        # The ledger's clock was years behind when it recorded them, or they were made up.
        years = 10 * 365 * 86_400_000_000
        conn.execute("UPDATE journal.log_commits SET recorded_us = recorded_us - %s", (years,))
        conn.execute("UPDATE journal.log_head SET recorded_us = recorded_us - %s", (years,))
        make_everything_fit(cli.settings, conn)
        codes = [each["code"] for each in cli("check", code=3)["findings"]]
        assert codes.count("day_impossible") == len(ROWS)
