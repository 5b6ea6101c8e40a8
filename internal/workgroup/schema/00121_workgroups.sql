-- +goose Up
-- What the instance and its workgroups ask of their people. The row without an id is the instance.
CREATE TABLE workgroups (
	id       TEXT PRIMARY KEY,
	name     TEXT NOT NULL,
	name_key TEXT NOT NULL UNIQUE, -- the name as it is compared
	level    TEXT NOT NULL,        -- a policy.Level as JSON
	added_at BIGINT NOT NULL
);
INSERT INTO workgroups (id, name, name_key, level, added_at) VALUES ('', '', '', '{}', 0);
