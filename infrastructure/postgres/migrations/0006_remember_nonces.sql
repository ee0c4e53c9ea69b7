-- Numbers that partners used once (docs/spec/partner-api.md), until the requests that had them would be refused as late.

-- key: the id of the partner's key. until_s: seconds since 1970.
CREATE TABLE journal.request_nonces (
    key text NOT NULL,
    nonce text NOT NULL,
    until_s bigint NOT NULL,
    PRIMARY KEY (key, nonce)
);
CREATE INDEX request_nonces_until ON journal.request_nonces (until_s);
