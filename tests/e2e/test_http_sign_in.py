"""People sign in at a real provider, act by their session, and sign out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from interfaces.http.signing_in import SESSION_COOKIE
from tests.e2e.cli_tools import METRO, CommandLine, methodology
from tests.e2e.http_tools import Served, serving
from tests.e2e.sign_in_tools import (
    ORIGIN,
    Browser,
    came_back,
    free_port,
    provider_process,
    signing_in,
)


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    with provider_process(free_port()) as address:
        yield address


@pytest.fixture
def served(cli: CommandLine, issuer: str) -> Iterator[Served]:
    with serving(cli.settings, signing_in=signing_in(cli.settings, issuer)) as running:
        yield running


def test_two_people_sign_in_and_act_and_neither_does_what_takes_both(cli: CommandLine, served: Served) -> None:
    olga, bob = Browser(served), Browser(served)
    arrived = olga.sign_in("olga")
    assert (arrived.status, arrived.headers["location"]) == (303, "/v1/me")
    assert bob.sign_in("bob", "/docs").headers["location"] == "/docs"
    me = olga("/v1/me").body
    assert (me["name"], me["roles"], me["until"][-1]) == ("olga", ["methodology_owner"], "Z")
    drafted = olga("/v1/methodologies", method="POST", body=methodology(), headers=ORIGIN)
    assert (drafted.status, drafted.body["state"]) == (201, "drafted")
    version = "/v1/methodologies/TEST-CODE/1"
    assert olga(f"{version}/review", method="POST", headers=ORIGIN).code == "forbidden"
    assert bob(f"{version}/review", method="POST", headers=ORIGIN).body["state"] == "reviewed"
    # Bob's role lets him certify; that he has reviewed does not.
    assert bob(f"{version}/certification", method="POST", headers=ORIGIN).code == "same_actor"
    shown = cli("methodology", "show", "TEST-CODE@1")
    assert (shown["drafted_by"], shown["reviewed_by"]) == ("olga", "bob")


def test_what_a_signed_in_person_is_shown_of_somebody_is_recorded_under_her_name(
    cli: CommandLine, served: Served
) -> None:
    cli.credit(METRO)
    account = cli("account", "show", "ann")["account_id"]
    carl = Browser(served)
    carl.sign_in("carl")
    assert carl(f"/v1/accounts/{account}").body["account_ref"] == "ann"
    last = cli("access", "list")["accesses"][-1]
    assert (last["by"], last["known_by"], last["command"]) == ("carl", "login", "GET /v1/accounts/{id}")


def test_the_cookies_are_for_the_service_alone_and_hold_no_secret_of_the_sign_in(served: Served) -> None:
    olga = Browser(served)
    address = olga.begin()
    assert "code_challenge_method=S256" in address
    assert "code_challenge=" in address
    olga(came_back(address, "olga"))
    for told in olga.set:
        assert "HttpOnly" in told
        assert "SameSite=lax" in told
    assert len(olga.set) == 3
    assert list(olga.cookies) == [SESSION_COOKIE]
    assert olga.cookies[SESSION_COOKIE] not in served.log_text


def test_whoever_signs_out_is_nobody_and_so_is_whoever_kept_the_cookie(cli: CommandLine, issuer: str) -> None:
    with serving(cli.settings, signing_in=signing_in(cli.settings, issuer)) as served:
        olga = Browser(served)
        olga.sign_in("olga")
        kept = dict(olga.cookies)
        assert olga("/sign-out", method="POST").code == "cross_site"
        assert olga("/v1/me").status == 200
        assert olga("/sign-out", method="POST", headers=ORIGIN).status == 204
        assert olga.cookies == {}
        assert olga("/v1/me").code == "unauthenticated"
        olga.cookies = dict(kept)
        assert olga("/v1/me").code == "session_ended"
        assert olga("/healthz").status == 200
        assert olga("/sign-out", method="POST", headers=ORIGIN).status == 204
    with serving(cli.settings, signing_in=signing_in(cli.settings, issuer)) as served:
        again = Browser(served)
        again.cookies = kept
        assert again("/v1/me").code == "session_ended"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        ORIGIN | {"sec-fetch-site": "cross-site"},
        {"origin": "https://evil.example", "sec-fetch-site": "same-origin"},
    ],
)
def test_a_page_of_another_address_has_nobody_act(served: Served, headers: dict[str, str]) -> None:
    olga = Browser(served)
    olga.sign_in("olga")
    refused = olga("/v1/methodologies", method="POST", body=methodology(), headers=headers)
    assert (refused.status, refused.code) == (403, "cross_site")
    assert olga("/v1/methodologies", method="POST", body=methodology(), headers=ORIGIN).status == 201


def test_whoever_has_no_role_here_does_not_sign_in(served: Served) -> None:
    eve = Browser(served)
    refused = eve.sign_in("eve")
    assert (refused.status, refused.code) == (403, "no_role")
    assert SESSION_COOKIE not in eve.cookies


def test_an_answer_of_the_provider_counts_once_and_for_the_browser_that_asked(served: Served) -> None:
    olga, mallory = Browser(served), Browser(served)
    back = came_back(olga.begin(), "olga")
    mallory.begin()
    assert mallory(back).code == "sign_in_state_wrong"
    assert Browser(served)(back).code == "sign_in_state_wrong"
    flow = dict(olga.cookies)
    assert olga(back.replace("state=", "state=x")).code == "sign_in_state_wrong"
    assert olga(back).status == 303
    olga.cookies = flow
    assert olga(back).code == "sign_in_replayed"
    # The provider's own memory of codes: another sign-in does not get in by a used one.
    other = came_back(mallory.begin(), "bob")
    used = back.partition("code=")[2].partition("&")[0]
    fresh = other.partition("code=")[2].partition("&")[0]
    assert mallory(other.replace(fresh, used)).code == "sign_in_refused"


def test_a_cookie_that_was_changed_or_made_up_is_nobodys(served: Served) -> None:
    olga = Browser(served)
    olga.begin()
    (flow,) = olga.cookies.values()
    olga.sign_in("olga")
    good = olga.cookies[SESSION_COOKIE]
    content, _, mac = good.partition(".")
    for bad in (f"{content}.{mac[:-2]}AA", f"A{content}.{mac}", f"{content}.", content, flow, "x", "." * 9, "ü"):
        olga.cookies[SESSION_COOKIE] = bad
        assert (bad, olga("/v1/me", headers={}).code) == (bad, "session_invalid")


@pytest.mark.parametrize(
    "address", ["https://evil.example", "//evil.example", "/\\evil.example", "/a\tb", "docs", "/ü"]
)
def test_nobody_is_led_to_another_address_after_a_sign_in(served: Served, address: str) -> None:
    refused = served("/sign-in?" + urlencode({"return_to": address}))
    assert (refused.status, refused.code) == (422, "return_address_refused")


def test_without_a_provider_nobody_signs_in_and_its_key_is_kept_from_others(cli: CommandLine, issuer: str) -> None:
    with serving(cli.settings) as served:
        assert [served(each).code for each in ("/sign-in", "/signed-in")] == ["sign_in_absent"] * 2
    signing_in(cli.settings, issuer)
    key = Path(cli.settings.home) / "session-key"
    assert key.stat().st_mode & 0o777 == 0o600


def test_a_provider_that_changed_its_keys_or_is_down_and_comes_back_is_believed_again(cli: CommandLine) -> None:
    port = free_port()
    with serving(cli.settings, signing_in=signing_in(cli.settings, f"http://127.0.0.1:{port}")) as served:
        browser = Browser(served)
        down = browser("/sign-in")
        assert (down.status, down.code) == (503, "provider_unreachable")
        with provider_process(port):
            back = came_back(browser.begin(), "olga")
        down = browser(back)
        assert (down.status, down.code) == (503, "provider_unreachable")
        # Another process, with other keys: the old ones were never seen.
        with provider_process(port):
            assert browser.sign_in("bob").status == 303
            assert browser("/v1/me").body["name"] == "bob"
