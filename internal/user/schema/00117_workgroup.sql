-- +goose Up
-- The workgroup somebody is in, and since when; empty: none. No foreign key: that table is another folder's.
ALTER TABLE users ADD COLUMN workgroup_id TEXT NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN joined_at BIGINT NOT NULL DEFAULT 0;
CREATE INDEX users_workgroup ON users (workgroup_id) WHERE workgroup_id <> '';
-- Few people look after others.
CREATE INDEX users_staff ON users (role) WHERE role <> 'member';
