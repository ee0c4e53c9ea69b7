"""Settings from the environment, read once (DESIGN 7): of a ledger, of the service over one, of webhooks."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr, model_validator
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


class ServiceSettings(BaseSettings):
    """Of ``carbon-ledger serve``; each as ``CARBON_LEDGER_HTTP_...``.

    ``JWKS_FILE``, ``ISSUER``, ``AUDIENCE``: whose tokens are believed; all three or none. ``ROLES_CLAIM``: where a
    token names roles. ``LEDGERS``: requests that may read at the same time; ``IN_FLIGHT``: those that may be under
    way or wait; ``REQUESTS_PER_SECOND``: of one caller, in one process; 0 = any. ``BODY_BYTES``, ``BODY_SECONDS``:
    the largest body and how long it may take to arrive. ``PATIENCE_SECONDS``: how long a request waits for a free
    ledger, or for the log to reach its ``min_position``. ``DRAIN_SECONDS``: how long a stop waits for what is under
    way. ``WAITING_ROWS``: behaviors that may wait to be recorded. ``MAX_UNSIGNED_SECONDS``: not ready where the oldest
    event without a checkpoint is older; 0 = told only. ``MAX_VIEWS_BEHIND``: not ready where the views are more events
    behind; 0 = told only. ``UNSIGNED_PARTNERS``: names, with spaces between them, of partners that need not sign.
    """

    model_config = SettingsConfigDict(env_prefix="CARBON_LEDGER_HTTP_")

    jwks_file: Path | None = None
    issuer: str = ""
    audience: str = ""
    roles_claim: str = Field(default="roles", min_length=1)
    # A request holds at most two of the sixteen connections that one process opens.
    ledgers: int = Field(default=8, ge=1, le=8)
    in_flight: int = Field(default=100, ge=1, le=10_000)
    requests_per_second: int = Field(default=100, ge=0)
    body_bytes: int = Field(default=65_536, ge=1_024, le=1 << 26)
    body_seconds: int = Field(default=10, ge=1, le=300)
    file_bytes: int = Field(default=1 << 30, ge=1_024, le=1 << 40)
    file_seconds: int = Field(default=600, ge=1, le=86_400)
    patience_seconds: int = Field(default=5, ge=0, le=60)
    drain_seconds: int = Field(default=30, ge=1, le=600)
    waiting_rows: int = Field(default=20_000, ge=1, le=1_000_000)
    unsigned_partners: str = ""
    max_unsigned_seconds: int = Field(default=0, ge=0)
    max_views_behind: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _names_the_issuer_whole(self) -> ServiceSettings:
        named = [self.jwks_file is not None, bool(self.issuer), bool(self.audience)]
        if any(named) and not all(named):
            raise ValueError("JWKS_FILE, ISSUER and AUDIENCE belong together: set all three or none")
        return self


class WebhookSettings(BaseSettings):
    """Of ``carbon-ledger webhooks run``; each as ``CARBON_LEDGER_WEBHOOKS_...``.

    ``TRIES``: after so many a message is given up, where others get through or the receiver refuses it.
    ``FIRST_PAUSE_SECONDS``, ``LONGEST_PAUSE_SECONDS``: between tries; each is twice the one before, less up to a half
    by chance. ``DISABLE_AFTER_SECONDS``: a subscription through which nothing gets for so long is disabled.
    ``ANSWER_SECONDS``: how long a receiver may take for one message.
    """

    model_config = SettingsConfigDict(env_prefix="CARBON_LEDGER_WEBHOOKS_")

    tries: int = Field(default=30, ge=1, le=1_000)
    first_pause_seconds: float = Field(default=5.0, ge=0.01, le=3_600)
    longest_pause_seconds: float = Field(default=3_600.0, ge=0.01, le=86_400)
    disable_after_seconds: int = Field(default=259_200, ge=1)
    answer_seconds: float = Field(default=10.0, ge=0.1, le=60)
