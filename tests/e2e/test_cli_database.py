"""A ledger on a bank's own server: made by the role that owns the database, run by one that may only append, read by a
third that sees no names.

Keeps: each role logs in as itself; what is refused to it is refused by PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr

from infrastructure.postgres.guards import GUARDS
from interfaces.bootstrap import Settings
from tests.e2e.cli_tools import METRO, CommandLine
from tests.e2e.http_tools import serving
from tests.e2e.test_cli_commands import documented_keys
from tests.fixtures.ledgers import Server
from tests.fixtures.roles import NOBODY, OWNER, READER, SERVICE, Database, new_database

BEN = METRO.replace("t1,ann", "t2,ben")
BIKE = "b1,ben,cycling.shared_bike,2026-03-01T09:15:00+08:00,3.1,km,CN-440300"
RIGHT, GUARD, DONE = "right", "guard", "done"
REFUSE = "journal.refuse_change()"


class Bank:
    """The command line, under whichever role; the answers of the service's life so far."""

    def __init__(self, database: Database, cli: CommandLine, patch: pytest.MonkeyPatch) -> None:
        self.database, self.cli, self._patch = database, cli, patch
        self.answers: dict[str, dict[str, Any]] = {}

    @contextmanager
    def as_role(self, role: str | None) -> Iterator[CommandLine]:
        """None: the role that runs the server."""
        dsn = self.database.superuser() if role is None else self.database.dsn(role)
        with self._patch.context() as patch:
            patch.setenv("CARBON_LEDGER_DSN", dsn)
            yield self.cli

    @contextmanager
    def cli_on(self, database: Database) -> Iterator[CommandLine]:
        """Another database, by the role that runs the server."""
        with self._patch.context() as patch:
            patch.setenv("CARBON_LEDGER_DSN", database.superuser())
            yield self.cli

    def sql(self, *statements: str) -> None:
        """By the role that runs the server."""
        with psycopg.connect(self.database.superuser(), autocommit=True) as conn:
            for statement in statements:
                conn.execute(statement.encode())


@pytest.fixture(scope="module")
def bank(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bank]:
    """A book of the service's own on a schema that the owner made; the service has done everything there is to do."""
    folder = tmp_path_factory.mktemp("bank")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CARBON_LEDGER_HOME", str(folder / "home"))
        patch.delenv("COLUMNS", raising=False)
        patch.chdir(folder)
        cli = CommandLine(Settings(home=folder / "home", dsn=SecretStr("")), folder)
        made = Bank(new_database(server, "bank"), cli, patch)
        with made.as_role(SERVICE):
            assert cli.refused("init", code=4) == "login_refused"
        with made.as_role(OWNER):
            made.answers["migrate"] = cli("database", "migrate")
            for role, kind in ((SERVICE, "service"), (READER, "reader")):
                made.answers[kind] = cli("database", "grant", role, "--as", kind)
        with made.as_role(SERVICE):
            live_as_the_service(made)
        yield made


def live_as_the_service(bank: Bank) -> None:
    cli = bank.cli
    cli("init", "--retention-days", "0")
    cli.credit(METRO, BEN, BIKE)
    cli("revision", "plan", "CYCLING-SHARED@2", "--from", "2026-01-01", "--to", "2026-07-01", "--by", "alice")
    cli("revision", "approve", "R1", "--by", "bob")
    cli("revision", "apply", "R1")
    cli("behaviors", "reverse", "ben", "t2", "--reason", "refunded", "--by", "alice")
    cli("checkpoint", "sign", "--with-map")
    cli("account", "erase", "ann", "--by", "alice", "--reason", "letter")
    cli("account", "approve-erasure", "ann", "--by", "bob")
    cli("keys", "rewrap")
    cli("keys", "rotate", "--by", "alice")
    for check in ("views check", "views rebuild", "checkpoint rebuild", "export bundle all.zip", "replay", "check"):
        bank.answers[check] = cli(*check.split())
    bank.answers["ben"] = cli("account", "show", "ben")


def test_the_service_lives_a_whole_life_without_owning_anything(bank: Bank) -> None:
    assert bank.answers["migrate"]["from"] == 0
    assert bank.answers["migrate"]["to"] == len(bank.answers["migrate"]["applied"])
    assert [bank.answers[view]["equal"] for view in ("views check", "views rebuild")] == [True, True]
    assert bank.answers["replay"]["mismatches"] == 0
    assert bank.answers["check"]["ok"]


# Statement; what becomes of it for the service, for a reader and for the owner. Where a right is there or does not
# matter, a guard answers.
STATEMENTS = [
    *(
        (f"{act} {table}{rest}", RIGHT, RIGHT, GUARD)
        for table, column in (
            ("journal.ledger_events", "topic"), ("journal.log_commits", "recorded_us"),
            ("journal.behavior_refs", "position"), ("journal.checkpoints", "note"),
            ("journal.cosignatures", "signature"),
        )
        for act, rest in (("UPDATE", f" SET {column} = {column}"), ("DELETE FROM", ""))
    ),
    ("TRUNCATE journal.ledger_events", RIGHT, RIGHT, GUARD),
    ("TRUNCATE journal.log_commits, journal.behavior_refs", RIGHT, RIGHT, GUARD),
    ("TRUNCATE journal.checkpoints, journal.cosignatures", RIGHT, RIGHT, GUARD),
    ("INSERT INTO journal.ledger_events VALUES (gen_random_uuid(), 1, 'x', '', 1000000)", GUARD, RIGHT, GUARD),
    ("INSERT INTO journal.log_commits VALUES (1000000, 1)", GUARD, RIGHT, GUARD),
    ("INSERT INTO journal.behavior_refs VALUES (gen_random_uuid(), 1)", GUARD, RIGHT, GUARD),
    ("DELETE FROM journal.log_head", RIGHT, RIGHT, GUARD),
    ("TRUNCATE journal.log_head", RIGHT, RIGHT, GUARD),
    ("UPDATE journal.log_head SET size = size - 1", GUARD, RIGHT, GUARD),
    ("UPDATE journal.log_head SET root = decode(repeat('00', 32), 'hex')", GUARD, RIGHT, GUARD),
    ("UPDATE journal.log_head SET frontier = ''", GUARD, RIGHT, GUARD),
    ("UPDATE journal.log_head SET rulebook_position = 1, size = size + 1", GUARD, RIGHT, GUARD),
    ("UPDATE journal.log_head SET key_epoch = key_epoch - 1", GUARD, RIGHT, GUARD),
    ("UPDATE journal.log_head SET book = gen_random_uuid()", RIGHT, RIGHT, GUARD),
    ("DELETE FROM journal.account_keys", GUARD, RIGHT, GUARD),
    ("DELETE FROM journal.account_refs", GUARD, RIGHT, GUARD),
    ("TRUNCATE journal.account_keys, journal.account_refs", RIGHT, RIGHT, GUARD),
    ("UPDATE journal.account_keys SET account_id = account_id", RIGHT, RIGHT, DONE),
    ("UPDATE journal.account_refs SET account_id = account_id", RIGHT, RIGHT, DONE),
    *(
        (f"SELECT FROM journal.{table}", DONE, RIGHT, DONE)
        for table in ("account_keys", "account_refs", "behavior_refs")
    ),
    *((f"SELECT FROM journal.{table}", DONE, DONE, DONE) for table in ("ledger_events", "log_head", "checkpoints")),
    ("ALTER TABLE journal.ledger_events DISABLE TRIGGER ALL", RIGHT, RIGHT, DONE),
    ("ALTER TABLE journal.ledger_events DISABLE TRIGGER USER", RIGHT, RIGHT, DONE),
    ("DROP TRIGGER never_changed ON journal.ledger_events", RIGHT, RIGHT, DONE),
    (f"CREATE TRIGGER t BEFORE INSERT ON journal.ledger_events EXECUTE FUNCTION {REFUSE}", RIGHT, RIGHT, DONE),
    ("CREATE RULE r AS ON INSERT TO journal.ledger_events DO INSTEAD NOTHING", RIGHT, RIGHT, DONE),
    ("ALTER TABLE journal.ledger_events ADD COLUMN x int", RIGHT, RIGHT, DONE),
    ("ALTER TABLE journal.ledger_events OWNER TO CURRENT_USER", RIGHT, RIGHT, DONE),
    ("DROP TABLE journal.ledger_events", RIGHT, RIGHT, DONE),
    ("DROP TABLE views.account_balance", RIGHT, RIGHT, DONE),
    ("LOCK TABLE journal.ledger_events IN ACCESS EXCLUSIVE MODE", RIGHT, RIGHT, DONE),
    (f"CREATE OR REPLACE FUNCTION {REFUSE} RETURNS trigger LANGUAGE plpgsql AS 'BEGIN END'", RIGHT, RIGHT, DONE),
    ("CREATE TABLE journal.x (a int)", RIGHT, RIGHT, DONE),
    ("CREATE TABLE views_shadow.x (a int)", RIGHT, RIGHT, DONE),
    ("CREATE SCHEMA x", RIGHT, RIGHT, DONE),
    ("DELETE FROM public.ledger_migrations", RIGHT, RIGHT, DONE),
    ("SET session_replication_role = replica", RIGHT, RIGHT, RIGHT),
    (f"SET ROLE {OWNER}", RIGHT, RIGHT, DONE),
    (f"SET SESSION AUTHORIZATION {OWNER}", RIGHT, RIGHT, DONE),
    ("SELECT pg_read_file('/etc/hostname')", RIGHT, RIGHT, RIGHT),
    ("COPY journal.ledger_events TO PROGRAM 'cat'", RIGHT, RIGHT, RIGHT),
    ("UPDATE views.account_balance SET credited_mg = credited_mg", DONE, RIGHT, DONE),
    ("SELECT FROM views.account_balance", DONE, DONE, DONE),
    ("INSERT INTO webhooks.targets VALUES ('https://x:443', '', false, 'x', 0)", RIGHT, RIGHT, DONE),
    ("UPDATE webhooks.targets SET is_private = true", RIGHT, RIGHT, DONE),
    ("DELETE FROM webhooks.targets", RIGHT, RIGHT, DONE),
    ("SELECT FROM webhooks.targets", DONE, RIGHT, DONE),
    ("SELECT FROM webhooks.messages", DONE, RIGHT, DONE),
    ("UPDATE webhooks.subscriptions SET url = url", RIGHT, RIGHT, DONE),
    ("UPDATE webhooks.messages SET body = body", RIGHT, RIGHT, DONE),
    ("SELECT views.shadow_begin()", DONE, RIGHT, DONE),
    ("SELECT views.shadow_swap('progress')", GUARD, RIGHT, GUARD),
]  # fmt: skip


@pytest.mark.parametrize("place", range(3))
def test_what_a_role_is_not_for_postgresql_itself_refuses(bank: Bank, place: int) -> None:
    role = (SERVICE, READER, OWNER)[place]
    with psycopg.connect(bank.database.dsn(role)) as conn:
        met = [(statement, outcome(conn, statement)) for statement, *_ in STATEMENTS]
    assert met == [(statement, expected[place]) for statement, *expected in STATEMENTS]


def outcome(conn: psycopg.Connection[Any], statement: str) -> str:
    try:
        conn.execute(statement.encode())
    except psycopg.errors.InsufficientPrivilege:
        return RIGHT
    except psycopg.errors.RaiseException:
        return GUARD
    finally:
        conn.rollback()
    return DONE


def test_the_service_subscribes_and_lets_nobody_be_told_elsewhere(bank: Bank) -> None:
    with bank.as_role(SERVICE) as cli:
        assert cli.refused("webhooks", "allow", "https://hooks.example", code=4) == "right_missing"
    with bank.as_role(OWNER) as cli:
        cli("webhooks", "allow", "https://hooks.example")
    with bank.as_role(SERVICE) as cli:
        made = cli("webhooks", "subscribe", "https://hooks.example/x", "--kind", "credited")
        assert cli("webhooks", "replay", made["id"], "--from-position", "1")["position"] == 0
        cli("webhooks", "replay", made["id"], "--dead-letters")
        assert cli.refused("webhooks", "disallow", "https://hooks.example", code=4) == "right_missing"
        cli("webhooks", "unsubscribe", made["id"])
    with bank.as_role(OWNER) as cli:
        cli("webhooks", "disallow", "https://hooks.example")


def test_a_service_for_readers_is_ready_without_what_it_may_not_see_of_webhooks(bank: Bank) -> None:
    changed = {"dsn": SecretStr(bank.database.dsn(READER)), "without_keys": True}
    with serving(bank.cli.settings.model_copy(update=changed)) as served:
        (told,) = [each for each in served("/readyz").body["checks"] if each["name"] == "webhooks"]
        assert told == {"name": "webhooks", "ok": True, "told": "not told to this role"}
        assert served("/v1/webhooks", "operator").code == "right_missing"


def test_no_table_of_the_journal_and_no_guard_is_forgotten(bank: Bank) -> None:
    with psycopg.connect(bank.database.dsn(SERVICE)) as conn:
        forgotten = conn.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'journal'::regnamespace AND relkind = 'r'"
            " AND NOT has_table_privilege(oid, 'SELECT')"
        )
        assert forgotten.fetchall() == []
        triggers = conn.execute(
            "SELECT tgrelid::regclass || '.' || tgname FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = tgrelid"
            " WHERE NOT tgisinternal AND c.relnamespace = 'journal'::regnamespace"
        )
        assert {name for (name,) in triggers} <= GUARDS.keys()


def test_whoever_is_not_named_is_not_let_in(bank: Bank) -> None:
    with bank.as_role(NOBODY) as cli:
        assert cli.refused("totals", code=4) == "login_refused"


def test_a_grant_gives_and_takes_and_changes_nothing_when_it_is_asked_for_again(bank: Bank) -> None:
    assert bank.cli.seen["database grant"] == documented_keys()["database grant"]
    assert [bank.answers[kind][what] for kind in ("service", "reader") for what in ("missing", "more")] == [[]] * 4
    with bank.as_role(OWNER) as cli:
        before = cli("database", "show")["roles"]
        cli("database", "grant", SERVICE, "--as", "service")
        assert cli("database", "show")["roles"] == before
        cli("database", "grant", NOBODY, "--as", "service")
        lent = cli("database", "show")["roles"]
        assert {each["role"]: each["holds"] for each in lent}[NOBODY] == "service"
        cli("database", "grant", NOBODY, "--as", "reader")
        again = {each["role"]: each for each in cli("database", "show")["roles"]}
        assert again[NOBODY] == {**again[READER], "role": NOBODY}
    bank.sql(f"DROP OWNED BY {NOBODY}")


def test_a_role_that_no_grant_limits_or_nobody_knows_is_refused_and_only_the_owner_grants(bank: Bank) -> None:
    with bank.as_role(OWNER) as cli:
        assert cli.refused("database", "grant", "carbon_ledger", "--as", "service") == "role_not_limited"
        assert cli.refused("database", "grant", OWNER, "--as", "reader") == "role_not_limited"
        assert cli.refused("database", "grant", "no one; DROP TABLE x", "--as", "reader") == "role_unknown"
        assert cli.refused("database", "grant", READER, "--as", "owner", code=2) == "usage"
    for role in (SERVICE, READER):
        with bank.as_role(role) as cli:
            assert cli.refused("database", "grant", READER, "--as", "service", code=4) == "right_missing"
            assert cli.refused("database", "migrate", code=4) == "right_missing"


def test_show_warns_whoever_may_do_more_than_the_service_needs(bank: Bank) -> None:
    with bank.as_role(SERVICE) as cli:
        assert cli("database", "show")["warnings"] == []
    with bank.as_role(OWNER) as cli:
        assert "owns the schema" in " ".join(cli("database", "show")["warnings"])
    with bank.as_role(None) as cli:
        assert "is a superuser" in cli.run("database", "show").stdout
    bank.sql(f"GRANT UPDATE (state) ON journal.ledger_events TO {SERVICE}")
    with bank.as_role(SERVICE) as cli:
        shown = {each["role"]: each for each in cli("database", "show")["roles"]}[SERVICE]
        assert shown["more"] == ["UPDATE (state) journal.ledger_events"]
        assert "may do more than a service needs" in " ".join(cli("database", "show")["warnings"])
    with bank.as_role(OWNER) as cli:
        assert cli("database", "grant", SERVICE, "--as", "service")["more"] == []
    bank.sql(f"REVOKE INSERT ON journal.checkpoints FROM {SERVICE}")
    with bank.as_role(SERVICE) as cli:
        assert f"database grant {SERVICE} --as service" in " ".join(cli("database", "show")["warnings"])
        cli("keys", "rotate", "--by", "alice")
        error = cli("checkpoint", "sign", code=4)["error"]
        assert (error["code"], error["field"]) == ("right_missing", "checkpoints")
    bank.sql(f"GRANT INSERT ON journal.checkpoints TO {SERVICE}")


def test_show_names_a_guard_that_is_off_and_who_could_switch_them_off_for_a_session(bank: Bank) -> None:
    guard = ("journal.ledger_events", "never_changed")
    bank.sql("ALTER TABLE {} DISABLE TRIGGER {}".format(*guard))
    with bank.as_role(SERVICE) as cli:
        assert cli("database", "show")["guards_off"] == [".".join(guard)]
        assert "is off" in cli("database", "show")["warnings"][0]
    bank.sql("ALTER TABLE {} ENABLE TRIGGER {}".format(*guard))
    with psycopg.connect(bank.database.superuser()) as conn:
        if conn.info.server_version < 150_000:
            return
    bank.sql(f"GRANT SET ON PARAMETER session_replication_role TO {SERVICE}")
    with bank.as_role(SERVICE) as cli:
        found = cli("database", "show")
    bank.sql(f"REVOKE SET ON PARAMETER session_replication_role FROM {SERVICE}")
    assert found["guards_off"] == []
    assert "session_replication_role" in " ".join(found["warnings"])


def test_a_schema_that_does_not_fit_is_refused_to_whoever_does_not_own_it(bank: Bank) -> None:
    newest = bank.answers["migrate"]["applied"][-1]
    bank.sql(f"DELETE FROM public.ledger_migrations WHERE name = '{newest}'")
    for role in (SERVICE, READER):
        with bank.as_role(role) as cli:
            error = cli("totals", code=4)["error"]
            assert (error["code"], "database migrate" in error["remedy"]) == ("schema_older", True)
    bank.sql(f"INSERT INTO public.ledger_migrations VALUES ('{newest}'), ('9999_x.sql')")
    for role in (SERVICE, OWNER):
        with bank.as_role(role) as cli:
            assert cli.refused("totals", code=4) == "schema_newer"
    with bank.as_role(OWNER) as cli:
        assert cli.refused("database", "migrate", code=4) == "schema_newer"
    bank.sql("DELETE FROM public.ledger_migrations WHERE name = '9999_x.sql'")


def test_what_a_superuser_makes_in_the_database_is_its_owners(server: Server, bank: Bank) -> None:
    database = new_database(server, "bank_by_superuser")
    with bank.cli_on(database) as cli:
        cli("database", "migrate")
        assert cli("database", "show")["owner"] == OWNER
    with psycopg.connect(database.superuser()) as conn:
        owners = conn.execute(
            "SELECT DISTINCT relowner::regrole::text FROM pg_class WHERE relnamespace = 'journal'::regnamespace UNION"
            " SELECT proowner::regrole::text FROM pg_proc WHERE pronamespace IN ('journal'::regnamespace,"
            " 'views'::regnamespace) UNION SELECT nspowner::regrole::text FROM pg_namespace WHERE nspname LIKE 'view%'"
        )
        assert owners.fetchall() == [(OWNER,)]


def test_a_reader_is_answered_as_far_as_the_views_are_and_told_what_is_not_for_it(bank: Bank) -> None:
    ben = bank.answers["ben"]["account_id"]
    with bank.as_role(SERVICE) as cli:
        before = cli("totals")
        behind = cli("keys", "rotate", "--by", "alice")["first_size"]
    with bank.as_role(READER) as cli:
        assert cli("totals") == before
        assert "behind the log" in cli.run("totals").stdout
        assert cli.refused("totals", "--at-position", str(behind), code=4) == "views_behind"
        assert cli("totals", "--at-position", str(before["position"]))["digest"] == before["digest"]
        assert cli("methodology", "list")["methodologies"]
        assert cli("checkpoint", "list")["checkpoints"]
        assert cli("archive", "build")["position"] == behind
        day = cli("totals", "--occurred-before", "2026-04-01")
        assert day["by_behavior"] == before["by_behavior"]
        for asked in (("account", "show", "ben"), ("account", "show", ben), ("replay",), ("totals", "--by-ref")):
            assert cli.refused(*asked, code=4) == "right_missing", asked
        for act in (
            ("behaviors", "import", cli.file(METRO)),
            ("views", "rebuild"),
            ("prove", "event", "1", "--out", "e"),
        ):
            assert cli.refused(*act, code=4) == "right_missing", act
        found = cli("check", code=3)["findings"]
        assert {(each["area"], each["code"]) for each in found} == {
            (area, "right_missing") for area in ("keys", "log", "lookups", "replay", "views")
        }


def test_a_reader_needs_no_keys_and_reads_an_account_by_its_id_without_what_is_personal(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    ben = bank.answers["ben"]
    monkeypatch.setenv("CARBON_LEDGER_HOME", str(bank.cli.folder / "auditor"))
    monkeypatch.setenv("CARBON_LEDGER_WITHOUT_KEYS", "1")
    with bank.as_role(READER) as cli:
        assert cli("totals")["credited_mg"] == cli("totals", "--occurred-before", "2026-04-01")["credited_mg"]
        shown = cli("account", "show", ben["account_id"])
        assert shown == {**ben, "account_ref": None, "position": shown["position"]}
        assert {each["source_ref"] for each in cli("account", "statement", ben["account_id"])["entries"]} == {None}
        assert "not opened" in cli.run("account", "statement", ben["account_id"]).stdout
        for asked in ("account show ben", "keys show", "keys rewrap"):
            assert cli.refused(*asked.split(), code=4) == "keys_absent", asked
        for asked in ("replay", "checkpoint sign"):
            assert cli.refused(*asked.split(), code=4) == "right_missing", asked
        found = {(each["area"], each["code"]) for each in cli("check", code=3)["findings"]}
        assert {code for area, code in found if area in ("log", "checkpoints", "map")} == {"right_missing"}
    with bank.as_role(SERVICE) as cli:
        lines = cli.file(METRO, name="more.csv")
        for act in (("behaviors", "import", lines), ("checkpoint", "sign"), ("account", "open", "eve")):
            assert cli.refused(*act, code=4) == "keys_absent", act
        assert cli.refused("replay", code=4) == "keys_locked"


def test_a_checkpoint_of_a_log_that_never_was_stops_appends_and_is_named_by_check(bank: Bank) -> None:
    with psycopg.connect(bank.database.dsn(SERVICE), autocommit=True) as conn:
        conn.execute("INSERT INTO journal.checkpoints VALUES (1000000, 0, '', 'x')")
    with bank.as_role(SERVICE) as cli:
        assert cli.refused("account", "open", "eve", code=3) == "log_behind_checkpoint"
        assert "log_behind_checkpoint" in {each["code"] for each in cli("check", code=3)["findings"]}
    bank.sql("SET session_replication_role = replica", "DELETE FROM journal.checkpoints WHERE size = 1000000")
    with bank.as_role(SERVICE) as cli:
        assert cli("account", "open", "eve")["position"]


def test_a_view_that_the_owner_dropped_comes_back_with_the_rights_it_had(bank: Bank) -> None:
    bank.sql("DROP TABLE views.account_balance")
    with bank.as_role(SERVICE) as cli:
        assert cli.refused("totals", code=4) == "view_missing"
        cli("views", "rebuild", "account_balance")
        assert cli("views", "check")["equal"]
        assert cli("database", "show")["warnings"] == []
    with bank.as_role(READER) as cli:
        assert cli("totals")
