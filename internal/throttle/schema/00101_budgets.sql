-- +goose Up
-- How much of a budget is spent: the time at which all of it will be there again (GCRA's theoretical arrival time).
CREATE TABLE budgets (
	subject TEXT PRIMARY KEY,
	full_at BIGINT NOT NULL
);
CREATE INDEX budgets_full ON budgets (full_at);
