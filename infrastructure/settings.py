"""Settings from the environment, read once (DESIGN 7)."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """``CARBON_LEDGER_HOME``: the home folder.

    ``CARBON_LEDGER_DSN``: a PostgreSQL server instead of the embedded one.
    ``CARBON_LEDGER_KEK_FILE`` or ``CARBON_LEDGER_PASSPHRASE_FILE``: where the root key of the home comes from,
    instead of a generated file.
    ``CARBON_LEDGER_WITHOUT_KEYS``: no key store is opened; what needs a key is refused.
    ``CARBON_LEDGER_ACTOR_PASSPHRASE_FILE``: what opens a person's own key file.
    """

    model_config = SettingsConfigDict(env_prefix="CARBON_LEDGER_")

    home: Path = Field(default=Path(".carbon-ledger"))
    dsn: SecretStr | None = None
    kek_file: Path | None = None
    passphrase_file: Path | None = None
    without_keys: bool = False
    actor_passphrase_file: Path | None = None
