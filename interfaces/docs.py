"""The documents that are made from code: ``python -m interfaces.docs`` writes them, ``--check`` finds stale ones.

Keeps: docs/events.md says what ``domain.events.registry`` says, docs/cli.md what the command line itself says,
docs/openapi.json what the HTTP service says.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import msgspec
import typer

from application.ports.views import VIEWS
from domain.events.account import (
    BehaviorCredited,
    BehaviorCreditedPersonal,
    BehaviorReversed,
    FactorRevised,
    RevisedLine,
)
from domain.events.base import ActSignature, Event, Personal
from domain.events.registry import EVENTS, encode
from domain.events.rulebook import FactorRow
from interfaces.bootstrap.service import ServiceSettings
from interfaces.cli.command import EXAMPLE
from interfaces.cli.main import PROGRAM, app
from interfaces.http.app import create_app, openapi_of
from interfaces.http.identity import Identity
from interfaces.http.service import Service

DOCS = Path(__file__).resolve().parents[1] / "docs"

SHOWN_BY_VIEWS = (BehaviorCredited, BehaviorReversed, FactorRevised)
"""The events that change views; each of them changes all views."""

_NOTICE = "<!-- Made by `make docs` from the code; edit that instead. -->"
_NAMED = r"``([a-z_]+)``"
_MEANT = re.compile(rf"{_NAMED}(?:/{_NAMED})?: (.+?)(?=[.;]\s+(?:``|[A-Z])|\.?$)", re.DOTALL)

_TYPES = {
    "str": "text",
    "int": "integer",
    "bool": "true or false",
    "IntText": "integer as text",
    "DayText": "civil day `YYYY-MM-DD`",
    "tuple[str, ...]": "list of text",
    "dict[str, int]": "object: text to integer",
    "tuple[RevisedLine, ...]": "list of [RevisedLine](#revisedline)",
    "ActSignature": "[ActSignature](#actsignature)",
    "tuple[FactorRow, ...]": "list of [FactorRow](#factorrow)",
}

_MEANINGS = {
    "account_ref": "who the account belongs to, as the bank names the person",
    "account": "id of the account",
    "accounts": "accounts with an in-scope credit",
    "accounts_sm3": "SM3 over the ids of the accounts in order, each with a line end",
    "actor": "whose key it is",
    "after_mg": "mass of the in-scope credits afterwards, mg",
    "as_of": "log size that the plan looked at",
    "asserter": "who asserts the consent",
    "before_mg": "mass before, mg",
    "behavior": "name of the behavior, as in `travel.metro`",
    "behavior_position": "position of the last event that changed how the behavior is valued",
    "book": "random id of the book",
    "by": "the actor",
    "changed_accounts": "accounts whose difference is not 0",
    "code": "methodology code",
    "computed_mg": "what the formula gives, rounded, before caps, mg",
    "consent": "version of the consent's event in this stream",
    "credit": "version of the credit's event in this stream",
    "credited": "rows credited",
    "credited_mg": "what is credited after caps, mg",
    "credits": "in-scope credits",
    "data_year": "year the value is about",
    "day": "civil day of the behavior at the methodology's fixed UTC offset",
    "decision": "id of the applicability decision, or of the revision run",
    "delta_mg": "after minus before, mg",
    "digest": "SM3, 64 hex digits",
    "document": "the submitted document",
    "document_sm3": "SM3 of the published document",
    "duplicates": "rows that had been credited before",
    "end": "first civil day after the last; null = open",
    "factor_set": "name of the factor set",
    "grade": "quality grade of the value",
    "intake": "log position of the IntakeOpened it came with",
    "kind": "individual, household or enterprise",
    "first_size": "first log size that the key signs",
    "key": "id of the signing key",
    "proposal": "name of the proposal about a partner, `P` and its number",
    "public_key": "x and y of the SM2 public key, 128 hex digits",
    "replaces": "id of the key that signed until here",
    "signature": "r and s by the key itself, 128 hex digits",
    "signature_of_replaced": "r and s by the key that is replaced, 128 hex digits",
    "last": "whether it is the last part",
    "leave_gap": "whether days may be left without a valuation",
    "line": "line in the intake",
    "lines": "the in-scope credits, in log order",
    "lines_root": "root over the lines of all accounts",
    "media": "format of what was received: csv, jsonl, parquet, requests",
    "methodology": "methodology version, `CODE@V`",
    "occurred_at": "when it happened, as submitted",
    "page": "page of the document",
    "part": "number of this part, from 1",
    "partner": "the partner that sends, by its name",
    "pepper_check": "public check value of the key file",
    "plan_digest": "SM3 of the impact report",
    "previous": "log position of the previous rulebook event, 0 for the first",
    "quantity": "the quantity as an integer, see `scale`",
    "read": "rows read",
    "reason": "why",
    "received_at": "when it was received, RFC 3339 UTC",
    "ref": "HMAC of partner and source_ref",
    "region": "region code, empty if none was given; `*` = everywhere",
    "rejected": "rows refused",
    "rejected_by_code": "rows refused, by code",
    "release": "number of the release",
    "releases": "release of each factor set that is used",
    "reversed_mg": "what the credit was worth, mg",
    "revision": "id of the revision run",
    "rows": "the values",
    "rule": "version of the calculation rule",
    "scale": "decimal places of the quantity",
    "signed": "the actor's signature",
    "size_bytes": "bytes received",
    "source": "title of the source",
    "source_ref": "the partner's reference in clear",
    "start": "first civil day; null = open",
    "statistic": "what the value measures",
    "terms_version": "version of the terms agreed to",
    "unit": "unit",
    "valid_from": "RFC 3339 UTC; null = open",
    "valid_to": "RFC 3339 UTC, exclusive; null = open",
    "value": "decimal as text",
    "version": "methodology version number",
}
"""Fields that mean the same wherever they stand; an event's own docstring goes before."""


def events_page() -> str:
    """docs/events.md: every event that can stand in the log."""
    streams: dict[str, list[type[Event]]] = {}
    for event in EVENTS:
        streams.setdefault(event.STREAM, []).append(event)
    parts = [_NOTICE, "# Events", _EVENTS_INTRODUCTION, _example(), _contents(streams)]
    for stream, events in streams.items():
        parts.append(f"## Stream `{stream}`")
        parts += [_event_part(event) for event in events]
    parts.append("## Parts of events")
    for struct in (ActSignature, RevisedLine, FactorRow):
        parts.append(f"### {struct.__name__}\n\n{_text(struct)}\n\n{_fields(struct, 'facts')}")
    return "\n\n".join(parts) + "\n"


_EVENTS_INTRODUCTION = """\
The permanent record: what the log may hold. A topic, once released, never changes its shape, but for a field that is
left out where it says what was so before; another shape is a new topic with the next `.vN`, and old ones are lifted
when they are read. Facts are pseudonymous and stand in clear;
whatever tells who, when exactly or where, and all free text about a person, is the personal part. It is sealed under a
key of the account alone: destroying that key erases it and touches no number ([erasure.md](erasure.md)). Masses and
quantities are integers as decimal text, of any size. How both parts are stored, and what a proof commits to:
[spec/canonical-event.md](spec/canonical-event.md). Fields are stored in the order of the tables below."""


def _example() -> str:
    facts = BehaviorCredited(
        partner="metro", intake=54, line=2, ref="6b8f5c0e2a7d4b1c9e3f5a6b7c8d9e0f", behavior="travel.metro",
        day="2026-03-01", region="CN-440300", quantity="12350", scale=3, unit="km", methodology="TRAVEL-METRO@1",
        decision="D5", rule="v1", consent=2, computed_mg="889200", credited_mg="889200",
    )  # fmt: skip
    personal = BehaviorCreditedPersonal(source_ref="trip-77", occurred_at="2026-03-01T08:15:00+08:00")
    state = msgspec.json.format(encode(facts, personal), indent=2).decode()
    told = f"One event, `{BehaviorCredited.TOPIC}`, as those read it who may read both parts:"
    return f"{told}\n\n```json\n{state}\n```"


def _contents(streams: dict[str, list[type[Event]]]) -> str:
    views = {event.TOPIC: ", ".join(f"`{view}`" for view in VIEWS) for event in SHOWN_BY_VIEWS}
    rows = [
        (
            f"`{stream}`",
            f"[{event.__name__}](#{event.__name__.lower()})",
            f"`{event.TOPIC}`",
            views.get(event.TOPIC, ""),
        )
        for stream, events in streams.items()
        for event in events
    ]
    return _markdown_table(("stream", "event", "topic", "read by views"), rows)


def _event_part(event: type[Event]) -> str:
    version = event.TOPIC.rpartition(".v")[2]
    text = f"### {event.__name__}\n\nTopic `{event.TOPIC}`, version {version}. {_text(event)}"
    if event in SHOWN_BY_VIEWS:
        text += f"\n\nRead by the views {', '.join(f'`{view}`' for view in VIEWS)}."
    text += f"\n\n{_fields(event, 'facts')}"
    if event.PERSONAL is not None:
        text += f"\n\nPersonal part: {_text(event.PERSONAL)}\n\n{_fields(event.PERSONAL, 'personal')}"
    return text


def _text(cls: type[Any]) -> str:
    return re.sub(r"\s*\n\s*", " ", (inspect.getdoc(cls) or "").replace("``", "`").replace("\n\n", " "))


def _fields(cls: type[Any], part: str) -> str:
    annotations = _annotations(cls)
    late = {field.name for field in msgspec.structs.fields(cls) if field.default is not msgspec.NODEFAULT}
    types = {
        name: _type(annotations[name]) if name not in late else _left_out(annotations[name]) for name in meanings(cls)
    }
    rows = [(f"`{name}`", types[name], meaning) for name, meaning in meanings(cls).items()]
    return _markdown_table((f"{part}", "type", "meaning"), rows)


def meanings(cls: type[Event] | type[Personal] | type[Any]) -> dict[str, str]:
    """Meaning of every field of an event or of a part of one; "" where nothing says it."""
    own: dict[str, str] = {}
    for match in _MEANT.finditer(inspect.getdoc(cls) or ""):
        for name in match.groups()[:2]:
            if name is not None:
                own[name] = re.sub(r"\s+", " ", match[3]).replace("``", "`").rstrip(".")
    return {field.name: own.get(field.name, _MEANINGS.get(field.name, "")) for field in msgspec.structs.fields(cls)}


def _annotations(cls: type[Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        found.update(inspect.get_annotations(base))
    return found


def _left_out(annotation: str) -> str:
    return f"{_type(annotation.removesuffix(' | None'))} or left out"


def _type(annotation: str) -> str:
    bare = annotation.removesuffix(" | None")
    return _TYPES[bare] + (" or null" if bare != annotation else "")


def cli_page() -> str:
    """docs/cli.md: every command with its arguments, options and example."""
    root: Any = typer.main.get_command(app)
    commands = list(_commands(root, ()))
    shared = [option for option in root.params if option.name in ("home", "as_json")]
    parts = [_NOTICE, "# Command line", _CLI_INTRODUCTION, _options_table(shared)]
    contents = [
        (f"[`{' '.join(path)}`](#{'-'.join(path)})", _help(each)[0].partition(". ")[0].rstrip("."))
        for path, each in commands
    ]
    parts.append(_markdown_table(("command", "does"), contents))
    parts += [_command_part(path, each) for path, each in commands]
    return "\n\n".join(parts) + "\n"


_CLI_INTRODUCTION = f"""\
`{PROGRAM} [--home DIR] COMMAND ... [--json]`

Answers go to stdout, progress and notices to stderr. With `--json` stdout is exactly one JSON object, also when the
command fails: `{{"error": {{"code", "message", "field", "remedy"}}}}`. Masses in JSON are strings in mg, in keys that
end with `_mg` and in `by_behavior`; [formats.md](formats.md) lists the keys of every answer and every code of a
refused row. `{PROGRAM} --version` shows the version.

The name given with `--by` is recorded as given. The ledger compares names where an act takes two people; the command
line does not authenticate: put your login in front of it ([the service](http.md) asks for tokens). Whoever has a
registered key (`actor`) has to sign what he does ([spec/acts.md](spec/acts.md)). Who is shown personal facts, or
exports, is recorded first (`access list`).

| exit code | meaning |
| --- | --- |
| 0 | done |
| 1 | rejected: the caller can fix it; nothing was written. Also: refused rows (`--strict`), a list that differs |
| 2 | wrong usage |
| 3 | corrupt, or a verification failed (`replay`, `views check`, `archive verify`, `evidence verify`) |
| 4 | environment: no server, disk full, unsafe setting; also a defect of the ledger |
| 130, 143 | interrupted (Ctrl-C), asked to end (SIGTERM); running it again resumes |
| 141 | nobody reads the output any more |

| environment variable | meaning |
| --- | --- |
| `CARBON_LEDGER_HOME` | the home folder when `--home` is not given |
| `CARBON_LEDGER_DSN` | a PostgreSQL server (libpq connection string) instead of the embedded one |
| `CARBON_LEDGER_WITHOUT_KEYS` | 1 = open no key store: facts are read, accounts named by id |
| `CARBON_LEDGER_KEK_FILE` | a file with the root key, 32 hex digits; else `keys/root.key` is generated |
| `CARBON_LEDGER_PASSPHRASE_FILE` | instead: a file with a passphrase of 12 bytes or more |
| `CARBON_LEDGER_ACTOR_PASSPHRASE_FILE` | a file with the passphrase of the person's key that signs (`actor key new`) |
| `CARBON_LEDGER_PG_START_SECONDS` | how long to wait for the embedded server, 60 |
| `CARBON_LEDGER_DEBUG` | 1 = show a traceback when the ledger has a defect |
| `CARBON_LEDGER_HTTP_...` | of `serve`: who is believed, and all limits ([http.md](http.md)) |

Every command takes these options, before or after its name:"""


def _commands(group: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, (*path, name))
        else:
            yield (*path, name), command


def _help(command: Any) -> tuple[str, str]:
    text, _, example = inspect.cleandoc(command.help).partition(EXAMPLE)
    return re.sub(r"\s+", " ", text).strip(), example.strip()


def _command_part(path: tuple[str, ...], command: Any) -> str:
    text, example = _help(command)
    own = [each for each in command.params if each.name not in ("home", "as_json", "help")]
    usage = " ".join([PROGRAM, *path, *(_usage(each) for each in own)])
    parts = [f"## {' '.join(path)}", text, f"```\n{usage}\n```"]
    if own:
        parts.append(_options_table(own))
    return "\n\n".join([*parts, f"Example: `{example}`"])


def _usage(option: Any) -> str:
    if option.param_type_name == "argument":
        text = option.metavar
    else:
        text = option.opts[0] + ("" if option.is_flag else f" {option.metavar}")
    return text if option.required else f"[{text}]" + ("..." if option.multiple else "")


def _options_table(options: Iterable[Any]) -> str:
    rows = []
    for option in options:
        name = option.metavar if option.param_type_name == "argument" else option.opts[0]
        if option.param_type_name == "option" and not option.is_flag:
            name += f" {option.metavar}"
        default = (
            ""
            if option.required or getattr(option, "is_flag", False) or option.default in (None, "")
            else f" Default: `{option.default}`."
        )
        rows.append((f"`{name}`", f"{option.help}{default}", "yes" if option.required else ""))
    return _markdown_table(("argument or option", "meaning", "required"), rows)


def _markdown_table(columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    def line(cells: Iterable[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    return "\n".join([line(columns), line("---" for _ in columns), *(line(row) for row in rows)])


def openapi_document() -> str:
    """docs/openapi.json: the HTTP API, as the service itself tells of it."""
    # No ledger is opened: the routes alone are asked.
    service = Service(ServiceSettings(), Identity(None, None), lambda: nullcontext(None))  # type: ignore[arg-type]
    return json.dumps(openapi_of(create_app(service)), ensure_ascii=False, indent=1, sort_keys=True) + "\n"


PAGES = {"events.md": events_page, "cli.md": cli_page, "openapi.json": openapi_document}


def stale(folder: Path) -> list[str]:
    """Names of the documents that do not say what the code says."""
    return [name for name, page in PAGES.items() if not _is_fresh(folder / name, page())]


def _is_fresh(path: Path, text: str) -> bool:
    return path.exists() and path.read_text("utf-8") == text


def main(arguments: list[str]) -> int:
    """Write the documents, or with ``--check`` name the stale ones; returns the exit code."""
    if arguments == ["--check"]:
        names = stale(DOCS)
        for name in names:
            print(f"docs/{name} is stale: run `make docs`", file=sys.stderr)
        return 1 if names else 0
    if arguments:
        print("usage: python -m interfaces.docs [--check]", file=sys.stderr)
        return 2
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), "utf-8")
        print(f"docs/{name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
