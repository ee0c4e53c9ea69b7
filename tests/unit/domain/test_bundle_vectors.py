"""docs/spec/proofs.md and bundle.md are what the code makes; the ledger's verifier and one without its code agree."""

from __future__ import annotations

import ast
import base64
import json
import re
import sys
import tempfile
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from application.verification.bundle import verify_bundle
from application.verification.findings import Findings
from application.verification.notes import Trusted
from application.verification.proof_files import check_proof
from domain.audit import bundle
from domain.audit.checkpoint import body_of
from domain.audit.merkle import subtree_root
from domain.audit.note import key_hash_of, note_of, signature_der
from domain.audit.proofs import BalanceProof, EventProof
from infrastructure.gm.hardened_gmssl import GmsslVerifier
from infrastructure.gm.sm2 import PyxVerifier
from infrastructure.gm.sm2_format import signature_from_der
from tests.architecture.project import ROOT
from tests.fixtures import (
    independent_numbers,
    independent_partners,
    independent_rulebook,
    independent_valuation,
    independent_verifier,
)
from tests.golden import signing_story
from tests.unit.domain import bundle_vectors
from tests.unit.domain.test_spec_vectors import blocks, vectors

KNOWN = vectors("bundle.md")
KEY = bytes.fromhex(KNOWN["public_key"])
MEMBERS = {
    **{name: text.encode() for name, text in KNOWN["members"].items()},
    bundle.SIGNATURE: bytes.fromhex(KNOWN["checkpoint.sig.der_hex"]),
}
ANN = "00000000-0000-4000-8000-000000000001"
Change = Callable[[bytes], bytes]


def test_the_documents_show_what_the_code_makes() -> None:
    assert blocks("proofs.md", "proof") == [bundle_vectors.event_proof()]
    assert blocks("proofs.md", "json") == [bundle_vectors.proof_vectors() + "\n"]
    assert blocks("bundle.md", "bundle") == [bundle_vectors.example()]
    assert blocks("bundle.md", "json") == [bundle_vectors.vectors() + "\n"]
    assert vectors("proofs.md")["public_key"] == KNOWN["public_key"]


def zipped(folder: Path, change: dict[str, Change] | None = None) -> Path:
    path = folder / "bundle.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in MEMBERS.items():
            archive.writestr(name, change[name](content) if change and name in change else content)
    return path


def found_in(path: Path) -> Findings:
    return verify_bundle(path, Trusted([KEY]), PyxVerifier().verify).findings


def signed(body: bytes, der: bytes) -> bool:
    return GmsslVerifier().verify(KEY, body, signature_from_der(der))


def test_the_bundle_of_the_document_holds_for_the_ledger_and_for_a_reader_of_the_documents(tmp_path: Path) -> None:
    path = zipped(tmp_path)
    result = verify_bundle(path, Trusted([KEY]), PyxVerifier().verify)
    assert (result.findings.kept, result.complete, result.accounts) == ([], False, 1)
    assert independent_verifier.verify(path, signed) == result.balances
    assert KNOWN["balances"] == {ANN: {behavior: str(mg) for behavior, mg in result.balances.items()}}


def test_the_documents_name_every_step_and_every_code_of_the_verifier(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "spec" / "bundle.md").read_text("utf-8")
    steps = re.findall(r"(?m)^[0-9]+\. \*([a-z]+)\*:", text)
    assert steps == [step.name for step in found_in(zipped(tmp_path)).steps]
    proofs = (ROOT / "docs" / "spec" / "proofs.md").read_text("utf-8")
    for document, sources in (
        (
            text,
            (
                "application/verification/bundle.py",
                "application/verification/references.py",
                "application/verification/samples.py",
                "domain/audit/bundle.py",
                "domain/signing_keys.py",
            ),
        ),
        (proofs, ("application/verification/notes.py", "domain/audit/proofs.py")),
    ):
        for source in sources:
            codes = re.findall(r'"([a-z]+_[a-z_]+)"', (ROOT / source).read_text("utf-8"))
            raised = [
                code for code in codes if re.search(rf'\(\s*(?:step, )?"{code}",', (ROOT / source).read_text("utf-8"))
            ]
            assert raised
            assert [code for code in raised if f"`{code}`" not in document] == []


def test_the_leaves_of_the_document_are_those_of_the_lines() -> None:
    made = {}
    for line in MEMBERS[bundle.ACCOUNTS].splitlines():
        event = bundle.parse_event(line)
        made[str(event.position)] = event.leaf(bytes.fromhex(json.loads(MEMBERS[bundle.ABOUT])["origin"][-32:])).hex()
    assert made == KNOWN["leaves"]


def replaced(old: bytes, new: bytes) -> Change:
    return lambda content: content.replace(old, new, 1)


def _instead(new: bytes, _: bytes) -> bytes:
    return new


def without_line(number: int) -> Change:
    def change(content: bytes) -> bytes:
        lines = content.splitlines(keepends=True)
        del lines[number]
        return b"".join(lines)

    return change


TAMPERING: list[tuple[str, Change, str]] = [
    ("accounts.jsonl", replaced(b'"quantity":"12350"', b'"quantity":"12351"'), "not_in_log"),
    ("accounts.jsonl", replaced(b'"recorded_us":17', b'"recorded_us":18'), "not_in_log"),
    ("accounts.jsonl", without_line(-1), "proof_malformed"),
    ("accounts.jsonl", without_line(1), "stream_incomplete"),
    ("accounts.jsonl", replaced(b'{"position"', b'{ "position"'), "line_malformed"),
    ("accounts.jsonl", replaced(b'{"kind":"individual"}', b'{"kind":"x","kind":"individual"}'), "facts_respelled"),
    ("rulebook.jsonl", without_line(3), "rulebook_incomplete"),
    ("rulebook.jsonl", without_line(-1), "rulebook_incomplete"),
    ("keys.jsonl", lambda _: b"", "proof_malformed"),
    ("tree.jsonl", replaced(b'"level":1,"number":6', b'"level":0,"number":12'), "proof_malformed"),
    ("tree.jsonl", replaced(b'"root":"0', b'"root":"1'), "not_in_log"),
    ("map.jsonl", without_line(0), "not_in_map"),
    ("map.jsonl", replaced(b'"depth":4', b'"depth":3'), "map_malformed"),
    ("map.jsonl", replaced(b'"depth":5', b'"depth":6'), "not_in_map"),
    ("map.jsonl", replaced(b'"depth":5', b'"depth":1'), "map_malformed"),
    ("checkpoint.body", replaced(b"\n23\n", b"\n22\n"), "body_differs"),
    ("samples.jsonl", without_line(0), "samples_differ"),
    ("bundle.json", replaced(b'"events": 17', b'"events": 23'), "about_differs"),
]


@pytest.mark.parametrize(("member", "change", "code"), TAMPERING)
def test_both_verifiers_find_what_was_changed(tmp_path: Path, member: str, change: Change, code: str) -> None:
    path = zipped(tmp_path, {member: change})
    with pytest.raises(independent_verifier.Wrong) as wrong:
        independent_verifier.verify(path, signed)
    codes = {each.code for each in found_in(path).kept}
    assert wrong.value.args[0] in codes
    assert code in codes


@given(st.data())
def test_whatever_is_changed_in_a_member_is_found_and_meets_no_defect(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from([each for each in MEMBERS if each != bundle.ABOUT]))
    content = MEMBERS[name]
    start = data.draw(st.integers(0, len(content) - 1))
    end = data.draw(st.integers(start, min(len(content), start + 3)))
    put = data.draw(st.one_of(st.sampled_from([b"", b"0", b'"', b"9" * 20, b"\n", b',"x":1']), st.binary(max_size=3)))
    changed = content[:start] + put + content[end:]
    assume(changed != content)
    with tempfile.TemporaryDirectory() as folder:
        codes = {each.code for each in found_in(zipped(Path(folder), {name: lambda _: changed})).kept}
    assert codes
    assert "unreadable" not in codes


def test_a_stream_that_is_left_out_with_its_leaves_in_the_tree_is_missed_in_the_map(tmp_path: Path) -> None:
    """Somebody who has the log puts subtrees in the place of the last event of the account."""
    last = bundle.parse_event(MEMBERS[bundle.ACCOUNTS].splitlines()[-1])
    leaf = KNOWN["leaves"][str(last.position)]
    line = b'{"level":0,"number":%d,"root":"%b"}\n' % (last.position - 1, leaf.encode())
    path = zipped(tmp_path, {bundle.ACCOUNTS: without_line(-1), bundle.TREE: lambda content: content + line})
    with pytest.raises(independent_verifier.Wrong, match="not_in_map"):
        independent_verifier.verify(path, signed)
    assert {each.code for each in found_in(path).kept} == {"not_in_map", "about_differs"}


def test_a_log_that_holds_a_stream_in_another_order_is_found_although_it_was_signed(tmp_path: Path) -> None:
    """The log's owner signs a log in which version 3 of the account stands before version 2."""
    swapped = MEMBERS[bundle.ACCOUNTS].replace(b'"position":11,', b'"position":x,')
    swapped = swapped.replace(b'"position":12,', b'"position":11,').replace(b'"position":x,', b'"position":12,')
    leaves = list(bundle_vectors.leaves())
    for line in swapped.splitlines():
        event = bundle.parse_event(line)
        leaves[event.position - 1] = event.leaf(bundle_vectors.BOOK_ID.bytes)
    body = body_of(bundle_vectors.checkpoint()._replace(root=subtree_root(leaves)))
    pair = bytes.fromhex(signing_story.signed(signing_story.FIRST, body))
    origin = bundle_vectors.ORIGIN
    resigned = {
        bundle.ACCOUNTS: swapped,
        bundle.BODY: body,
        bundle.SIGNATURE: signature_der(pair),
        bundle.CHECKPOINT: note_of(body, [(origin, key_hash_of(origin, b"\4" + KEY), pair)]),
    }
    path = zipped(tmp_path, {name: partial(_instead, new) for name, new in resigned.items()})
    found = {(each.step, each.code) for each in found_in(path).kept}
    assert ("accounts", "order_wrong") in found
    assert not {step for step, _ in found} & {"checkpoint", "log", "map"}
    with pytest.raises(independent_verifier.Wrong, match="order_wrong"):
        independent_verifier.verify(path, signed)


def test_the_proofs_of_the_document_hold() -> None:
    (event,) = blocks("proofs.md", "proof")
    shown = check_proof(event.encode(), Trusted([KEY]), PyxVerifier().verify)
    assert isinstance(shown.proof, EventProof)
    assert json.loads(shown.proof.event.facts)["credited_mg"] == "72000"
    balance = check_proof(vectors("proofs.md")["balance_proof"].encode(), Trusted([KEY]), PyxVerifier().verify)
    assert isinstance(balance.proof, BalanceProof)
    assert balance.proof.balances == {"travel.metro": 889_200}
    assert shown.attested.checkpoint == balance.attested.checkpoint


def test_a_reader_of_the_documents_alone_verifies_an_event_proof() -> None:
    """Leaf, path and root by docs/spec/canonical-event.md and log.md, with nothing of the ledger."""
    proof = json.loads(blocks("proofs.md", "proof")[0])
    origin, size, root, *_ = proof["checkpoint"].split("\n")
    line = {name: proof[name] for name in ("position", "stream", "version", "topic", "recorded_us", "salt")}
    text = (
        json.dumps(line, separators=(",", ":"))[:-1]
        + f',"facts":{proof["facts"]},"sealed_sm3":"{proof["sealed_sm3"]}"}}\n'
    )
    members = {"x.jsonl": text.encode()}
    book = independent_verifier.Checkpoint(bytes.fromhex(origin[-32:]), int(size), b"", 0, b"", 0)
    (event,) = independent_verifier.events_of(members, "x", book)
    # RFC 9162, 2.1.3.2
    found, number, last = event.leaf, event.position - 1, int(size) - 1
    for each in map(bytes.fromhex, proof["path"]):
        if number % 2 or number == last:
            found = independent_verifier.sm3(b"\1" + each + found)
            while not number % 2 and number:
                number, last = number >> 1, last >> 1
        else:
            found = independent_verifier.sm3(b"\1" + found + each)
        number, last = number >> 1, last >> 1
    assert last == 0
    assert found == base64.b64decode(root)


def test_the_independent_verifier_imports_the_standard_library_alone() -> None:
    readers = (independent_rulebook, independent_partners, independent_valuation, independent_numbers)
    modules = (independent_verifier, *readers)
    imported, own = set(), {module.__name__ for module in modules}
    for module in modules:
        for node in ast.walk(ast.parse(Path(str(module.__file__)).read_text("utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module not in own:
                imported.add((node.module or "").partition(".")[0])
    assert imported
    assert imported <= sys.stdlib_module_names
