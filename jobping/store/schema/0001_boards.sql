-- What is polled, and how far its polling has come.

CREATE TABLE board (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source text COLLATE "C" NOT NULL,
    slug text COLLATE "C" NOT NULL,
    company text,
    domain text NOT NULL,
    origin text NOT NULL CHECK (origin IN ('default', 'file', 'command')),
    -- A board that was removed stays as a disabled row: its postings name it.
    enabled boolean NOT NULL DEFAULT true,
    polled_at timestamptz,
    next_due_at timestamptz,
    failures integer NOT NULL DEFAULT 0 CHECK (failures >= 0),
    outcome text,
    UNIQUE (source, slug)
);

-- Written before each request leaves, hence the room for updates in place.
CREATE TABLE domain_gate (
    domain text PRIMARY KEY,
    tier text NOT NULL CHECK (tier IN ('reliable', 'individual', 'backfill')),
    state json NOT NULL,
    saved_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 30);
