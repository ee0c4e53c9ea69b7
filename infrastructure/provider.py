"""The provider of identities that people sign in at (OpenID Connect Discovery 1.0, OAuth 2.0 with PKCE).

Keeps: metadata are those of the configured issuer by name, and lead nowhere but to https, or to this machine; they are
kept for ten minutes; an answer is read up to a size and for a time, follows no redirect, and uses no proxy and no
password of the environment. authlib makes the requests of the protocol, requests carries them.
Leaves to the service: what an ID token has to say, and who signed it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import msgspec
import requests
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.requests_client import OAuth2Session
from requests.adapters import HTTPAdapter

from domain.errors import Rejected, Unavailable
from infrastructure.gm.private_files import read_private
from infrastructure.sign_in_settings import SignInSettings, is_safe_address

MAX_BYTES: Final = 1 << 18
_KEEPS_S: Final = 600
_WELL_KNOWN: Final = "/.well-known/openid-configuration"
_OF_THE_CLIENT: Final = {"invalid_client", "unauthorized_client", "unsupported_grant_type"}
_SETTING: Final = "CARBON_LEDGER_OIDC_ISSUER"


class Metadata(NamedTuple):
    """Where the provider is asked what. ``takes_basic``: the secret of a client goes into a header."""

    authorization: str
    token: str
    keys: str
    takes_basic: bool


class _Bounded(HTTPAdapter):
    """Reads answers whole, within bounds; raises Timeout and ConnectionError of requests."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    def send(self, request: requests.PreparedRequest, **asked: Any) -> requests.Response:  # type: ignore[override]
        until = time.monotonic() + self._seconds
        answer = super().send(request, **(asked | {"stream": True, "timeout": self._seconds}))
        parts, size = list[bytes](), 0
        with answer:
            # What drips is never late for a single read: the time of all of them together counts.
            while part := answer.raw.read1(65_536, decode_content=True):
                parts.append(part)
                size += len(part)
                if size > MAX_BYTES:
                    raise requests.ConnectionError("the answer is too large")
                if time.monotonic() > until:
                    raise requests.Timeout("the answer takes too long")
        answer._content = b"".join(parts)
        return answer


class Provider:
    """``now_s``: seconds of a clock that only goes forward."""

    def __init__(self, settings: SignInSettings, now_s: Callable[[], float] = time.monotonic) -> None:
        self._settings, self._now_s = settings, now_s
        self._lock = threading.Lock()
        self._kept: tuple[float, Metadata] | None = None

    @property
    def issuer(self) -> str:
        """As its metadata and its tokens name it."""
        return self._settings.issuer

    def metadata(self) -> Metadata:
        """Raises Unavailable ``provider_unreachable``, ``provider_malformed``."""
        with self._lock:
            kept = self._kept
            if kept is None or self._now_s() - kept[0] >= _KEEPS_S:
                self._kept = kept = (self._now_s(), self._discovered())
            return kept[1]

    def keys(self) -> Mapping[str, Any]:
        """The public keys that it signs with now, a JWK Set. Raises as ``metadata``."""
        found = self._document(self.metadata().keys)
        if not isinstance(found.get("keys"), list):
            raise _malformed("its keys are no JWK Set")
        # Others than signing keys, and those without a name, are none that a token is believed by.
        usable = [
            each
            for each in found["keys"]
            if isinstance(each, dict) and each.get("kty") in ("RSA", "EC", "OKP") and each.get("use", "sig") == "sig"
        ]
        return {"keys": usable}

    def sign_in_address(self, state: str, nonce: str, verifier: str) -> str:
        """Where a browser is sent to. Raises as ``metadata``."""
        metadata = self.metadata()
        with self._session(metadata) as session:
            address, _ = session.create_authorization_url(
                metadata.authorization, state=state, nonce=nonce, code_verifier=verifier
            )
        return str(address)

    def id_token(self, code: str, verifier: str) -> str:
        """What a code is exchanged for. Raises Rejected ``sign_in_refused``, and as ``metadata``."""
        metadata = self.metadata()
        try:
            with self._session(metadata) as session:
                answer = session.fetch_token(
                    metadata.token,
                    grant_type="authorization_code",
                    code=code,
                    code_verifier=verifier,
                    redirect_uri=self._settings.redirect_uri,
                    allow_redirects=False,
                )
        except requests.RequestException as error:
            raise _unreachable(error) from error
        except AuthlibBaseError as error:
            if error.error in _OF_THE_CLIENT:
                raise _malformed(f"it does not take this client: {error.error}") from error
            raise Rejected(
                "sign_in_refused",
                "the provider does not take the code",
                field="code",
                remedy="begin again at /sign-in: a code is for one use, and for a short time",
            ) from None
        except (ValueError, TypeError, AttributeError) as error:
            raise _malformed("its answer to a code is none") from error
        found = answer.get("id_token")
        if not isinstance(found, str):
            raise _malformed("it answers to a code without an ID token")
        return found

    def _session(self, metadata: Metadata) -> Any:
        path, method = self._settings.client_secret_file, "none"
        secret = None
        if path is not None:
            secret = read_private(path).decode().strip()
            method = "client_secret_basic" if metadata.takes_basic else "client_secret_post"
        session = OAuth2Session(
            self._settings.client_id,
            secret,
            token_endpoint_auth_method=method,
            scope=self._settings.scope,
            redirect_uri=self._settings.redirect_uri,
            code_challenge_method="S256",
        )
        self._mount(session)
        return session

    def _mount(self, session: requests.Session) -> None:
        session.trust_env = False
        for scheme in ("https://", "http://"):
            session.mount(scheme, _Bounded(self._settings.answer_seconds))

    def _discovered(self) -> Metadata:
        found = self._document(self.issuer.rstrip("/") + _WELL_KNOWN)
        if found.get("issuer") != self.issuer:
            raise _malformed("its metadata are those of another issuer")
        addresses = [found.get(name) for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")]
        authorization, token, keys = (str(each) if isinstance(each, str) else "" for each in addresses)
        if not all(is_safe_address(each) for each in (authorization, token, keys)):
            raise _malformed("an address in its metadata is missing, or neither https nor of this machine")
        methods = found.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        return Metadata(authorization, token, keys, isinstance(methods, list) and "client_secret_basic" in methods)

    def _document(self, url: str) -> dict[str, Any]:
        try:
            with requests.Session() as session:
                self._mount(session)
                answer = session.get(url, allow_redirects=False, headers={"accept": "application/json"})
        except requests.RequestException as error:
            raise _unreachable(error) from error
        if answer.status_code != 200:
            raise _malformed(f"it answers with {answer.status_code}")
        try:
            return msgspec.json.decode(answer.content, type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise _malformed("its answer is no JSON object") from error


def _unreachable(error: Exception) -> Unavailable:
    return Unavailable(
        "provider_unreachable",
        f"the provider of identities does not answer: {type(error).__name__}",
        field=_SETTING,
        remedy="see whether its address is right and can be reached from here",
    )


def _malformed(what: str) -> Unavailable:
    return Unavailable(
        "provider_malformed",
        f"the provider of identities is not as configured: {what}",
        field=_SETTING,
        remedy="compare the setting with `issuer` of its metadata, and see that all its addresses are https",
    )
