"""The one expression that computes points. The clock is always bound, never read; the rules come in as a relation.

Scores, explanations, forecasts and what-ifs are all built from the parts below.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import connection
from psycopg import sql

# rule(tag_id, group_id, cap, is_unapplied, is_stepped, after[], points[], expired_points[]): one row a tag. Arrays run
# over the steps, the first being day 0 at 100 percent. An archived tag keeps its clocks and gives no points.
_RULES = sql.SQL(
    """
    SELECT tag.id AS tag_id, tag.group_id, grp.cap, step.after, step.points, step.expired_points,
           cardinality(step.after) > 1 AS is_stepped,
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
# OFFSET 0 keeps the rule a look-up (remembered by tag) from becoming a hash join, which would lose the order of the
# index: in that order a lead's assignments lie together, and adding them up takes no hash: half the time.
_ASSIGNMENTS = sql.SQL(
    """
    SELECT lt.lead_id, lt.tag_id, lt.assigned_at, clock.ends_at AS expiration_at,
           rule.group_id, rule.cap, rule.is_unapplied, at_step.step,
           coalesce(clock.ends_at <= {at}, false) AS is_expired_now,
           CASE WHEN clock.ends_at <= {at} THEN rule.expired_points[at_step.step]
                ELSE rule.points[at_step.step] END AS points,
           CASE WHEN lt.assigned_at > {at} THEN lt.assigned_at
                ELSE least(lt.assigned_at + rule.after[at_step.step + 1],
                           CASE WHEN clock.ends_at > {at} THEN clock.ends_at END) END AS next_at
    FROM tags_leadtag lt
    CROSS JOIN LATERAL (SELECT * FROM rule WHERE rule.tag_id = lt.tag_id OFFSET 0) rule
    CROSS JOIN LATERAL (SELECT {ends} AS ends_at) clock
    CROSS JOIN LATERAL (
        SELECT CASE WHEN rule.is_stepped OR lt.assigned_at > {at}
                    THEN width_bucket({at} - lt.assigned_at, rule.after) ELSE 1 END AS step
    ) at_step
    WHERE lt.removed_at IS NULL
    """
)


def assignments(at: sql.Composable = AT, ends: sql.Composable = _ENDS) -> sql.Composed:
    """The assignments at the moment `at` (an expression), each ending at `ends`; needs a CTE `rule` beside it."""
    return _ASSIGNMENTS.format(at=at, ends=ends)


# total(lead_id, score, next_at, last_end, is_unapplied): what the assignments that meet a condition give. `last_end` is
# the latest expiration that has come.
_TOTALS = sql.SQL(
    """
    rule AS MATERIALIZED ({rules}),
    assignment AS ({assignments} AND {chosen_tags}),
    total AS (
        SELECT lead_id, ({score})::int AS score, min(next_at) AS next_at,
               max(expiration_at) FILTER (WHERE is_expired_now) AS last_end, bool_or(is_unapplied) AS is_unapplied
        FROM assignment GROUP BY lead_id
    )
    """
)
_SUM = sql.SQL("coalesce(sum(points) FILTER (WHERE (group_id = ANY({groups})) IS NOT TRUE), 0)")
_CAPPED_SUM = sql.SQL("least(coalesce(sum(points) FILTER (WHERE group_id = {group}), 0), {cap})")


@dataclass(frozen=True, slots=True)
class Cap:
    """A group and the most points that its tags give together."""

    group_id: int
    cap: int


def read_caps() -> list[Cap]:
    """The groups that have a cap today.

    Read after the clock: a cap that is published between this and the statement has a job of its own, which scores
    at a later moment.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, cap FROM tags_taggroup WHERE cap IS NOT NULL ORDER BY id")
        return [Cap(group_id, cap) for group_id, cap in cursor.fetchall()]


def totals(
    chosen_tags: sql.Composable,
    *,
    caps: Sequence[Cap],
    rules: sql.Composable = RULES,
    ends: sql.Composable = _ENDS,
) -> sql.Composed:
    """The CTEs up to `total`, for the assignments `lt` that meet a condition; binds %(at)s.

    Each cap is a sum of its own beside that of all others: one grouping where two would cost half as much again.
    Other rooms may put them before their own statement, to write a score with the row it belongs to.
    """
    sums = [_SUM.format(groups=sql.Literal([cap.group_id for cap in caps]))]
    sums += [_CAPPED_SUM.format(group=sql.Literal(cap.group_id), cap=sql.Literal(cap.cap)) for cap in caps]
    return _TOTALS.format(
        rules=rules,
        assignments=assignments(ends=ends),
        chosen_tags=chosen_tags,
        score=sql.SQL(" + ").join(sums),
    )
