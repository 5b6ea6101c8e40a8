-- +goose Up
CREATE TABLE sessions (
	token_hash     BYTEA PRIMARY KEY, -- every further index would be paid for in each sign-in
	id             TEXT NOT NULL,
	user_id        TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	security_epoch BIGINT NOT NULL, -- of the user when it began; void once that moved on
	proofs         TEXT NOT NULL,   -- JSON
	started_at     BIGINT NOT NULL,
	last_seen_at   BIGINT NOT NULL, -- behind by up to a minute
	expires_at     BIGINT NOT NULL,
	fresh_until    BIGINT NOT NULL,
	address        TEXT NOT NULL,
	browser        TEXT NOT NULL
);
CREATE INDEX sessions_user ON sessions (user_id);
