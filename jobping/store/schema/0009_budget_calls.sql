-- The two steps of a paid call, each one journey to the server and one transaction there. Whoever
-- touches windows locks them first, in the order of their keys, and windows before entries, so that
-- no two can deadlock. A commit that the server forgets in a crash would be a call that nobody has
-- booked: each waits for the disk.

-- The windows of day and month, locked, in this order.
CREATE FUNCTION budget_windows() RETURNS SETOF budget_window LANGUAGE plpgsql AS $$
DECLARE
    today date := (jobping_now() AT TIME ZONE 'UTC')::date;
    this_month date := date_trunc('month', today)::date;
BEGIN
    INSERT INTO budget_window (kind, starts) VALUES ('day', today), ('month', this_month)
    ON CONFLICT (kind, starts) DO NOTHING;
    RETURN QUERY
        SELECT * FROM budget_window w
        WHERE (w.kind = 'day' AND w.starts = today) OR (w.kind = 'month' AND w.starts = this_month)
        ORDER BY w.kind FOR UPDATE;
END
$$;

-- The windows of some entries, locked.
CREATE FUNCTION budget_lock_windows_of(entries uuid[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'on', true);
    PERFORM FROM budget_window
    WHERE (kind, starts) IN (
        SELECT v.kind, v.starts
        FROM budget_entry e, LATERAL (VALUES ('day', e.day), ('month', e.month)) v (kind, starts)
        WHERE e.id = ANY(entries)
    )
    ORDER BY kind, starts FOR UPDATE;
END
$$;

-- The judge: both windows take the bound, for tokens and for cost, or nothing is written. Returns
-- `reserved`, `asked` (the same question is open) or `refused`, beside each window as it was found.
CREATE FUNCTION budget_reserve(
    entry uuid, by_daemon text, asked_model text, prices text, question bytea, prompt bigint,
    wanted_tokens bigint, wanted_nanousd bigint,
    most_tokens_day bigint, most_nanousd_day bigint,
    most_tokens_month bigint, most_nanousd_month bigint
) RETURNS TABLE (
    found text, kind text, starts date,
    used_tokens bigint, used_nanousd bigint, held_tokens bigint, held_nanousd bigint
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    windows budget_window[];
    day budget_window;
    month budget_window;
    answer text := 'refused';
BEGIN
    PERFORM set_config('synchronous_commit', 'on', true);
    windows := ARRAY(SELECT w FROM budget_windows() w);
    day := windows[1];
    month := windows[2];
    IF EXISTS (SELECT FROM budget_entry WHERE request_hash = question AND state = 'reserved') THEN
        answer := 'asked';
    ELSIF day.used_tokens + day.held_tokens + wanted_tokens <= most_tokens_day
        AND day.used_nanousd + day.held_nanousd + wanted_nanousd <= most_nanousd_day
        AND month.used_tokens + month.held_tokens + wanted_tokens <= most_tokens_month
        AND month.used_nanousd + month.held_nanousd + wanted_nanousd <= most_nanousd_month
    THEN
        UPDATE budget_window w
        SET held_tokens = w.held_tokens + wanted_tokens,
            held_nanousd = w.held_nanousd + wanted_nanousd
        WHERE (w.kind = 'day' AND w.starts = day.starts)
           OR (w.kind = 'month' AND w.starts = month.starts);
        INSERT INTO budget_entry (
            state, day, month, bound_tokens, bound_nanousd, id, daemon, model, price_version,
            request_hash, prompt_bound, reserved_at
        ) VALUES (
            'reserved', day.starts, month.starts, wanted_tokens, wanted_nanousd, entry, by_daemon,
            asked_model, prices, question, prompt, jobping_now()
        );
        answer := 'reserved';
    END IF;
    RETURN QUERY SELECT answer, w.* FROM unnest(windows) w;
END
$$;

-- Ends what is still open and moves it in its windows from held to used; a bill that is not known
-- is the bound. What a window reaches for the first time is a warning: each row brings all of them.
CREATE FUNCTION budget_end(
    entries uuid[], new_state text, billed_tokens bigint, billed_nanousd bigint, input bigint,
    by_model text, by_tier text, request text, how text,
    limit_kinds text[], limit_measures text[], limits bigint[], thresholds integer[]
) RETURNS TABLE (
    id uuid, daemon text, model text, prompt_bound bigint, bound_tokens bigint,
    bound_nanousd bigint, tokens bigint, nanousd bigint, warned text[]
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    PERFORM budget_lock_windows_of(entries);
    RETURN QUERY
    WITH ended AS (
        UPDATE budget_entry e
        SET state = new_state, tokens = coalesce(billed_tokens, e.bound_tokens),
            nanousd = coalesce(billed_nanousd, e.bound_nanousd), input_tokens = input,
            answered_model = by_model, answered_tier = by_tier, server_request_id = request,
            outcome = how, ended_at = jobping_now()
        WHERE e.id = ANY(entries) AND e.state = 'reserved'
        RETURNING e.*
    ), moved AS (
        SELECT v.kind, v.starts, sum(e.bound_tokens) AS held_tokens,
               sum(e.bound_nanousd) AS held_nanousd, sum(e.tokens) AS tokens,
               sum(e.nanousd) AS nanousd
        FROM ended e, LATERAL (VALUES ('day', e.day), ('month', e.month)) v (kind, starts)
        GROUP BY v.kind, v.starts
    ), booked AS (
        UPDATE budget_window w
        SET held_tokens = w.held_tokens - m.held_tokens,
            held_nanousd = w.held_nanousd - m.held_nanousd,
            used_tokens = w.used_tokens + m.tokens, used_nanousd = w.used_nanousd + m.nanousd
        FROM moved m WHERE w.kind = m.kind AND w.starts = m.starts
        RETURNING w.kind, w.starts, w.used_tokens, w.used_nanousd
    ), near AS (
        INSERT INTO budget_warning (kind, starts, measure, threshold, warned_at)
        SELECT w.kind, w.starts, l.measure, t.threshold, jobping_now()
        FROM booked w
        JOIN unnest(limit_kinds, limit_measures, limits) l (kind, measure, most)
            ON l.kind = w.kind AND l.most > 0
        CROSS JOIN unnest(thresholds) t (threshold)
        WHERE CASE l.measure WHEN 'tokens' THEN w.used_tokens ELSE w.used_nanousd END::numeric * 100
            >= t.threshold::numeric * l.most
        ORDER BY w.kind, w.starts, l.measure, t.threshold
        ON CONFLICT DO NOTHING
        RETURNING kind, starts, measure, threshold
    )
    SELECT e.id, e.daemon, e.model, e.prompt_bound, e.bound_tokens, e.bound_nanousd, e.tokens,
           e.nanousd, ARRAY(
               SELECT concat_ws(' ', kind, starts, measure, threshold) FROM near
               ORDER BY kind, measure, threshold
           )
    FROM ended e;
END
$$;
