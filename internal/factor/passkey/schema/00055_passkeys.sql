-- +goose Up
CREATE TABLE passkeys (
	id              TEXT PRIMARY KEY,
	user_id         TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	credential_id   BYTEA NOT NULL UNIQUE,
	public_key      BYTEA NOT NULL,            -- COSE
	rp_id           TEXT NOT NULL,             -- the relying party it was made for, and works with alone
	name            TEXT NOT NULL,
	aaguid          BYTEA NOT NULL,
	format          TEXT NOT NULL,             -- of the attestation
	attestation     TEXT NOT NULL,             -- its type
	transports      TEXT NOT NULL,             -- with commas
	sign_count      BIGINT NOT NULL,
	backup_eligible BOOLEAN NOT NULL,
	backed_up       BOOLEAN NOT NULL,
	quiet           BOOLEAN NOT NULL DEFAULT FALSE, -- it does not make the password ask for more
	added_at        BIGINT NOT NULL,
	last_used_at    BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX passkeys_user ON passkeys (user_id);

-- What authenticators call a person. It is no id of ours, so that they give nothing away.
CREATE TABLE passkey_people (
	user_id TEXT PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
	handle  BYTEA NOT NULL UNIQUE
);

-- Challenges that were answered, until they are too old to be answered anyway.
CREATE TABLE passkey_answers (
	challenge BYTEA PRIMARY KEY,
	ends_at   BIGINT NOT NULL
);

-- Who was offered a passkey after signing in.
CREATE TABLE passkey_offers (
	user_id     TEXT PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
	session_id  TEXT NOT NULL,                 -- that may take it up
	open_until  BIGINT NOT NULL,
	quiet_until BIGINT NOT NULL                -- no other offer before
);
