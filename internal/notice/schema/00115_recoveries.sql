-- +goose Up
-- Links to a new password belong to recovery.
DROP TABLE recoveries;
