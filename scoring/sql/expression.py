"""The one expression that computes points. The clock is always bound, never read; the rules come in as a relation.

Scores, explanations, forecasts and what-ifs are all built from the parts below.
"""

from psycopg import sql

# rule(tag_id, group_id, cap, is_unapplied, after[], points[], expired_points[]): one row a tag. Arrays run over the
# steps, the first being day 0 at 100 percent. An archived tag keeps its clocks and gives no points.
_RULES = sql.SQL(
    """
    SELECT tag.id AS tag_id, tag.group_id, grp.cap, step.after, step.points, step.expired_points,
           EXISTS (SELECT 1 FROM tags_rulechange change
                   WHERE change.applied_at IS NULL AND tag.id = ANY(change.tag_ids)) AS is_unapplied{more}
    FROM {tags} tag
    LEFT JOIN {groups} grp ON grp.id = tag.group_id
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
RULES = _RULES.format(tags=sql.SQL("tags_tag"), groups=sql.SQL("tags_taggroup"), more=sql.SQL(""))
# As %(tags)s and %(groups)s say, both JSON: the whole set of rules with the proposed ones in their places.
PROPOSED_RULES = _RULES.format(
    tags=sql.SQL(
        "(SELECT * FROM jsonb_to_recordset(%(tags)s) AS proposed("
        "id bigint, base_score int, expiration_days int, decay_steps jsonb, "
        "expired_percent int, is_archived boolean, group_id bigint, is_retroactive boolean))"
    ),
    groups=sql.SQL("(SELECT * FROM jsonb_to_recordset(%(groups)s) AS proposed(id bigint, cap int))"),
    more=sql.SQL(", tag.is_retroactive, make_interval(hours => 24 * tag.expiration_days) AS lasts"),
)

_ENDS = sql.SQL("lt.expiration_at")
PROPOSED_ENDS = sql.SQL("CASE WHEN rule.is_retroactive THEN lt.assigned_at + rule.lasts ELSE lt.expiration_at END")
AT = sql.SQL("%(at)s")

# assignment(lead_id, tag_id, ..., step, points, next_at, is_expired_now): every assignment that was not removed, at
# a moment. Intervals of timestamptz count exact elapsed time, so that no day is 23 or 25 hours long.
_ASSIGNMENTS = sql.SQL(
    """
    SELECT lt.id, lt.lead_id, lt.tag_id, lt.assigned_at, clock.ends_at AS expiration_at, lt.is_expired,
           rule.group_id, rule.cap, rule.is_unapplied, at_step.step,
           coalesce(clock.ends_at <= {at}, false) AS is_expired_now,
           CASE WHEN clock.ends_at <= {at} THEN rule.expired_points[at_step.step]
                ELSE rule.points[at_step.step] END AS points,
           CASE WHEN lt.assigned_at > {at} THEN lt.assigned_at
                ELSE least(lt.assigned_at + rule.after[at_step.step + 1],
                           CASE WHEN clock.ends_at > {at} THEN clock.ends_at END) END AS next_at
    FROM tags_leadtag lt
    JOIN rule ON rule.tag_id = lt.tag_id
    CROSS JOIN LATERAL (SELECT {ends} AS ends_at) clock
    CROSS JOIN LATERAL (SELECT width_bucket({at} - lt.assigned_at, rule.after) AS step) at_step
    WHERE lt.removed_at IS NULL
    """
)


def assignments(at: sql.Composable = AT, ends: sql.Composable = _ENDS) -> sql.Composed:
    """The assignments at the moment `at` (an expression), each ending at `ends`; needs a CTE `rule` beside it."""
    return _ASSIGNMENTS.format(at=at, ends=ends)


# total(lead_id, score, next_at, is_flag_stale, is_unapplied): what the assignments that meet a condition give.
_TOTALS = sql.SQL(
    """
    rule AS MATERIALIZED ({rules}),
    assignment AS ({assignments} AND {chosen_tags}),
    grouped AS (
        SELECT lead_id, CASE WHEN cap IS NULL THEN 0 ELSE group_id END AS capped, cap,
               coalesce(sum(points), 0) AS points, min(next_at) AS next_at,
               bool_or(is_expired <> is_expired_now) AS is_flag_stale, bool_or(is_unapplied) AS is_unapplied
        FROM assignment GROUP BY lead_id, 2, cap
    ),
    total AS (
        SELECT lead_id, sum(least(points, cap))::int AS score, min(next_at) AS next_at,
               bool_or(is_flag_stale) AS is_flag_stale, bool_or(is_unapplied) AS is_unapplied
        FROM grouped GROUP BY lead_id
    )
    """
)


def totals(chosen_tags: sql.Composable, *, rules: sql.Composable = RULES, ends: sql.Composable = _ENDS) -> sql.Composed:
    """The CTEs up to `total`, for the assignments `lt` that meet a condition; binds %(at)s.

    Other rooms may put them before their own statement, to write a score with the row it belongs to.
    """
    return _TOTALS.format(rules=rules, assignments=assignments(ends=ends), chosen_tags=chosen_tags)
