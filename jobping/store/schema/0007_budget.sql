-- What language models may cost and have cost; see store/ledger.py for how it is written.

-- The clock of the budget's windows; tests put their own in its place.
CREATE FUNCTION jobping_now() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT now()';

-- Balances; the row locks of a window put all reservations of all daemons into one line.
CREATE TABLE budget_window (
    kind text NOT NULL CHECK (kind IN ('day', 'month')),
    starts date NOT NULL,
    used_tokens bigint NOT NULL DEFAULT 0 CHECK (used_tokens >= 0),
    used_nanousd bigint NOT NULL DEFAULT 0 CHECK (used_nanousd >= 0),
    held_tokens bigint NOT NULL DEFAULT 0 CHECK (held_tokens >= 0),
    held_nanousd bigint NOT NULL DEFAULT 0 CHECK (held_nanousd >= 0),
    PRIMARY KEY (kind, starts)
) WITH (fillfactor = 30);

-- The journal that the balances come from: one row for each attempt of a call.
CREATE TABLE budget_entry (
    id uuid PRIMARY KEY,
    state text NOT NULL CHECK (state IN ('reserved', 'settled', 'released', 'lapsed')),
    daemon text NOT NULL,
    model text NOT NULL,
    price_version text NOT NULL,
    request_hash bytea NOT NULL CHECK (octet_length(request_hash) = 32),
    prompt_bound bigint NOT NULL CHECK (prompt_bound >= 0),
    bound_tokens bigint NOT NULL CHECK (bound_tokens >= prompt_bound),
    bound_nanousd bigint NOT NULL CHECK (bound_nanousd >= 0),
    -- What is booked: the bill, nothing, or the bound.
    tokens bigint CHECK (tokens >= 0),
    nanousd bigint CHECK (nanousd >= 0),
    input_tokens bigint CHECK (input_tokens >= 0),
    -- The windows of the reservation; a call that ends after midnight stays in them.
    day date NOT NULL,
    month date NOT NULL,
    answered_model text,
    answered_tier text,
    server_request_id text,
    outcome text,
    reserved_at timestamptz NOT NULL,
    ended_at timestamptz,
    CHECK ((state = 'reserved') = (ended_at IS NULL)),
    CHECK ((state = 'reserved') = (tokens IS NULL)),
    CHECK ((tokens IS NULL) = (nanousd IS NULL))
) WITH (fillfactor = 50);

CREATE UNIQUE INDEX budget_entry_asked ON budget_entry (request_hash) WHERE state = 'reserved';
CREATE INDEX budget_entry_day ON budget_entry (day);
CREATE INDEX budget_entry_month ON budget_entry (month);

-- What is learned later about a lapsed entry, which itself is never edited; differences, added up.
CREATE TABLE budget_correction (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    entry uuid NOT NULL REFERENCES budget_entry ON DELETE CASCADE,
    tokens bigint NOT NULL,
    nanousd bigint NOT NULL,
    reason text NOT NULL,
    origin text NOT NULL CHECK (origin IN ('operator', 'late answer')),
    corrected_at timestamptz NOT NULL
);

CREATE INDEX budget_correction_entry ON budget_correction (entry);

-- Every entry as it counts by now.
CREATE VIEW budget_booked AS
SELECT e.*, e.tokens + coalesce(c.tokens, 0) AS counted_tokens,
       e.nanousd + coalesce(c.nanousd, 0) AS counted_nanousd, c.entry IS NOT NULL AS is_corrected
FROM budget_entry e
LEFT JOIN (
    SELECT entry, sum(tokens)::bigint AS tokens, sum(nanousd)::bigint AS nanousd
    FROM budget_correction GROUP BY entry
) c ON c.entry = e.id;

CREATE TABLE budget_warning (
    kind text NOT NULL,
    starts date NOT NULL,
    measure text NOT NULL CHECK (measure IN ('tokens', 'cost')),
    threshold integer NOT NULL,
    warned_at timestamptz NOT NULL,
    PRIMARY KEY (kind, starts, measure, threshold)
);
