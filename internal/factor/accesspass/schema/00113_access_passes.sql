-- +goose Up
CREATE TABLE access_passes (
	user_id        TEXT PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE, -- a new one replaces the old
	id             TEXT NOT NULL UNIQUE,
	mac            BYTEA NOT NULL UNIQUE,
	binding        BOOLEAN NOT NULL, -- it follows a reset: nothing opens the account before it is used or replaced
	mailed         BOOLEAN NOT NULL, -- it went out by mail
	security_epoch BIGINT NOT NULL,
	used_at        BIGINT NOT NULL,  -- of one that binds, which goes with the session that it leads to
	added_at       BIGINT NOT NULL,
	expires_at     BIGINT NOT NULL
);
