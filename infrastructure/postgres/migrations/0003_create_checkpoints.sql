-- Signed checkpoints as they were given out (docs/spec/log.md), and what is kept so that signing and proving are quick.

-- map_position: 0 where the checkpoint names no map. frontier: of the tree at this size; its root is the checkpoint's.
CREATE TABLE journal.checkpoints (
    size bigint NOT NULL,
    map_position bigint NOT NULL,
    frontier bytea NOT NULL,
    note bytea NOT NULL,
    PRIMARY KEY (size, map_position)
);
CREATE TRIGGER never_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON journal.checkpoints
    FOR EACH STATEMENT EXECUTE FUNCTION journal.refuse_change();

-- The rest can be made anew from the log: `carbon-ledger checkpoint rebuild`.

-- Roots of the complete subtrees at every eighth level of the tree over the log.
CREATE TABLE views.tree_nodes (
    level smallint NOT NULL,
    number bigint NOT NULL,
    root bytea NOT NULL,
    PRIMARY KEY (level, number)
);

-- The book map as of the newest checkpoint that has one (docs/spec/book-map.md). prefix: the first 16 bits of the key.
-- balances: lines "behavior,mg".
CREATE TABLE views.map_streams (
    prefix integer NOT NULL,
    key bytea NOT NULL,
    stream uuid NOT NULL,
    version bigint NOT NULL,
    balances text NOT NULL,
    PRIMARY KEY (prefix, key)
) WITH (fillfactor = 80);

-- What stands for all streams of a prefix: the root of their subtree, or if it is one stream its key and value.
CREATE TABLE views.map_parts (
    prefix integer PRIMARY KEY,
    root bytea,
    key bytea,
    value bytea
) WITH (fillfactor = 80);
