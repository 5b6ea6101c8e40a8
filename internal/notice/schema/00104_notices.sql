-- +goose Up
-- The links “This wasn't me” of notices. They stay until their time is over, used or not: recovery asks whether the
-- address changed lately.
CREATE TABLE notice_links (
	token_hash BYTEA PRIMARY KEY,
	user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	kind       TEXT NOT NULL,    -- of the event
	factor     TEXT NOT NULL,    -- of an event about one
	subject    TEXT NOT NULL,    -- what can be undone: an enrolment, a browser, or the address before
	address    TEXT NOT NULL,    -- where the link went, as it is compared
	to_old     BOOLEAN NOT NULL, -- it went to the address that the account had before
	created_at BIGINT NOT NULL,
	expires_at BIGINT NOT NULL,
	spent_at   BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX notice_links_user ON notice_links (user_id) WHERE to_old;
CREATE INDEX notice_links_expires ON notice_links (expires_at);

-- A new password may be chosen with it, once.
CREATE TABLE recoveries (
	token_hash     BYTEA PRIMARY KEY,
	user_id        TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	security_epoch BIGINT NOT NULL,
	expires_at     BIGINT NOT NULL
);
CREATE INDEX recoveries_expires ON recoveries (expires_at);

-- The browsers that somebody signed in with before. Two people may share one.
CREATE TABLE known_browsers (
	id         TEXT PRIMARY KEY,
	user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	token_hash BYTEA NOT NULL, -- of its cookie
	used_at    BIGINT NOT NULL,
	UNIQUE (token_hash, user_id)
);
CREATE INDEX known_browsers_user ON known_browsers (user_id, used_at);
CREATE INDEX known_browsers_used ON known_browsers (used_at);
