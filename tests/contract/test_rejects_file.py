"""The rejects file: every refused row, whole, and never over another file (DESIGN section 5)."""

from __future__ import annotations

import csv
import fcntl
import json
import os
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from application.ports.behavior_source import RefusedRow, refuse
from domain.behavior import COLUMNS, Behavior, parse_behavior
from domain.errors import Rejected, Unavailable
from infrastructure.behavior_files import open_behavior_file
from infrastructure.rejects_file import REJECT_COLUMNS, RejectsFile
from tests.contract.behavior_file_tools import (
    GOOD,
    HEADER,
    NOTHING,
    error_of,
    good,
    line_of,
    object_of,
    read,
    refs,
    refusals,
)


def rejected_rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


def test_refused_rows_can_be_repaired_and_imported_again(tmp_path: Path) -> None:
    source_path = tmp_path / "a.csv"
    lines = [HEADER, line_of(1), line_of(2, quantity="1e3"), line_of(3, region="?"), 'ride-4,"', line_of(5)]
    source_path.write_text("\n".join(lines), encoding="utf-8")
    rejects = tmp_path / "rejects.csv"
    with RejectsFile(rejects) as sink:
        for row in refusals(read(open_behavior_file(source_path))):
            sink.write(row)
    assert sink.count == 3

    again = read(open_behavior_file(rejects))
    assert [row.refusal.field for row in refusals(again)] == ["quantity", "region", "source_ref"], (
        "nothing repaired yet"
    )

    repaired = rejected_rows(rejects)
    repaired[0]["quantity"] = "1000"
    repaired[1]["region"] = "CN"
    repaired[2].update(zip(COLUMNS, good(4), strict=True))
    with (tmp_path / "repaired.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, REJECT_COLUMNS)
        writer.writeheader()
        writer.writerows(repaired)
    assert refs(read(open_behavior_file(tmp_path / "repaired.csv"))) == ["ride-2", "ride-3", "ride-4"]


def test_a_refused_row_is_written_with_its_place_reason_and_text(tmp_path: Path) -> None:
    path = tmp_path / "rejects.csv"
    behavior = parse_behavior(12, *GOOD)
    assert isinstance(behavior, Behavior)
    with RejectsFile(path) as sink:
        sink.write(refuse(behavior, "no_consent", "account_ref", "no consent covers it", "record a consent"))
    assert rejected_rows(path) == [
        dict(zip(COLUMNS, GOOD, strict=True))
        | {"quantity": "12.35", "line": "12", "code": "no_consent", "field": "account_ref"}
        | {"message": "no consent covers it", "remedy": "record a consent", "raw": ""}
    ]


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "@a", "-1", '"', 'a"b', "a,b", "a\r\nb", "a\nb", "a\rb", " a ", "a\x00b", "车\u2028", "'"]
)
def test_the_rejects_file_gives_every_text_back_unaltered(tmp_path: Path, text: str) -> None:
    source_path = tmp_path / "a.jsonl"
    changed = object_of(1, account_ref=text, region=text, quantity="much")
    source_path.write_text(json.dumps(changed), encoding="utf-8")
    (row,) = refusals(read(open_behavior_file(source_path)))
    with RejectsFile(tmp_path / "rejects.csv") as sink:
        sink.write(row)
    (again,) = refusals(read(open_behavior_file(tmp_path / "rejects.csv")))
    assert again.columns == row.columns == tuple(changed.values())
    assert again.refusal[1:] == row.refusal[1:]


def test_the_rejects_file_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "rejects.csv"
    mask = os.umask(0)
    try:
        with RejectsFile(path) as sink:
            assert stat.S_IMODE(sink.partial_path.stat().st_mode) == 0o600
    finally:
        os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not sink.partial_path.exists()
    assert rejected_rows(path) == []
    assert path.read_text("utf-8").strip().split(",") == list(REJECT_COLUMNS)


@pytest.mark.parametrize("there", ["a file", "a folder", "a dangling link"])
def test_no_file_is_ever_overwritten_by_rejects(tmp_path: Path, there: str) -> None:
    path = tmp_path / "rejects.csv"
    if there == "a file":
        path.write_text("precious")
    elif there == "a folder":
        path.mkdir()
    else:
        path.symlink_to(tmp_path / "elsewhere")
    assert error_of(lambda: RejectsFile(path).__enter__()).code == "rejects_file_exists"
    assert [entry.name for entry in tmp_path.iterdir()] == ["rejects.csv"]


def test_a_file_that_appears_while_rejects_are_written_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "rejects.csv"

    def race() -> None:
        with RejectsFile(path):
            path.write_text("precious")

    assert error_of(race).code == "rejects_file_exists"
    assert path.read_text() == "precious"
    assert (tmp_path / "rejects.csv.partial").exists()


def test_a_failed_import_leaves_only_a_partial_file_and_the_next_one_starts_it_anew(tmp_path: Path) -> None:
    path = tmp_path / "rejects.csv"
    behavior = parse_behavior(12, *GOOD)
    assert isinstance(behavior, Behavior)
    row = refuse(behavior, "no_consent", "account_ref", "no consent covers it", "record a consent")

    def interrupted() -> None:
        with RejectsFile(path) as sink:
            sink.write(row)
            sink.write(row)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not path.exists()
    partial = tmp_path / "rejects.csv.partial"
    assert len(rejected_rows(partial)) == 2
    partial.chmod(0o644)
    with RejectsFile(path) as sink:
        sink.write(row)
        assert stat.S_IMODE(sink.partial_path.stat().st_mode) == 0o600
    assert len(rejected_rows(path)) == 1


def test_two_imports_cannot_write_one_rejects_file(tmp_path: Path) -> None:
    path = tmp_path / "rejects.csv"
    with RejectsFile(path):
        error = error_of(lambda: RejectsFile(path).__enter__())
        assert error.code == "rejects_file_in_use"
    assert rejected_rows(path) == []


@pytest.mark.parametrize("restarted", [True, False])
def test_an_import_that_ends_just_now_keeps_its_rejects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, restarted: bool
) -> None:
    path = tmp_path / "rejects.csv"
    partial = tmp_path / "rejects.csv.partial"

    def finish_the_other_first(*_: Any) -> None:
        partial.write_text("precious")
        partial.rename(path)
        if restarted:
            partial.touch()

    monkeypatch.setattr(fcntl, "flock", finish_the_other_first)
    assert error_of(lambda: RejectsFile(path).__enter__()).code == "rejects_file_in_use"
    assert path.read_text() == "precious"


def test_rejects_survive_a_file_system_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    with RejectsFile(tmp_path / "rejects.csv"):
        pass
    assert rejected_rows(tmp_path / "rejects.csv") == []
    (tmp_path / "rejects.csv").unlink()
    with pytest.raises(Rejected, match="rejects_file_exists"), RejectsFile(tmp_path / "rejects.csv"):
        (tmp_path / "rejects.csv").write_text("precious")
    assert (tmp_path / "rejects.csv").read_text() == "precious"


def test_a_rejects_file_that_cannot_be_written_says_why(tmp_path: Path) -> None:
    missing = error_of(lambda: RejectsFile(tmp_path / "no" / "rejects.csv").__enter__())
    assert (type(missing), missing.code) == (Rejected, "rejects_folder_missing")
    (tmp_path / "rejects.csv.partial").symlink_to(tmp_path / "target")
    linked = error_of(lambda: RejectsFile(tmp_path / "rejects.csv").__enter__())
    assert (type(linked), linked.code) == (Unavailable, "rejects_file_unwritable")
    assert not (tmp_path / "target").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="NOT TESTED: only Linux has /dev/full")
def test_a_full_disk_is_reported_and_no_final_file_appears(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "rejects.csv"
    row = RefusedRow(parse_behavior(1, *NOTHING), NOTHING, "x" * 4_000)  # type: ignore[arg-type]
    sink = RejectsFile(path)

    def fill() -> None:
        with sink:
            full = os.open("/dev/full", os.O_WRONLY)
            os.dup2(full, sink._file.fileno())  # type: ignore[union-attr]
            os.close(full)
            for _ in range(100):
                sink.write(row)

    error = error_of(fill)
    assert isinstance(error, Unavailable)
    assert error.code == "rejects_file_unwritable"
    assert "space" in error.message
    assert not path.exists()
