-- +goose Up
CREATE TABLE setup_links (
	token_hash BYTEA PRIMARY KEY,
	expires_at BIGINT NOT NULL
);
