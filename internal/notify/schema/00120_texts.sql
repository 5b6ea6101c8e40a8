-- +goose Up
CREATE TABLE texts (
	language   TEXT NOT NULL,
	message    TEXT NOT NULL,
	part       TEXT NOT NULL,  -- subject, lead, sms, ...
	words      TEXT NOT NULL,  -- with its tags in braces; empty takes the text away
	changed_at BIGINT NOT NULL,
	PRIMARY KEY (language, message, part)
);
