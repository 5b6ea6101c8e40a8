-- +goose Up
-- How many messages were sent and how many could not be, by the day. Each hand of a node has a shard of its own, so that
-- no two of them wait for each other; a number is the sum of its shards.
CREATE TABLE message_days (
	day     TEXT   NOT NULL, -- UTC, 2006-01-02
	channel TEXT   NOT NULL, -- email, sms
	result  TEXT   NOT NULL, -- delivered, failed
	shard   BIGINT NOT NULL,
	n       BIGINT NOT NULL,
	PRIMARY KEY (day, channel, result, shard)
);
