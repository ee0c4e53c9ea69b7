"""A bundle that the command line wrote, checked by a program that was written from docs/spec alone and by openssl."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.contract.gm_tools import openssl
from tests.e2e.cli_tools import CommandLine
from tests.e2e.test_cli_bundle import ROWS, export, lived, rewritten, without_line
from tests.fixtures import independent_verifier
from tests.fixtures.independent_verifier import Wrong

__all__ = ["lived"]
Change = Callable[[bytes], bytes]


def verified(cli: CommandLine, path: Path) -> dict[str, int]:
    """Signature by openssl with the key file that was handed out; the rest by the documents."""

    def signed(body: bytes, der: bytes) -> bool:
        files = [cli.bytes(content, name=name) for name, content in (("body", body), ("sig", der))]
        command = ("pkeyutl", "-verify", "-pubin", "-inkey", str(cli.folder / "log.pem"), "-rawin", "-in", files[0])
        options = ("-sigfile", files[1], "-digest", "sm3", "-pkeyopt", "distid:1234567812345678")
        return openssl(*command, *options).returncode == 0

    return independent_verifier.verify(path, signed)


def replaced(old: bytes, new: bytes) -> Change:
    return lambda content: content.replace(old, new, 1)


TAMPERING: tuple[tuple[str, Change, str], ...] = (
    ("accounts.jsonl", replaced(b'"quantity":"12350"', b'"quantity":"12351"'), "not_in_log"),
    ("accounts.jsonl", replaced(b'"credited_mg":"', b'"credited_mg":"1'), "not_in_log"),
    ("accounts.jsonl", without_line(-1), "proof_malformed"),
    ("accounts.jsonl", without_line(1), "stream_incomplete"),
    ("rulebook.jsonl", without_line(5), "rulebook_incomplete"),
    ("rulebook.jsonl", without_line(-1), "rulebook_incomplete"),
    ("intakes.jsonl", lambda _: b"", "proof_malformed"),
    ("map.jsonl", lambda _: b"", "not_in_map"),
    ("samples.jsonl", without_line(0), "samples_differ"),
    ("checkpoint.sig.der", lambda content: content[:-1] + bytes([content[-1] ^ 1]), "signature_wrong"),
    ("bundle.json", replaced(b'"events": ', b'"events": 1'), "about_differs"),
)


def test_a_program_written_from_the_documents_finds_what_the_ledger_finds(lived: CommandLine) -> None:
    everything = verified(lived, export(lived, "all.zip", "--redacted"))
    assert {behavior: str(mg) for behavior, mg in everything.items()} == lived("totals")["by_behavior"]
    lived.bytes(b"ann\n", name="refs.txt")
    seed = ("--sample-seed", "s")
    some = export(lived, "some.zip", "--redacted", "--accounts", str(lived.folder / "refs.txt"), *seed)
    held = lived("account", "show", "ann")["by_behavior"]
    assert {behavior: str(mg) for behavior, mg in verified(lived, some).items()} == held
    assert len(ROWS) > len(held)
    for member, change, code in TAMPERING:

        def only(name: str, content: bytes, member: str = member, change: Change = change) -> bytes:
            changed = change(content) if name == member else content
            assert name != member or changed != content, member
            return changed

        path = rewritten(some, only)
        with pytest.raises(Wrong) as wrong:
            verified(lived, path)
        assert wrong.value.args == (code,), member
        assert not lived("verify", str(path), "--key", str(lived.folder / "log.pem"), code=3)["ok"]
