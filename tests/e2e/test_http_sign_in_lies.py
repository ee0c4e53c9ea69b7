"""A provider that says what it must not, too late or never: nobody is signed in by it, and nobody waits for long."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import requests
from joserfc.jwk import KeySet, OctKey, RSAKey

from domain.errors import Rejected, Unavailable
from interfaces.bootstrap.service import read_token_keys, system_seconds
from interfaces.bootstrap.signing_in import SignInSettings
from interfaces.http.identity import Identity, TokenRules
from interfaces.http.signing_in import SESSION_COOKIE, Answered, SigningIn
from tests.e2e.cli_tools import CommandLine
from tests.e2e.http_tools import Served, serving
from tests.e2e.sign_in_tools import Browser, LyingProvider, lying_provider, signing_in

OTHER = RSAKey.generate_key(2048, {"kid": "k1"})
NOW_S = int(time.time())


@pytest.fixture
def lying() -> Iterator[LyingProvider]:
    with lying_provider() as provider:
        yield provider


@pytest.fixture
def people(cli: CommandLine, lying: LyingProvider) -> SigningIn:
    return signing_in(cli.settings, lying.issuer)


def signed_in(people: SigningIn, lying: LyingProvider) -> str:
    """The session that a sign-in ends with."""
    address, cookie = people.begin("/v1/me")
    lying.codes.clear()
    code, begun = lying.back(address).partition("code=")[2].partition("&")[0], lying.codes
    (asked,) = begun.values()
    return people.complete(Answered(asked["state"], code, "", lying.issuer), cookie)[1]


def refusal(people: SigningIn, lying: LyingProvider) -> str:
    with pytest.raises((Rejected, Unavailable)) as refused:
        signed_in(people, lying)
    return refused.value.code


def test_an_honest_answer_signs_in_and_its_verifier_is_that_of_the_challenge(
    people: SigningIn, lying: LyingProvider
) -> None:
    caller = people.caller(signed_in(people, lying))
    assert (caller.name, caller.roles) == ("olga", frozenset({"methodology_owner"}))
    address, cookie = people.begin("/v1/me")
    lying.back(address)
    (asked,) = lying.codes.values()
    asked["code_challenge"] = "0" * 43
    with pytest.raises(Rejected, match="sign_in_refused"):
        people.complete(Answered(asked["state"], "code-0", "", ""), cookie)


@pytest.mark.parametrize(
    "changes",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"iss": "https://login.example"},
        {"iss": None},
        {"aud": "another-client"},
        {"aud": None},
        {"aud": ["ledger", "another-client"]},
        {"azp": "another-client"},
        {"exp": NOW_S - 120},
        {"exp": None},
        {"iat": NOW_S + 3_600},
        {"iat": None},
        {"nbf": NOW_S + 3_600},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": "x" * 65},
    ],
)
def test_a_token_that_is_not_the_answer_to_this_sign_in_signs_nobody_in(
    people: SigningIn, lying: LyingProvider, changes: Mapping[str, Any]
) -> None:
    lying.changes = dict(changes)
    assert refusal(people, lying) == "id_token_invalid"


@pytest.mark.parametrize("groups", [None, [], "gardeners", ["methodology_owner"], {"ledger-owners": True}, 7])
def test_a_token_without_a_role_signs_nobody_in(people: SigningIn, lying: LyingProvider, groups: Any) -> None:
    lying.changes = {"groups": groups}
    assert refusal(people, lying) == "no_role"


def test_another_key_another_algorithm_or_none_signs_nobody_in(people: SigningIn, lying: LyingProvider) -> None:
    assert signed_in(people, lying)
    honest, public = lying.key, json.dumps(lying.key.as_dict(private=False)).encode()
    shared = OctKey.import_key(public, {"kid": "k1"})
    for key, header in (
        (OTHER, {"alg": "RS256", "kid": "k1"}),
        (shared, {"alg": "HS256", "kid": "k1"}),
        (honest, {"alg": "none", "kid": "k1"}),
        (honest, {"alg": "none"}),
        (honest, {"alg": "RS256", "kid": "k2"}),
    ):
        lying.key, lying.header = key, dict(header)
        assert (header, refusal(people, lying)) == (header, "id_token_invalid")


def test_a_new_key_of_the_provider_is_fetched_and_made_up_names_fetch_nothing(
    cli: CommandLine, lying: LyingProvider
) -> None:
    shown = [system_seconds()]
    people = signing_in(cli.settings, lying.issuer, lambda: shown[0])
    assert signed_in(people, lying)
    lying.key = RSAKey.generate_key(2048, {"kid": "k2"})
    lying.published.append(lying.key)
    lying.header = {"alg": "RS256", "kid": "k2"}
    shown[0] += 5
    assert signed_in(people, lying)
    lying.header = {"alg": "RS256", "kid": "k3"}
    assert [refusal(people, lying) for _ in range(3)] == ["id_token_invalid"] * 3
    assert lying.asked.count("/keys") == 2
    # What was given up is not believed for long: a minute later it is fetched anew, also where nothing is unknown.
    lying.published, lying.header = [lying.key], {"alg": "RS256", "kid": "k2"}
    shown[0] += 61
    assert signed_in(people, lying)
    assert lying.asked.count("/keys") == 3


def test_a_sign_in_and_a_session_run_out(cli: CommandLine, lying: LyingProvider) -> None:
    shown = [system_seconds()]
    people = signing_in(cli.settings, lying.issuer, lambda: shown[0], session_seconds=900)
    session = signed_in(people, lying)
    shown[0] += 899
    assert people.caller(session).until_s == shown[0] + 1
    shown[0] += 1
    with pytest.raises(Rejected, match="session_expired"):
        people.caller(session)
    address, cookie = people.begin("/")
    lying.back(address)
    asked = list(lying.codes.values())[-1]
    shown[0] += 600
    with pytest.raises(Rejected, match="sign_in_state_wrong"):
        people.complete(Answered(asked["state"], "code-0", "", ""), cookie)


@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": "https://login.example"},
        {"issuer": None},
        {"token_endpoint": "http://login.example/token"},
        {"jwks_uri": None},
        {"jwks_uri": "file:///etc/keys"},
        {"authorization_endpoint": "https://user@login.example/"},
        {"filler": "x" * (1 << 18)},
    ],
)
def test_metadata_of_another_issuer_or_that_lead_into_the_open_are_not_used(
    people: SigningIn, lying: LyingProvider, metadata: Mapping[str, Any]
) -> None:
    lying.metadata = dict(metadata)
    assert refusal(people, lying) in ("provider_malformed", "provider_unreachable")
    assert [each for each in lying.asked if each == "/token"] == []


def test_whoever_waits_for_a_provider_that_drips_goes_on_in_time(cli: CommandLine, lying: LyingProvider) -> None:
    lying.pause_s = 0.1
    with serving(cli.settings, signing_in=signing_in(cli.settings, lying.issuer, answer_seconds=0.3)) as served:
        began = time.monotonic()
        with ThreadPoolExecutor(12) as pool:
            answers = list(pool.map(lambda _: served("/sign-in"), range(12)))
        # Its three questions may take a third of a second each.
        assert time.monotonic() - began < 2
        assert {each.status for each in answers} == {503}
        assert {each.code for each in answers} == {"provider_unreachable", "provider_busy"}
        assert served("/healthz").status == 200


def test_what_the_provider_says_of_an_error_lets_nobody_in_and_is_not_told(
    cli: CommandLine, lying: LyingProvider, served: Served
) -> None:
    olga = Browser(served)
    state = lying.back(olga.begin()).partition("state=")[2].partition("&")[0]
    asked = {"state": state, "error": "access_denied", "error_description": "<b>Zhang-San</b>"}
    refused = olga("/signed-in?" + urlencode(asked))
    assert (refused.status, refused.code) == (401, "sign_in_refused")
    assert "Zhang" not in json.dumps(refused.body) + served.log_text
    mixed = lying.back(olga.begin()).replace("iss=http", "iss=https")
    assert olga(mixed).code == "sign_in_refused"
    assert SESSION_COOKIE not in olga.cookies


@pytest.fixture
def served(cli: CommandLine, people: SigningIn) -> Iterator[Served]:
    with serving(cli.settings, signing_in=people) as running:
        yield running


def test_a_service_gets_its_token_by_client_credentials_and_is_believed_by_the_same_keys(
    cli: CommandLine, lying: LyingProvider, people: SigningIn
) -> None:
    path = Path(cli.json_file(KeySet(lying.published).as_dict(private=False), name="jwks.json"))
    rules = TokenRules(lying.issuer, "carbon-ledger", "roles", lambda: read_token_keys(path), system_seconds)
    got = requests.post(f"{lying.issuer}/token", {"grant_type": "client_credentials"}, timeout=10)
    token = got.json()["access_token"]
    with serving(cli.settings, Identity(rules, None), people) as served:
        me = served("/v1/me", token).body
        assert (me["name"], me["roles"]) == ("core-banking", ["bank_backend"])
        # A session is a cookie's, and a token for people none of a service.
        assert served("/v1/me", signed_in(people, lying)).code == "token_invalid"
        of_a_person = {"iss": lying.issuer, "aud": "ledger", "sub": "olga", "exp": NOW_S + 99}
        assert served("/v1/me", lying.signed(of_a_person)).code == "token_invalid"


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": "http://login.example"},
        {"issuer": ""},
        {"client_id": ""},
        {"redirect_uri": "http://ledger.example/signed-in"},
        {"redirect_uri": "https://ledger.example/elsewhere"},
        {"session_seconds": 3_601},
        {"scope": "profile"},
    ],
)
def test_settings_by_which_a_sign_in_would_not_be_sound_are_refused(changes: dict[str, Any]) -> None:
    sound: dict[str, Any] = {"issuer": "https://login.example", "client_id": "ledger"}
    sound |= {"redirect_uri": "https://ledger.example/signed-in"}
    assert SignInSettings(**sound).session_seconds == 3_600
    with pytest.raises(ValueError, match="validation error"):
        SignInSettings(**sound | changes)
