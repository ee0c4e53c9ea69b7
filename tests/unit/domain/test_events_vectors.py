"""docs/spec/events-export.md is what the code makes; verified by the ledger, and by a reader of the document alone."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from application.verification.events import VerifiedEvents, verify_events
from application.verification.notes import trusted_by
from domain.audit import event_rows
from domain.audit.events_manifest import parse_body
from domain.errors import Rejected
from infrastructure.event_files import parquet_rows, row_format
from infrastructure.gm.hardened_gmssl import GmsslVerifier
from infrastructure.gm.sm2 import PyxVerifier, new_sm2_key
from tests.unit.domain import events_vectors
from tests.unit.domain.test_spec_vectors import blocks, vectors

KNOWN: Any = vectors("events-export.md")
KEY = bytes.fromhex(KNOWN["public_key"])
FORMATS = ("jsonl", "csv")
EPOCH = datetime.fromisoformat("1970-01-01T00:00:00Z")


def put(folder: Path, name: str, file: bytes | None = None, manifest: bytes | None = None) -> Path:
    """An export of the document in a folder; the path of its manifest."""
    (folder / "rows").write_bytes(KNOWN[name]["file"].encode() if file is None else file)
    path = folder / "rows.manifest"
    path.write_bytes(KNOWN[name]["manifest"].encode() if manifest is None else manifest)
    return path


def found(path: Path, **options: Any) -> VerifiedEvents:
    return verify_events(path, options.pop("trusted", trusted_by([KEY])), PyxVerifier().verify, parquet_rows)


def codes(verified: VerifiedEvents) -> list[str]:
    return [each.code for each in verified.findings.kept]


def test_the_document_shows_what_the_code_makes() -> None:
    assert blocks("events-export.md", "events") == [events_vectors.example()]
    assert blocks("events-export.md", "json") == [events_vectors.vectors() + "\n"]


@pytest.mark.parametrize("name", FORMATS)
def test_the_exports_of_the_document_are_verified(tmp_path: Path, name: str) -> None:
    verified = found(put(tmp_path, name))
    assert (codes(verified), verified.complete) == ([], name == "jsonl")
    assert [step.name for step in verified.findings.steps] == ["manifest", "file", "rows"]
    slow = verify_events(tmp_path / "rows.manifest", trusted_by([KEY]), GmsslVerifier().verify, None)
    assert (codes(slow), slow.rows) == ([], verified.rows)


@pytest.mark.parametrize("name", FORMATS)
def test_a_reader_of_the_document_alone_finds_the_same_leaves_and_root(name: str) -> None:
    manifest, file = KNOWN[name]["manifest"], KNOWN[name]["file"]
    told = dict(line.split(" ", 1) for line in manifest.splitlines()[1:14])
    assert (int(told["bytes"]), told["sm3"]) == (len(file.encode()), sm3(file.encode()).hex())
    book = bytes.fromhex(told["log"].removeprefix("carbon-ledger/"))
    if name == "jsonl":
        rows = [json.loads(line) for line in file.splitlines()]
        facts = [re.search(r'"facts":(.*),"salt"', line) for line in file.splitlines()]
        rows = [row | {"facts": each[1]} for row, each in zip(rows, facts, strict=True) if each is not None]
    else:
        rows = list(csv.DictReader(io.StringIO(file, newline="")))
    leaves = [leaf_of(book, row) for row in rows]
    assert [leaf.hex() for leaf in leaves] == [row["leaf"] for row in rows]
    assert len(rows) == int(told["rows"])
    if name == "jsonl":
        assert base64.b64encode(root_of(leaves)).decode() == told["root"]


def sm3(content: bytes) -> bytes:
    return hashlib.new("sm3", content).digest()


def leaf_of(book: bytes, row: dict[str, Any]) -> bytes:
    recorded_us = (datetime.fromisoformat(row["recorded_at"]) - EPOCH) // timedelta(microseconds=1)
    numbers = int(row["position"]).to_bytes(8, "big"), int(row["version"]).to_bytes(8, "big")
    stream, topic = bytes.fromhex(row["stream"].replace("-", "")), row["topic"].encode()
    place = book + numbers[0] + stream + numbers[1] + recorded_us.to_bytes(8, "big")
    header = b"\1" + place + bytes([len(topic)]) + topic
    facts = sm3(b"\2" + bytes.fromhex(row["salt"]) + row["facts"].encode())
    return sm3(b"\0" + header + facts + bytes.fromhex(row["sealed_sm3"]))


def root_of(leaves: list[bytes]) -> bytes:
    if len(leaves) == 1:
        return leaves[0]
    cut = 1 << (len(leaves) - 1).bit_length() - 1
    return sm3(b"\1" + root_of(leaves[:cut]) + root_of(leaves[cut:]))


@pytest.mark.parametrize("name", FORMATS)
def test_a_flip_of_any_byte_of_file_or_manifest_is_found(tmp_path: Path, name: str) -> None:
    for part, step in (("file", 97), ("manifest", 3)):
        right = KNOWN[name][part].encode()
        for place in range(0, len(right), step):
            changed = bytearray(right)
            changed[place] ^= 1
            assert codes(found(put(tmp_path, name, **{part: bytes(changed)}))), (part, place)


def resigned(content: bytes, **change: Any) -> bytes:
    """A manifest that the log's key has signed over whatever its operator likes."""
    told: dict[str, Any] = {"form": "csv", "personal": True, "chosen": CHOSEN, "count": 2, **change}
    return events_vectors.note(content, **told)


CHOSEN = parse_body(KNOWN["csv"]["manifest"].split("\n\n")[0].encode() + b"\n").chosen


def test_rows_that_the_operator_signed_must_still_be_what_they_say(tmp_path: Path) -> None:
    right = KNOWN["csv"]["file"]
    header, opened, reversed_, _ = right.split("\r\n")
    cases: list[tuple[str, dict[str, Any], str]] = [
        (right.replace('""individual""', '""household""'), {}, "leaf_wrong"),
        (right.replace(",erased", ","), {}, "personal_wrong"),
        (right, {"personal": False}, "row_malformed"),
        (right, {"count": 3}, "rows_missing"),
        (right, {"chosen": CHOSEN._replace(from_day="2026-03-03")}, "row_outside"),
        (right, {"chosen": CHOSEN._replace(from_day="", to_day="2026-03-02")}, "row_outside"),
        (right, {"chosen": CHOSEN._replace(first=11)}, "row_outside"),
        (right, {"chosen": CHOSEN._replace(topics=CHOSEN.topics[1:])}, "row_outside"),
        ("\r\n".join((header, reversed_, opened, "")), {}, "rows_out_of_order"),
        ("\r\n".join((header, opened, opened, "")), {}, "rows_out_of_order"),
        ("\r\n".join((opened, reversed_, "")), {}, "row_malformed"),
        (right + "x", {}, "row_malformed"),
    ]
    for file, change, code in cases:
        content = file.encode()
        path = put(tmp_path, "csv", content, resigned(content, **change))
        assert code in codes(found(path)), (code, change)
    assert codes(found(put(tmp_path, "csv", right.encode(), resigned(right.encode())))) == []


def test_a_day_is_from_its_first_instant_to_the_first_of_the_next(tmp_path: Path) -> None:
    content = KNOWN["jsonl"]["file"].encode().splitlines(keepends=True)[8]
    assert b"T00:00:00.000000Z" in content
    chosen = CHOSEN._replace(accounts=None, topics=(), from_day="", first=9, last=9)
    for first, after, outside in (
        ("2026-03-02", "", []),
        ("2026-03-03", "", ["row_outside"]),
        ("", "2026-03-02", ["row_outside"]),
        ("", "2026-03-03", []),
    ):
        asked = chosen._replace(from_day=first, to_day=after)
        manifest = events_vectors.note(content, "jsonl", False, asked, 1)
        assert codes(found(put(tmp_path, "jsonl", content, manifest))) == outside


def test_a_whole_log_that_the_operator_signed_must_lead_to_its_root(tmp_path: Path) -> None:
    lines = KNOWN["jsonl"]["file"].encode().splitlines(keepends=True)
    chosen = CHOSEN._replace(from_day="", accounts=None, topics=(), first=1)
    for kept in (lines[:-1], lines[1:], [*lines[:4], *lines[5:]]):
        content = b"".join(kept)
        manifest = events_vectors.note(content, "jsonl", False, chosen, len(kept))
        verified = found(put(tmp_path, "jsonl", content, manifest))
        assert (codes(verified), verified.complete) == (["root_differs"], False)


def test_a_hostile_file_is_refused_in_bounded_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("application.verification.events.MAX_ROW_BYTES", 3_000)
    for name in FORMATS:
        content = KNOWN[name]["file"].encode() + b"x" * 9_000
        assert codes(found(put(tmp_path, name, content))) == ["file_differs", "row_malformed"]
    path = put(tmp_path, "jsonl", manifest=b"carbon-ledger/events/1\n" + b"x" * 100_000)
    assert codes(found(path)) == ["note_malformed"]
    path = put(tmp_path, "jsonl")
    (tmp_path / "rows").unlink()
    assert codes(found(path))[0] == "file_missing"


def test_no_witness_is_counted_and_no_other_key_believed(tmp_path: Path) -> None:
    path, stranger = put(tmp_path, "csv"), new_sm2_key().public_key
    assert codes(found(path, trusted=trusted_by([KEY], [stranger]))) == ["witnesses_missing"]
    assert codes(found(path, trusted=trusted_by([stranger]))) == ["key_unknown"]
    assert codes(found(path, trusted=trusted_by([stranger, KEY]))) == []
    for name in ("manifest", "rows.note", ".manifest"):
        other = tmp_path / name
        other.write_bytes(path.read_bytes())
        with pytest.raises(Rejected, match="not named after its file"):
            found(other)


def test_parquet_holds_the_same_rows_and_is_refused_in_another_shape(tmp_path: Path) -> None:
    lines = KNOWN["csv"]["file"].encode().split(b"\n")[1:3]
    rows = [event_rows.row_of(event_rows.csv_cells(line)) for line in lines]
    path, made = tmp_path / "rows", io.BytesIO()
    writer = row_format("parquet")(made.write, True)
    for page in (rows[:1], [], rows[1:]):
        writer.put(page)
    writer.finish()
    path.write_bytes(made.getvalue())
    assert list(parquet_rows(path, True)) == rows
    table = pq.read_table(path)
    assert [str(each.type) for each in table.schema][:4] == ["int64", "timestamp[us, tz=UTC]", "string", "int64"]
    nulls = pa.table([pa.array([None] * 2, each.type) for each in table.schema], schema=table.schema)
    for wrong in (table.drop_columns("leaf"), table.rename_columns([*table.column_names[:-1], "x"]), nulls):
        pq.write_table(wrong, path)
        with pytest.raises(Rejected) as error:
            list(parquet_rows(path, True))
        assert error.value.code == "rows_unreadable"
    path.write_bytes(b"PAR1" + made.getvalue()[100:])
    with pytest.raises(Rejected):
        list(parquet_rows(path, True))
