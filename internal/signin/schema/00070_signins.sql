-- +goose Up
CREATE TABLE signins (
	id             TEXT PRIMARY KEY,
	token_hash     BYTEA NOT NULL UNIQUE,
	user_id        TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	security_epoch BIGINT NOT NULL,
	proofs         TEXT NOT NULL, -- JSON
	return_to      TEXT NOT NULL,
	expires_at     BIGINT NOT NULL
);
CREATE INDEX signins_user ON signins (user_id);
