"""The one expression that computes points, and the statements around it. The clock is always bound, never read.

The rules come in as a relation (`RULES`), so that a what-if may bind proposed ones instead.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection
from psycopg import sql

# rule(tag_id, group_id, cap, after[], points[], expired_points[]): one row a tag. Arrays run over the steps, the
# first being day 0 at 100 percent. An archived tag keeps its clocks and gives no points.
RULES = sql.SQL(
    """
    SELECT tag.id AS tag_id, tag.group_id, grp.cap, step.after, step.points, step.expired_points
    FROM tags_tag tag
    LEFT JOIN tags_taggroup grp ON grp.id = tag.group_id
    CROSS JOIN LATERAL (
        SELECT array_agg(make_interval(hours => days * 24) ORDER BY days) AS after,
               array_agg(round(base * percent / 100.0)::int ORDER BY days) AS points,
               array_agg(round(base * least(percent, tag.expired_percent) / 100.0)::int ORDER BY days)
                   AS expired_points
        FROM (SELECT 0 AS days, 100 AS percent
              UNION ALL
              SELECT (pair->>0)::int, (pair->>1)::int FROM jsonb_array_elements(tag.decay_steps) pair) steps,
             LATERAL (SELECT CASE WHEN tag.is_archived THEN 0 ELSE tag.base_score END::numeric AS base) weight
    ) step
    """
)

# assignment(lead_id, tag_id, ..., step, points, next_at, is_expired_now): every assignment that was not removed,
# at %(at)s. Intervals of timestamptz count exact elapsed time, so that no day is 23 or 25 hours long.
ASSIGNMENTS = sql.SQL(
    """
    SELECT lt.id, lt.lead_id, lt.tag_id, lt.assigned_at, lt.expiration_at, lt.is_expired,
           rule.group_id, rule.cap, at_step.step,
           coalesce(lt.expiration_at <= %(at)s, false) AS is_expired_now,
           CASE WHEN lt.expiration_at <= %(at)s THEN rule.expired_points[at_step.step]
                ELSE rule.points[at_step.step] END AS points,
           CASE WHEN lt.assigned_at > %(at)s THEN lt.assigned_at
                ELSE least(lt.assigned_at + rule.after[at_step.step + 1],
                           CASE WHEN lt.expiration_at > %(at)s THEN lt.expiration_at END) END AS next_at
    FROM tags_leadtag lt
    JOIN rule ON rule.tag_id = lt.tag_id
    CROSS JOIN LATERAL (SELECT width_bucket(%(at)s - lt.assigned_at, rule.after) AS step) at_step
    WHERE lt.removed_at IS NULL
    """
)

# total(lead_id, score, next_at, is_flag_stale): what the assignments that meet a condition give at %(at)s. Other
# rooms may put it before their own statement, to write a score with the row it belongs to.
_TOTALS = sql.SQL(
    """
    rule AS MATERIALIZED ({rules}),
    assignment AS ({assignments} AND {chosen_tags}),
    grouped AS (
        SELECT lead_id, CASE WHEN cap IS NULL THEN 0 ELSE group_id END AS capped, cap,
               coalesce(sum(points), 0) AS points, min(next_at) AS next_at,
               bool_or(is_expired <> is_expired_now) AS is_flag_stale
        FROM assignment GROUP BY lead_id, 2, cap
    ),
    total AS (
        SELECT lead_id, sum(least(points, cap))::int AS score, min(next_at) AS next_at,
               bool_or(is_flag_stale) AS is_flag_stale
        FROM grouped GROUP BY lead_id
    )
    """
)


def totals(chosen_tags: sql.Composable) -> sql.Composed:
    """The CTEs up to `total`, for the assignments `lt` that meet a condition; binds %(at)s."""
    return _TOTALS.format(rules=RULES, assignments=ASSIGNMENTS, chosen_tags=chosen_tags)


# Effect: scores the chosen leads at %(at)s; writes score, next moment and expiry flags where they differ.
# A lead written meanwhile (its revision moved) or scored at a later moment is left alone.
# Index: leads_lead_pkey or lead_due for the choice; leadtag_unique (lead, tag) for the assignments.
_SCORE = sql.SQL(
    """
    WITH {totals},
    chosen AS (
        SELECT id, score, rescore_at, score_revision, coalesce(scored_at > %(at)s, false) AS is_newer
        FROM leads_lead WHERE {chosen}
    ),
    computed AS MATERIALIZED (
        SELECT chosen.id, chosen.score_revision, chosen.score AS old_score, coalesce(total.score, 0) AS score,
               total.next_at, coalesce(total.is_flag_stale, false) AS is_flag_stale,
               (chosen.score, chosen.rescore_at) IS DISTINCT FROM (coalesce(total.score, 0), total.next_at) AS is_moved
        FROM chosen LEFT JOIN total ON total.lead_id = chosen.id
        WHERE NOT chosen.is_newer
    ),
    written AS (
        UPDATE leads_lead lead
        SET score = computed.score, rescore_at = computed.next_at, rescore_cause = NULL, scored_at = %(at)s
        FROM computed
        WHERE (computed.is_moved OR computed.is_flag_stale)
          AND lead.id = computed.id AND lead.score_revision = computed.score_revision
        RETURNING lead.id, computed.old_score <> computed.score AS is_changed, computed.is_flag_stale
    ),
    flagged AS (
        UPDATE tags_leadtag lt SET is_expired = NOT lt.is_expired
        FROM written
        WHERE written.is_flag_stale AND lt.lead_id = written.id AND lt.removed_at IS NULL
          AND lt.is_expired <> coalesce(lt.expiration_at <= %(at)s, false)
        RETURNING 1
    )
    SELECT (SELECT count(*) FROM chosen),
           (SELECT count(*) FROM written WHERE is_changed),
           (SELECT count(*) FROM chosen WHERE is_newer),
           (SELECT count(*) FROM flagged)
    """
)


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
    statement = _SCORE.format(totals=totals(chosen_tags), chosen=chosen)
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        row = cursor.fetchone()
    return Scored(*row)


def score_range(*, first: int, last: int, at: dt.datetime) -> Scored:
    """Score the leads with ids in [first, last], due or not."""
    return _score(
        sql.SQL("id BETWEEN %(first)s AND %(last)s"),
        sql.SQL("lt.lead_id BETWEEN %(first)s AND %(last)s"),
        {"first": first, "last": last, "at": at},
    )


def score_leads(*, lead_ids: Sequence[int], at: dt.datetime) -> Scored:
    """Score these leads, due or not. Rows are locked in the order given: pass ids sorted."""
    return _score(
        sql.SQL("id = ANY(%(ids)s)"),
        sql.SQL("lt.lead_id = ANY(%(ids)s)"),
        {"ids": list(lead_ids), "at": at},
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


def explain(*, lead_id: int, at: dt.datetime) -> list[dict[str, Any]]:
    """Each assignment of one lead at `at`, counted or not: the same expression that scores. Index: leadtag_unique."""
    statement = sql.SQL(
        """
        WITH rule AS MATERIALIZED ({rules}),
        assignment AS ({assignments} AND lt.lead_id = %(lead_id)s)
        SELECT a.tag_id, tag.name, tag.color, tag.is_archived, tag.base_score, a.assigned_at, a.expiration_at,
               a.is_expired_now, a.step,
               CASE WHEN a.step = 0 OR tag.is_archived THEN 0
                    WHEN a.is_expired_now THEN least(pct.percent, tag.expired_percent)
                    ELSE pct.percent END AS percent,
               coalesce(a.points, 0) AS points, a.next_at, a.group_id, grp.name AS group_name, a.cap
        FROM assignment a
        JOIN tags_tag tag ON tag.id = a.tag_id
        LEFT JOIN tags_taggroup grp ON grp.id = a.group_id
        CROSS JOIN LATERAL (
            SELECT CASE WHEN a.step <= 1 THEN 100 ELSE (tag.decay_steps->(a.step - 2)->>1)::int END AS percent
        ) pct
        ORDER BY coalesce(a.points, 0) DESC, tag.name
        """
    ).format(rules=RULES, assignments=ASSIGNMENTS)
    with connection.cursor() as cursor:
        cursor.execute(statement, {"lead_id": lead_id, "at": at})
        names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


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


def score_carriers(*, tag_ids: Sequence[int], first: int, last: int, at: dt.datetime) -> Scored:
    """Score the leads with ids in [first, last] that carry one of the tags, due or not. Index: leadtag_by_tag."""
    carriers = sql.SQL(
        "(SELECT lead_id FROM tags_leadtag WHERE tag_id = ANY(%(tag_ids)s) AND lead_id BETWEEN %(first)s AND %(last)s)"
    )
    return _score(
        sql.SQL("id IN {}").format(carriers),
        sql.SQL("lt.lead_id IN {}").format(carriers),
        {"tag_ids": list(tag_ids), "first": first, "last": last, "at": at},
    )
