"""What every archive promises of files that are lost or altered together, beside ``archive_contract``.

One file alone, however it is damaged, is there; here an edit is consistent in itself, or several files are gone.
"""

from __future__ import annotations

import shutil
import threading
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from application.book import Book
from application.ports.archive import Archive, ArchiveStatus
from domain.digest import sm3_hex
from infrastructure.archive import ParquetArchive, manifests
from infrastructure.archive.manifests import Manifest, Newest, write_manifest, write_newest
from tests.contract.archive_contract import ArchiveContract, borders


class ArchiveLossesContract(ArchiveContract):
    """See the module."""

    def test_a_rebuild_gives_the_same_digests_whatever_files_are_lost(
        self, archive: Archive, built: ArchiveStatus, folder: Path, tmp_path: Path
    ) -> None:
        """Except where every file is lost that tells of a border: manifest and file of the segments on both sides."""
        tells = [
            {f"manifests/{n:08d}.json", f"segments/{each.name}.parquet"} for n, each in enumerate(built.segments, 1)
        ]
        names = sorted(set[str]().union(*tells))
        kept, restored = tmp_path / "kept", 0
        shutil.copytree(folder, kept)
        for lost in (set(each) for count in range(len(names) + 1) for each in combinations(names, count)):
            shutil.rmtree(folder)
            shutil.copytree(kept, folder, ignore=lambda where, found, lost=lost: _lost(kept, where, found, lost))
            is_known = not any(one | other <= lost for one, other in pairwise(tells))
            rebuilt = archive.rebuild()
            assert (rebuilt == built) is is_known, lost
            assert archive.verify() == []
            restored += is_known
        assert (restored, len(names)) == (57, 6)

    def test_a_newest_manifest_that_is_not_the_last_is_found_and_a_build_names_the_last(
        self, archive: Archive, built: ArchiveStatus, folder: Path
    ) -> None:
        """A build that is killed leaves the same, so both are told and both are mended."""
        earlier = built.segments[-2]
        manifest = (folder / "manifests" / f"{len(built.segments) - 1:08d}.json").read_bytes()
        whole = (folder / "newest.json").read_bytes()
        write_newest(
            folder, Newest(format=1, number=len(built.segments) - 1, position=earlier.upto, sm3=sm3_hex(manifest))
        )
        (difference,) = archive.verify()
        assert (difference.what, difference.archived) == ("newest.json", "names 2 manifests, there are 3")
        assert archive.build() == built
        assert (folder / "newest.json").read_bytes() == whole
        assert archive.verify() == []

    def test_a_builder_at_work_is_not_taken_for_a_killed_one(
        self, archive: Archive, book: Book, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        archive.build(borders(book)[0])
        write, unnamed, may_name = manifests.write_newest, threading.Event(), threading.Event()

        def late(where: Path, newest: Newest) -> None:
            unnamed.set()
            assert may_name.wait(60)
            write(where, newest)

        monkeypatch.setattr(manifests, "write_newest", late)
        builder = threading.Thread(target=ParquetArchive(folder, book).build)
        builder.start()
        assert unnamed.wait(60)
        threading.Timer(0.2, may_name.set).start()
        assert archive.verify() == []
        builder.join()

    def test_verify_sees_every_word_of_a_manifest_that_is_altered_with_its_digest(
        self, archive: Archive, built: ArchiveStatus, folder: Path
    ) -> None:
        path = folder / "manifests" / f"{len(built.segments):08d}.json"
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
        changes: dict[str, Any] = {
            "rule": "v0",
            "rulebook_position": manifest.rulebook_position - 1,
            "methodologies": {},
            "releases": {"OTHER=1": "0" * 64},
            "rows": manifest.rows + 1,
            "accounts": manifest.accounts + 1,
        }
        for name, value in changes.items():
            write_manifest(folder, msgspec.structs.replace(manifest, **{name: value}))
            (difference,) = archive.verify()
            assert difference.what.startswith(f"{name} of "), name
        write_manifest(folder, manifest)
        assert archive.verify() == []


def _lost(root: Path, where: str, found: list[str], lost: set[str]) -> list[str]:
    """Which of the names found in a folder are lost."""
    return [name for name in found if str((Path(where) / name).relative_to(root)) in lost]
