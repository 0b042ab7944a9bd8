-- Which daemon lives, and which of them owns a domain.

CREATE TABLE daemon_lease (
    daemon text PRIMARY KEY,
    host text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
) WITH (fillfactor = 30);

-- The unique fence makes a claim change a key: it waits for writers that hold the row FOR KEY SHARE,
-- while a renewal does not.
CREATE TABLE domain_lease (
    domain text PRIMARY KEY,
    owner text NOT NULL,
    fence bigint NOT NULL CHECK (fence >= 0),
    expires_at timestamptz NOT NULL,
    UNIQUE (domain, fence)
) WITH (fillfactor = 30);

-- A claim enters the domain's row with its fence; only the owner of that fence writes the rest.
ALTER TABLE domain_gate
    ADD COLUMN fence bigint NOT NULL DEFAULT 0,
    ALTER COLUMN tier SET DEFAULT 'reliable',
    ALTER COLUMN state DROP NOT NULL;
