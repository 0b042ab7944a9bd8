"""The catalogue of log events: names, fields, levels, versions. This is the monitoring interface.

Durations end in `_s` and are seconds; `bytes` counts bytes; moments (`until`) are ISO 8601 in UTC.
Every line also carries the envelope, added by `jobping.logs`: `ts` (microseconds since 1970, UTC),
`event`, `v`, `level`, `actor`, `run`, `seq`.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

import attrs

LEVELS: tuple[str, ...] = ("debug", "info", "warning", "error")
"""From the least to the most important."""

ENVELOPE: tuple[str, ...] = ("ts", "event", "v", "level", "actor", "run", "seq")
"""What every line carries; `cut` and `uncatalogued` are added where they are true."""


class Emit(Protocol):
    """Where a part says what happened; the log pipeline stands behind it."""

    def __call__(self, event: str, /, *, level: str | None = None, **fields: object) -> None:
        """Write one complete line.

        Args:
            event: A name of `EVENTS`.
            level: Another level than the catalogue's, one of `LEVELS`.
            fields: Values of the fields that the catalogue names for this event.
        """


@attrs.frozen
class EventType:
    """One kind of log line.

    Attributes:
        name: `noun.past_verb`.
        level: The level it has unless the one who emits it says another; one of `LEVELS`.
        fields: Names of all fields it may carry.
        summary: What it means and what to do, one sentence.
        version: Raised when a field is renamed or removed.
    """

    name: str
    level: str = attrs.field(validator=attrs.validators.in_(LEVELS))
    fields: tuple[str, ...]
    summary: str
    version: int = 1


def _event(name: str, level: str, fields: str, summary: str) -> EventType:
    return EventType(name, level, tuple(fields.split()), summary)


# fmt: off
EVENTS: tuple[EventType, ...] = (
    # the process
    _event("daemon.started", "info", "version pid python state_dir allow",
           "The process runs and has read its settings; `allow`: private networks it may ask."),
    _event("daemon.became_ready", "info", "start_s boards domains profiles",
           "Every part has started."),
    _event("drain.started", "info", "signal",
           "The daemon stops: no poll, digest or call of a model begins any more."),
    _event("drain.stage_ended", "info", "stage left duration_s",
           "A step of the stop is over: `requests`, `rows`, `digests`, `calls` or `store`; `left`"
           " names what was cut off."),
    _event("daemon.stopped", "info", "code forced drained_s left duration_s requests",
           "The last line of a run, with its exit code, how long it ran and what it asked; `left`"
           " names what a stop cut off."),
    _event("config.rejected", "error", "errors",
           "The settings are wrong; each error names file, key, value and what is allowed."),
    _event("config.reloaded", "info", "generation boards domains profiles duration_s",
           "The configuration was read anew and holds from now on; the start had generation 1."),
    _event("credential.exposed", "warning", "name variable",
           "A secret came in a plain variable, which others can see; use VARIABLE_FILE."),
    _event("credential.not_found", "info", "name",
           "systemd has no credential of that name: no model ranks without `openai_api_key`, the"
           " database is our own without `database_url`."),
    _event("source.left_off", "info", "source why",
           "A source is not asked because it lacks a key; `why` names the variable."),
    _event("tree.dumped", "info", "child state incarnation restarts progress_age_s mailbox_depth",
           "How a part of the daemon stands, one line for each, asked for by SIGUSR1."),
    _event("log.adjusted", "info", "at_level until_s",
           "SIGUSR2 changed what is logged, for so many seconds."),
    # supervision
    _event("child.started", "debug", "child incarnation duration_s",
           "A part of the daemon is ready; an incarnation above 1 is a restart."),
    _event("child.exited", "info",
           "child incarnation phase kind error traceback uptime_s mailbox_depth restarts"
           " wants_restart",
           "A part ended; a warning when it failed."),
    _event("child.restarted", "warning", "child attempt restart_in_s",
           "A part that ended starts again after the delay named."),
    _event("child.replaced", "warning", "child restart_in_s",
           "A part goes on in another form, such as a lower tier."),
    _event("child.stop_timed_out", "error", "child stack",
           "A part did not stop in its time; `stack` shows where it hangs."),
    _event("supervisor.limit_exceeded", "error", "child restarts period_s",
           "A part failed more often than its restart intensity allows."),
    _event("message.dead_lettered", "info", "child cause message count",
           "Messages found their receiver gone; the database still holds the work."),
    _event("mailbox.filled", "warning", "child depth capacity",
           "A part gets more than it can do; its senders wait."),
    _event("health.changed", "info", "state before children loop_lag_s",
           "The daemon as a whole fares better or worse; an error while a part of it hangs."),
    _event("watchdog.withheld", "error", "culprit silent_s",
           "systemd is given no sign of life, because of the parts named: it will start the daemon"
           " anew."),
    # polls
    _event("scraper.polled", "info",
           "domain source board tier outcome fault why duration_s limiter_wait_s wait_s http http_s"
           " poll_every_s pages unchanged_pages bytes seen new changed unchanged duplicate rejected"
           " waiting news details gone",
           "One poll of one board, complete; a warning when it brought less than it should. `http`"
           " counts the requests (`ok`, `failed`, `limited`, `other`), `http_s` is the site's time"
           " for them."),
    _event("scraper.crashed", "warning", "domain board_id",
           "A bug ended the poll of a board; the domain goes on, that board rests for a while."),
    _event("postings.closed", "info", "source board count",
           "Postings were closed: complete answers lack them, their own pages are gone, or they"
           " were not seen for long."),
    _event("postings.rejected", "warning", "source board count reasons",
           "Items of an answer could not be read; the others were stored."),
    _event("payload.malformed", "warning", "domain why",
           "An answer is broken or too large; nothing of it was stored."),
    _event("url.refused", "warning", "domain why",
           "An address or URL that must not be asked; see `[network] allow`."),
    _event("robots.denied", "warning", "domain url",
           "The site's robots.txt does not let us ask this; nothing is sent, the board rests."),
    _event("cycle.completed", "info", "polled failed waiting digests",
           "Every due board was polled once, or its time was up; `waiting` names the boards left."),
    _event("network.lost", "warning", "domains hint",
           "Our own network is down: nothing is sent but one probe at a time, no site is blamed."),
    _event("network.regained", "info", "domain",
           "A site was reached after `network.lost`; all polls go on."),
    _event("supply.fell_short", "warning", "found came backfill stored",
           "All boards list too few postings; the standby site that `came` is polled from now on."
           " `backfill`: so many are missing; `stored`: so many recent ones can stand in for them."
           " An error when there is nothing at all and our own network is not to blame."),
    _event("supply.recovered", "info", "found left",
           "The boards list enough without those on standby; these sites rest again."),
    # who polls a domain, and what an operator ordered
    _event("lease.claimed", "info", "domains",
           "This daemon polls these sites from now on; no other one does."),
    _event("lease.awaited", "info", "domains",
           "Another daemon on the same database polls these sites; taken over when it stops."),
    _event("lease.lost", "warning", "domain fence",
           "The lease of a site ran out or is another's by now; this daemon stopped its polls."),
    _event("domain.held", "warning", "domain",
           "An operator stopped all requests to a site until `jobping domain NAME release`."),
    _event("domain.released", "info", "domain",
           "An operator ended the hold of a site."),
    _event("domain.probed", "info", "domain",
           "An operator wants a site asked once now, as far as its pace allows."),
    _event("domain.reset", "info", "domain",
           "An operator let the breaker and the tier of a site begin anew."),
    # the gate of a domain
    _event("gate.reset", "warning", "domain why",
           "What was stored of a site's pace cannot be read; it starts anew."),
    _event("limiter.throttled", "warning", "domain retry_after_s clamped refusals",
           "The site told us to wait; all its boards do."),
    _event("limiter.violated", "error", "domain rule by_s",
           "A request left earlier than promised (`rule`: rate, min_gap, blocked): a bug of ours."),
    _event("limiter.blocked", "info", "domain until_s",
           "The site said that nothing is left for so long; no request goes before."),
    _event("limiter.exhausted", "info", "domain span until_s",
           "The requests of a window (`span`: such as day or month) to this site are used up."),
    _event("pace.cut", "info", "domain rate ceiling cause",
           "A site is asked more slowly: it refused, became slow, or has just recovered."),
    _event("pace.raised", "info", "domain rate ceiling",
           "A site takes more requests a second than we thought; its ceiling is raised."),
    _event("breaker.opened", "warning", "domain failures until_s cause",
           "The site failed too often; nothing is sent before the time named."),
    _event("breaker.half_opened", "info", "domain",
           "One probe request goes to the site."),
    _event("breaker.closed", "info", "domain",
           "The site answers again."),
    _event("breaker.held", "warning", "domain",
           "An operator holds the site: nothing is sent until released."),
    _event("breaker.disabled", "warning", "domain",
           "The configuration switches the site's breaker off: failures stop nothing."),
    _event("tier.demoted", "warning", "domain from_tier to_tier cause cooldown_s",
           "A site goes on in a lower tier."),
    _event("tier.promoted", "info", "domain from_tier to_tier",
           "A site is well again and goes up one tier."),
    _event("tier.probed", "info", "domain good",
           "A trial request in the tier above."),
    # matches and digests
    _event("matches.recorded", "info", "postings profiles matches duration_s",
           "Stored postings were ranked for the profiles."),
    _event("matches.ranked", "info", "profile pairs ranked why",
           "A model ranked the best matches of a profile whose digest is near; `why`: what stands"
           " against more for now."),
    _event("profile.searched", "info", "profile version postings matches",
           "A profile that is new or was edited was ranked over the stored postings."),
    _event("profile.example_used", "warning", "profile command",
           "No profile exists, so an example is used; the command replaces it."),
    # models and what they cost
    _event("budget.opened", "info",
           "tokens_left_day tokens_left_month nanousd_left_day nanousd_left_month binds calls_left"
           " models",
           "The budget of models is open; `binds` is the limit that is reached first."),
    _event("budget.recounted", "error", "windows",
           "A balance differed from its journal; the larger one holds."),
    _event("budget.reserved", "debug", "id profile model pairs tokens nanousd",
           "The worst case of a call is held; only now it is sent."),
    _event("budget.settled", "debug",
           "id model tokens nanousd bound_tokens bound_nanousd",
           "A call is booked as it was billed."),
    _event("budget.released", "debug", "id why",
           "A call that was provably not billed costs nothing."),
    _event("budget.lapsed", "warning", "id tokens nanousd why",
           "The bill of a call is not known: its worst case counts as spent until reconciled."),
    _event("budget.corrected", "info", "id tokens nanousd",
           "The bill of a lapsed call came late and replaces its worst case."),
    _event("budget.overran", "error",
           "id model tokens nanousd bound_tokens bound_nanousd doubt",
           "A bill was above its bound, or by a name or tier without a price; booked in full."),
    _event("budget.owed", "warning", "id why",
           "The database was away when a call ended; its end is written when it is back."),
    _event("budget.refused", "info", "profile limit requested remaining",
           "No model and no batch fits what is left; the rest is ranked locally."),
    _event("budget.warned", "warning", "limit starts threshold",
           "So many percent of a limit are used up; once in its window."),
    _event("budget.exhausted", "warning", "limit",
           "A limit lets nothing through any more until its window ends; once in it."),
    _event("prices.aged", "warning", "as_of",
           "The table of prices is old; state yours in `budget.prices` or JOBPING_PRICES_FILE."),
    _event("tokens.bounded", "info", "command",
           "Prompts are bounded by their bytes, as the file to count them with is missing; only"
           " the last of a budget stays unused. The command gets it."),
    _event("model.called", "info",
           "id request_id profile asked model tier pairs input_tokens cached_tokens written_tokens"
           " output_tokens reasoning_tokens cost_nanousd duration_s outcome",
           "One call of a model, complete; a warning when it brought nothing."),
    _event("model.abandoned", "warning", "id asked",
           "A stop cut a call off; its worst case counts as spent until reconciled."),
    _event("model.downgraded", "debug", "profile from_model to_model from_pairs to_pairs limit",
           "A call did not fit; a cheaper model or a smaller batch is tried."),
    _event("model.skipped", "warning", "model why",
           "A model of the chain is not asked: gone, without a price, or refused by the server."),
    _event("model.retiring", "warning", "model shutdown",
           "A model of the chain will be shut down soon; name another one in `llm.models`."),
    _event("pairs.withheld", "info", "profile postings why",
           "Postings speak to the model instead of to people; they are ranked locally."),
    _event("digest.sent", "info", "digest profile period items delivery duration_s",
           "A digest went out by the ways named; nothing of it is owed any more."),
    _event("digest.deferred", "warning",
           "digest profile period delivery attempts retry_in_s why",
           "One way out did not take a digest; it is tried again, for a day or until the next"
           " digest is due."),
    _event("digest.failed", "error", "digest profile period delivery why",
           "One way out did not take a digest and is not tried again for it."),
    _event("digest.skipped", "info", "profile period why",
           "A digest was due and there was nothing to send, or nobody to send it to."),
    _event("digest.resolved", "info", "digest profile period delivery outcome",
           "What became of a digest that was cut short: sent again, found or assumed to be sent, or"
           " put off."),
    # the store
    _event("postgres.started", "info", "pid version binaries data_dir account duration_s",
           "The private PostgreSQL answers."),
    _event("postgres.joined", "info", "owner_pid socket_dir",
           "Another process of ours runs the private PostgreSQL; we use it too."),
    _event("postgres.recovering", "info", "pid waited_s",
           "The private PostgreSQL was not stopped in order and puts itself right; wait."),
    _event("postgres.crashed", "error", "pid status message",
           "The private PostgreSQL ended by itself; it is started again."),
    _event("postgres.stopped", "info", "pid status duration_s",
           "The private PostgreSQL ended because we asked."),
    _event("postgres.logged", "debug", "severity message",
           "A line of the server's own log."),
    _event("postgres.account_shared", "warning", "account data_dir",
           "Other programs use the server's account and could read its files; name another."),
    _event("store.lost", "error", "place reason",
           "The database does not answer; work waits for it."),
    _event("store.regained", "info", "place lost_s",
           "The database answers again."),
    _event("store.migrated", "info", "versions",
           "The schema of the database was brought up to this version."),
    _event("dump.written", "info", "file bytes schema duration_s",
           "The private database was dumped before a migration; `jobping db restore` takes it."),
    _event("dump.removed", "info", "file",
           "A dump from before an older migration went: three are kept, within 2 GiB."),
    _event("dump.failed", "error", "file why",
           "No dump could be made, so nothing is migrated; the start is tried again."),
    _event("bridge.complained", "warning", "message error",
           "The event loop behind the database connections reported a problem."),
    _event("pool.sampled", "debug",
           "statements units opened size idle waiting waited_max_s rejected",
           "The database connections, each 60 s."),
    # people's data
    _event("profile.exported", "info", "profile subscriber rows files",
           "All that is stored about a person was printed: so many rows and files."),
    _event("profile.erased", "info", "profile subscriber rows files",
           "All that was stored about a person was deleted: so many rows and files."),
    _event("retention.enforced", "info",
           "digests matches rankings closed_postings files duration_s",
           "What was kept for longer than `[retention]` says was deleted; once a day."),
    _event("retention.failed", "warning", "why",
           "The database or the directory of digests was away; it is tried again in 10 minutes."),
    # statistics and the log itself
    _event("stats.taken", "info",
           "uptime_s domains silent elsewhere day month children pool_size pool_idle pool_waiting"
           " units requests connections connections_open in_flight resident_bytes",
           "The figures of the whole daemon, at the start and each 60 s: of the `domains` it polls"
           " so many were `silent`, others are polled `elsewhere`; `day` and `month` are the budget"
           " with what is spent, held and its limits; each of the `children` has its state,"
           " restarts and mailbox."),
    _event("domain.sampled", "info",
           "domain tier breaker breaker_cause per_hour next_in_s waits_for used_today daily_limit"
           " succeeded_at",
           "How a site stands and when its next request may leave, within a minute of a change"
           " and each 10 minutes."),
    _event("alert.fired", "warning", "rule subject value why",
           "A rule of `[alerts]` holds; `subject` is whom it is about, `value` its figure."),
    _event("alert.resolved", "info", "rule subject value",
           "What an alert was about is well again, for as long as its rule wants it."),
    _event("alert.untold", "warning", "rule subject way why",
           "The notice of an alert did not go out; unless it was refused it is tried again."),
    _event("lifesign.lost", "warning", "why",
           "`alerts.heartbeat_url` does not answer; it is asked again, and nothing else suffers."),
    _event("lifesign.regained", "info", "",
           "`alerts.heartbeat_url` answers again."),
    _event("log.dropped", "warning", "n by_level",
           "Lines were lost because their reader was too slow; the least important first."),
    _event("library.complained", "warning", "logger text error",
           "A library we use wrote a warning of its own."),
)
# fmt: on

CATALOGUE: Mapping[str, EventType] = MappingProxyType({event.name: event for event in EVENTS})
"""The events by name."""
