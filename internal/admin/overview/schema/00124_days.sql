-- +goose Up
-- What the record says happened, counted by the day by a follower of it.
CREATE TABLE days (
	day  TEXT   NOT NULL, -- UTC, 2006-01-02
	what TEXT   NOT NULL,
	n    BIGINT NOT NULL,
	PRIMARY KEY (day, what)
);
