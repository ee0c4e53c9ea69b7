"""``carbon-ledger factors``: releases of factor sets. Loading one makes it known, never applicable."""

from __future__ import annotations

from application import methodologies
from application.answers import release_json
from interfaces.cli.command import Cli, command, group
from interfaces.cli.files import read_json
from interfaces.cli.options import By, InputFile
from interfaces.cli.output import Answer, facts, heading, table

app = group("Releases of factor sets: sourced values by region and data year.")


@command(app, "import", example="factors import cn-elec-2023.json --by alice")
def import_(cli: Cli, file: InputFile, by: By) -> Answer:
    """Load a factor release from its file (format: docs/formats.md)."""
    document = read_json(file)
    with cli.ledger() as ledger:
        loaded = methodologies.import_factors(ledger.book, document, by)
    name = f"{loaded.factor_set}={loaded.release}"
    return Answer(
        release_json(loaded),
        [
            heading(f"release {loaded.release} of {loaded.factor_set} is loaded"),
            facts([("rows", len(loaded.rows)), ("digest", loaded.digest)]),
            cli.following(f"applicability propose CODE@V --release {name} --from DATE --to open --by {by}"),
        ],
    )


@command(app, "list", example="factors list")
def list_(cli: Cli) -> Answer:
    """All releases that are loaded."""
    with cli.ledger() as ledger:
        rulebook = ledger.book.rulebook()
    releases = [release_json(loaded) for loaded in rulebook.releases.values()]
    rows = [(each["factor_set"], each["release"], each["rows"], each["by"], each["digest"]) for each in releases]
    shown = table(("factor set", "release>", "rows>", "loaded by", "digest"), rows)
    return Answer({"releases": releases, "position": rulebook.position}, [shown if rows else heading("no releases")])
