-- +goose Up
CREATE TABLE outbox (
	id         TEXT PRIMARY KEY,
	user_id    TEXT NOT NULL,           -- whom it is for; empty: nobody has that name, and nothing is sent
	channel    TEXT NOT NULL,           -- email, sms
	message    TEXT NOT NULL,           -- which text
	sealed     BYTEA,                   -- destination and facts; gone once it is over
	state      TEXT NOT NULL,           -- waiting, sending, delivered, failed
	why        TEXT NOT NULL DEFAULT '', -- of failed: refused, expired, or fault
	tries      BIGINT NOT NULL DEFAULT 0,
	due_at     BIGINT NOT NULL,         -- next try, or end of the lease of the node that sends it; 0: over
	expires_at BIGINT NOT NULL,         -- no try after that
	added_at   BIGINT NOT NULL
);
CREATE INDEX outbox_due ON outbox (due_at) WHERE due_at > 0;
CREATE INDEX outbox_added ON outbox (added_at);
