-- What witnesses gave to checkpoints (docs/spec/log.md); each was checked under the witness's key before it was kept.

-- public_key: x and y. signed_s: the witness's own time, seconds since 1970.
CREATE TABLE journal.cosignatures (
    size bigint NOT NULL,
    map_position bigint NOT NULL,
    name text NOT NULL,
    key_hash bytea NOT NULL,
    signature bytea NOT NULL,
    signed_s bigint NOT NULL,
    public_key bytea NOT NULL,
    PRIMARY KEY (size, map_position, name, key_hash),
    FOREIGN KEY (size, map_position) REFERENCES journal.checkpoints (size, map_position)
);
CREATE TRIGGER never_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON journal.cosignatures
    FOR EACH STATEMENT EXECUTE FUNCTION journal.refuse_change();
