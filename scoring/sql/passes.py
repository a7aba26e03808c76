"""Statements that score, verify and find what is due; the expression is that of `expression`."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection
from psycopg import sql

from jobs.ranges import RangeCollided
from scoring.models import ScoreChange
from scoring.sql.expression import totals

# Effect: scores the chosen leads at %(at)s; writes score, next moment and expiry flags where they differ, and one row
# of history for each score that changed. A lead scored at a later moment is left alone; one that
# somebody wrote meanwhile (its revision or xmin moved) is skipped, and named for another try: two passes that meet on a
# lead may know different rules.
# Index: leads_lead_pkey or lead_due for the choice; leadtag_unique (lead, tag) for the assignments.
_SCORE = sql.SQL(
    """
    WITH {totals},
    chosen AS (
        SELECT id, score, rescore_at, rescore_cause, score_revision, xmin AS version,
               coalesce(scored_at > %(at)s, false) AS is_newer
        FROM leads_lead WHERE {chosen}
    ),
    computed AS MATERIALIZED (
        SELECT chosen.id, chosen.version, chosen.score_revision, chosen.score AS old_score,
               coalesce(total.score, 0) AS score,
               total.next_at, coalesce(total.is_flag_stale, false) AS is_flag_stale,
               least(CASE WHEN total.is_unapplied THEN {rule_change} END, chosen.rescore_cause,
                     CASE WHEN total.is_flag_stale THEN {expiration} ELSE {decay} END) AS cause,
               (chosen.score, chosen.rescore_at) IS DISTINCT FROM (coalesce(total.score, 0), total.next_at) AS is_moved
        FROM chosen LEFT JOIN total ON total.lead_id = chosen.id
        WHERE NOT chosen.is_newer
    ),
    written AS (
        UPDATE leads_lead lead
        SET score = computed.score, rescore_at = computed.next_at, rescore_cause = NULL, scored_at = %(at)s
        FROM computed
        WHERE (computed.is_moved OR computed.is_flag_stale)
          AND lead.id = computed.id AND lead.score_revision = computed.score_revision AND lead.xmin = computed.version
        RETURNING lead.id, computed.old_score, computed.score, computed.cause, computed.is_flag_stale,
                  computed.old_score <> computed.score AS is_changed
    ),
    recorded AS (
        INSERT INTO scoring_scorechange (lead_id, at, from_score, to_score, cause, job_id)
        SELECT id, %(at)s, old_score, score, cause, %(job_id)s FROM written WHERE is_changed
        RETURNING 1
    ),
    flagged AS (
        UPDATE tags_leadtag lt SET is_expired = NOT lt.is_expired
        FROM written
        WHERE written.is_flag_stale AND lt.lead_id = written.id AND lt.removed_at IS NULL
          AND lt.is_expired <> coalesce(lt.expiration_at <= %(at)s, false)
        RETURNING 1
    )
    SELECT (SELECT count(*) FROM chosen),
           (SELECT count(*) FROM recorded),
           (SELECT count(*) FROM chosen WHERE is_newer),
           (SELECT count(*) FROM flagged),
           (SELECT array_agg(id ORDER BY id) FROM computed
            WHERE (is_moved OR is_flag_stale) AND NOT EXISTS (SELECT 1 FROM written WHERE written.id = computed.id))
    """
)


# What follows a CTE inserted(id, score) that made leads with their scores.
RECORD_FIRST_SCORES = sql.SQL(
    """
    INSERT INTO scoring_scorechange (lead_id, at, from_score, to_score, cause, job_id)
    SELECT id, %(at)s, 0, score, {cause}, %(job_id)s FROM inserted WHERE score <> 0
    """
).format(cause=sql.Literal(ScoreChange.Cause.IMPORT.value))

_CAUSES = {cause.name.lower(): sql.Literal(cause.value) for cause in ScoreChange.Cause}


_SCORE_SKIPPED = _SCORE.format(
    totals=totals(sql.SQL("lt.lead_id = ANY(%(ids)s)")), chosen=sql.SQL("id = ANY(%(ids)s)"), **_CAUSES
)
TRIES = 20


@dataclass(frozen=True, slots=True)
class Scored:
    """What one pass did: leads looked at, scores changed, leads left because scored later, flags flipped."""

    leads: int = 0
    changed: int = 0
    newer: int = 0
    flagged: int = 0

    def __add__(self, other: "Scored") -> "Scored":
        return Scored(
            self.leads + other.leads,
            self.changed + other.changed,
            self.newer + other.newer,
            self.flagged + other.flagged,
        )


def _score(chosen: sql.Composable, chosen_tags: sql.Composable, params: dict[str, Any]) -> Scored:
    """Run the statement, and again for what was skipped: each statement sees what was committed before it."""
    statement = _SCORE.format(totals=totals(chosen_tags), chosen=chosen, **_CAUSES)
    scored = Scored()
    with connection.cursor() as cursor:
        for _ in range(TRIES):
            cursor.execute(statement, params)
            *counts, skipped = cursor.fetchone()
            scored += Scored(*counts) if not scored.leads else Scored(0, *counts[1:])
            if not skipped:
                return scored
            statement, params = _SCORE_SKIPPED, params | {"ids": skipped}
    raise RangeCollided(f"{len(skipped)} leads were written again and again")


def score_range(*, first: int, last: int, at: dt.datetime, job_id: int | None = None) -> Scored:
    """Score the leads with ids in [first, last], due or not."""
    return _score(
        sql.SQL("id BETWEEN %(first)s AND %(last)s"),
        sql.SQL("lt.lead_id BETWEEN %(first)s AND %(last)s"),
        {"first": first, "last": last, "at": at, "job_id": job_id},
    )


def score_leads(*, lead_ids: Sequence[int], at: dt.datetime, job_id: int | None = None) -> Scored:
    """Score these leads, due or not. Rows are locked in the order given: pass ids sorted."""
    return _score(
        sql.SQL("id = ANY(%(ids)s)"),
        sql.SQL("lt.lead_id = ANY(%(ids)s)"),
        {"ids": list(lead_ids), "at": at, "job_id": job_id},
    )


def verify_range(*, first: int, last: int, at: dt.datetime) -> dict[str, int]:
    """Recompute leads with ids in [first, last] without writing; counts of leads, differences, due, newer, pending.

    Due, newer and rule-pending leads are left out of the comparison and counted apart.
    """
    statement = sql.SQL(
        """
        WITH {totals},
        unapplied AS (SELECT DISTINCT unnest(tag_ids) AS tag_id FROM tags_rulechange WHERE applied_at IS NULL),
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
                   OR coalesce(total.is_flag_stale, false))),
               count(*) FILTER (WHERE state = 'due'),
               count(*) FILTER (WHERE state = 'newer'),
               count(*) FILTER (WHERE state = 'pending')
        FROM chosen LEFT JOIN total ON total.lead_id = chosen.id
        """
    ).format(totals=totals(sql.SQL("lt.lead_id BETWEEN %(first)s AND %(last)s")))
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
    """Ranges (after, upto] of ids, each of about `leads` leads, that hold every lead of this moment.

    Index: leads_lead_pkey, read once.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT max(id) FROM (SELECT id, (row_number() OVER (ORDER BY id) - 1) / %s AS slot FROM leads_lead) "
            "numbered GROUP BY slot ORDER BY 1",
            [leads],
        )
        uptos = [row[0] for row in cursor.fetchall()]
    return list(zip([0, *uptos], uptos, strict=False))


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
