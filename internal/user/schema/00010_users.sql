-- +goose Up
CREATE TABLE users (
	id             TEXT PRIMARY KEY,
	login          TEXT NOT NULL,
	login_key      TEXT NOT NULL UNIQUE, -- the login as it is compared
	name           TEXT NOT NULL,
	role           TEXT NOT NULL,
	security_epoch BIGINT NOT NULL DEFAULT 1,
	disabled       BOOLEAN NOT NULL DEFAULT FALSE,
	mfa_off        BOOLEAN NOT NULL DEFAULT FALSE,
	mfa_due_at     BIGINT NOT NULL DEFAULT 0,
	added_at       BIGINT NOT NULL
);
