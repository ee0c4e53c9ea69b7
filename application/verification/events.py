"""Exported events, verified from their manifest: whose word it is, that the file is that file, and every row's leaf.

Keeps: it trusts no name in the manifest: the file is the one beside it; it stops at nothing, in bounded memory. Where
the rows are the whole log, their leaves must lead to the signed root: nothing was left out. Where something was chosen,
what it cannot show is said.
The format is specified in ``docs/spec/events-export.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from application.verification.findings import Findings, Step
from application.verification.notes import Trusted, signed_by_log
from domain.audit.event_rows import CSV, LINES, MAX_ROW_BYTES, PARQUET, EventRow, csv_header, row_of
from domain.audit.events_manifest import SUFFIX, TITLE, Manifest, parse_body
from domain.audit.merkle import extend, root_of
from domain.audit.note import MAX_NOTE_BYTES, parse_note
from domain.audit.proofs import book_of
from domain.digest import new_sm3
from domain.errors import Rejected
from domain.signing_keys import Verify
from domain.values import EPOCH_ORDINAL, MICROSECONDS_PER_DAY, day_number

ReadParquet = Callable[[Path, bool], Iterable[EventRow]]
"""The rows of a Parquet file, by whether they have a personal part."""

_BLOCK = 1 << 20
_ROWS_PER_PAGE = 1_000
_FIRST: Final = TITLE.encode() + b"\n"


@dataclass
class VerifiedEvents:
    """What was found. ``rows``: read and checked; ``complete``: they were shown to be the whole log.

    ``not_shown``: what these files cannot show, whatever they hold.
    """

    findings: Findings = field(default_factory=Findings)
    manifest: Manifest | None = None
    signed_by: bytes = b""
    rows: int = 0
    complete: bool = False
    not_shown: list[str] = field(default_factory=list)


def is_manifest(path: Path) -> bool:
    """Whether a file is to be read as the manifest of exported events."""
    with path.open("rb") as file:
        return file.read(len(_FIRST)) == _FIRST


def data_of(manifest: Path) -> Path:
    """The file that a manifest is of: the one beside it. Raises Rejected ``manifest_misnamed``."""
    if not manifest.name.endswith(SUFFIX) or manifest.name == SUFFIX:
        remedy = f"call it as the file that it is of, with {SUFFIX} behind it, and put it beside that file"
        raise Rejected("manifest_misnamed", "it is not named after its file", field=str(manifest), remedy=remedy)
    return manifest.with_name(manifest.name.removesuffix(SUFFIX))


def verify_events(path: Path, trusted: Trusted, verify: Verify, parquet: ReadParquet | None) -> VerifiedEvents:
    """Verify the manifest at ``path`` and the file beside it. ``parquet``: None where Parquet cannot be read.

    Raises Rejected ``manifest_misnamed``.
    """
    data, found = data_of(path), VerifiedEvents()
    with found.findings.step("manifest") as step:
        _check_manifest(path, trusted, verify, found)
        step.checked = 1
    manifest = found.manifest
    if manifest is None:
        return found
    with found.findings.step("file") as step:
        _check_file(data, manifest, found.findings, step)
    if manifest.format == PARQUET and parquet is None:
        found.not_shown.append("the rows, one by one: to read Parquet, use carbon-ledger with pyarrow")
    else:
        with found.findings.step("rows") as step:
            rows = (
                parquet(data, manifest.personal) if manifest.format == PARQUET and parquet else _lines(data, manifest)
            )
            _Rows(manifest, found, step).check(rows)
    found.not_shown += _not_shown(manifest, found)
    return found


def _check_manifest(path: Path, trusted: Trusted, verify: Verify, found: VerifiedEvents) -> None:
    with path.open("rb") as file:
        body, signatures = parse_note(file.read(MAX_NOTE_BYTES + 1))
    manifest = parse_body(body)
    found.signed_by, _ = signed_by_log(manifest.log, body, signatures, trusted, verify)
    book_of(manifest.log)
    found.manifest = manifest
    if trusted.need:
        raise Rejected(
            "witnesses_missing",
            "no witness signs a manifest",
            field="manifest",
            remedy="verify a bundle or a proof of this log's size with the keys of the witnesses",
        )


def _check_file(path: Path, manifest: Manifest, findings: Findings, step: Step) -> None:
    state, size = new_sm3(), 0
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                state.update(block)
                size += len(block)
    except OSError as error:
        remedy = "put it beside its manifest under the name that it was exported with"
        raise Rejected(
            "file_missing", f"it cannot be read: {error.strerror or error}", field=path.name, remedy=remedy
        ) from error
    step.checked = 1
    if (size, state.digest()) != (manifest.size_bytes, manifest.sm3):
        findings.add(step, "file_differs", path.name, f"{size} bytes and another SM3 digest than the manifest says")


def _lines(path: Path, manifest: Manifest) -> Iterator[EventRow]:
    _, cells_of_line = LINES[manifest.format]
    with path.open("rb") as file:
        if manifest.format == CSV and file.readline(MAX_ROW_BYTES) != csv_header(personal=manifest.personal):
            raise Rejected("row_malformed", "the first line does not name the columns", field="line 1")
        while line := file.readline(MAX_ROW_BYTES):
            if not line.endswith(b"\n"):
                raise Rejected("row_malformed", "it ends within a line, or a line is too long")
            yield row_of(cells_of_line(line[:-1]))


class _Rows:
    """The rows, one after the other."""

    def __init__(self, manifest: Manifest, found: VerifiedEvents, step: Step) -> None:
        self._manifest, self._found, self._step = manifest, found, step
        self._book, self._topics = book_of(manifest.log), set(manifest.chosen.topics)
        self._times = tuple(
            None if not day else (day_number(day) - EPOCH_ORDINAL) * MICROSECONDS_PER_DAY
            for day in (manifest.chosen.from_day, manifest.chosen.to_day)
        )
        self._position, self._recorded_us = 0, -1
        self._frontier: list[bytes] = []

    def check(self, rows: Iterable[EventRow]) -> None:
        """All of them, their number, and where they are the whole log, its root."""
        leaves: list[bytes] = []
        for row in rows:
            self._step.checked += 1
            self._check(row)
            if self._manifest.is_whole_log:
                leaves.append(row.leaf)
                if len(leaves) == _ROWS_PER_PAGE:
                    self._grow(leaves)
                    leaves = []
        self._grow(leaves)
        self._found.rows = self._step.checked
        if self._step.checked != self._manifest.rows:
            self._wrong("rows_missing", "", f"{self._step.checked} rows, and the manifest says {self._manifest.rows}")
        if self._manifest.is_whole_log:
            if root_of(self._frontier) != self._manifest.root:
                self._wrong("root_differs", "", "the leaves of the rows do not lead to the root of the checkpoint")
            self._found.complete = not self._found.findings.total

    def _grow(self, leaves: list[bytes]) -> None:
        self._frontier = extend(self._step.checked - len(leaves), self._frontier, leaves) if leaves else self._frontier

    def _check(self, row: EventRow) -> None:
        event, place = row.event, f"row {self._step.checked}, position {row.event.position}"
        if event.position <= self._position or event.recorded_us < self._recorded_us:
            self._wrong("rows_out_of_order", place, "it does not stand behind the row before it in the log")
        self._position, self._recorded_us = event.position, event.recorded_us
        if not self._is_chosen(row):
            self._wrong("row_outside", place, "it is not what the manifest says was asked for")
        if (row.personal is not None) != self._manifest.personal or not row.fits:
            self._wrong(
                "personal_wrong", place, "it tells of a personal part where there is none, or the other way round"
            )
        if event.leaf(self._book) != row.leaf:
            self._wrong("leaf_wrong", place, "its values do not make its leaf")

    def _is_chosen(self, row: EventRow) -> bool:
        event, chosen, (start, end) = row.event, self._manifest.chosen, self._times
        within = chosen.first <= event.position <= chosen.last and (not self._topics or event.topic in self._topics)
        return within and (start is None or event.recorded_us >= start) and (end is None or event.recorded_us < end)

    def _wrong(self, code: str, place: str, message: str) -> None:
        self._found.findings.add(self._step, code, place, message)


def _not_shown(manifest: Manifest, found: VerifiedEvents) -> list[str]:
    """What the files cannot show."""
    told = []
    if not found.complete:
        told.append(
            "that nothing was left out of what was asked for: a bundle of the same accounts and size shows that"
        )
    if manifest.personal:
        told.append("that personal facts are what was recorded: they are the operator's word")
    told.append("that everybody was told the same history: witnesses of a checkpoint of this log show that")
    return told
