-- +goose Up
CREATE TABLE access_passes (
	user_id        TEXT PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE, -- a new one replaces the old
	id             TEXT NOT NULL UNIQUE,
	mac            BYTEA NOT NULL UNIQUE,
	binding        BOOLEAN NOT NULL, -- it follows a reset: nothing opens the account before it is used or replaced
	security_epoch BIGINT NOT NULL,
	added_at       BIGINT NOT NULL,
	expires_at     BIGINT NOT NULL
);
