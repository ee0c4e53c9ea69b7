"""docs/spec/partner-api.md shows what the code makes, and other programs find the same in it."""

from __future__ import annotations

import base64
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from domain.errors import Rejected
from infrastructure.gm.hardened_gmssl import GmsslVerifier
from infrastructure.gm.partner_seal import open_answer, open_body
from infrastructure.gm.sm2 import PyxVerifier, Sm2Key
from infrastructure.gm.sm2_format import public_key_to_pem, signature_from_der
from tests.architecture.project import ROOT
from tests.unit.gm import partner_vectors

DOCUMENT = (ROOT / "docs" / "spec" / "partner-api.md").read_text("utf-8")


def block(language: str) -> str:
    (text,) = re.findall(rf"(?ms)^```{language}\n(.*?)^```", DOCUMENT)
    return str(text)


@pytest.fixture(scope="module")
def known() -> Any:
    return json.loads(block("json"))


def test_the_document_shows_what_the_code_makes() -> None:
    assert block("request") == partner_vectors.example()
    assert block("json") == partner_vectors.vector_text() + "\n"


def test_every_signature_of_the_document_verifies_by_both_adapters_and_by_openssl(known: Any, tmp_path: Path) -> None:
    public_key = bytes.fromhex(known["public_key"])
    (tmp_path / "key.pem").write_text(public_key_to_pem(public_key))
    for each in known["signed"]:
        text, der = each["text"].replace("<00>", "\0").encode(), base64.b64decode(each["signature"])
        for verifier in (PyxVerifier(), GmsslVerifier()):
            assert verifier.verify(public_key, text, signature_from_der(der))
            assert not verifier.verify(public_key, text[:-1], signature_from_der(der))
        (tmp_path / "text").write_bytes(text)
        (tmp_path / "signature").write_bytes(der)
        verify = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "key.pem", "-rawin", "-in", "text", "-sigfile",
                  "signature", "-digest", "sm3", "-pkeyopt", "distid:1234567812345678"]  # fmt: skip
        assert subprocess.run(verify, cwd=tmp_path, capture_output=True, check=False).returncode == 0


def test_the_sealed_body_of_the_document_opens_with_its_additional_data_alone(known: Any) -> None:
    key, sealed = Sm2Key(bytes.fromhex(known["private_key"]), bytes.fromhex(known["public_key"])), known["sealed"]
    aad = sealed["additional_data"].replace("<00>", "\0").encode()
    opened = open_body(sealed["body"].encode(), [key], lambda _: aad)
    assert (opened.body.decode(), opened.content_key.hex()) == (known["body"], sealed["content_key"])
    with pytest.raises(Rejected, match="seal_broken"):
        open_body(sealed["body"].encode(), [key], lambda _: aad + b"\n")
    of_answer = sealed["answer_additional_data"].replace("<00>", "\0").encode()
    answer = open_answer(opened.content_key, sealed["answer"].encode(), of_answer)
    assert answer.decode() == sealed["answer_inside"]
