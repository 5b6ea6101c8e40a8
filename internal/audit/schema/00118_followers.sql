-- +goose Up
-- How far each follower of the record has come. One without a row begins with the first seal; who wants to begin
-- elsewhere puts its row here.
CREATE TABLE followers (
    name TEXT   NOT NULL PRIMARY KEY,
    seal BIGINT NOT NULL -- the newest that it was given
);
