"""Settings of people's sign-in by OpenID Connect, from the environment."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


def is_safe_address(url: str) -> bool:
    """Whether nobody on the way can read or change what goes there: https, or this machine alone."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        return False
    if not host or parts.username is not None or parts.fragment or not url.isascii() or not url.isprintable():
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class SignInSettings(BaseSettings):
    """Each as ``CARBON_LEDGER_OIDC_...``; without ``ISSUER`` nobody signs in here.

    ``ISSUER``: as its metadata names it. ``CLIENT_ID``, ``CLIENT_SECRET_FILE``: as whom this service is registered
    there; a public client has no secret. ``REDIRECT_URI``: the address of ``/signed-in`` as browsers see it.
    ``SCOPE``: what is asked for. ``ROLES_CLAIM``: where an ID token names roles; ``ROLES``: JSON, from values of that
    claim to roles; without it the values are roles. ``SESSION_SECONDS``: how long a session lasts;
    ``SESSION_KEY_FILE``: what signs its cookies, ``session-key`` in the home without it. ``ANSWER_SECONDS``: how
    long the provider may take.
    """

    model_config = SettingsConfigDict(env_prefix="CARBON_LEDGER_OIDC_")

    issuer: str = ""
    client_id: str = ""
    client_secret_file: Path | None = None
    redirect_uri: str = ""
    scope: str = "openid"
    roles_claim: str = Field(default="roles", min_length=1)
    roles: dict[str, str] = Field(default_factory=dict)
    session_seconds: int = Field(default=3_600, ge=60, le=3_600)
    session_key_file: Path | None = None
    answer_seconds: float = Field(default=5.0, ge=0.1, le=30)

    @model_validator(mode="after")
    def _is_whole(self) -> SignInSettings:
        named = [bool(self.issuer), bool(self.client_id), bool(self.redirect_uri)]
        if any(named) and not all(named):
            raise ValueError("ISSUER, CLIENT_ID and REDIRECT_URI belong together: set all three or none")
        if not any(named):
            return self
        for name, url in (("ISSUER", self.issuer), ("REDIRECT_URI", self.redirect_uri)):
            if not is_safe_address(url):
                raise ValueError(f"{name} is no https address; http is for this machine alone")
        if urlsplit(self.redirect_uri).path != "/signed-in" or urlsplit(self.redirect_uri).query:
            raise ValueError("REDIRECT_URI is the address of this service and ends with /signed-in")
        if "openid" not in self.scope.split():
            raise ValueError("SCOPE lacks openid")
        return self
