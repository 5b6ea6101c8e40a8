-- +goose Up
-- The browsers on which somebody is not asked for a second step. Two people may share one, which has a row and a token of each then.
CREATE TABLE trusted_browsers (
	token_hash     BYTEA NOT NULL, -- of one token of the cookie; another one after each use
	user_id        TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	id             TEXT NOT NULL,
	security_epoch BIGINT NOT NULL, -- of the user when it was trusted; void once that moved on
	browser        TEXT NOT NULL,
	address        TEXT NOT NULL,
	added_at       BIGINT NOT NULL,
	used_at        BIGINT NOT NULL,
	ends_at        BIGINT NOT NULL,
	PRIMARY KEY (token_hash, user_id)
);
CREATE INDEX trusted_browsers_user ON trusted_browsers (user_id);

-- The sessions that may still make their browser a trusted one. A row lives for minutes, so a further index would cost more than it saves.
CREATE TABLE trust_offers (
	session_id     TEXT PRIMARY KEY,
	user_id        TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	security_epoch BIGINT NOT NULL,
	open_until     BIGINT NOT NULL
);
