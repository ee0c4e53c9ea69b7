"""Settings from the environment, read once (DESIGN 7)."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """``CARBON_LEDGER_HOME``: the home folder.

    ``CARBON_LEDGER_DSN``: a PostgreSQL server instead of the embedded one.
    """

    model_config = SettingsConfigDict(env_prefix="CARBON_LEDGER_")

    home: Path = Field(default=Path(".carbon-ledger"))
    dsn: SecretStr | None = None
