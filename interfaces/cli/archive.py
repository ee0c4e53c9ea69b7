"""``carbon-ledger archive``: the columnar archive of the log, a cache that can be proved and made again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import RenderableType
from rich.text import Text

from interfaces.cli.command import Cli, command, group
from interfaces.cli.output import Answer, count_text, facts, heading, table

if TYPE_CHECKING:
    from application.ports.archive import ArchiveDifference, ArchiveStatus

VERIFICATION_FAILED = 3
_SHOWN_DIFFERENCES = 20

app = group("Archive: the log's calculation facts in columnar files, for questions on the whole book. Disposable.")


@command(app, "status", example="archive status")
def status(cli: Cli) -> Answer:
    """What the archive covers, from its manifests alone; `archive verify` proves it."""
    with cli.ledger() as ledger:
        found, log = ledger.archive.status(), ledger.book.journal.head().size
    human = _shown(found, log)
    if found.position < log:
        human.append(cli.following("archive build"))
    return Answer(_json(found, log), human)


@command(app, "build", example="archive build")
def build(cli: Cli) -> Answer:
    """Follow the log to its head: what is new goes into one new segment. Writers and readers go on."""
    with cli.ledger() as ledger:
        log = ledger.book.journal.head().size
        with cli.progress.counting("archiving", "events", log) as tell:
            found = ledger.archive.build(progress=tell)
        log = ledger.book.journal.head().size
    return Answer(_json(found, log), _shown(found, log))


@command(app, "verify", example="archive verify")
def verify(cli: Cli) -> Answer:
    """Compare every file with its manifest and every row with the event it came from; 3 if any differ."""
    with cli.ledger() as ledger:
        found, log = ledger.archive.status(), ledger.book.journal.head().size
        with cli.progress.counting("verifying", "events", found.position) as tell:
            differences = ledger.archive.verify(progress=tell)
    payload = _json(found, log) | {
        "equal": not differences,
        "differences": [each._asdict() for each in differences],
    }
    nothing = "there is no archive yet: nothing was compared"
    said = "the archive is what the log says" if found.segments else nothing
    if differences:
        said = "THE ARCHIVE IS NOT WHAT THE LOG SAYS"
    human: list[RenderableType] = [heading(said), *_shown(found, log)[1:]]
    if differences:
        human += [*_differences(differences), cli.following("replay   (is the log as it was?)", "archive rebuild")]
    elif not found.segments:
        human.append(cli.following("archive build"))
    return Answer(payload, human, VERIFICATION_FAILED if differences else 0)


@command(app, "rebuild", example="archive rebuild")
def rebuild(cli: Cli) -> Answer:
    """Throw the archive away and make it again from the log, in the same segments."""
    with cli.ledger() as ledger:
        log = ledger.book.journal.head().size
        with cli.progress.counting("archiving", "events", log) as tell:
            found = ledger.archive.rebuild(progress=tell)
    return Answer(_json(found, log), _shown(found, log))


def _json(found: ArchiveStatus, log: int) -> dict[str, Any]:
    return {
        "position": found.position,
        "log_position": log,
        "rows": sum(segment.rows for segment in found.segments),
        "size_bytes": sum(segment.size_bytes for segment in found.segments),
        "segments": [segment._asdict() for segment in found.segments],
        "methodologies": found.methodologies,
        "rule": found.rule,
        "digest": found.digest,
    }


def _shown(found: ArchiveStatus, log: int) -> list[RenderableType]:
    if not found.segments:
        return [heading("there is no archive yet")]
    behind = log - found.position
    said = "covers the whole log" if behind <= 0 else f"is {count_text(behind)} events behind the log"
    pairs = [
        ("position", count_text(found.position)),
        ("rows", count_text(sum(segment.rows for segment in found.segments))),
        ("bytes", count_text(sum(segment.size_bytes for segment in found.segments))),
        ("digest", found.digest),
    ]
    rows = [
        (each.name, count_text(each.rows), count_text(each.accounts), count_text(each.size_bytes), each.sm3)
        for each in found.segments
    ]
    return [
        heading(f"the archive {said}"),
        facts(pairs),
        table(("segment", "rows>", "accounts>", "bytes>", "SM3"), rows),
    ]


def _differences(differences: list[ArchiveDifference]) -> list[RenderableType]:
    shown: list[RenderableType] = [table(("segment", "what", "archived", "expected"), differences[:_SHOWN_DIFFERENCES])]
    if len(differences) > _SHOWN_DIFFERENCES:
        more = len(differences) - _SHOWN_DIFFERENCES
        shown.append(Text(f"... and {more:,} more; --json lists the first 1,000"))
    return shown
