"""The ``openssl`` command line as a third implementation of SM2."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path

from infrastructure.gm.sm2_format import public_key_to_pem, signature_from_der, signature_to_der

_DISTID = ("-rawin", "-digest", "sm3", "-pkeyopt", "distid:1234567812345678")


def openssl(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    """One run; the caller looks at the return code."""
    return subprocess.run(["openssl", *arguments], capture_output=True, check=False, timeout=60)


def verifies(folder: Path, public_key: bytes, message: bytes, signature: bytes) -> bool:
    """What an auditor does with nothing but openssl."""
    (folder / "key.pem").write_text(public_key_to_pem(public_key))
    (folder / "message").write_bytes(message)
    (folder / "sig.der").write_bytes(signature_to_der(signature))
    files = ("-inkey", str(folder / "key.pem"), "-in", str(folder / "message"), "-sigfile", str(folder / "sig.der"))
    return openssl("pkeyutl", "-verify", "-pubin", *files, *_DISTID).returncode == 0


def signs(folder: Path, private: bytes, public_key: bytes, message: bytes, distid: str = _DISTID[-1]) -> bytes:
    """A signature made by openssl, as 64 bytes."""
    der = b"\x30\x77\x02\x01\x01\x04\x20" + private + bytes.fromhex("a00a06082a811ccf5501822da14403420004") + public_key
    pem = b"-----BEGIN EC PRIVATE KEY-----\n" + base64.encodebytes(der) + b"-----END EC PRIVATE KEY-----\n"
    (folder / "private.pem").write_bytes(pem)
    (folder / "message").write_bytes(message)
    files = ("-inkey", str(folder / "private.pem"), "-in", str(folder / "message"))
    made = openssl("pkeyutl", "-sign", *files, "-rawin", "-digest", "sm3", "-pkeyopt", distid)
    assert made.returncode == 0, made.stderr
    return signature_from_der(made.stdout)
