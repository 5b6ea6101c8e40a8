-- +goose Up
CREATE TABLE signins (
	token_hash     BYTEA PRIMARY KEY, -- every further index would be paid for twice in each sign-in
	id             TEXT NOT NULL,
	user_id        TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	security_epoch BIGINT NOT NULL,
	proofs         TEXT NOT NULL, -- JSON
	return_to      TEXT NOT NULL,
	expires_at     BIGINT NOT NULL
);
