-- +goose Up
-- One row that /readyz writes, to see whether a write goes through.
CREATE TABLE heartbeat (
	id BIGINT PRIMARY KEY,
	at BIGINT NOT NULL
);
