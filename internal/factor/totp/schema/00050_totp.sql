-- +goose Up
CREATE TABLE totp (
	id           TEXT PRIMARY KEY,
	user_id      TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	secret       BYTEA NOT NULL,           -- sealed
	name         TEXT NOT NULL DEFAULT '',
	begun_in     TEXT NOT NULL DEFAULT '', -- the session or sign-in that alone may confirm it
	confirmed    BOOLEAN NOT NULL DEFAULT FALSE,
	last_step    BIGINT NOT NULL DEFAULT 0, -- the latest that was accepted
	added_at     BIGINT NOT NULL,
	last_used_at BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX totp_user ON totp (user_id);
-- In each one waits at most: whoever goes back and starts again sees the same secret.
CREATE UNIQUE INDEX totp_waiting ON totp (user_id, begun_in) WHERE NOT confirmed;
