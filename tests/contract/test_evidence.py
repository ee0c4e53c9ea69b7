"""The evidence store in a folder and its twin in memory keep one contract."""

from __future__ import annotations

from pathlib import Path

import pytest

from application.ports.evidence import EvidenceStore
from infrastructure.evidence_store import EvidenceFolder
from infrastructure.gm.sm4 import new_key
from infrastructure.memory_evidence import MemoryEvidence
from tests.contract.evidence_contract import EvidenceContract


class TestMemoryEvidence(EvidenceContract):
    @pytest.fixture
    def store(self) -> EvidenceStore:
        return MemoryEvidence()


class TestEvidenceFolder(EvidenceContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> EvidenceStore:
        kek = new_key(1)
        return EvidenceFolder(tmp_path / "evidence", lambda: kek)
