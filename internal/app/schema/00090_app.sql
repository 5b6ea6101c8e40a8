-- +goose Up
-- One row that /readyz writes, to see whether a write goes through.
CREATE TABLE heartbeat (
	id BIGINT PRIMARY KEY,
	at BIGINT NOT NULL
);

-- A MAC by the oldest key, to know the ring that belongs to this database.
CREATE TABLE key_check (
	id  BIGINT PRIMARY KEY,
	mac BYTEA NOT NULL
);
