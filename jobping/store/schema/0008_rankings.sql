-- What models said about pairs of profile and posting, so that no question is paid for twice.

-- The key is over all that a model gets to see of the two, and over which models are asked.
CREATE TABLE ranking (
    key bytea PRIMARY KEY CHECK (octet_length(key) = 32),
    profile_id bigint NOT NULL REFERENCES profile ON DELETE CASCADE,
    -- Calls that brought no usable answer for it.
    failures integer NOT NULL DEFAULT 0 CHECK (failures >= 0),
    -- Empty: no usable answer so far.
    score smallint CHECK (score BETWEEN 0 AND 100),
    reason text,
    model text,
    asked_at timestamptz NOT NULL DEFAULT now(),
    -- A question in flight; a claim lapses by itself.
    claimed_by text,
    claimed_until timestamptz,
    CHECK ((score IS NULL) = (reason IS NULL)),
    CHECK ((score IS NULL) = (model IS NULL)),
    CHECK ((claimed_by IS NULL) = (claimed_until IS NULL))
);

CREATE INDEX ranking_profile ON ranking (profile_id);

-- When a model last ranked anything for it; who waits longest comes first.
ALTER TABLE profile ADD COLUMN ranked_at timestamptz;
