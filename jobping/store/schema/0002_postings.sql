-- Postings, one row for each external id of a source; see store/postings.py for how they are written.

CREATE TABLE posting (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- The board that first held it.
    board_id bigint NOT NULL REFERENCES board,
    source text COLLATE "C" NOT NULL,
    -- Bounded because a B-tree entry is (2,704 bytes); the store shortens longer ids.
    external_id text COLLATE "C" NOT NULL CHECK (octet_length(external_id) <= 1000),
    version integer NOT NULL DEFAULT 1 CHECK (version >= 1),
    content_hash bytea NOT NULL CHECK (octet_length(content_hash) = 16),
    source_digest bytea NOT NULL,
    fingerprint bytea CHECK (octet_length(fingerprint) = 32),
    title text NOT NULL,
    company text,
    url text NOT NULL,
    locations jsonb NOT NULL CHECK (jsonb_typeof(locations) = 'array'),
    remote text NOT NULL CHECK (remote IN ('yes', 'no', 'unknown')),
    posted_at timestamptz,
    posted_precision text NOT NULL
        CHECK (posted_precision IN ('exact', 'date', 'relative', 'updated', 'none')),
    posted_raw text NOT NULL,
    closes_at timestamptz,
    -- No text: the source says nothing about pay.
    salary_raw text,
    salary_minimum numeric,
    salary_maximum numeric,
    salary_currency text,
    salary_interval text
        CHECK (salary_interval IN ('hour', 'day', 'week', 'month', 'year', 'once', 'unknown')),
    salary_origin text CHECK (salary_origin IN ('stated', 'predicted', 'inferred')),
    employment jsonb NOT NULL CHECK (jsonb_typeof(employment) = 'array'),
    department text,
    level text,
    tags jsonb NOT NULL CHECK (jsonb_typeof(tags) = 'array'),
    language text,
    first_seen_at timestamptz NOT NULL DEFAULT now(),
    -- Empty: stock, found by a board's first walk.
    news_at timestamptz,
    closed_at timestamptz,
    -- Title (A), company (B), the beginning of the text (C); the cost of ingest lies here.
    search tsvector NOT NULL,
    UNIQUE (source, external_id),
    CHECK ((salary_raw IS NULL) = (salary_interval IS NULL)),
    CHECK ((salary_raw IS NULL) = (salary_origin IS NULL))
) WITH (autovacuum_vacuum_scale_factor = 0.02);

CREATE INDEX posting_board ON posting (board_id);
CREATE INDEX posting_fingerprint ON posting (fingerprint);
CREATE INDEX posting_first_seen ON posting (first_seen_at);
CREATE INDEX posting_news ON posting (news_at) WHERE news_at IS NOT NULL;
CREATE INDEX posting_search ON posting USING gin (search)
    WITH (fastupdate = on, gin_pending_list_limit = 8192);

CREATE TABLE posting_text (
    posting_id bigint PRIMARY KEY REFERENCES posting ON DELETE CASCADE,
    description text NOT NULL
);

-- Apart from the posting, so that a poll that finds nothing new rewrites narrow rows only,
-- and those once a day.
CREATE TABLE posting_seen (
    posting_id bigint PRIMARY KEY REFERENCES posting ON DELETE CASCADE,
    last_seen date NOT NULL DEFAULT (now() AT TIME ZONE 'UTC')::date,
    absent_since timestamptz
) WITH (fillfactor = 70);

-- News that no matcher has finished with. A claim lapses by itself.
CREATE TABLE unmatched (
    posting_id bigint PRIMARY KEY REFERENCES posting ON DELETE CASCADE,
    version integer NOT NULL CHECK (version >= 1),
    claimed_by text,
    claimed_until timestamptz,
    CHECK ((claimed_by IS NULL) = (claimed_until IS NULL))
);

-- Every field of a stored posting.
CREATE VIEW stored_posting AS
SELECT p.id, p.version, p.board_id, b.domain, p.source, p.external_id, p.source_digest,
       p.fingerprint, p.title, p.company, p.url, p.locations, p.remote, p.posted_at,
       p.posted_precision, p.posted_raw, p.closes_at, p.salary_raw, p.salary_minimum,
       p.salary_maximum, p.salary_currency, p.salary_interval, p.salary_origin, p.employment,
       p.department, p.level, p.tags, p.language, p.first_seen_at, p.news_at, p.closed_at,
       p.search, t.description
FROM posting p
JOIN board b ON b.id = p.board_id
JOIN posting_text t ON t.posting_id = p.id;
