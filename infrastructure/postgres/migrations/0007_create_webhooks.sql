-- Webhooks (docs/webhooks.md): settings and what waits to be sent. No facts of the ledger: whoever loses this schema
-- subscribes again, and is told again from any position of the log.

CREATE SCHEMA webhooks;

-- Where messages may go. The service reads it, and whoever owns the schema writes it: a service that was taken over sends
-- nothing anywhere else. owner: a partner's name, empty for the bank.
CREATE TABLE webhooks.targets (
    origin text NOT NULL,
    owner text NOT NULL,
    is_private boolean NOT NULL,
    allowed_by text NOT NULL,
    allowed_us bigint NOT NULL,
    PRIMARY KEY (origin, owner)
);

-- position: the log up to here was sent, waits in messages, or is of no interest; it moves in the transaction that
-- writes the messages. No secrets: they follow from the id and the pepper of the key store.
CREATE TABLE webhooks.subscriptions (
    id uuid PRIMARY KEY,
    owner text NOT NULL,
    url text NOT NULL,
    kinds text[] NOT NULL,
    behaviors text[] NOT NULL,
    threshold_mg bigint,
    made_by text NOT NULL,
    made_us bigint NOT NULL,
    position bigint NOT NULL,
    state text NOT NULL DEFAULT 'active',
    reason text NOT NULL DEFAULT '',
    delivered bigint NOT NULL DEFAULT 0,
    failed bigint NOT NULL DEFAULT 0,
    rounds_failed integer NOT NULL DEFAULT 0,
    next_us bigint NOT NULL DEFAULT 0,
    failing_since_us bigint NOT NULL DEFAULT 0,
    succeeded_us bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 30);

-- At most some hundred for each subscription wait; given up (dead_us > 0) some thousand.
CREATE TABLE webhooks.messages (
    subscription uuid NOT NULL REFERENCES webhooks.subscriptions (id) ON DELETE CASCADE,
    position bigint NOT NULL,
    kind text NOT NULL,
    name text NOT NULL,
    lane uuid NOT NULL,
    body text NOT NULL,
    tries integer NOT NULL DEFAULT 0,
    next_us bigint NOT NULL DEFAULT 0,
    first_us bigint NOT NULL DEFAULT 0,
    dead_us bigint NOT NULL DEFAULT 0,
    error text NOT NULL DEFAULT '',
    PRIMARY KEY (subscription, position, kind)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);
