-- +goose Up
CREATE TABLE passwords (
	user_id    TEXT PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
	hash       TEXT NOT NULL, -- PHC string
	changed_at BIGINT NOT NULL
);
