"""What an ID token of the provider has to say before somebody is believed to have signed in.

Keeps (OpenID Connect Core 3.1.3.7): one of the provider's public keys, named by ``kid``, signed it by an asymmetric
algorithm; ``iss``, ``aud``, ``azp``, ``exp`` and ``nonce`` say that it is the answer to this very sign-in. Whoever has
no role here does not sign in.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from joserfc import jwt
from joserfc.errors import JoseError

from domain.actors import check_actor
from domain.errors import Rejected
from interfaces.http.identity import ALGORITHMS, LEEWAY_S, ROLES, IssuerKeys, texts_of


class IdTokenRules(NamedTuple):
    """``roles``: from values of the claim to roles; where it is empty, the values are roles."""

    issuer: str
    client_id: str
    roles_claim: str
    roles: Mapping[str, str]
    now_s: Callable[[], int]


class SignedIn(NamedTuple):
    """Who signed in, and in which roles."""

    name: str
    roles: frozenset[str]


def signed_in_by(token: str, nonce: str, rules: IdTokenRules, keys: IssuerKeys) -> SignedIn:
    """Raises Rejected ``id_token_invalid``, ``no_role``, and what the reader of the keys raises."""
    try:
        claims = jwt.decode(token, keys.key_for, algorithms=list(ALGORITHMS)).claims
        jwt.JWTClaimsRegistry(
            now=rules.now_s(),
            leeway=LEEWAY_S,
            iss={"essential": True, "value": rules.issuer},
            aud={"essential": True, "value": rules.client_id},
            exp={"essential": True},
            iat={"essential": True},
            sub={"essential": True},
            nonce={"essential": True},
        ).validate(claims)
        _refuse_others(claims, nonce, rules.client_id)
        name = check_actor(claims["sub"])
    except (JoseError, ValueError, TypeError, KeyError, Rejected):
        raise Rejected(
            "id_token_invalid",
            "the provider's word on who signed in is not believed",
            remedy="begin again at /sign-in; if it comes back, the service and the provider are not configured alike",
        ) from None
    values = frozenset(texts_of(claims.get(rules.roles_claim)))
    roles = {rules.roles.get(each, "") for each in values} if rules.roles else values
    if not roles & frozenset(ROLES):
        raise Rejected(
            "no_role",
            "the provider names no role here for whoever signed in",
            remedy="ask whoever administers the provider for one, and sign in again",
        )
    return SignedIn(name, frozenset(roles) & frozenset(ROLES))


def _refuse_others(claims: Mapping[str, Any], nonce: str, client_id: str) -> None:
    """Raises ValueError for a token that answers another sign-in, or that was made out to somebody else too."""
    if not hmac.compare_digest(str(claims["nonce"]).encode(), nonce.encode()):
        raise ValueError("another nonce")
    party = claims.get("azp")
    several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
    if (several or party is not None) and party != client_id:
        raise ValueError("made out to another party")
