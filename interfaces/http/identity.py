"""Who asks: a token of the configured issuer, or a credential for trying things out.

Keeps: a token is believed when one of the issuer's public keys, named by ``kid``, signed it by an algorithm that is
asymmetric and on the list, and when ``iss``, ``aud``, ``exp`` and ``nbf`` say that it is for here and now. The name
that acts and accesses are recorded under is its ``sub``; roles come from one claim, and what is no role of ours
counts for nothing. Refusals say nothing about why, but that a token has run out. Leaves to ``security``: what a role
may do.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple, Protocol

from joserfc import jwt
from joserfc.errors import ExpiredTokenError, JoseError
from joserfc.jwk import KeySet

from domain.access import LOGIN, Reader
from domain.actors import check_actor
from domain.errors import Rejected, Unavailable

PARTNER, BANK_BACKEND, AUDITOR, COMPLIANCE = "partner", "bank_backend", "auditor", "compliance"
METHODOLOGY_OWNER, APPROVER, OPERATOR = "methodology_owner", "approver", "operator"
ROLES: Final = (PARTNER, BANK_BACKEND, AUDITOR, COMPLIANCE, METHODOLOGY_OWNER, APPROVER, OPERATOR)
PERSONAL: Final = frozenset((BANK_BACKEND, COMPLIANCE))
"""Who may be shown personal facts; every time it is recorded first."""

ALGORITHMS: Final = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "Ed25519",
    "EdDSA",
)
"""Asymmetric ones alone: a public key is not a secret that anybody could have signed with."""

LEEWAY_S: Final = 30
_KEEPS_S: Final = 60
DEV_PREFIX: Final = "dev_"
_MOST_CHARACTERS: Final = 8_192


class Caller(NamedTuple):
    """Who asks, and in which roles."""

    name: str
    roles: frozenset[str]
    until_s: int | None = None
    """Until when he is believed by what he showed; None for a credential that does not run out."""

    @property
    def reader(self) -> Reader | None:
        """As whom reads of personal facts are recorded; None for somebody who is shown none."""
        return Reader(self.name, LOGIN) if self.roles & PERSONAL else None


class DevRoles(Protocol):
    """Credentials for trying things out."""

    def role_of(self, credential: str) -> str | None: ...


class TokenRules(NamedTuple):
    """Whose tokens are believed. ``read_keys``: the issuer's public keys as they are now, a JWK Set."""

    issuer: str
    audience: str
    roles_claim: str
    read_keys: Callable[[], Mapping[str, Any]]
    now_s: Callable[[], int]


class Identity:
    """Judges credentials."""

    def __init__(self, tokens: TokenRules | None, dev: DevRoles | None) -> None:
        self._tokens = None if tokens is None else _Tokens(tokens)
        self._dev = dev

    @property
    def has_dev_credentials(self) -> bool:
        """Whether credentials for trying things out are believed."""
        return self._dev is not None

    def knows(self, authorization: str) -> bool:
        """Whether a header ``authorization`` holds a token that is believed."""
        scheme, _, credential = authorization.partition(" ")
        try:
            return scheme.lower() == "bearer" and bool(self.caller(credential.strip()).roles)
        except (Rejected, Unavailable):
            return False

    def caller(self, credential: str) -> Caller:
        """Raises Rejected ``token_invalid``, ``token_expired``."""
        if len(credential) > _MOST_CHARACTERS or not credential.isascii():
            raise _invalid()
        if self._dev is not None and credential.startswith(DEV_PREFIX):
            role = self._dev.role_of(credential)
            if role not in ROLES:
                raise _invalid()
            # A name that a partner could have, so that behaviors may be sent under it.
            return Caller(f"dev-{role.replace('_', '-')}", frozenset((role,)))
        if self._tokens is None:
            raise _invalid()
        return self._tokens.caller(credential)


class IssuerKeys:
    """The public keys of an issuer, read when they are needed first, and again when they may have changed."""

    def __init__(
        self,
        read_keys: Callable[[], Mapping[str, Any]],
        now_s: Callable[[], int],
        *,
        again_s: int = 1,
        lone_is_nameless: bool = False,
    ) -> None:
        """``again_s``: not more often than once in so many seconds, whatever names of keys come along.

        ``lone_is_nameless``: a token need not name the key of an issuer that has one alone.
        """
        self._read_keys, self._now_s, self._again_s = read_keys, now_s, again_s
        self._lone_is_nameless = lone_is_nameless
        self._lock = threading.Lock()
        self._read_at_s: int | None = None
        self._keys = KeySet([])

    def key_for(self, signed: Any) -> Any:
        """The key that a token names. Raises ValueError: not one that merely fits is tried."""
        kid = signed.headers().get("kid")
        # A key that the issuer gave up must not be believed for ever because it was read once.
        self._look_again(_KEEPS_S)
        found = _by_kid(self._keys, kid)
        if found is None:
            # The issuer may have begun to sign with a new key. Seldom: anybody can name keys that are not there.
            self._look_again(self._again_s)
            found = _by_kid(self._keys, kid)
        if kid is None and self._lone_is_nameless and len(self._keys.keys) == 1:
            return self._keys.keys[0]
        if found is None:
            raise ValueError("no key of this name")
        return found

    def _look_again(self, age_s: int) -> None:
        """Read the keys anew where they were read so many seconds ago."""
        with self._lock:
            now_s = self._now_s()
            if self._read_at_s is None or abs(now_s - self._read_at_s) >= age_s:
                self.read()

    def read(self) -> None:
        """Read them now. Raises Unavailable ``token_keys_malformed``, and what the reader raises."""
        self._read_at_s = self._now_s()
        try:
            self._keys = KeySet.import_key_set(self._read_keys())  # type: ignore[arg-type]  # read as any JSON
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise Unavailable(
                "token_keys_malformed",
                "a key of the issuer cannot be read",
                field="CARBON_LEDGER_HTTP_JWKS_FILE",
                remedy="fetch the issuer's keys again",
            ) from error


class _Tokens:
    def __init__(self, rules: TokenRules) -> None:
        self._rules = rules
        self._keys = IssuerKeys(rules.read_keys, rules.now_s)
        # A file that cannot be used is told at the start.
        self._keys.read()

    def caller(self, token: str) -> Caller:
        claims = self._claims(token)
        try:
            name = check_actor(claims["sub"])
        except Rejected:
            raise _invalid() from None
        roles = frozenset(texts_of(claims.get(self._rules.roles_claim))) & frozenset(ROLES)
        return Caller(name, roles, int(claims["exp"]))

    def _claims(self, token: str) -> dict[str, Any]:
        try:
            claims = jwt.decode(token, self._keys.key_for, algorithms=list(ALGORITHMS)).claims
            self._registry().validate(claims)
        except ExpiredTokenError:
            raise Rejected("token_expired", "the token has run out", remedy="get a new one from its issuer") from None
        except (JoseError, ValueError, TypeError, KeyError):
            raise _invalid() from None
        if not isinstance(claims["sub"], str):
            raise _invalid()
        return claims

    def _registry(self) -> jwt.JWTClaimsRegistry:
        rules = self._rules
        return jwt.JWTClaimsRegistry(
            now=rules.now_s(),
            leeway=LEEWAY_S,
            iss={"essential": True, "value": rules.issuer},
            aud={"essential": True, "value": rules.audience},
            exp={"essential": True},
            sub={"essential": True},
        )


def _by_kid(keys: KeySet, kid: object) -> Any:
    return next((key for key in keys.keys if isinstance(kid, str) and key.kid == kid), None)


def texts_of(claim: object) -> Iterable[str]:
    """A claim that is a list of texts, or one with spaces between them; what is none of ours counts for nothing."""
    if isinstance(claim, str):
        return claim.split()
    return [each for each in claim if isinstance(each, str)] if isinstance(claim, list) else []


def _invalid() -> Rejected:
    return Rejected(
        "token_invalid",
        "the credential is not one that this service believes",
        field="authorization",
        remedy="send `Authorization: Bearer` with a token of the configured issuer, for this audience",
    )
