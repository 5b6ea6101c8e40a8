-- +goose Up
-- What administrators see of people, one row each. It has no foreign key: a row says where its person is counted, and
-- must outlive them until they are taken out of there.
--
-- The sort keys end with the id of the person, so each is unique. They are bytes, because two engines (and two servers)
-- sort text in different ways.
CREATE TABLE directory (
	n               INTEGER PRIMARY KEY, -- short, for the words
	user_id         TEXT NOT NULL UNIQUE,
	name            TEXT NOT NULL,
	login           TEXT NOT NULL,
	workgroup_id    TEXT NOT NULL,
	class           INTEGER NOT NULL,    -- role, status and factors that count now
	shape           TEXT NOT NULL,       -- what policy needs to know, whatever counts now
	words           BYTEA NOT NULL,      -- of name and addresses, folded, with a blank on each side
	by_name         BYTEA NOT NULL,
	by_login        BYTEA NOT NULL,
	by_added        BYTEA NOT NULL,
	by_seen         BYTEA NOT NULL,
	added_at        BIGINT NOT NULL,
	last_sign_in_at BIGINT NOT NULL      -- 0: never, or nobody remembers
);
-- A list is merged from the classes that its filters let through, each in order.
CREATE INDEX directory_name ON directory (class, by_name, n);
CREATE INDEX directory_login ON directory (class, by_login, n);
CREATE INDEX directory_added ON directory (class, by_added, n);
CREATE INDEX directory_seen ON directory (class, by_seen, n);
CREATE INDEX directory_group_name ON directory (workgroup_id, class, by_name, n) WHERE workgroup_id <> '';
CREATE INDEX directory_group_login ON directory (workgroup_id, class, by_login, n) WHERE workgroup_id <> '';
CREATE INDEX directory_group_added ON directory (workgroup_id, class, by_added, n) WHERE workgroup_id <> '';
CREATE INDEX directory_group_seen ON directory (workgroup_id, class, by_seen, n) WHERE workgroup_id <> '';
CREATE INDEX directory_shape ON directory (shape, workgroup_id);

-- The words that people are found by. Those that a sort key begins with lie together in its order; the others are
-- scattered over it, so to find the next one in order is to walk, or to sort.
CREATE TABLE directory_words (
	leads INTEGER NOT NULL, -- 1: the name begins with it, 2: the login does, 3: both, 0: neither
	word  BYTEA NOT NULL,
	n     INTEGER NOT NULL,
	PRIMARY KEY (leads, word, n)
);

-- People are alike to filters who have the same role, status and factors.
CREATE TABLE directory_classes (
	class   INTEGER PRIMARY KEY,
	role    TEXT NOT NULL,
	status  TEXT NOT NULL,
	factors TEXT NOT NULL,   -- kinds that the next sign-in asks for, strongest first, with a blank between
	n       BIGINT NOT NULL, -- people
	UNIQUE (role, status, factors)
);

-- How many are alike to filters and to policy, in each workgroup.
CREATE TABLE directory_tallies (
	workgroup_id TEXT NOT NULL,
	class        INTEGER NOT NULL,
	shape        TEXT NOT NULL,
	n            BIGINT NOT NULL,
	PRIMARY KEY (workgroup_id, class, shape)
);

-- Who must be looked at again, and when: something happened to them, or something of theirs ends by itself.
CREATE TABLE directory_due (
	user_id TEXT PRIMARY KEY,
	at      BIGINT NOT NULL
);
CREATE INDEX directory_due_at ON directory_due (at);

-- Walks along all people of a workgroup (empty: of the instance) after the rules for them changed.
CREATE TABLE directory_rounds (
	workgroup_id TEXT PRIMARY KEY,
	after        TEXT NOT NULL,  -- the person up to whom it came
	began        BIGINT NOT NULL -- how often, since it was over the last time
);

-- One row, which whoever writes here takes first: nobody waits for another crosswise, and what somebody reads of people
-- after that is not older than what the one before wrote.
CREATE TABLE directory_state (
	one   INTEGER PRIMARY KEY CHECK (one = 1),
	last  INTEGER NOT NULL, -- n of the newest row
	rules TEXT NOT NULL     -- under which the rows were made
);
INSERT INTO directory_state (one, last, rules) VALUES (1, 0, '');

-- How people sign in, by the day.
CREATE TABLE adoption (
	day       TEXT NOT NULL, -- UTC, 2006-01-02
	strongest TEXT NOT NULL, -- of the factors that count; empty: none does
	n         BIGINT NOT NULL,
	PRIMARY KEY (day, strongest)
);

-- People who are here already get their rows from what is stored about them. What happens from now on comes from the
-- record, which it follows from where it is: older events are in what is stored.
INSERT INTO followers (name, seal) SELECT 'directory', COALESCE(MAX(seq), 0) FROM event_seals;
