"""Which tokens are believed, and which of all the ways to make one up are not."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Mapping
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OKPKey, RSAKey

from domain.errors import Rejected
from interfaces.http.identity import ALGORITHMS, Identity, TokenRules

NOW_S = 1_800_000_000
ISSUER, AUDIENCE = "https://login.bank.example", "carbon-ledger"
CLAIMS: dict[str, Any] = {
    "iss": ISSUER,
    "aud": AUDIENCE,
    "sub": "olga",
    "exp": NOW_S + 300,
    "nbf": NOW_S - 1,
    "roles": ["auditor", "compliance", "emperor"],
}
RSA = RSAKey.generate_key(2048, {"kid": "r1"})
EC = ECKey.generate_key("P-256", {"kid": "e1"})
EDWARDS = OKPKey.generate_key("Ed25519", {"kid": "o1"})
OTHER = RSAKey.generate_key(2048, {"kid": "r1"})


class Keys:
    """The issuer's public keys, as a file would hold them now."""

    def __init__(self, *keys: Any) -> None:
        self.keys, self.read = keys, 0

    def __call__(self) -> Mapping[str, Any]:
        self.read += 1
        return {"keys": [key.as_dict(private=False) for key in self.keys]}


def identity(keys: Keys | None = None) -> Identity:
    rules = TokenRules(ISSUER, AUDIENCE, "roles", keys or Keys(RSA, EC, EDWARDS), lambda: NOW_S)
    return Identity(rules, None)


def token(key: Any = RSA, algorithm: str = "RS256", header: Mapping[str, Any] | None = None, **changes: Any) -> str:
    claims = {name: value for name, value in (CLAIMS | changes).items() if value is not None}
    shown = {"alg": algorithm, "kid": key.kid, **(header or {})}
    return jwt.encode({k: v for k, v in shown.items() if v is not None}, claims, key, algorithms=[algorithm])


def refusal(credential: str, keys: Keys | None = None) -> str:
    with pytest.raises(Rejected) as refused:
        identity(keys).caller(credential)
    assert not credential or credential not in str(refused.value)
    return refused.value.code


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
@pytest.mark.parametrize(
    ("key", "algorithm"), [(RSA, "RS256"), (RSA, "PS384"), (EC, "ES256"), (EDWARDS, "EdDSA"), (EDWARDS, "Ed25519")]
)
def test_a_token_of_the_issuer_names_the_caller_and_those_roles_that_are_ours(key: Any, algorithm: str) -> None:
    caller = identity().caller(token(key, algorithm))
    assert (caller.name, caller.roles) == ("olga", frozenset(("auditor", "compliance")))
    assert caller.reader is not None
    assert (caller.reader.name, caller.reader.known_by) == ("olga", "login")


def test_roles_may_be_a_text_with_spaces_and_none_of_ours_is_no_role() -> None:
    assert identity().caller(token(roles="auditor operator")).roles == {"auditor", "operator"}
    for strange in ("emperor", [], None, 7, {"auditor": True}, ["Auditor"], [["auditor"]]):
        assert identity().caller(token(roles=strange)).roles == frozenset()


def unsigned(header: Mapping[str, Any], signature: bytes = b"") -> str:
    parts = [json.dumps(header).encode(), json.dumps(CLAIMS).encode(), signature]
    return ".".join(map(_text, parts))


def _text(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).decode().rstrip("=")


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", ""])
def test_a_token_that_says_it_needs_no_signature_is_refused(algorithm: str) -> None:
    assert refusal(unsigned({"alg": algorithm, "kid": "r1"})) == "token_invalid"
    assert refusal(unsigned({"alg": algorithm, "kid": "r1"}, b"x" * 256)) == "token_invalid"


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
@pytest.mark.parametrize("form", ["pem", "der", "json"])
def test_a_token_signed_with_the_public_key_as_if_it_were_a_secret_is_refused(algorithm: str, form: str) -> None:
    public: bytes = {
        "pem": lambda: RSA.as_pem(private=False),
        "der": lambda: RSA.as_der(private=False),
        "json": lambda: json.dumps(RSA.as_dict(private=False)).encode(),
    }[form]()
    parts = [json.dumps(part).encode() for part in ({"alg": algorithm, "kid": "r1"}, CLAIMS)]
    shown = ".".join(_text(part) for part in parts)
    # Made by hand: the library would not.
    signature = hmac.digest(public, shown.encode(), f"sha{algorithm[2:]}")
    assert refusal(f"{shown}.{_text(signature)}") == "token_invalid"


def test_no_algorithm_is_believed_whose_secret_both_sides_would_hold() -> None:
    # Keys that are public could not be used with one either: this is the first of two walls.
    assert [name for name in ALGORITHMS if name[:2] not in ("RS", "PS", "ES", "Ed")] == []


def test_a_token_that_has_run_out_or_is_not_yet_good_is_refused_beyond_a_small_leeway() -> None:
    assert identity().caller(token(exp=NOW_S - 20)).name == "olga"
    assert refusal(token(exp=NOW_S - 60)) == "token_expired"
    assert identity().caller(token(nbf=NOW_S + 20)).name == "olga"
    assert refusal(token(nbf=NOW_S + 60)) == "token_invalid"


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "another-service"},
        {"aud": ["another-service"]},
        {"aud": None},
        {"iss": "https://login.evil.example"},
        {"iss": f"{ISSUER}/"},
        {"iss": None},
        {"exp": None},
        {"exp": "tomorrow"},
        {"sub": None},
        {"sub": ""},
        {"sub": " olga"},
        {"sub": "x" * 65},
        {"sub": "ol\nga"},
        {"sub": 7},
    ],
)
def test_a_token_for_another_place_or_of_nobody_is_refused(changes: dict[str, Any]) -> None:
    assert refusal(token(**changes)) == "token_invalid"


def test_a_token_for_several_audiences_is_believed_where_we_are_one() -> None:
    assert identity().caller(token(aud=["another-service", AUDIENCE])).name == "olga"


def test_a_token_must_name_a_key_of_the_issuer_and_be_signed_by_that_one() -> None:
    assert refusal(token(OTHER)) == "token_invalid"
    assert refusal(token(header={"kid": "unknown"})) == "token_invalid"
    assert refusal(token(header={"kid": "e1"})) == "token_invalid"
    assert refusal(token(header={"kid": None})) == "token_invalid"
    assert refusal(token(header={"jwk": OTHER.as_dict(private=False), "kid": "x"})) == "token_invalid"


def test_a_token_that_was_changed_anywhere_is_refused() -> None:
    good = token()
    header, payload, signature = good.split(".")
    other = _text(json.dumps(CLAIMS | {"roles": ["operator"]}).encode())
    strange = [
        f"{header}.{other}.{signature}",
        f"{header}.{payload}.{signature[:-8]}AAAAAAAA",
        f"{header}.{payload}.",
        f"{header}.{payload}",
        f"{good}.x",
        f" {good}",
        good.swapcase(),
        "",
        "....",
        "x" * 9_000,
        "ü",
        "dev_auditor_" + "0" * 64,
    ]
    assert {refusal(each) for each in strange} == {"token_invalid"}


def test_a_new_key_of_the_issuer_is_found_without_a_restart_and_an_old_one_goes() -> None:
    keys, now = Keys(RSA), [NOW_S]
    known = Identity(TokenRules(ISSUER, AUDIENCE, "roles", keys, lambda: now[0]), None)
    assert known.caller(token()).name == "olga"
    keys.keys = (EC,)
    now[0] += 1
    assert known.caller(token(EC, "ES256")).name == "olga"
    assert keys.read == 2
    for _ in range(5):
        # Anybody can name keys that are not there: the file is not read for each of them.
        with pytest.raises(Rejected):
            known.caller(token())
    assert keys.read == 2


def test_a_key_that_the_issuer_gave_up_is_not_believed_after_a_minute() -> None:
    keys, now = Keys(RSA, EC), [NOW_S]
    known = Identity(TokenRules(ISSUER, AUDIENCE, "roles", keys, lambda: now[0]), None)
    keys.keys = (EC,)
    assert known.caller(token()).name == "olga"
    now[0] += 60
    with pytest.raises(Rejected):
        known.caller(token())
    assert known.caller(token(EC, "ES256")).name == "olga"
    assert keys.read == 2


def test_a_set_of_keys_is_read_as_the_library_writes_it() -> None:
    assert KeySet.import_key_set({"keys": [RSA.as_dict(private=False)]}).keys[0].kid == "r1"
