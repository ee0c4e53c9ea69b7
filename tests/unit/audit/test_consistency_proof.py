"""The file that leads from one checkpoint to a later one: one spelling, and nothing shown that the roots do not say."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from domain.audit.checkpoint import Checkpoint
from domain.audit.merkle import consistency_path, subtree_root
from domain.audit.proofs import ConsistencyProof, check_consistency, consistency_proof_text, parse_proof
from domain.digest import leaf_hash
from domain.errors import Rejected

LEAVES = [leaf_hash(bytes([number])) for number in range(9)]
OLD = Checkpoint("log", 5, subtree_root(LEAVES[:5]), 3, 70)
NEW = Checkpoint("log", 9, subtree_root(LEAVES), 4, 80)
PATH = consistency_path(5, 9, lambda level, number: subtree_root(LEAVES[number << level :][: 1 << level]))
PROOF = ConsistencyProof("an old — note\n".encode(), PATH)
TEXT = consistency_proof_text(PROOF, "a note —\n".encode())


def refused(act: Callable[[], object]) -> str:
    with pytest.raises(Rejected) as failure:
        act()
    assert failure.value.remedy
    return failure.value.code


def test_a_consistency_proof_holds_both_notes_and_the_path() -> None:
    assert parse_proof(TEXT.encode()) == (PROOF, "a note —\n".encode())
    assert json.loads(TEXT) == {
        "format": "carbon-ledger/consistency-proof/1",
        "checkpoint": "a note —\n",
        "old_checkpoint": "an old — note\n",
        "path": [each.hex() for each in PATH],
    }


def test_a_log_that_only_grew_is_shown_to_have_only_grown() -> None:
    check_consistency(PROOF, OLD, NEW)
    check_consistency(PROOF._replace(path=[]), NEW, NEW)


@pytest.mark.parametrize(
    ("old", "new", "path", "code"),
    [
        (OLD, NEW, PATH[:-1], "not_consistent"),
        (OLD, NEW, [*PATH, PATH[0]], "not_consistent"),
        (OLD, NEW._replace(root=OLD.root), PATH, "not_consistent"),
        (NEW, OLD, PATH, "log_rolled_back"),
        (OLD, OLD._replace(root=NEW.root), [], "log_forked"),
        (OLD, NEW._replace(origin="other"), PATH, "origin_differs"),
    ],
)
def test_a_log_that_did_not_only_grow_is_refused(
    old: Checkpoint, new: Checkpoint, path: list[bytes], code: str
) -> None:
    assert refused(lambda: check_consistency(ConsistencyProof(b"", path), old, new)) == code


@pytest.mark.parametrize(
    "change",
    [
        {"more": 1},
        {"path": "00"},
        {"path": [1]},
        {"path": ["0" * 63]},
        {"path": ["A" * 64]},
        {"old_checkpoint": None},
        {"old_checkpoint": "\ud800"},
        {"checkpoint": 1},
        {"format": "carbon-ledger/consistency-proof/2"},
    ],
)
def test_a_consistency_proof_in_any_other_spelling_is_refused(change: dict[str, Any]) -> None:
    altered = json.dumps(json.loads(TEXT) | change).encode()
    assert refused(lambda: parse_proof(altered)) == "proof_malformed"
    without = json.loads(TEXT)
    del without["path"]
    assert refused(lambda: parse_proof(json.dumps(without).encode())) == "proof_malformed"
