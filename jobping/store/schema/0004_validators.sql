-- What a board answered last, so that the same answer is neither sent nor read again, and how many
-- postings its good walks listed, so that an answer with hardly any is noticed.

CREATE TABLE board_answer (
    board_id bigint PRIMARY KEY REFERENCES board ON DELETE CASCADE,
    -- Over board, request and parser version: another of them reads the page in full.
    request_key bytea NOT NULL CHECK (octet_length(request_key) = 16),
    -- The validators are those of this place alone.
    origin text NOT NULL,
    body_hash bytea NOT NULL CHECK (octet_length(body_hash) = 32),
    etag text,
    last_modified text,
    seen integer NOT NULL CHECK (seen >= 0),
    held integer NOT NULL CHECK (held >= 0),
    duplicate integer NOT NULL CHECK (duplicate >= 0),
    rejected integer NOT NULL CHECK (rejected >= 0),
    read_at timestamptz NOT NULL
);

ALTER TABLE board
    -- Of the last good walks, the latest last.
    ADD COLUMN counts integer[] NOT NULL DEFAULT '{}',
    ADD COLUMN suspect_since timestamptz;
