-- The read side. Everything here can be dropped and built again from the journal.

CREATE SCHEMA views;

-- One position for all views, stored in the transaction that changes their rows.
CREATE TABLE views.progress (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    position bigint NOT NULL
) WITH (fillfactor = 10);
INSERT INTO views.progress VALUES (true, 0);

CREATE TABLE views.account_balance (
    account_id uuid NOT NULL,
    behavior text NOT NULL,
    credited_mg numeric NOT NULL,
    credits bigint NOT NULL,
    PRIMARY KEY (account_id, behavior)
) WITH (fillfactor = 70);

CREATE TABLE views.account_statement (
    account_id uuid NOT NULL,
    position bigint NOT NULL,
    version bigint NOT NULL,
    kind text NOT NULL,
    behavior text NOT NULL,
    day date,
    change_mg numeric NOT NULL,
    source text NOT NULL,
    PRIMARY KEY (account_id, position)
);

CREATE TABLE views.book_totals (
    behavior text PRIMARY KEY,
    credited_mg numeric NOT NULL,
    credits bigint NOT NULL,
    accounts bigint NOT NULL
);
