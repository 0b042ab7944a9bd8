-- People: the mail address of a profile and whether mail may go there. Removing a person removes all.

CREATE TABLE subscriber (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    address text NOT NULL CHECK (octet_length(address) <= 254),
    created_at timestamptz NOT NULL DEFAULT now(),
    -- No mail before; by the person's token or the operator's word.
    confirmed_at timestamptz,
    -- No mail after, whatever the configuration says.
    unsubscribed_at timestamptz
);

CREATE UNIQUE INDEX subscriber_address ON subscriber (lower(address));

ALTER TABLE profile ADD COLUMN subscriber_id bigint REFERENCES subscriber ON DELETE CASCADE;

CREATE INDEX profile_subscriber ON profile (subscriber_id);

-- A profile with its mail address, and again with that to which mail may go now.
CREATE VIEW stored_profile AS
SELECT p.id, p.name, p.origin, p.version, p.searched_version, p.wishes, p.subscriber_id,
       s.address AS email,
       CASE WHEN s.confirmed_at IS NOT NULL AND s.unsubscribed_at IS NULL THEN s.address END
           AS address
FROM profile p
LEFT JOIN subscriber s ON s.id = p.subscriber_id;

-- What the tokens of mails are signed with: made once, the same for all daemons and after a restore.
CREATE TABLE consent_key (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    key bytea NOT NULL CHECK (octet_length(key) = 32)
);

INSERT INTO consent_key (key)
VALUES (sha256((gen_random_uuid()::text || gen_random_uuid()::text)::bytea));

-- Who was erased, ids only: erasures are repeated on a backup that is older than they are.
CREATE TABLE erasure (
    profile_id bigint PRIMARY KEY,
    subscriber_id bigint,
    erased_at timestamptz NOT NULL DEFAULT now()
);
