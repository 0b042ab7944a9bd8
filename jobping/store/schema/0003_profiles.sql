-- Profiles and all that hangs from them: removing a profile removes every row about it.

CREATE TABLE profile (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE CHECK (name ~ '^[a-z0-9][a-z0-9-]{0,39}$'),
    origin text NOT NULL CHECK (origin IN ('default', 'file', 'command')),
    version integer NOT NULL DEFAULT 1 CHECK (version >= 1),
    -- The version whose own search over stored news is done; 0: none yet.
    searched_version integer NOT NULL DEFAULT 0 CHECK (searched_version BETWEEN 0 AND version),
    wishes jsonb NOT NULL CHECK (jsonb_typeof(wishes) = 'object')
);

CREATE TABLE match (
    profile_id bigint NOT NULL REFERENCES profile ON DELETE CASCADE,
    posting_id bigint NOT NULL REFERENCES posting ON DELETE CASCADE,
    posting_version integer NOT NULL CHECK (posting_version >= 1),
    score smallint NOT NULL CHECK (score BETWEEN 0 AND 100),
    origin text NOT NULL,
    reason text NOT NULL,
    PRIMARY KEY (profile_id, posting_id)
);

CREATE INDEX match_posting ON match (posting_id);

CREATE TABLE digest (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    profile_id bigint NOT NULL REFERENCES profile ON DELETE CASCADE,
    period text NOT NULL,
    state text NOT NULL DEFAULT 'claimed' CHECK (state IN ('claimed', 'sent', 'failed')),
    message_id text NOT NULL DEFAULT gen_random_uuid()::text UNIQUE,
    claimed_at timestamptz NOT NULL DEFAULT now(),
    sent_at timestamptz,
    failure text,
    UNIQUE (profile_id, period),
    UNIQUE (id, profile_id),
    CHECK ((state = 'sent') = (sent_at IS NOT NULL)),
    CHECK ((state = 'failed') = (failure IS NOT NULL))
);

CREATE INDEX digest_unfinished ON digest (id) WHERE state = 'claimed';

-- What a profile got, or is getting. The key outlives the posting, so that a repost is not sent again.
CREATE TABLE digest_item (
    digest_id bigint NOT NULL,
    position integer NOT NULL CHECK (position >= 1),
    profile_id bigint NOT NULL REFERENCES profile ON DELETE CASCADE,
    posting_id bigint REFERENCES posting ON DELETE SET NULL,
    dedup_key text NOT NULL,
    PRIMARY KEY (digest_id, position),
    FOREIGN KEY (digest_id, profile_id) REFERENCES digest (id, profile_id) ON DELETE CASCADE,
    UNIQUE (profile_id, posting_id),
    UNIQUE (profile_id, dedup_key)
);

CREATE INDEX digest_item_posting ON digest_item (posting_id);

-- A match with its posting, the key that makes it unique for its profile, and its digest.
CREATE VIEW matched_posting AS
SELECT s.*, m.profile_id, m.posting_version AS matched_version, m.score, m.origin AS match_origin,
       m.reason AS match_reason,
       coalesce(encode(s.fingerprint, 'hex'), 'row:' || s.id) AS dedup_key,
       i.digest_id, i.position, d.sent_at
FROM match m
JOIN stored_posting s ON s.id = m.posting_id
LEFT JOIN digest_item i ON i.profile_id = m.profile_id AND i.posting_id = m.posting_id
LEFT JOIN digest d ON d.id = i.digest_id;
