-- How many rows of each registered partner were credited on a civil day at +08:00, the day of receipt: what its quota of
-- a day is held to. It follows from the log; it is kept so that an append can count in its own transaction.

CREATE TABLE journal.partner_days (
    partner text NOT NULL,
    day date NOT NULL,
    rows bigint NOT NULL,
    PRIMARY KEY (partner, day)
);
CREATE TRIGGER count_under_lock BEFORE INSERT OR UPDATE ON journal.partner_days
    FOR EACH STATEMENT EXECUTE FUNCTION journal.refuse_without_head();
