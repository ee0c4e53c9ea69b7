"""What a witness keeps, in memory and in files: the newest note, the log's keys, evidence once."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from application.ports.witness_home import Known, WitnessHome
from domain.errors import Rejected, Unavailable
from domain.signing_keys import SigningKey
from infrastructure.memory_witness import MemoryWitnessHome
from infrastructure.whole_files import read_stranger
from infrastructure.witness_files import FolderOfLog, FolderOfWitness, WitnessFiles

FIRST = SigningKey("a" * 32, bytes(range(64)), 0, None)
SECOND = SigningKey("b" * 32, bytes(range(1, 65)), 9, None)
KNOWN = Known("witness", "log", [FIRST], b"first note\n")


class WitnessHomeContract:
    """Every memory of a witness."""

    def home(self, folder: Path) -> WitnessHome:
        raise NotImplementedError

    def test_what_was_accepted_last_is_the_newest_note(self, tmp_path: Path) -> None:
        home = self.home(tmp_path)
        assert home.known() == KNOWN
        home.accept(b"second note\n")
        home.accept(b"third note\n")
        assert home.known() == KNOWN._replace(note=b"third note\n")

    def test_the_keys_of_the_log_are_those_trusted_last(self, tmp_path: Path) -> None:
        home, keys = self.home(tmp_path), [FIRST._replace(last_size=8), SECOND]
        home.trust(keys)
        assert home.known() == KNOWN._replace(keys=keys)

    def test_evidence_is_kept_as_it_was_first_unless_it_is_to_be_replaced(self, tmp_path: Path) -> None:
        home = self.home(tmp_path)
        assert home.evidence() == []
        place = home.keep_evidence("one.json", b"1")
        assert home.keep_evidence("one.json", b"2") == place
        other = home.keep_evidence("other.json", b"1", replace=True)
        assert home.keep_evidence("other.json", b"2", replace=True) == other
        assert set(home.evidence()) == {place, other}
        assert {Path(each).name: self.content(home, each) for each in (place, other)} == {
            "one.json": b"1",
            "other.json": b"2",
        }

    def content(self, home: WitnessHome, place: str) -> bytes:
        return Path(place).read_bytes()

    def test_only_one_is_inside_at_a_time(self, tmp_path: Path) -> None:
        home, inside, most = self.home(tmp_path), list[int](), list[int]()

        def enter() -> None:
            with home.exclusive():
                inside.append(1)
                most.append(len(inside))
                time.sleep(0.01)
                inside.pop()

        threads = [threading.Thread(target=enter) for _ in range(8)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert most == [1] * 8


class TestMemoryWitnessHome(WitnessHomeContract):
    """In memory."""

    def home(self, folder: Path) -> WitnessHome:
        return MemoryWitnessHome(KNOWN)

    def content(self, home: WitnessHome, place: str) -> bytes:
        assert isinstance(home, MemoryWitnessHome)
        return home.kept[place]


class TestWitnessFiles(WitnessHomeContract):
    """In files."""

    def home(self, folder: Path) -> WitnessHome:
        files = WitnessFiles(folder / "witness")
        files.create(KNOWN)
        return files

    def test_nobody_else_can_read_it_and_another_process_sees_the_same(self, tmp_path: Path) -> None:
        home = self.home(tmp_path)
        home.accept(b"second note\n")
        home.keep_evidence("one.json", b"1")
        modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "witness").rglob("*") if path.is_file()}
        assert modes == {0o600}
        assert WitnessFiles(tmp_path / "witness").known().note == b"second note\n"
        with pytest.raises(Rejected) as refused:
            WitnessFiles(tmp_path / "witness").create(KNOWN)
        assert refused.value.code == "witness_exists"
        assert not WitnessFiles(tmp_path / "other").exists

    def test_a_process_that_dies_inside_leaves_the_home_to_the_next(self, tmp_path: Path) -> None:
        home = self.home(tmp_path)
        code = (
            "import sys, time, pathlib\n"
            "from infrastructure.witness_files import WitnessFiles\n"
            "with WitnessFiles(pathlib.Path(sys.argv[1])).exclusive():\n"
            "    print('inside', flush=True)\n"
            "    time.sleep(60)\n"
        )
        process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "witness")], stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == b"inside\n"
        threading.Timer(0.3, process.kill).start()
        began = time.monotonic()
        with home.exclusive():
            assert time.monotonic() - began > 0.2
        process.wait()
        process.stdout.close()

    @pytest.mark.parametrize("content", [b"", b"{}", b'{"format":2,"name":"n","origin":"o","keys":[]}'])
    def test_a_damaged_home_is_not_guessed_at(self, tmp_path: Path, content: bytes) -> None:
        home = self.home(tmp_path)
        (tmp_path / "witness" / "witness.json").write_bytes(content)
        with pytest.raises(Unavailable) as refused:
            home.known()
        assert refused.value.code == "witness_damaged"
        (tmp_path / "witness" / "witness.json").unlink()
        with pytest.raises(Unavailable):
            home.known()


def test_a_request_reaches_the_witness_and_its_answer_the_log(tmp_path: Path) -> None:
    log, witness = FolderOfLog(tmp_path), FolderOfWitness(tmp_path / "inbox", tmp_path / "outbox")
    assert (log.answer(), log.refusal(), log.asked(), witness.request()) == (None, None, None, None)
    log.ask(b"request")
    assert witness.request() == log.asked() == b"request"
    witness.answer(b"answer")
    witness.refuse(b"refusal")
    assert (log.answer(), log.refusal(), log.place) == (b"answer", b"refusal", str(tmp_path))
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {"request.json", "cosigned", "refusal.json"}


def test_a_name_in_a_shared_folder_is_neither_followed_nor_waited_for(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "link").symlink_to(tmp_path / "secret")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("link", "pipe", "folder", "secret"):
        with pytest.raises(OSError):  # noqa: PT011  # which one depends on the system
            read_stranger(tmp_path / name, 5)
    assert read_stranger(tmp_path / "secret", 6) == b"secret"
    assert read_stranger(tmp_path / "nothing", 6) is None
    witness = FolderOfWitness(tmp_path, tmp_path / "secret")
    with pytest.raises(Unavailable) as refused:
        witness.answer(b"answer")
    assert refused.value.code == "folder_failed"
