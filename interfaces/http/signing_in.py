"""How people sign in: by the authorization code flow of OpenID Connect with PKCE, and then by a cookie.

Keeps: an answer of the provider counts once, for the browser that asked for it, and for ten minutes; what proves that
(nonce, verifier) is derived from the state and a key of ours, and leaves this machine for the provider alone. A session
lasts as long as settings say and not longer, holds the roles that the provider named when it began, and ends for good
by a sign-out. Whatever a page of another address has a browser send is no act of the person's. Nobody is led to
another address. What asks the provider is bounded in time and in number, since strangers may ask for it.
"""

from __future__ import annotations

import hmac
import secrets
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, Final, NamedTuple, TypeVar
from urllib.parse import urlsplit

from starlette.responses import Response

from domain.errors import Rejected, Unavailable
from interfaces.bootstrap.service import system_seconds
from interfaces.bootstrap.signing_in import SignInParts
from interfaces.http.id_tokens import IdTokenRules, signed_in_by
from interfaces.http.identity import Caller, IssuerKeys

SESSION_COOKIE: Final = "carbon-ledger-session"
FLOW_COOKIE: Final = "carbon-ledger-sign-in"
AFTER_SIGN_IN: Final = "/v1/me"
_FLOW_S: Final = 600
_KEYS_AGAIN_S: Final = 5
_MOST_AT_ONCE: Final = 4
_MOST_CHARACTERS: Final = 2_000
_SAFE: Final = {"GET", "HEAD"}

Found = TypeVar("Found")


class Answered(NamedTuple):
    """What the provider sent a browser back with; "" for what was not there."""

    state: str
    code: str
    error: str
    issuer: str


class SigningIn:
    """``parts``: provider, sessions and their settings."""

    def __init__(self, parts: SignInParts, now_s: Callable[[], int] = system_seconds) -> None:
        self._provider, self._sessions, self._now_s = parts.provider, parts.sessions, now_s
        of = self._settings = parts.settings
        self._rules = IdTokenRules(of.issuer, of.client_id, of.roles_claim, of.roles, now_s)
        self._keys = IssuerKeys(parts.provider.keys, now_s, again_s=_KEYS_AGAIN_S, lone_is_nameless=True)
        self._free = threading.BoundedSemaphore(_MOST_AT_ONCE)
        redirect = urlsplit(of.redirect_uri)
        self._origin, self._is_tls = f"{redirect.scheme}://{redirect.netloc}", redirect.scheme == "https"

    def begin(self, return_to: str) -> tuple[str, str]:
        """Where to send a browser, and the cookie it comes back with.

        Raises Rejected ``return_address_refused``; Unavailable ``provider_busy``, and as ``Provider``.
        """
        _check_local(return_to)
        state = secrets.token_urlsafe(24)
        nonce, verifier = self._proofs(state)
        address = self._asked(lambda: self._provider.sign_in_address(state, nonce, verifier))
        until_s = self._now_s() + _FLOW_S
        return address, self._sessions.signed("flow", {"state": state, "to": return_to, "until": until_s})

    def complete(self, answered: Answered, flow_cookie: str) -> tuple[str, str]:
        """Where to send the browser that came back, and the cookie of its session.

        Raises Rejected ``sign_in_state_wrong``, ``sign_in_replayed``, ``sign_in_refused``, ``id_token_invalid``,
        ``no_role``; Unavailable as ``begin``.
        """
        flow, now_s = self._sessions.read("flow", flow_cookie), self._now_s()
        if flow is None or flow["until"] <= now_s or not _same(flow["state"], answered.state):
            raise Rejected(
                "sign_in_state_wrong",
                "this is not the answer to a sign-in that this browser began in the last minutes",
                field="state",
                remedy="begin again at /sign-in, in one window, with cookies",
            )
        if not self._sessions.end(f"flow {flow['state']}", flow["until"], now_s):
            raise Rejected("sign_in_replayed", "this answer was taken already", remedy="begin again at /sign-in")
        if answered.error or not answered.code or answered.issuer not in ("", self._settings.issuer):
            raise Rejected(
                "sign_in_refused", "the provider let nobody in", remedy="begin again at /sign-in, and sign in there"
            )
        nonce, verifier = self._proofs(answered.state)

        def exchanged() -> Any:
            return signed_in_by(self._provider.id_token(answered.code, verifier), nonce, self._rules, self._keys)

        person = self._asked(exchanged)
        session = {
            "id": secrets.token_urlsafe(24),
            "name": person.name,
            "roles": sorted(person.roles),
            "until": now_s + self._settings.session_seconds,
        }
        return str(flow["to"]), self._sessions.signed("session", session)

    def caller(self, cookie: str) -> Caller:
        """Whose session it is. Raises Rejected ``session_invalid``, ``session_expired``, ``session_ended``."""
        told = self._session(cookie)
        if self._sessions.has_ended(told["id"]):
            raise _over("session_ended", "this session was ended by signing out")
        return Caller(told["name"], frozenset(told["roles"]), told["until"])

    def end(self, cookie: str) -> None:
        """Sign out: from now on nobody is believed by this cookie. Without a session there is nothing to end."""
        try:
            told = self._session(cookie)
        except Rejected:
            return
        self._sessions.end(told["id"], told["until"], self._now_s())

    def refuse_cross_site(self, method: str, headers: Mapping[str, str]) -> None:
        """A browser sends the cookie along whoever wrote the page. Raises Rejected ``cross_site``."""
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        if method in _SAFE:
            return
        if (origin is None and site is None) or origin not in (None, self._origin) or site not in (None, "same-origin"):
            raise Rejected(
                "cross_site",
                "an act by cookie comes from a page of this service, and says so",
                field="origin",
                remedy=f"send it with `Origin: {self._origin}`, or by `Authorization: Bearer`",
            )

    def keep_flow(self, response: Response, cookie: str) -> None:
        """Give a browser the cookie of a sign-in that has begun; "" takes it away."""
        self._set(response, FLOW_COOKIE, cookie, _FLOW_S, "/signed-in")

    def keep_session(self, response: Response, cookie: str) -> None:
        """Give a browser the cookie of its session; "" takes it away."""
        self._set(response, SESSION_COOKIE, cookie, self._settings.session_seconds, "/")

    def _set(self, response: Response, name: str, cookie: str, seconds: int, path: str) -> None:
        lasts_s = seconds if cookie else 0
        response.set_cookie(name, cookie, lasts_s, path=path, secure=self._is_tls, httponly=True, samesite="lax")

    def _proofs(self, state: str) -> tuple[str, str]:
        return self._sessions.derived("nonce", state), self._sessions.derived("verifier", state)

    def _session(self, cookie: str) -> dict[str, Any]:
        told = self._sessions.read("session", cookie)
        if told is None:
            raise _over("session_invalid", "the cookie is none of this service's")
        if told["until"] <= self._now_s():
            raise _over("session_expired", "the session has run out")
        return told

    def _asked(self, work: Callable[[], Found]) -> Found:
        """What the provider is asked, in bounded time: however an answer drips, whoever waits for it goes on."""
        if not self._free.acquire(blocking=False):
            raise Unavailable("provider_busy", "too many sign-ins wait for the provider", remedy="try again later")
        done = Future[Found]()

        def run() -> None:
            try:
                done.set_result(work())
            except BaseException as error:  # noqa: BLE001  # whoever waits raises it
                done.set_exception(error)
            finally:
                self._free.release()

        threading.Thread(target=run, name="sign-in", daemon=True).start()
        try:
            # Metadata, keys and the code: three questions at most.
            return done.result(3 * self._settings.answer_seconds)
        except TimeoutError:
            raise Unavailable(
                "provider_unreachable", "the provider of identities takes too long", remedy="see whether it is well"
            ) from None


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode("utf-8", "surrogatepass"))


def _over(code: str, what: str) -> Rejected:
    return Rejected(code, what, field="cookie", remedy="sign in again at /sign-in")


def _check_local(address: str) -> None:
    """Browsers read a backslash as a slash and leave out what is not printed: such is nobody's address here."""
    is_plain = address.isascii() and address.isprintable() and not set(address) & {"\\", " "}
    is_local = address.startswith("/") and not address.startswith("//")
    if not is_plain or not is_local or len(address) > _MOST_CHARACTERS:
        raise Rejected(
            "return_address_refused",
            "after a sign-in nobody is sent to another address than this service's",
            field="return_to",
            remedy="give a path that begins with one slash",
        )
