-- +goose Up
-- Who is to be reminded that they must set a factor up, and when: at the begin of their period and before its end. A row
-- stays once it is done with, so that nobody is mailed twice for one period, whatever node looks.
CREATE TABLE reminders (
	user_id      TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	workgroup_id TEXT NOT NULL,   -- whose level asks; empty: the instance's
	since        BIGINT NOT NULL, -- from when on it does
	stage        TEXT NOT NULL,   -- begun, days, day
	at           BIGINT NOT NULL,
	done         BOOLEAN NOT NULL,
	PRIMARY KEY (user_id, workgroup_id, since, stage)
);
CREATE INDEX reminders_at ON reminders (at) WHERE NOT done;

-- Walks along all people after what a level asks for has changed.
CREATE TABLE reminder_rounds (
	workgroup_id TEXT PRIMARY KEY,
	after        TEXT NOT NULL,  -- the person up to whom it came
	began        BIGINT NOT NULL -- how often, since it was over the last time
);
