-- +goose Up
ALTER TABLE passwords ADD COLUMN mailed_at BIGINT NOT NULL DEFAULT 0; -- chosen by a link out of a mailbox then; 0: it was not
