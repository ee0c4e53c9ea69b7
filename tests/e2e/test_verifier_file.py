"""The verifier as an auditor gets it: one file, a Python without packages, another folder, an empty environment."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from domain.audit.note import NoteSignature, cosigned_message, cosigner_hash_of, note_of, parse_note
from infrastructure.gm.sm2 import new_sm2_key
from infrastructure.gm.sm2_format import public_key_to_pem
from interfaces.verifier import build
from tests.unit.domain import audit_vectors as example

RULES = ("domain.replay", "domain.signing_keys", "domain.audit.proofs")
NETWORK = {"socket", "_socket", "ssl", "_ssl", "http", "urllib.request", "ctypes", "_ctypes", "asyncio", "select"}
"""``urllib.parse``, which splits text, comes with ``pathlib``."""
MAX_BYTES = 600_000


class Auditor:
    """Somebody with a Python and a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.verifier = self.put("elsewhere/" + build.NAME, build.archive(build.contents()))
        self.note = self.put("checkpoint", example.note_text().encode())
        self.key = self.put("log.pem", public_key_to_pem(example.PUBLIC_KEY).encode())

    def put(self, name: str, content: bytes) -> Path:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        return path

    def run(self, *arguments: object, before: str = "") -> subprocess.CompletedProcess[str]:
        """The file on a Python without packages; ``before`` runs first in the same process."""
        words = [str(self.verifier), *map(str, arguments)]
        code = f"import runpy, sys\nsys.argv = {words!r}\n{before}\nrunpy.run_path(sys.argv[0], run_name='__main__')"
        program = ["-c", code] if before else words
        return subprocess.run(
            [sys.executable, "-I", "-S", *program],
            cwd=self.folder, env={}, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    def verify(self, *options: object, note: Path | None = None, code: int = 0, before: str = "") -> dict[str, Any]:
        ran = self.run("note", note or self.note, "--key", self.key, "--json", *options, before=before)
        assert ran.returncode == code, ran.stderr
        assert ran.stderr == ""
        (line,) = ran.stdout.splitlines()
        answer: dict[str, Any] = json.loads(line)
        return answer


@pytest.fixture(scope="module")
def auditor(tmp_path_factory: pytest.TempPathFactory) -> Auditor:
    return Auditor(tmp_path_factory.mktemp("auditor"))


def test_a_good_checkpoint_is_verified_and_shown(auditor: Auditor) -> None:
    answer = auditor.verify("--origin", example.NAME)
    assert answer == {
        "ok": True,
        "origin": example.NAME,
        "size": 5,
        "root": example.CHECKPOINT.root.hex(),
        "rulebook_position": 2,
        "recorded_at": "2026-03-01T00:00:00.000001Z",
        "map": {"position": 5, "root": example.CHECKPOINT.map_root.hex()},
        "key": "3d92bed6d685f38bff5ccd052119e1ec",
        "signed_by": example.PUBLIC_KEY[1:].hex(),
        "witnesses": [],
    }
    ran = auditor.run("note", auditor.note, "--key", auditor.key)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert f"root:      {example.CHECKPOINT.root.hex()}\n" in ran.stdout


def _flipped(note: bytes, place: int, bit: int = 1) -> bytes:
    return note[:place] + bytes([note[place] ^ bit]) + note[place + 1 :]


def test_no_bit_of_a_checkpoint_can_be_changed(auditor: Auditor) -> None:
    note = auditor.note.read_bytes()
    end = note.index(b"\n\n")
    for place in (0, end // 2, end - 1, end + 1, end + 10, len(note) - 40, len(note) - 2):
        changed = auditor.put("changed", _flipped(note, place))
        answer = auditor.verify(note=changed, code=3)
        assert answer["ok"] is False
        assert answer["code"] in ("note_malformed", "checkpoint_malformed", "signature_wrong", "key_unknown")


def test_a_checkpoint_by_another_key_or_of_another_log_is_refused(auditor: Auditor) -> None:
    stranger = auditor.put("stranger.pem", public_key_to_pem(new_sm2_key().public_key).encode())
    ran = auditor.run("note", auditor.note, "--key", stranger, "--json")
    assert (ran.returncode, json.loads(ran.stdout)["code"]) == (3, "key_unknown")
    assert auditor.verify("--origin", "other.example/book", code=3)["code"] == "other_origin"


def test_witnesses_are_counted_when_they_are_asked_for(auditor: Auditor) -> None:
    witness = new_sm2_key()
    body, signatures = parse_note(auditor.note.read_bytes())
    uncompressed = b"\4" + witness.public_key
    key_hash, time = cosigner_hash_of("witness.example", uncompressed), 1_772_323_200
    second = NoteSignature("witness.example", key_hash, witness.sign(cosigned_message(body, time)), time)
    note = auditor.put("witnessed", note_of(body, [*signatures, second]))
    known = auditor.put("witness.pem", public_key_to_pem(witness.public_key).encode())
    (found,) = auditor.verify("--witness", known, "--need", "1 of 1", note=note)["witnesses"]
    assert found == {
        "name": "witness.example",
        "public_key": witness.public_key.hex(),
        "signed_at": "2026-03-01T00:00:00Z",
    }
    assert auditor.verify("--witness", known, code=3)["code"] == "witnesses_missing"
    for need in ("2", "1 of 2", "0", "one"):
        assert auditor.run("note", note, "--key", auditor.key, "--witness", known, "--need", need).returncode == 2


@pytest.mark.parametrize(
    "words",
    [(), ("note",), ("note", "checkpoint"), ("note", "nothing", "--key", "log.pem"), ("dance",),
     ("note", "checkpoint", "--key", "checkpoint"), ("note", "checkpoint", "--key", "nothing"),
     ("note", ".", "--key", "log.pem"), ("note", "checkpoint", "--key", "log.pem", "--need", "-1")],
)  # fmt: skip
def test_wrong_usage_is_not_taken_for_a_failed_verification(auditor: Auditor, words: tuple[str, ...]) -> None:
    ran = auditor.run(*words)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("usage")
    assert "Traceback" not in ran.stderr
    told = auditor.run(*words, "--json")
    assert (told.returncode, told.stderr) == (2, "")
    assert json.loads(told.stdout)["error"]["code"] == "usage"


def test_help_says_what_there_is_and_what_exit_codes_mean(auditor: Auditor) -> None:
    for words in (("--help",), ("note", "--help")):
        ran = auditor.run(*words)
        assert (ran.returncode, ran.stderr) == (0, "")
        assert "3 verification failed" in " ".join(ran.stdout.split())


WITHOUT_SM3 = """
import atexit, hashlib
given = hashlib.new
def new(name, *rest, **options):
    if name == "sm3":
        raise ValueError("unsupported hash type sm3")
    return given(name, *rest, **options)
hashlib.new = new
atexit.register(lambda: open("fallback", "w").write(str(sys.modules["domain.digest"]._IS_FALLBACK)))
"""


def test_where_python_has_no_sm3_the_file_brings_its_own(auditor: Auditor) -> None:
    assert auditor.verify(before=WITHOUT_SM3) == auditor.verify()
    assert (auditor.folder / "fallback").read_text() == "True"
    changed = auditor.put("changed", _flipped(auditor.note.read_bytes(), 25))
    assert auditor.verify(note=changed, code=3, before=WITHOUT_SM3)["ok"] is False


WRONG_SM3 = """
import hashlib
given = hashlib.new
hashlib.new = lambda name, *rest: given("sha256" if name == "sm3" else name, *rest)
"""


def test_a_python_that_computes_something_else_verifies_nothing(auditor: Auditor) -> None:
    ran = auditor.run("note", auditor.note, "--key", auditor.key, "--json", before=WRONG_SM3)
    assert ran.returncode == 4
    assert json.loads(ran.stdout)["error"]["code"] == "crypto_self_test_failed"


LOADED = """
import atexit, json
def tell():
    with open("loaded.json", "w") as file:
        json.dump({name: str(getattr(module, "__file__", "")) for name, module in sys.modules.items()}, file)
atexit.register(tell)
"""


def python(folder: Path, code: str) -> str:
    """What a Python without packages prints."""
    ran = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code],
        cwd=folder, env={}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_nothing_of_the_network_is_loaded_and_everything_else_is_pythons_or_in_the_file(auditor: Auditor) -> None:
    words = [str(auditor.verifier), "note", str(auditor.note), "--key", str(auditor.key)]
    run = f"import runpy, sys\nsys.argv = {words!r}\n{LOADED}\nrunpy.run_path(sys.argv[0], run_name='__main__')"
    rules = f"import sys\nsys.path.insert(0, {str(auditor.verifier)!r})\n{LOADED}\nimport {', '.join(RULES)}"
    for code in (run, rules):
        python(auditor.folder, code)
        loaded: dict[str, str] = json.loads((auditor.folder / "loaded.json").read_text())
        assert set(loaded) & NETWORK == set()
        assert loaded["msgspec"].startswith(str(auditor.verifier))
        strangers = {
            name: file
            for name, file in loaded.items()
            if name.partition(".")[0] not in {*sys.stdlib_module_names, "__main__"}
            and not file.startswith(str(auditor.verifier))
        }
        assert strangers == {}


def test_packages_around_the_file_do_not_take_the_place_of_what_is_in_it(auditor: Auditor) -> None:
    """Without -I -S the real msgspec and pycryptodomex could be found; the file's own come first."""
    code = (
        f"import sys\nsys.path.insert(0, {str(auditor.verifier)!r})\nimport msgspec, Cryptodome, gmssl\n"
        "print(msgspec.__file__, Cryptodome.__file__, gmssl.__file__)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert [path.startswith(str(auditor.verifier)) for path in ran.stdout.split()] == [True, True, True]


def test_the_rules_of_the_ledger_are_in_the_file_and_hold_a_golden_log(auditor: Auditor) -> None:
    log = Path(__file__).parents[1] / "golden" / "v1" / "town.jsonl"
    expected = json.loads(log.with_suffix(".expected.json").read_text("utf-8"))
    code = f"""
import json, sys
sys.path.insert(0, {str(auditor.verifier)!r})
from uuid import UUID
from domain.events.base import RulebookEvent
from domain.events.registry import recorded
from domain.replay import AccountReplay, approved_runs
from domain.rulebook import Rulebook
rows = [json.loads(line) for line in open({str(log)!r}, encoding="utf-8")]
log = [recorded(UUID(r["stream"]), r["version"], r["position"], r["topic"], r["state"].encode()) for r in rows]
rulebook = Rulebook()
rulebook.extend(each for each in log if isinstance(each.event, RulebookEvent))
runs, wrong, balances = approved_runs(rulebook, len(log)), 0, {{}}
for stream in {{each.stream for each in log if each.event.STREAM == "account"}}:
    account = AccountReplay(rulebook, runs, stream, len(log))
    balances[str(stream)] = account.run(each for each in log if each.stream == stream)
    wrong += len(account.mismatches)
print(json.dumps([wrong, {{s: {{b: str(mg) for b, mg in sums.items()}} for s, sums in balances.items()}}]))
"""
    assert json.loads(python(auditor.folder, code)) == [0, expected["balances"]]


def test_an_auditor_can_read_all_of_it_and_mail_it(auditor: Auditor) -> None:
    assert auditor.verifier.stat().st_size < MAX_BYTES
    with zipfile.ZipFile(auditor.verifier) as opened:
        assert opened.testzip() is None
        assert {info.compress_type for info in opened.infolist()} == {zipfile.ZIP_STORED}
        for name in opened.namelist():
            opened.read(name).decode("utf-8")
