"""What webhooks need of adapters: their tables, the machine's clock, what sends, and the key that signs."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable

from application.delivering import Deliverer, Delivering, Patience
from application.ports.signer import Signer
from application.signing_keys import keys_of
from application.webhooks import Hooks
from domain.errors import Rejected, Unavailable
from infrastructure.clock import system_microseconds
from infrastructure.eventsourcing_journal import EventsourcingJournal
from infrastructure.postgres.webhooks import PostgresWebhooks
from infrastructure.settings import WebhookSettings
from infrastructure.webhook_post import WebPost
from interfaces.bootstrap import Ledger

__all__ = ["deliverer", "hooks_of", "webhook_settings"]


def hooks_of(ledger: Ledger) -> Hooks:
    """Subscriptions and targets of a ledger."""
    journal = ledger.book.journal
    assert isinstance(journal, EventsourcingJournal)
    return Hooks(ledger.book, PostgresWebhooks(journal.datastore), system_microseconds)


def webhook_settings() -> WebhookSettings:
    """Raises Unavailable ``settings_malformed``."""
    try:
        return WebhookSettings()
    except ValueError as error:
        raise Unavailable(
            "settings_malformed", str(error), remedy="check the CARBON_LEDGER_WEBHOOKS_... variables of the environment"
        ) from error


def deliverer(ledger: Ledger, settings: WebhookSettings, tell: Callable[[str], None]) -> Deliverer:
    """What sends the messages of a ledger; ``tell``: for whoever runs it. Raises Unavailable ``keys_absent``."""
    hooks = hooks_of(ledger)
    patience = Patience(
        settings.tries,
        settings.first_pause_seconds,
        settings.longest_pause_seconds,
        settings.disable_after_seconds,
        settings.answer_seconds,
    )
    return Deliverer(
        Delivering(
            book=ledger.book,
            views=ledger.views,
            store=hooks.store,
            post=WebPost(settings.answer_seconds),
            patience=patience,
            now_us=hooks.now_us,
            elapsed_s=time.monotonic,
            draw=lambda: secrets.randbelow(1_000),
            signing=lambda: _signer(ledger),
            tell=tell,
        )
    )


def _signer(ledger: Ledger) -> Signer:
    keys = keys_of(ledger.book, ledger.verifier)
    if not keys:
        raise Rejected("no_signing_key", "the log has no signing key yet", remedy="run `carbon-ledger init` again")
    return ledger.keys.signer(keys[-1].key)
