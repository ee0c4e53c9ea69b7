"""``carbon-ledger database``: the schema and the rights of roles, for the role that owns the database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import RenderableType

from interfaces.cli.command import Cli, command, group
from interfaces.cli.output import Answer, facts, heading, table

if TYPE_CHECKING:
    from interfaces.bootstrap import Access

app = group("The database of CARBON_LEDGER_DSN: its schema, and what roles may do there (docs/OPERATING.md).")

_KINDS = ("service", "reader")

RoleName = Annotated[str, typer.Argument(metavar="ROLE", help="A role of the server, as it is spelled there.")]
As = Annotated[
    str,
    typer.Option(
        "--as",
        metavar="KIND",
        help="service: appends and reads everything, changes nothing that is recorded. reader: reads, but no names, "
        "references and keys.",
    ),
]


@command(app, "migrate", example="database migrate")
def migrate(cli: Cli) -> Answer:
    """Bring the schema up to this release, with the role that owns the database. Stop the service before.

    No other role changes the schema: the service refuses one that does not fit (`schema_older`, `schema_newer`).
    """
    from interfaces.bootstrap import migrate_database

    made = migrate_database(cli.settings())
    said = f"the schema goes from version {made.before} to {made.after}" if made.applied else "nothing to do"
    human: list[RenderableType] = [heading(said), facts([("schema version", made.after)])]
    if made.applied:
        human.append(cli.following("database grant ROLE --as service   (for every role: new tables are nobody's yet)"))
    return Answer({"from": made.before, "to": made.after, "applied": made.applied}, human)


@command(app, "grant", example="database grant carbon_service --as service")
def grant(cli: Cli, role: RoleName, kind: As) -> Answer:
    """Give a role what it needs to serve or to read, and take everything else; asking again changes nothing."""
    if kind not in _KINDS:
        raise typer.BadParameter(f"{kind!r} is not a kind of role: {', '.join(_KINDS)}", param_hint="'--as'")
    from interfaces.bootstrap import database_access, grant_rights

    settings = cli.settings()
    grant_rights(settings, role, "service" if kind == "service" else "reader")
    (shown,) = (each for each in database_access(settings).roles if each.name == role)
    human: list[RenderableType] = [heading(f"{role} may do what a {kind} needs")]
    if shown.more:
        rows = [(role, each) for each in shown.more]
        human.append(table(("role", "may still, by other ways than this grant"), rows))
    human.append(cli.following("database show"))
    return Answer({"role": role, "as": kind, "missing": shown.missing, "more": shown.more}, human)


@command(app, "show", example="database show")
def show(cli: Cli) -> Answer:
    """Schema version, who may do what, and a warning where the role that asks may do more than the service needs."""
    from interfaces.bootstrap import database_access

    found = database_access(cli.settings())
    warnings = _warnings(found)
    payload: dict[str, Any] = {
        "schema_version": found.version,
        "owner": found.owner,
        "role": found.role,
        "roles": [
            {"role": each.name, "holds": each.holds, "missing": each.missing, "more": each.more} for each in found.roles
        ],
        "guards_off": found.guards_off,
        "warnings": warnings,
    }
    human: list[RenderableType] = [
        heading(f"connected as {found.role}"),
        facts([("schema version", found.version), ("owner", found.owner)]),
        table(
            ("role", "holds", "missing>", "more>"),
            [(r.name, r.holds, len(r.missing), len(r.more)) for r in found.roles],
        ),
    ]
    differing = [(each.name, what, right) for each in found.roles for what, right in _differences(each)]
    if differing:
        human.append(table(("role", "", "right"), differing))
    if warnings:
        human.append(table(("warning",), [(each,) for each in warnings]))
    return Answer(payload, human)


def _differences(role: Any) -> list[tuple[str, str]]:
    return [*(("missing", each) for each in role.missing), *(("more", each) for each in role.more)]


def _warnings(found: Access) -> list[str]:
    """What should not be so where a service runs under the role that asks."""
    (own,) = (each for each in found.roles if each.name == found.role)
    said = [f"the guard {each} is off: what it refuses is possible" for each in found.guards_off]
    if own.holds == "owner":
        said.append(f"{own.name} owns the schema, or may become its owner: run the service with a role that has less")
    elif own.more:
        said.append(f"{own.name} may do more than a {own.holds} needs: see its rights beyond that")
    said += [f"{own.name} {each}" for each in own.more if each.startswith(("is ", "may "))]
    if own.missing:
        said.append(f"{own.name} lacks rights: `carbon-ledger database grant {own.name} --as {own.holds}`")
    return said
