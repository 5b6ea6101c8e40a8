-- +goose Up
-- A destination that somebody proved to read. It is not the profile's field: who changes that does not change where codes go.
CREATE TABLE contacts (
	id              TEXT PRIMARY KEY,
	user_id         TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	kind            TEXT NOT NULL,    -- email, sms
	destination     TEXT NOT NULL,    -- as it is written
	destination_key TEXT NOT NULL,    -- as it is compared
	preferred       BOOLEAN NOT NULL, -- of the person's channels, the one to open on
	added_at        BIGINT NOT NULL,
	last_used_at    BIGINT NOT NULL DEFAULT 0,
	replaced_by     TEXT NOT NULL DEFAULT '' -- the contact in its place, for as long as that may be taken back
);
CREATE UNIQUE INDEX contacts_user ON contacts (user_id, kind) WHERE replaced_by = '';
CREATE INDEX contacts_destination ON contacts (kind, destination_key);

-- A code under way. In each thread there is one of a kind at most: a resend takes the place of the older.
CREATE TABLE codes (
	id              TEXT PRIMARY KEY,
	user_id         TEXT NOT NULL,   -- empty: nobody has the name that was given
	security_epoch  BIGINT NOT NULL, -- of the user
	thread          TEXT NOT NULL,   -- the sign-in, session or browser that asked
	purpose         TEXT NOT NULL,
	kind            TEXT NOT NULL,
	destination     TEXT NOT NULL,
	destination_key TEXT NOT NULL,
	mac             BYTEA NOT NULL,  -- of the code, keyed
	message         TEXT NOT NULL,   -- in the outbox
	sends           BIGINT NOT NULL, -- so far in this thread
	tries           BIGINT NOT NULL, -- of this code
	sent_at         BIGINT NOT NULL,
	expires_at      BIGINT NOT NULL,
	UNIQUE (thread, purpose, kind)
);
CREATE INDEX codes_expires ON codes (expires_at);
