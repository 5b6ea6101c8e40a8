-- +goose Up
-- From when on the password steps up, for somebody who lost what is stronger; 0: nobody said so.
ALTER TABLE users ADD COLUMN recovers_at BIGINT NOT NULL DEFAULT 0;
