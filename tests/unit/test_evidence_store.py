"""The evidence store in a folder: its files and keys, what tampering does to it, what a killed process leaves."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from domain.digest import sm3_hex
from domain.errors import Corrupt, LedgerError, Unavailable
from infrastructure import sealed_file
from infrastructure.evidence_store import EvidenceFolder, _key_aad
from infrastructure.gm.sm4 import OVERHEAD_BYTES, SM4Key, new_key, seal
from infrastructure.sealed_file import MARK, SealedFile, seal_file
from tests.contract.evidence_contract import keep, opened

CHUNK = 64
ONE, TWO = b"the first file; " * 20, b"the second file; " * 20
SOURCE = Path(__file__).resolve().parents[2]


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealed_file, "CHUNK_BYTES", CHUNK)
    monkeypatch.setattr(sealed_file, "RECORD_BYTES", CHUNK + OVERHEAD_BYTES)


class Folder:
    """A store whose KEK the test can exchange."""

    def __init__(self, path: Path) -> None:
        self.path, self.kek = path, new_key(1)

    def open(self) -> EvidenceFolder:
        return EvidenceFolder(self.path, lambda: self.kek)

    def file(self, content: bytes, suffix: str = "sealed") -> Path:
        digest = sm3_hex(content)
        return self.path / digest[:2] / f"{digest}.{suffix}"

    def incoming(self) -> list[Path]:
        return list((self.path / "incoming").iterdir())


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "evidence")


def code_of(act: Callable[[], Any], kind: type[LedgerError] = Corrupt) -> str:
    with pytest.raises(kind) as refused:
        act()
    assert refused.value.field
    assert refused.value.remedy
    return refused.value.code


def test_nothing_stands_in_clear_and_only_the_owner_may_read(folder: Folder) -> None:
    store = folder.open()
    keep(store, ONE)
    for path in folder.path.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
        if path.is_file():
            assert b"first file" not in path.read_bytes()
            assert folder.kek.exposed() not in path.read_bytes()
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700


def test_a_store_that_nobody_has_used_is_empty_and_makes_no_folder(folder: Folder) -> None:
    store = folder.open()
    assert (list(store.digests()), store.holds("0" * 64)) == ([], False)
    assert not folder.path.exists()


@pytest.mark.usefixtures("small_chunks")
def test_a_flip_of_any_byte_of_stored_evidence_or_of_its_key_is_found(folder: Folder) -> None:
    store = folder.open()
    keep(store, ONE)
    for suffix in ("sealed", "key"):
        path = folder.file(ONE, suffix)
        right = path.read_bytes()
        found = set()
        for place in range(len(right)):
            changed = bytearray(right)
            changed[place] ^= 0x40
            path.write_bytes(changed)
            with pytest.raises((Corrupt, Unavailable)) as refused:
                opened(store, ONE)
            assert refused.value.field == str(path)
            found.add(refused.value.code)
        path.write_bytes(right)
        # A flip in the wrapped key's version says that the keys have moved on.
        assert found - {"keys_moved"} == {"evidence_broken"}
    assert opened(store, ONE) == ONE


@pytest.mark.usefixtures("small_chunks")
def test_parts_swapped_cut_repeated_or_appended_are_found(folder: Folder) -> None:
    store = folder.open()
    keep(store, ONE)
    path, size = folder.file(ONE), CHUNK + OVERHEAD_BYTES
    right = path.read_bytes()
    parts = [right[start : start + size] for start in range(len(MARK), len(right), size)]
    assert len(parts) == 5
    for changed in (
        [parts[1], parts[0], *parts[2:]],
        parts[:-1],
        parts[1:],
        [*parts[:2], *parts[3:]],
        [*parts, parts[-1]],
        [*parts, parts[0]],
        [*parts, b"x"],
        [],
    ):
        path.write_bytes(MARK + b"".join(changed))
        assert code_of(lambda: opened(store, ONE)) == "evidence_broken"


def test_the_file_or_the_key_of_other_evidence_does_not_open_in_its_place(folder: Folder) -> None:
    store = folder.open()
    keep(store, ONE)
    keep(store, TWO)
    right = folder.file(ONE).read_bytes()
    folder.file(ONE).write_bytes(folder.file(TWO).read_bytes())
    assert code_of(lambda: opened(store, ONE)) == "evidence_broken"
    folder.file(ONE, "key").write_bytes(folder.file(TWO, "key").read_bytes())
    assert code_of(lambda: opened(store, ONE)) == "evidence_broken"
    folder.file(ONE).write_bytes(right)
    assert code_of(lambda: opened(store, ONE)) == "evidence_broken"
    assert opened(store, TWO) == TWO


def test_other_bytes_put_there_by_somebody_with_all_keys_are_found_by_their_digest(folder: Folder) -> None:
    store = folder.open()
    keep(store, ONE)
    digest = sm3_hex(ONE)
    with folder.file(ONE).open("wb") as file:
        seal_file(store._key_of(digest), bytes.fromhex(digest), [b"a better story"], file)
    assert code_of(lambda: opened(store, ONE)) == "evidence_differs"


def test_a_missing_file_and_a_missing_key_are_told_apart(folder: Folder) -> None:
    store = folder.open()
    keep(store, ONE)
    keep(store, TWO)
    folder.file(ONE).unlink()
    folder.file(TWO, "key").unlink()
    assert code_of(lambda: opened(store, ONE)) == "evidence_missing"
    assert code_of(lambda: opened(store, TWO)) == "evidence_key_missing"
    assert code_of(lambda: store.source(sm3_hex(TWO), "csv")) == "evidence_key_missing"


@pytest.mark.parametrize("suffix", ["sealed", "key"])
def test_evidence_that_does_not_open_any_more_is_stored_anew_by_the_same_bytes(folder: Folder, suffix: str) -> None:
    store = folder.open()
    keep(store, ONE)
    folder.file(ONE, suffix).write_bytes(b"damaged")
    assert keep(store, ONE) == "repaired"
    assert opened(store, ONE) == ONE
    assert keep(store, ONE) == "present"
    assert folder.incoming() == []


def test_destroyed_evidence_leaves_neither_its_key_nor_its_file(folder: Folder) -> None:
    store = folder.open()
    keep(store, ONE)
    with store.still():
        store.destroy(sm3_hex(ONE))
        store.destroy("00" * 32)
    assert not folder.file(ONE).exists()
    assert not folder.file(ONE, "key").exists()


def test_a_rewrap_wraps_every_key_again_and_the_old_kek_opens_none(folder: Folder) -> None:
    store, old, new = folder.open(), folder.kek, new_key(2)
    keep(store, ONE)
    keep(store, TWO)
    before = folder.file(ONE).read_bytes()
    assert store.rewrap(old, new) == 2
    assert folder.file(ONE).read_bytes() == before
    assert code_of(lambda: opened(store, ONE), Unavailable) == "keys_moved"
    folder.kek = new
    assert (opened(store, ONE), opened(store, TWO)) == (ONE, TWO)
    folder.kek = SM4Key(old.exposed(), 2)
    assert code_of(lambda: opened(store, ONE)) == "evidence_broken"


def test_a_key_that_no_rewrap_could_open_is_told_before(folder: Folder) -> None:
    store, old = folder.open(), folder.kek
    contents = [bytes([n]) * 10 for n in range(5)]
    for content in contents:
        keep(store, content)
    right = folder.file(contents[2], "key").read_bytes()
    for wrong in (b"", right[:-1], right[:4] + b"\x09" + right[5:]):
        folder.file(contents[2], "key").write_bytes(wrong)
        (broken,) = store.broken_keys(old, new_key(2))
        assert broken.field == str(folder.file(contents[2], "key"))
    assert opened(store, contents[0]) == contents[0]
    assert keep(store, b"more") == "stored"


def test_a_file_that_the_disk_does_not_give_back_is_told_with_its_place(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = folder.open()
    keep(store, ONE)

    def broken(file: SealedFile, number: int) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(SealedFile, "_chunk", broken)
    assert code_of(lambda: opened(store, ONE), Unavailable) == "evidence_unreadable"


def test_a_rewrap_that_was_interrupted_is_finished_by_the_next(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    store, old, new = folder.open(), folder.kek, new_key(2)
    contents = [bytes([n]) * 10 for n in range(8)]
    for content in contents:
        keep(store, content)
    write, left = EvidenceFolder._write_key, iter(range(5))

    def interrupted(self: EvidenceFolder, digest: str, wrapped: bytes) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt
        write(self, digest, wrapped)

    monkeypatch.setattr(EvidenceFolder, "_write_key", interrupted)
    with pytest.raises(KeyboardInterrupt):
        store.rewrap(old, new)
    monkeypatch.undo()
    assert code_of(lambda: keep(store, b"more"), Unavailable) == "keys_moved"
    assert folder.open().rewrap(old, new) == 3
    folder.kek = new
    assert [opened(store, content) for content in contents] == contents


def test_a_process_with_the_kek_of_another_epoch_stores_nothing(folder: Folder) -> None:
    keep(folder.open(), ONE)
    for kek in (new_key(2), new_key(3)):
        folder.kek = kek
        assert code_of(lambda: keep(folder.open(), TWO), Unavailable) == "keys_moved"
    assert list(folder.open().digests()) == [sm3_hex(ONE)]


def test_a_key_that_opens_to_something_else_is_broken(folder: Folder) -> None:
    store = folder.open()
    keep(store, ONE)
    digest = bytes.fromhex(sm3_hex(ONE))
    folder.file(ONE, "key").write_bytes(seal(folder.kek, b"short", _key_aad(digest.hex())))
    assert code_of(lambda: opened(store, ONE)) == "evidence_broken"


def test_a_full_disk_is_told_with_its_remedy_and_leaves_nothing(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = folder.open()
    keep(store, ONE)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert code_of(lambda: keep(store, TWO), Unavailable) == "evidence_not_written"
    monkeypatch.undo()
    assert folder.incoming() == []
    assert list(store.digests()) == [sm3_hex(ONE)]


_STORER = """
import os, signal, sys
from pathlib import Path
from infrastructure.evidence_store import EvidenceFolder
from infrastructure.gm.sm4 import SM4Key

folder, kek, digest, point = sys.argv[1:]
die = lambda *_: os.kill(os.getpid(), signal.SIGKILL)

def blocks():
    yield bytes(3_000_000)
    if point == "blocks":
        die()
    yield b"end"

if point == "read back":
    EvidenceFolder._check_read_back = die
elif point in ("key", "file"):
    replace, left = Path.replace, ["key", "file"]
    def replace_or_die(self, target):
        if left.pop(0) == point:
            die()
        return replace(self, target)
    Path.replace = replace_or_die
store = EvidenceFolder(Path(folder), lambda: SM4Key(bytes.fromhex(kek), 1))
with store.keeping(digest, blocks()):
    if point == "kept":
        die()
"""


@pytest.mark.parametrize("point", ["blocks", "read back", "key", "file", "kept"])
def test_a_kill_while_storing_leaves_at_most_what_the_next_start_removes(folder: Folder, point: str) -> None:
    keep(folder.open(), ONE)
    content = bytes(3_000_000) + b"end"
    command = [sys.executable, "-c", _STORER, str(folder.path), folder.kek.exposed().hex(), sm3_hex(content), point]
    ended = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(SOURCE)}, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert len(folder.incoming()) == {"file": 1, "kept": 0}.get(point, 2)
    store = folder.open()
    assert folder.incoming() == []
    assert store.holds(sm3_hex(content)) == (point == "kept")
    assert opened(store, ONE) == ONE
    assert keep(store, content) == ("present" if point == "kept" else "stored")
    assert opened(store, content) == content


def test_a_start_leaves_alone_what_somebody_else_is_storing(folder: Folder) -> None:
    seen = []

    def blocks() -> Iterator[bytes]:
        yield ONE
        folder.open()
        seen.append(len(folder.incoming()))

    with folder.open().keeping(sm3_hex(ONE), blocks()):
        assert seen == [2]  # the file and its key


def test_storing_takes_no_more_memory_for_a_longer_file(folder: Folder) -> None:
    block, peaks = bytes(1 << 17), []
    for count in (40, 400):
        content = (block for _ in range(count))
        digest = sm3_hex(block * count)
        tracemalloc.start()
        with folder.open().keeping(digest, content):
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] * 1.1 + 200_000


def test_no_bit_of_the_epoch_can_be_changed(folder: Folder) -> None:
    store = folder.open()
    keep(store, b"content")
    right = (folder.path / "epoch").read_bytes()
    for place in range(8 * len(right)):
        changed = bytearray(right)
        changed[place // 8] ^= 1 << place % 8
        (folder.path / "epoch").write_bytes(bytes(changed))
        assert [error.code for error in store.faults([])] == ["keys_moved"], bytes(changed)


def test_a_damaged_epoch_stores_nothing(folder: Folder) -> None:
    keep(folder.open(), ONE)
    (folder.path / "epoch").write_bytes(b"\xff\n")
    assert code_of(lambda: keep(folder.open(), TWO), Unavailable) == "keys_moved"
