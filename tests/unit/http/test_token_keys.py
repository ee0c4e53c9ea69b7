"""The files that say who is believed: keys of an issuer, and credentials for trying things out."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from domain.errors import Unavailable
from infrastructure.dev_credentials import DevCredentials
from infrastructure.settings import ServiceSettings
from infrastructure.token_keys import read_token_keys

PUBLIC = {"kty": "EC", "crv": "P-256", "kid": "e1", "x": "AA", "y": "AA"}


def refusal(path: Path, content: Any) -> str:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(Unavailable) as refused:
        read_token_keys(path)
    assert refused.value.remedy
    return refused.value.code


def test_only_public_keys_with_names_of_their_own_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps({"keys": [PUBLIC]}))
    assert read_token_keys(path)["keys"] == [PUBLIC]
    strange: list[Any] = [
        {"keys": [PUBLIC, {**PUBLIC}]},
        {"keys": [{**PUBLIC, "d": "AA"}]},
        {"keys": [{"kty": "oct", "k": "AA", "kid": "s1"}]},
        {"keys": [{**PUBLIC, "kid": ""}]},
        {"keys": [{key: value for key, value in PUBLIC.items() if key != "kid"}]},
        {"keys": []},
        {"keys": "none"},
        [],
        "no json",
        "",
    ]
    assert {refusal(path, each) for each in strange} == {"token_keys_malformed"}
    with pytest.raises(Unavailable, match="token_keys_unreadable"):
        read_token_keys(tmp_path / "absent")


def test_dev_credentials_are_kept_as_digests_for_their_owner_alone(tmp_path: Path) -> None:
    kept = DevCredentials(tmp_path / "home" / "dev-credentials.json")
    assert not kept.exist
    made = kept.create(("auditor", "operator"))
    text = kept.path.read_text()
    assert stat.S_IMODE(kept.path.stat().st_mode) == 0o600
    assert not any(credential in text or credential.rpartition("_")[2] in text for credential in made.values())
    again = DevCredentials(kept.path)
    assert [again.role_of(made[role]) for role in made] == ["auditor", "operator"]
    assert again.role_of(made["auditor"] + "0") is None
    assert again.role_of("dev_auditor_") is None
    assert again.role_of("") is None
    other = kept.create(("auditor",))
    assert DevCredentials(kept.path).role_of(made["auditor"]) is None
    assert DevCredentials(kept.path).role_of(other["auditor"]) == "auditor"
    assert (kept.remove(), kept.remove(), kept.exist) == (True, False, False)


def test_dev_credentials_that_others_can_read_or_that_were_damaged_are_refused(tmp_path: Path) -> None:
    kept = DevCredentials(tmp_path / "dev-credentials.json")
    credential = kept.create(("auditor",))["auditor"]
    kept.path.chmod(0o644)
    with pytest.raises(Unavailable, match="key_exposed"):
        DevCredentials(kept.path).role_of(credential)
    kept.path.chmod(0o600)
    kept.path.write_text("{}")
    with pytest.raises(Unavailable, match="dev_credentials_damaged"):
        DevCredentials(kept.path).role_of(credential)


def test_an_issuer_is_named_whole_or_not_at_all() -> None:
    with pytest.raises(ValueError, match="belong together"):
        ServiceSettings(issuer="https://login.bank.example")
    assert ServiceSettings().jwks_file is None
