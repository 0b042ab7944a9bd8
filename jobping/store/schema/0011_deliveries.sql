-- Digests go out by several ways, each with its own attempts; profiles have schedules of their own.

-- What a profile says of its digests; not among the wishes, so that no other version comes of it.
ALTER TABLE profile ADD COLUMN schedule jsonb NOT NULL DEFAULT '{}'
    CHECK (jsonb_typeof(schedule) = 'object');

-- A mail server refused the address for good: no mail until it is another one.
ALTER TABLE subscriber ADD COLUMN refused_at timestamptz;

CREATE OR REPLACE VIEW stored_profile AS
SELECT p.id, p.name, p.origin, p.version, p.searched_version, p.wishes, p.subscriber_id,
       s.address AS email,
       CASE WHEN s.confirmed_at IS NOT NULL AND s.unsubscribed_at IS NULL AND s.refused_at IS NULL
           THEN s.address END AS address,
       p.schedule
FROM profile p
LEFT JOIN subscriber s ON s.id = p.subscriber_id;

-- `empty`: its period is over and nothing was found.
ALTER TABLE digest DROP CONSTRAINT digest_state_check;
ALTER TABLE digest ADD CHECK (state IN ('claimed', 'sent', 'failed', 'empty'));

ALTER TABLE digest
    -- Tried until then.
    ADD COLUMN give_up_at timestamptz NOT NULL DEFAULT now() + interval '1 day',
    -- How many matches were over the limit, more of a company, and repeats.
    ADD COLUMN left_out integer[] NOT NULL DEFAULT '{0,0,0}' CHECK (cardinality(left_out) = 3);

CREATE INDEX digest_latest ON digest (profile_id, claimed_at);

-- What is owed to each way out, and how it ended. A digest is claimed while one waits or is sent.
CREATE TABLE digest_way (
    digest_id bigint NOT NULL REFERENCES digest ON DELETE CASCADE,
    way text NOT NULL,
    state text NOT NULL DEFAULT 'waiting'
        CHECK (state IN ('waiting', 'sending', 'sent', 'failed', 'skipped')),
    -- Who sends, or was last to; the same after a restart.
    taken_by text,
    attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    -- While it is sent: when it counts as left behind, and another daemon may look after it.
    next_attempt_at timestamptz NOT NULL,
    error text,
    PRIMARY KEY (digest_id, way)
);

CREATE INDEX digest_way_due ON digest_way (way, next_attempt_at)
    WHERE state IN ('waiting', 'sending');

-- What was claimed before there were such rows is looked for among the files, as it was.
INSERT INTO digest_way (digest_id, way, state, next_attempt_at)
SELECT id, 'files', 'sending', now() FROM digest WHERE state = 'claimed';

-- When each posting was last listed, beside what the view had.
CREATE OR REPLACE VIEW matched_posting AS
SELECT s.*, m.profile_id, m.posting_version AS matched_version, m.score, m.origin AS match_origin,
       m.reason AS match_reason,
       coalesce(encode(s.fingerprint, 'hex'), 'row:' || s.id) AS dedup_key,
       i.digest_id, i.position, d.sent_at, e.last_seen
FROM match m
JOIN stored_posting s ON s.id = m.posting_id
LEFT JOIN posting_seen e ON e.posting_id = m.posting_id
LEFT JOIN digest_item i ON i.profile_id = m.profile_id AND i.posting_id = m.posting_id
LEFT JOIN digest d ON d.id = i.digest_id;
