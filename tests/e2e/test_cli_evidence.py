"""`evidence`: files as they were received, shown, verified and destroyed by the command line."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import psycopg
import pytest

from application import accounts
from application.importing import import_behaviors
from domain.digest import sm3_hex
from domain.instants import instant_of
from infrastructure.gm.sm4 import OVERHEAD_BYTES
from infrastructure.sealed_file import MARK, RECORD_BYTES
from interfaces.bootstrap import Settings, behavior_file, open_ledger
from tests.e2e.cli_tools import HEADER, METRO, CommandLine
from tests.fixtures.ledgers import Server

BUS = "t2,bob,travel.bus,2026-03-01T09:00:00+08:00,1,trip,"
BAD = "t3,bob,travel.metro,2026-03-01T09:00:00+08:00,1e3,km,"
ROWS = (METRO, BUS, BAD)
CONTENT = "\n".join((HEADER, *ROWS, "")).encode()
WHY = ("--by", "olga", "--reason", "its retention is over")

_numbers = count(1)


def sealed(cli: CommandLine, suffix: str = "sealed") -> Path:
    """The one file of the store."""
    (path,) = (cli.settings.home / "evidence").glob(f"??/*.{suffix}")
    return path


def test_an_import_keeps_the_file_sealed_and_evidence_show_gives_it_back_to_the_byte(cli: CommandLine) -> None:
    answer = cli.credit(*ROWS)
    assert answer["evidence"] == "stored"
    intake = str(answer["intake_id"])
    assert b"travel" not in sealed(cli).read_bytes()
    shown = cli("evidence", "show", intake, "--out", "original.csv")
    assert Path("original.csv").read_bytes() == CONTENT
    assert stat.S_IMODE(Path("original.csv").stat().st_mode) == 0o600
    assert (shown["digest"], shown["size_bytes"], shown["evidence"]) == (sm3_hex(CONTENT), len(CONTENT), "kept")
    assert cli.refused("evidence", "show", intake, "--out", "original.csv") == "evidence_file_exists"
    assert cli("evidence", "show", intake)["file"] is None
    assert cli.credit(*ROWS)["evidence"] == "present"


def test_a_verifier_walks_from_a_credit_to_its_line_and_back(cli: CommandLine) -> None:
    cli.credit(*ROWS)
    explained = cli("account", "explain", "ann", "t1")
    shown = cli("evidence", "show", str(explained["intake"]), "--line", str(explained["line"]))
    assert shown["row"]["source_ref"] == "t1"
    assert shown["row"]["quantity"] == "12.35"
    assert shown["credit"] == {
        "account_id": explained["account_id"],
        "version": explained["version"],
        "position": explained["credit_position"],
        "intake": explained["intake"],
        "line": 2,
    }
    refused = cli("evidence", "show", str(explained["intake"]), "--line", "4")
    assert (refused["row"]["source_ref"], refused["credit"]) == ("t3", None)
    assert refused["row"]["refused"]
    told = cli.run("evidence", "show", str(explained["intake"]), "--line", "2").stdout
    assert f"credited at log position:  {explained['credit_position']}" in told
    assert "no credit has this reference" in cli.run("evidence", "show", str(explained["intake"]), "--line", "4").stdout
    assert cli.refused("evidence", "show", str(explained["intake"]), "--line", "9") == "line_unknown"


def test_the_files_with_rows_of_one_person_are_listed_for_whoever_answers_a_request(cli: CommandLine) -> None:
    first = cli.credit(METRO)
    cli.credit(BUS, name="bob.csv")
    (only,) = cli("evidence", "list", "--account", "ann")["intakes"]
    assert only["intake_id"] == first["intake_id"]
    assert len(cli("evidence", "list")["intakes"]) == 2
    assert cli.refused("evidence", "list", "--account", "nobody") == "account_unknown"


def test_without_evidence_the_log_says_that_it_is_elsewhere(cli: CommandLine) -> None:
    answer = cli.credit(*ROWS, options=("--open-accounts", "--no-evidence"))
    assert answer["evidence"] == "elsewhere"
    assert list((cli.settings.home / "evidence").glob("??/*")) == []
    intake = str(answer["intake_id"])
    assert cli.refused("evidence", "show", intake) == "evidence_elsewhere"
    (listed,) = cli("evidence", "list")["intakes"]
    assert (listed["evidence"], listed["stored"]) == ("elsewhere", False)
    assert cli("evidence", "verify")["elsewhere"] == 1
    assert "elsewhere" in cli.run("evidence", "list").stdout


def test_a_flip_of_any_byte_of_the_stored_file_is_found_by_verify_with_its_place(cli: CommandLine) -> None:
    answer = cli.credit(*ROWS)
    assert cli("evidence", "verify")["files"] == 1
    assert "every file opens" in cli.run("evidence", "verify").stdout
    for path in (sealed(cli, "key"), sealed(cli)):
        right = path.read_bytes()
        for place in (*range(0, len(right), max(1, len(right) // 6)), len(right) - 1):
            changed = bytearray(right)
            changed[place] ^= 1
            path.write_bytes(changed)
            verified = cli("evidence", "verify", code=3)
            (finding,) = verified["findings"]
            assert (verified["ok"], verified["count"], finding["place"]) == (False, 1, str(path))
            assert finding["code"] in ("evidence_broken", "keys_moved")
        path.write_bytes(right)
    assert cli("evidence", "verify")["ok"]
    sealed(cli).write_bytes(sealed(cli).read_bytes()[:-1])
    ran = cli.run("evidence", "verify")
    assert (ran.code, "evidence_broken" in ran.stdout) == (3, True)
    assert cli("evidence", "show", str(answer["intake_id"]), code=3)["error"]["code"] == "evidence_broken"
    assert cli.credit(*ROWS)["evidence"] == "repaired"
    assert cli("evidence", "verify")["ok"]


def test_large_parts_swapped_cut_or_appended_are_found_by_verify(cli: CommandLine) -> None:
    filler = "x" * 700
    rows = [METRO.replace("t1", f"t{n}") + f",{filler}" for n in range(4_000)]
    path = cli.file(*rows, header=HEADER + ",note")
    cli("behaviors", "import", path, "--open-accounts")
    stored = sealed(cli)
    right = stored.read_bytes()
    records = [right[start : start + RECORD_BYTES] for start in range(len(MARK), len(right), RECORD_BYTES)]
    assert len(records) == 3
    assert len(right) == len(MARK) + Path(path).stat().st_size + 3 * OVERHEAD_BYTES
    for changed in (
        [records[1], records[0], records[2]],
        records[:2],
        records[1:],
        [*records, records[2]],
        [*records, b"more"],
    ):
        stored.write_bytes(MARK + b"".join(changed))
        assert cli("evidence", "verify", code=3)["findings"][0]["code"] == "evidence_broken"


def test_a_file_taken_out_of_the_store_is_missed(cli: CommandLine) -> None:
    cli.credit(*ROWS)
    sealed(cli).unlink()
    (finding,) = cli("evidence", "verify", code=3)["findings"]
    assert finding["code"] == "evidence_missing"
    assert "MISSING" in cli.run("evidence", "list").stdout


def test_check_finds_wrong_evidence_unless_it_is_left_out(cli: CommandLine) -> None:
    cli.credit(*ROWS)
    assert cli("check")["ok"]
    sealed(cli).unlink()
    (finding,) = cli("check", code=3)["findings"]
    assert (finding["area"], finding["code"]) == ("evidence", "evidence_missing")
    assert cli("check", "--without-evidence")["ok"]


def test_what_does_not_open_is_not_written_out_in_part(cli: CommandLine) -> None:
    answer = cli.credit(*ROWS)
    path = sealed(cli)
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    cli("evidence", "show", str(answer["intake_id"]), "--out", "original.csv", code=3)
    assert [each.name for each in Path().iterdir() if each.name.startswith("original")] == []


def test_a_rewrap_of_the_keys_takes_evidence_along_and_refuses_to_lose_it(cli: CommandLine) -> None:
    cli.credit(*ROWS)
    before = sealed(cli, "key").read_bytes()
    evidence = cli.settings.home / "evidence"
    shutil.move(evidence, cli.folder / "away")
    assert cli.refused("keys", "rewrap", code=4) == "evidence_lost"
    shutil.move(cli.folder / "away", evidence)
    assert cli("keys", "rewrap")["epoch"] == 2
    assert cli("evidence", "verify")["files"] == 1
    assert sealed(cli, "key").read_bytes() != before
    sealed(cli, "key").write_bytes(before)
    assert cli("evidence", "verify", code=3)["findings"][0]["code"] == "keys_moved"


def test_files_whose_intakes_were_lost_with_the_end_of_the_log_are_imported_again_from_evidence(
    cli: CommandLine, server: Server, book_template: str
) -> None:
    cli.credit(METRO, BUS)
    before = cli("totals", "--by-ref")
    # The database as it was before the import, beside the evidence of today.
    assert cli.settings.dsn is not None
    name = psycopg.conninfo.conninfo_to_dict(cli.settings.dsn.get_secret_value())["dbname"]
    server.execute("DROP DATABASE {name} WITH (FORCE)", name=str(name))
    server.copy(book_template, str(name))
    assert cli("evidence", "verify")["unnamed"] == 1
    cli("evidence", "expire", "--before", "2020-01-01", *WHY)
    assert "evidence recover" in cli.run("evidence", "verify").stdout
    (file,) = cli("evidence", "recover", "lost")["files"]
    assert stat.S_IMODE(Path(file).stat().st_mode) == 0o600
    answer = cli("behaviors", "import", file, "--open-accounts")
    assert (answer["credited"], answer["evidence"]) == (2, "present")
    assert cli("totals", "--by-ref")["digest"] == before["digest"]
    assert cli("evidence", "recover", "again")["files"] == []
    assert cli("evidence", "expire", "--before", "2020-01-01", "--unnamed", *WHY)["unnamed"] == 0


def test_evidence_received_today_is_not_destroyed_and_the_day_is_named(cli: CommandLine) -> None:
    cli.credit(*ROWS)
    (listed,) = cli("evidence", "list")["intakes"]
    error = cli("evidence", "expire", "--before", "2999-01-01", *WHY, code=1)["error"]
    assert error["code"] == "evidence_retained"
    assert listed["may_go_from"] in error["message"]
    assert cli("evidence", "verify")["files"] == 1
    done = cli("evidence", "expire", "--before", "2020-01-01", *WHY)
    assert (done["files"], done["size_bytes"], done["finished"]) == (0, 0, 0)
    assert "nothing is due" in cli.run("evidence", "expire", "--before", "2020-01-01", *WHY).stdout
    assert cli.refused("evidence", "expire", "--before", "2020-02-30", *WHY, code=2) == "usage"
    assert cli.refused("evidence", "show", "1") == "intake_unknown"


@pytest.fixture
def old(server: Server, simulated_template: str, tmp_path: Path) -> Iterator[Settings]:
    """A book that received a file in 2020 and stands in 2025."""
    name = f"old{next(_numbers)}"
    server.copy(simulated_template, name)
    settings = server.settings(name)
    path = tmp_path / "old.csv"
    path.write_bytes(CONTENT.replace(b"2026-03", b"2020-03"))
    with open_ledger(settings) as ledger:
        assert ledger.clock is not None
        ledger.clock.tell(instant_of("2020-03-02T00:00:00Z"))
        import_behaviors(ledger.book, behavior_file(path), "metro", opens_accounts=True, evidence=ledger.evidence)
        ledger.clock.tell(instant_of("2025-03-03T00:00:00Z"))
        accounts.open_account(ledger.book, "somebody")
    yield settings
    server.execute("DROP DATABASE {name} WITH (FORCE)", name=name)


def test_evidence_whose_retention_is_over_is_destroyed_for_ever_and_the_log_says_so(
    old: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert old.dsn is not None
    monkeypatch.setenv("CARBON_LEDGER_HOME", str(old.home))
    monkeypatch.setenv("CARBON_LEDGER_DSN", old.dsn.get_secret_value())
    cli = CommandLine(old, tmp_path)
    (listed,) = cli("evidence", "list")["intakes"]
    assert (listed["evidence"], listed["stored"], listed["may_go_from"]) == ("kept", True, "2025-03-03")
    intake = str(listed["intake_id"])
    assert "are destroyed" in cli.run("evidence", "expire", "--before", "2020-03-03", *WHY).stdout
    (after,) = cli("evidence", "list")["intakes"]
    assert (after["evidence"], after["stored"]) == ("destroyed", False)
    assert after["destroyed_at"] > listed["intake_id"]
    assert list((old.home / "evidence").glob("??/*")) == []
    assert cli.refused("evidence", "show", intake) == "evidence_destroyed"
    verified = cli("evidence", "verify")
    assert (verified["files"], verified["destroyed"]) == (0, 1)
    assert cli("replay")["mismatches"] == 0
    assert cli("account", "explain", "ann", "t1", "--partner", "metro")["credited_mg"] == "889200"
    assert cli("check")["ok"]
