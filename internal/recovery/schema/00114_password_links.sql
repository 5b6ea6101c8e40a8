-- +goose Up
-- The newest link of each person to a new password. It works once.
CREATE TABLE password_links (
	user_id        TEXT PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
	token_hash     BYTEA NOT NULL UNIQUE,
	purpose        TEXT NOT NULL, -- forgotten; intruded: after "This wasn't me"; or invited: the first one
	security_epoch BIGINT NOT NULL,
	message        TEXT NOT NULL, -- that took it there; empty: none did
	expires_at     BIGINT NOT NULL
);
CREATE INDEX password_links_expires ON password_links (expires_at);
