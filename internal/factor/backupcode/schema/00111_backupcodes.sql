-- +goose Up
-- A person has one sheet at most. It outlives the security epoch, as an authenticator does.
CREATE TABLE backup_sheets (
	id           TEXT PRIMARY KEY,
	user_id      TEXT NOT NULL UNIQUE REFERENCES users (id) ON DELETE CASCADE,
	created_at   BIGINT NOT NULL,
	last_used_at BIGINT NOT NULL DEFAULT 0
);
-- The codes that are left; one that was used is gone.
CREATE TABLE backup_codes (
	sheet_id TEXT NOT NULL REFERENCES backup_sheets (id) ON DELETE CASCADE,
	mac      BYTEA NOT NULL, -- keyed, of the person, the sheet and the code
	PRIMARY KEY (sheet_id, mac)
);
