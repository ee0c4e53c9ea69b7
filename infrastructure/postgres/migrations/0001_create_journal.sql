-- The journal: the log itself, its head, what keeps references and accounts unique, and disposable snapshots.

CREATE SCHEMA journal;

-- The event table has exactly the shape that the eventsourcing library reads (there called notification_id: the log
-- position). Positions come from log_head, never from a sequence: a sequence leaves gaps.
CREATE TABLE journal.ledger_events (
    originator_id uuid NOT NULL,
    originator_version bigint NOT NULL,
    topic text NOT NULL,
    state bytea NOT NULL,
    notification_id bigint NOT NULL,
    PRIMARY KEY (originator_id, originator_version)
) WITH (autovacuum_analyze_scale_factor = 0.01);
CREATE UNIQUE INDEX ledger_events_notification_id_idx ON journal.ledger_events (notification_id);
-- Rulebook and intakes are few among millions of events of accounts: whoever asks for them alone must not read these.
CREATE INDEX ledger_events_few_idx ON journal.ledger_events (notification_id) WHERE topic NOT LIKE 'carbon.account.%';

CREATE TABLE journal.ledger_snapshots (
    originator_id uuid NOT NULL,
    originator_version bigint NOT NULL,
    topic text NOT NULL,
    state bytea NOT NULL,
    PRIMARY KEY (originator_id, originator_version)
);

-- All writers serialize on this one row. book: what tells this book from every other. frontier, root: the Merkle tree
-- over the log (docs/spec/log.md), 32 bytes for each complete subtree, largest first; the root of no event is SM3("").
-- key_epoch: under which key-encryption key the keys of accounts are wrapped; 0 = there are none yet.
CREATE TABLE journal.log_head (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    size bigint NOT NULL DEFAULT 0,
    rulebook_position bigint NOT NULL DEFAULT 0,
    recorded_us bigint NOT NULL DEFAULT 0,
    book uuid NOT NULL DEFAULT gen_random_uuid(),
    frontier bytea NOT NULL DEFAULT '',
    root bytea NOT NULL DEFAULT '\x1ab21d8355cfa17f8e61194831e81a8f22bec8c728fefb747ed035eb5082aa2b',
    key_epoch bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 10);
INSERT INTO journal.log_head DEFAULT VALUES;

-- One row per commit: when the log reached which size.
CREATE TABLE journal.log_commits (
    last_position bigint PRIMARY KEY,
    recorded_us bigint NOT NULL UNIQUE
);

-- HMAC-SM3 of (partner, source_ref), cut to 128 bits and kept as uuid because that type is compared fastest.
CREATE TABLE journal.behavior_refs (
    ref uuid PRIMARY KEY,
    position bigint NOT NULL
);

-- HMAC-SM3 of account_ref -> account. Erasing a person deletes the row.
CREATE TABLE journal.account_refs (
    account_key uuid PRIMARY KEY,
    account_id uuid NOT NULL UNIQUE
);

-- The key that seals an account's personal facts, itself sealed under the key-encryption key of the epoch. Erasing a
-- person deletes the row; a new epoch writes all rows anew.
CREATE TABLE journal.account_keys (
    account_id uuid PRIMARY KEY,
    wrapped bytea NOT NULL
);

-- Only a transaction that holds the head may append: then it alone knows the next position. Nor does anybody else destroy
-- a key: the receipt in the log belongs to it.
CREATE FUNCTION journal.refuse_without_head() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM journal.log_head WHERE xmax = pg_current_xact_id()::xid) THEN
        RAISE EXCEPTION '% on % refused: this transaction does not hold journal.log_head', TG_OP, TG_TABLE_NAME
            USING HINT = 'write through the ledger; a stock insert would break the order of the log';
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION journal.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% on % refused: what is recorded is never changed', TG_OP, TG_TABLE_NAME;
END $$;

CREATE TRIGGER append_under_lock BEFORE INSERT ON journal.ledger_events
    FOR EACH STATEMENT EXECUTE FUNCTION journal.refuse_without_head();
CREATE TRIGGER append_under_lock BEFORE INSERT ON journal.behavior_refs
    FOR EACH STATEMENT EXECUTE FUNCTION journal.refuse_without_head();
CREATE TRIGGER append_under_lock BEFORE INSERT ON journal.log_commits
    FOR EACH STATEMENT EXECUTE FUNCTION journal.refuse_without_head();
CREATE TRIGGER erase_under_lock BEFORE DELETE OR TRUNCATE ON journal.account_refs
    FOR EACH STATEMENT EXECUTE FUNCTION journal.refuse_without_head();
CREATE TRIGGER erase_under_lock BEFORE DELETE OR TRUNCATE ON journal.account_keys
    FOR EACH STATEMENT EXECUTE FUNCTION journal.refuse_without_head();
CREATE TRIGGER never_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON journal.ledger_events
    FOR EACH STATEMENT EXECUTE FUNCTION journal.refuse_change();
CREATE TRIGGER never_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON journal.behavior_refs
    FOR EACH STATEMENT EXECUTE FUNCTION journal.refuse_change();
CREATE TRIGGER never_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON journal.log_commits
    FOR EACH STATEMENT EXECUTE FUNCTION journal.refuse_change();
CREATE TRIGGER never_removed BEFORE DELETE OR TRUNCATE ON journal.log_head
    FOR EACH STATEMENT EXECUTE FUNCTION journal.refuse_change();
