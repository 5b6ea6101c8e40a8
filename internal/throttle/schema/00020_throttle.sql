-- +goose Up
CREATE TABLE throttle (
	subject  TEXT PRIMARY KEY,         -- rule and whom it counts
	failures BIGINT NOT NULL,          -- in the window that began at since
	since    BIGINT NOT NULL,
	last     BIGINT NOT NULL,
	over     BIGINT NOT NULL DEFAULT 0, -- how often in a row the limit was reached
	until    BIGINT NOT NULL DEFAULT 0, -- nothing is let through before then
	streak   BIGINT NOT NULL DEFAULT 0  -- failures since the last success
);
