-- +goose Up
-- What administrators look for, each with the newest first: ids grow with time.
CREATE INDEX events_kind ON events (kind, id);
CREATE INDEX events_address ON events (address, id) WHERE address <> '';
CREATE INDEX events_actor ON events (actor_id, id) WHERE actor_id <> '';

-- One row: the latest check of the whole record, and who is at the next one.
CREATE TABLE event_check (
    one        BIGINT NOT NULL PRIMARY KEY CHECK (one = 1),
    busy_until BIGINT NOT NULL, -- the lease of the node that checks; 0: none does
    ended_at   BIGINT NOT NULL, -- 0: there was none yet
    result     TEXT   NOT NULL, -- a JSON object
    mac        BYTEA  NOT NULL  -- of ended_at and result
);
INSERT INTO event_check (one, busy_until, ended_at, result, mac) VALUES (1, 0, 0, '', '');
