"""Statements that score, verify and find what is due; the expression is that of `expression`."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection
from psycopg import sql

from jobs.ranges import RangeCollided
from scoring.models import ScoreChange
from scoring.sql.expression import read_caps, totals

# Effect: scores the chosen leads at %(at)s; writes score and next moment where they differ, the flags of what has ended
# since, and one row of history for each score that changed. A lead scored at a later moment is left alone; one that
# somebody wrote meanwhile (its revision or xmin moved) is skipped, and named for another try: two passes that meet may
# know different rules.
# Index: leads_lead_pkey or lead_due for the choice; leadtag_unique alone (it holds the clocks) for the assignments.
_SCORE = sql.SQL(
    """
    WITH {totals},
    met AS MATERIALIZED (
        SELECT lead.id, lead.xmin AS version, lead.score_revision, lead.rescore_cause, lead.score AS old_score,
               coalesce(total.score, 0) AS score, total.next_at, total.is_unapplied,
               total.last_end > coalesce(lead.scored_at, '-infinity') AS has_ended,
               total.last_end, least(lead.rescore_at, coalesce(lead.scored_at, '-infinity')) AS flagged_upto,
               coalesce(lead.scored_at > %(at)s, false) AS is_newer
        FROM leads_lead lead LEFT JOIN total ON total.lead_id = lead.id
        WHERE {chosen} AND (lead.score <> coalesce(total.score, 0) OR lead.rescore_at IS DISTINCT FROM total.next_at
                            OR lead.scored_at > %(at)s)
    ),
    written AS (
        UPDATE leads_lead lead
        SET score = met.score, rescore_at = met.next_at, rescore_cause = NULL, scored_at = %(at)s
        FROM met
        WHERE NOT met.is_newer
          AND lead.id = met.id AND lead.score_revision = met.score_revision AND lead.xmin = met.version
        RETURNING lead.id, met.old_score, met.score, met.rescore_cause, met.is_unapplied, met.has_ended,
                  met.last_end, met.flagged_upto
    ),
    recorded AS (
        INSERT INTO scoring_scorechange (lead_id, at, from_score, to_score, cause, job_id)
        SELECT id, %(at)s, old_score, score,
               least(CASE WHEN is_unapplied THEN {rule_change} END, rescore_cause,
                     CASE WHEN has_ended THEN {expiration} ELSE {decay} END),
               %(job_id)s
        FROM written WHERE old_score <> score
        RETURNING 1
    ),
    -- Flags are right as of the last scoring and of the moment from which a lead is due, for whoever moves a clock sets
    -- its flag. What has ended since is found in the index, so that no other row is fetched.
    ended AS (
        SELECT lt.lead_id, lt.tag_id FROM written JOIN tags_leadtag lt ON lt.lead_id = written.id
        WHERE written.last_end > written.flagged_upto
          AND lt.removed_at IS NULL AND lt.expiration_at <= %(at)s AND lt.expiration_at > written.flagged_upto
    ),
    flagged AS (
        UPDATE tags_leadtag lt SET is_expired = true FROM ended
        WHERE lt.lead_id = ended.lead_id AND lt.tag_id = ended.tag_id AND NOT lt.is_expired
    )
    SELECT (SELECT count(*) FROM leads_lead lead WHERE {chosen}),
           (SELECT count(*) FROM recorded),
           (SELECT count(*) FROM met WHERE is_newer),
           (SELECT array_agg(id ORDER BY id) FROM met
            WHERE NOT is_newer AND NOT EXISTS (SELECT 1 FROM written WHERE written.id = met.id))
    """
)
# Effect: the expiry flags on a slice of the table's pages, read in their order, say what the clocks say; what a later
# moment has ended stays so. Whoever holds a row sets its flag: another range, or who moves its clock. To wait for them
# would be a deadlock now and then (tried), for they lock in the order of leads. No index: a range of pages, by ctid.
_FLAG_PAGES = """
    UPDATE tags_leadtag SET is_expired = NOT is_expired WHERE ctid = ANY(ARRAY(
        SELECT lt.ctid FROM tags_leadtag lt
        WHERE lt.ctid >= %(from)s::tid AND lt.ctid < %(to)s::tid AND lt.removed_at IS NULL
          AND lt.is_expired <> coalesce(lt.expiration_at <= %(at)s, false)
          AND (NOT lt.is_expired
               OR coalesce((SELECT scored_at FROM leads_lead lead WHERE lead.id = lt.lead_id) <= %(at)s, true))
        FOR NO KEY UPDATE SKIP LOCKED
    ))
"""


# What follows a CTE inserted(id, score) that made leads with their scores.
RECORD_FIRST_SCORES = sql.SQL(
    """
    INSERT INTO scoring_scorechange (lead_id, at, from_score, to_score, cause, job_id)
    SELECT id, %(at)s, 0, score, {cause}, %(job_id)s FROM inserted WHERE score <> 0
    """
).format(cause=sql.Literal(ScoreChange.Cause.IMPORT.value))

_CAUSES = {cause.name.lower(): sql.Literal(cause.value) for cause in ScoreChange.Cause}


_OF_IDS = sql.SQL("lt.lead_id = ANY(%(ids)s)"), sql.SQL("lead.id = ANY(%(ids)s)")
_OF_RANGE = sql.SQL("lt.lead_id BETWEEN %(first)s AND %(last)s"), sql.SQL("lead.id BETWEEN %(first)s AND %(last)s")
TRIES = 20
LAST_BLOCK = 2**32 - 1
SPARSE = 4  # ids from first to last, for each lead that is there


@dataclass(frozen=True, slots=True)
class Scored:
    """What one pass did: leads looked at, scores changed, leads left because scored later."""

    leads: int = 0
    changed: int = 0
    newer: int = 0

    def __add__(self, other: "Scored") -> "Scored":
        return Scored(self.leads + other.leads, self.changed + other.changed, self.newer + other.newer)


def _score(of: tuple[sql.SQL, sql.SQL], params: dict[str, Any]) -> Scored:
    """Run the statement, and again for what was skipped: each statement sees what was committed before it."""
    scored = Scored()
    for _ in range(TRIES):
        chosen_tags, chosen = of
        statement = _SCORE.format(totals=totals(chosen_tags, caps=read_caps()), chosen=chosen, **_CAUSES)
        with connection.cursor() as cursor:
            cursor.execute(statement, params)
            *counts, skipped = cursor.fetchone()
        scored += Scored(*counts) if not scored.leads else Scored(0, *counts[1:])
        if not skipped:
            return scored
        of, params = _OF_IDS, params | {"ids": skipped}
    raise RangeCollided(f"{len(skipped)} leads were written again and again")


def score_range(*, first: int, last: int, at: dt.datetime, job_id: int | None = None) -> Scored:
    """Score the leads with ids in [first, last], due or not."""
    return _score(_OF_RANGE, {"first": first, "last": last, "at": at, "job_id": job_id})


def flag_pages(*, first: int, end: int | None, at: dt.datetime) -> None:
    """Have the expiry flags on pages [first, end) of lead tags say what the clocks say; no end: to the table's own."""
    with connection.cursor() as cursor:
        to = LAST_BLOCK if end is None else end
        cursor.execute(_FLAG_PAGES, {"from": f"({first},0)", "to": f"({to},0)", "at": at})


def count_pages() -> int:
    """Pages of the table of lead tags."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_relation_size('tags_leadtag') / current_setting('block_size')::int")
        return int(cursor.fetchone()[0])


def score_leads(*, lead_ids: Sequence[int], at: dt.datetime, job_id: int | None = None) -> Scored:
    """Score these leads, due or not. Rows are locked in the order given: pass ids sorted."""
    return _score(_OF_IDS, {"ids": list(lead_ids), "at": at, "job_id": job_id})


def verify_range(*, first: int, last: int, at: dt.datetime) -> dict[str, int]:
    """Recompute leads with ids in [first, last] without writing; counts of leads, differences, due, newer, pending.

    Due, newer and rule-pending leads are left out of the comparison and counted apart.
    """
    statement = sql.SQL(
        """
        WITH {totals},
        unapplied AS (SELECT DISTINCT unnest(tag_ids) AS tag_id FROM tags_rulechange WHERE applied_at IS NULL),
        stale AS (
            SELECT DISTINCT lead_id FROM tags_leadtag lt
            WHERE lead_id BETWEEN %(first)s AND %(last)s AND removed_at IS NULL
              AND is_expired <> coalesce(expiration_at <= %(at)s, false)
        ),
        chosen AS (
            SELECT id, score, rescore_at, CASE
                WHEN rescore_at <= %(at)s THEN 'due'
                WHEN scored_at > %(at)s THEN 'newer'
                WHEN EXISTS (SELECT 1 FROM tags_leadtag lt JOIN unapplied USING (tag_id) WHERE lt.lead_id = lead.id)
                    THEN 'pending'
                ELSE 'compared' END AS state
            FROM leads_lead lead WHERE id BETWEEN %(first)s AND %(last)s
        )
        SELECT count(*),
               count(*) FILTER (WHERE state = 'compared' AND (
                   (chosen.score, chosen.rescore_at) IS DISTINCT FROM (coalesce(total.score, 0), total.next_at)
                   OR stale.lead_id IS NOT NULL)),
               count(*) FILTER (WHERE state = 'due'),
               count(*) FILTER (WHERE state = 'newer'),
               count(*) FILTER (WHERE state = 'pending')
        FROM chosen LEFT JOIN total ON total.lead_id = chosen.id LEFT JOIN stale ON stale.lead_id = chosen.id
        """
    ).format(totals=totals(_OF_RANGE[0], caps=read_caps()))
    with connection.cursor() as cursor:
        cursor.execute(statement, {"first": first, "last": last, "at": at})
        row = cursor.fetchone()
    return dict(zip(("leads", "differences", "due", "newer", "pending"), row, strict=True))


def due_ids(*, at: dt.datetime, limit: int, within: Sequence[int] | None = None) -> list[int]:
    """Up to `limit` ids of due leads, sorted; those scored at a later moment than `at` are not ours.

    Index: lead_due; with `within`, leads_lead_pkey.
    """
    with connection.cursor() as cursor:
        if within is None:
            cursor.execute(
                "SELECT id FROM (SELECT id FROM leads_lead WHERE rescore_at <= %s "
                "AND coalesce(scored_at <= %s, true) ORDER BY rescore_at LIMIT %s) due ORDER BY id",
                [at, at, limit],
            )
        else:
            cursor.execute(
                "SELECT id FROM leads_lead WHERE id = ANY(%s) AND rescore_at <= %s "
                "AND coalesce(scored_at <= %s, true) ORDER BY id LIMIT %s",
                [list(within), at, at, limit],
            )
        return [row[0] for row in cursor.fetchall()]


def range_bounds(*, leads: int) -> list[tuple[int, int]]:
    """Ranges (after, upto] of ids that hold every lead of this moment, none with more than `leads` of them.

    Equal steps from the first id to the last; where most ids are gone, as many leads in each, which costs a walk over
    all. Index: leads_lead_pkey, its ends.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT min(id), max(id), (SELECT reltuples FROM pg_class WHERE oid = 'leads_lead'::regclass) "
            "FROM leads_lead"
        )
        first, last, about = cursor.fetchone()
        if first is None:
            return []
        if last - first < max(SPARSE * about, 100 * leads):
            uptos = [*range(first - 1 + leads, last, leads), last]
        else:
            cursor.execute(
                "SELECT max(id) FROM (SELECT id, (row_number() OVER (ORDER BY id) - 1) / %s AS slot FROM leads_lead) "
                "numbered GROUP BY slot ORDER BY 1",
                [leads],
            )
            uptos = [row[0] for row in cursor.fetchall()]
    return list(zip([first - 1, *uptos], uptos, strict=False))


def count_due(*, at: dt.datetime) -> int:
    """How many leads a drain at `at` would take. Index: lead_due."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM leads_lead WHERE rescore_at <= %s AND coalesce(scored_at <= %s, true)",
            [at, at],
        )
        return int(cursor.fetchone()[0])


def carrier_bounds(*, tag_ids: Sequence[int], leads: int) -> tuple[int, list[tuple[int, int]]]:
    """How many leads carry one of the tags, and ranges (after, upto] of ids with about `leads` of them each.

    Index: leadtag_by_tag.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT max(lead_id), count(*) "
            "FROM (SELECT lead_id, (row_number() OVER (ORDER BY lead_id) - 1) / %s AS slot "
            "FROM (SELECT DISTINCT lead_id FROM tags_leadtag WHERE tag_id = ANY(%s)) carrier) numbered "
            "GROUP BY slot ORDER BY 1",
            [leads, list(tag_ids)],
        )
        rows = cursor.fetchall()
    uptos = [upto for upto, _ in rows]
    return sum(count for _, count in rows), list(zip([0, *uptos], uptos, strict=False))


def score_carriers(
    *, tag_ids: Sequence[int], first: int, last: int, at: dt.datetime, job_id: int | None = None
) -> Scored:
    """Score the leads with ids in [first, last] that carry one of the tags, due or not. Index: leadtag_by_tag.

    Two statements: where a table has no statistics yet, the planner takes a subquery for a few rows, and walks them
    once for each lead (tried: 20 seconds instead of 30 ms). A list it can count.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT lead_id FROM tags_leadtag WHERE tag_id = ANY(%s) AND lead_id BETWEEN %s AND %s ORDER BY 1",
            [list(tag_ids), first, last],
        )
        ids = [row[0] for row in cursor.fetchall()]
    return score_leads(lead_ids=ids, at=at, job_id=job_id)


def due_bounds(*, at: dt.datetime, leads: int) -> tuple[int, list[tuple[int, int]]]:
    """How many leads a drain at `at` would take, and ranges (after, upto] of ids with about `leads` of them each.

    Index: lead_due.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT max(id), count(*) FROM (SELECT id, (row_number() OVER (ORDER BY id) - 1) / %s AS slot "
            "FROM leads_lead WHERE rescore_at <= %s AND coalesce(scored_at <= %s, true)) numbered "
            "GROUP BY slot ORDER BY 1",
            [leads, at, at],
        )
        rows = cursor.fetchall()
    uptos = [upto for upto, _ in rows]
    return sum(count for _, count in rows), list(zip([0, *uptos], uptos, strict=False))


def score_due_range(*, first: int, last: int, at: dt.datetime, job_id: int | None = None) -> Scored:
    """Score the leads with ids in [first, last] that are due at `at`, and no others.

    The ids first, as the drain does: a range may span few due leads among many. Index: leads_lead_pkey or lead_due.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM leads_lead WHERE id BETWEEN %s AND %s AND rescore_at <= %s "
            "AND coalesce(scored_at <= %s, true) ORDER BY id",
            [first, last, at, at],
        )
        ids = [row[0] for row in cursor.fetchall()]
    return score_leads(lead_ids=ids, at=at, job_id=job_id) if ids else Scored()


def oldest_due_at(*, at: dt.datetime) -> dt.datetime | None:
    """Since when the longest waiting lead has been due. Index: lead_due, its first entry."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT min(rescore_at) FROM leads_lead WHERE rescore_at <= %s", [at])
        found: dt.datetime | None = cursor.fetchone()[0]
    return found
