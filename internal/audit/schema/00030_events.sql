-- +goose Up
CREATE TABLE events (
    id         TEXT   NOT NULL PRIMARY KEY,
    at         BIGINT NOT NULL,
    kind       TEXT   NOT NULL,
    user_id    TEXT   NOT NULL, -- no foreign key: the record outlives the person
    actor_id   TEXT   NOT NULL,
    face       TEXT   NOT NULL,
    request_id TEXT   NOT NULL,
    address    TEXT   NOT NULL,
    browser    TEXT   NOT NULL,
    detail     TEXT   NOT NULL, -- a JSON object of strings
    mac        BYTEA  NOT NULL,
    seal       BIGINT           -- NULL: not yet
);
CREATE INDEX events_user ON events (user_id, at, id);
CREATE INDEX events_unsealed ON events (at, id) WHERE seal IS NULL;
CREATE INDEX events_seal ON events (seal, at, id) WHERE seal IS NOT NULL;

CREATE TABLE event_seals (
    seq  BIGINT NOT NULL PRIMARY KEY CHECK (seq > 0),
    at   BIGINT NOT NULL,
    rows BIGINT NOT NULL,
    hash BYTEA  NOT NULL
);
