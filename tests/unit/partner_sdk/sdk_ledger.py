"""A ledger's side of docs/spec/partner-api.md for the SDK: from the document alone, with `openssl` as signer."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
from copy import deepcopy
from pathlib import Path
from typing import Any

from carbon_ledger_sdk import Behavior, PartnerKey
from carbon_ledger_sdk.protocol import Attempt, HttpAnswer, Protocol

ORIGIN = "ledger.example/book"
RIDE = Behavior("t1", "ann", "travel.metro", "2026-03-01T08:15:00+08:00", "12.350", "km", "CN-440300")


def sm3(content: bytes) -> str:
    return hashlib.new("sm3", content).hexdigest()


def text(purpose: str, *parts: object) -> bytes:
    return f"carbon-ledger/{purpose}/v1".encode() + b"\0" + b"".join(f"{part}\n".encode() for part in parts)


class OpensslKey:
    """A key pair in two files of a folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self.private, self.public = folder / f"{name}.pem", folder / f"{name}.pub"
        _openssl("genpkey", "-algorithm", "SM2", "-out", str(self.private))
        _openssl("pkey", "-in", str(self.private), "-pubout", "-out", str(self.public))
        self.pem = self.public.read_text("ascii")
        self.point = _openssl("pkey", "-pubin", "-in", str(self.public), "-outform", "DER", "-pubout")[-64:]
        self.id = sm3(self.point)[:32]

    def sign(self, message: bytes) -> str:
        return base64.b64encode(
            _openssl("pkeyutl", "-sign", "-inkey", str(self.private), *_SM2, message=message)
        ).decode()

    def verifies(self, message: bytes, signature: str) -> bool:
        kept = self.private.with_suffix(".sig")
        kept.write_bytes(base64.b64decode(signature, validate=True))
        words = ("pkeyutl", "-verify", "-pubin", "-inkey", str(self.public), *_SM2, "-sigfile", str(kept))
        return b"Verified Successfully" in _openssl(*words, message=message, check=False)

    def unwrap(self, wrapped: bytes) -> bytes:
        return _openssl("pkeyutl", "-decrypt", "-inkey", str(self.private), message=wrapped)


_SM2 = ("-rawin", "-digest", "sm3", "-pkeyopt", "distid:1234567812345678")


def _openssl(*words: str, message: bytes = b"", check: bool = True) -> bytes:
    # Sizes are told by files alone: openssl 3.0 refuses a raw message from a pipe.
    folder = Path(next(word for word in words if "/" in word)).parent
    given = folder / "message.bin"
    given.write_bytes(message)
    run = subprocess.run(["openssl", *words, *(("-in", str(given)) if words[0] == "pkeyutl" else ())],
                         capture_output=True, check=check)  # fmt: skip
    return run.stdout


class World:
    """A ledger and a partner that know of each other."""

    def __init__(self, folder: Path) -> None:
        self.partner, self.log, self.receipt, self.seal = (
            OpensslKey(folder, name) for name in ("partner", "log", "receipt", "seal")
        )

    def protocol(self, **changes: Any) -> Protocol:
        key = PartnerKey.from_file(self.partner.private)
        return Protocol(ORIGIN, key, [self.log.point], now=lambda: "2026-03-01T00:15:02Z", **changes)

    def keys(self, **changes: Any) -> dict[str, Any]:
        keys = [
            {
                "purpose": purpose,
                "key": key.id,
                "public_key": key.point.hex(),
                "public_pem": key.pem,
                "log_key": self.log.id,
                "certificate": self.log.sign(text("service-key", ORIGIN, purpose, key.point.hex())),
            }
            for purpose, key in (("receipt", self.receipt), ("seal", self.seal))
        ]
        return {"origin": ORIGIN, "now": "2026-03-01T00:15:02Z", "keys": keys} | changes

    def answer(self, attempt: Attempt, items: list[dict[str, Any]], outcomes: list[str]) -> dict[str, Any]:
        """What the ledger tells of a request, with its receipt."""
        said = {
            "partner": "metro-co",
            "request": sm3(attempt.signed),
            "received_at": "2026-03-01T00:15:03Z",
            "intake": 41,
            "line": 1,
            "digest": "ab" * 32,
            "position": 42,
            "leaf": "cd" * 32,
            "outcomes": sm3("".join(f"{line}\n" for line in outcomes).encode()),
        }
        signature = self.receipt.sign(text("partner-receipt", ORIGIN, *said.values()))
        told = {name: said.pop(name) for name in ("intake", "line", "digest", "position")}
        return {**told, "items": deepcopy(items), "receipt": {**said, "key": self.receipt.id, "signature": signature}}


def as_answer(told: object) -> HttpAnswer:
    return HttpAnswer(200, {}, json.dumps(told).encode())
