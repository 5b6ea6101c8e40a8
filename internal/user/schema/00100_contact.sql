-- +goose Up
ALTER TABLE users ADD COLUMN email TEXT NOT NULL DEFAULT '';     -- where mail goes
ALTER TABLE users ADD COLUMN email_key TEXT NOT NULL DEFAULT ''; -- the address as it is compared
ALTER TABLE users ADD COLUMN phone TEXT NOT NULL DEFAULT '';     -- work phone, E.164
ALTER TABLE users ADD COLUMN language TEXT NOT NULL DEFAULT '';  -- of messages; empty: the one of the site
ALTER TABLE users ADD COLUMN mfa_method TEXT NOT NULL DEFAULT ''; -- set by an administrator
ALTER TABLE users ADD COLUMN frozen_until BIGINT NOT NULL DEFAULT 0;
UPDATE users SET email = login, email_key = login_key;
-- Who else has this address or number? Asked whenever a code is to go there.
CREATE INDEX users_email ON users (email_key);
CREATE INDEX users_phone ON users (phone) WHERE phone <> '';
