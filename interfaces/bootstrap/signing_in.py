"""What the sign-in of people needs of adapters: the provider of identities, and what keeps sessions."""

from __future__ import annotations

from typing import NamedTuple

from domain.errors import Unavailable
from infrastructure.provider import Provider
from infrastructure.sessions import Sessions
from infrastructure.settings import Settings
from infrastructure.sign_in_settings import SignInSettings

__all__ = ["Provider", "Sessions", "SignInParts", "SignInSettings", "sign_in_parts", "sign_in_settings"]


class SignInParts(NamedTuple):
    """All of them."""

    settings: SignInSettings
    provider: Provider
    sessions: Sessions


def sign_in_settings() -> SignInSettings:
    """Raises Unavailable ``settings_malformed``."""
    try:
        return SignInSettings()
    except ValueError as error:
        raise Unavailable(
            "settings_malformed", str(error), remedy="check the CARBON_LEDGER_OIDC_... variables of the environment"
        ) from error


def sign_in_parts(settings: Settings, of_sign_in: SignInSettings | None = None) -> SignInParts | None:
    """None where no provider is configured. Raises Unavailable as ``sign_in_settings`` and ``Sessions``."""
    chosen = sign_in_settings() if of_sign_in is None else of_sign_in
    if not chosen.issuer:
        return None
    key_path = chosen.session_key_file or settings.home / "session-key"
    return SignInParts(chosen, Provider(chosen), Sessions(key_path, settings.home / "ended-sessions"))
