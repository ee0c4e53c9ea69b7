"""The file with the public keys of whoever issues tokens (JWK Set, RFC 7517).

Keeps: only a key that others may know is taken: a file with a private or a shared key is refused as it is, since
whoever can read it could sign tokens. Leaves to the service: which algorithm goes with which key, and what a token
has to say.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from domain.errors import Unavailable

MAX_BYTES = 1 << 20
_PUBLIC = {"RSA", "EC", "OKP"}
_SECRET_PARTS = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}


def read_token_keys(path: Path) -> dict[str, Any]:
    """The file as it stands. Raises Unavailable ``token_keys_unreadable``, ``token_keys_malformed``."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise Unavailable(
            "token_keys_unreadable",
            f"cannot read {path}: {error.strerror}",
            field="CARBON_LEDGER_HTTP_JWKS_FILE",
            remedy="name the file with the issuer's public keys, as its jwks_uri serves it",
        ) from error
    try:
        found: dict[str, Any] = msgspec.json.decode(content)
        keys = found["keys"]
        kids = [key["kid"] for key in keys if isinstance(key["kid"], str) and key["kid"]]
        fits = len(content) <= MAX_BYTES and 0 < len(keys) == len(set(kids))
        fits = fits and all(key["kty"] in _PUBLIC and not _SECRET_PARTS & set(key) for key in keys)
    except (msgspec.MsgspecError, UnicodeDecodeError, KeyError, TypeError):
        found, fits = {}, False
    if not fits:
        raise Unavailable(
            "token_keys_malformed",
            f"{path} is not a JWK Set of public keys, each with a kid of its own",
            field="CARBON_LEDGER_HTTP_JWKS_FILE",
            remedy="keep RSA, EC and OKP public keys in it, and nothing private or shared",
        )
    return found
