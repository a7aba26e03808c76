"""How the scores of all leads lie: counts by score, by bin and by the number of live tags. Nothing is written."""

from dataclasses import dataclass

from django.db import connection
from psycopg import sql

# As the filter of the leads page has it: neither removed nor expired by the flag that scoring keeps.
_LIVE = sql.SQL("lt.removed_at IS NULL AND NOT lt.is_expired")
_CARRIERS = sql.SQL("SELECT lt.lead_id FROM tags_leadtag lt WHERE lt.tag_id = %(tag_id)s AND {live}").format(live=_LIVE)

_EVERY_LEAD = sql.SQL("true")
_CARRYING_LEAD = sql.SQL("lead.id IN ({carriers})").format(carriers=_CARRIERS)

# counted(score, leads) has a row for each score that occurs, so that all that follows is small.
_SCORES = sql.SQL(
    """
    WITH counted AS MATERIALIZED (
        SELECT score, count(*) AS leads FROM leads_lead lead WHERE {chosen} GROUP BY score
    ),
    ranked AS MATERIALIZED (
        SELECT score, leads, sum(leads) OVER (ORDER BY score) AS upto, sum(leads) OVER () AS total FROM counted
    )
    SELECT coalesce(sum(leads), 0)::bigint,
           (sum(score * leads) / sum(leads))::float8,
           -- The middle score, or the mean of the two in the middle.
           (min(score) FILTER (WHERE 2 * upto >= total) + min(score) FILTER (WHERE 2 * upto > total)) / 2.0::float8,
           min(score), max(score),
           coalesce(sum(leads) FILTER (WHERE score >= %(threshold)s), 0)::bigint,
           (SELECT coalesce(json_agg(json_build_array(bin, leads) ORDER BY bin), '[]')
            FROM (SELECT floor(score::numeric / %(width)s)::int AS bin, sum(leads)::bigint AS leads
                  FROM counted GROUP BY 1) binned)
    FROM ranked
    """
)

# An archived tag gives no points and shows on no page; it is none of the reasons counted here.
# Materialized: within a parallel join each worker would count all assignments for itself (tried: twice the time).
_STACKS = sql.SQL(
    """
    WITH carried AS MATERIALIZED (
        SELECT lt.lead_id, count(*) AS tags FROM tags_leadtag lt
        WHERE {live} AND lt.tag_id <> ALL (ARRAY(SELECT id FROM tags_tag WHERE is_archived)) AND {chosen_tags}
        GROUP BY lt.lead_id
    )
    SELECT least(coalesce(carried.tags, 0), %(most)s) AS stacked, count(*), avg(lead.score)::float8
    FROM leads_lead lead LEFT JOIN carried ON carried.lead_id = lead.id
    WHERE {chosen}
    GROUP BY 1 ORDER BY 1
    """
)
_CARRIERS_TAGS = sql.SQL("lt.lead_id IN ({carriers})").format(
    carriers=sql.SQL("SELECT lead_id FROM tags_leadtag WHERE tag_id = %(tag_id)s AND removed_at IS NULL")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Numbers of leads; average, median, lowest and highest are None where there is no lead.

    `bins`: (number, leads), bin n holding the scores from n x width to below (n + 1) x width; empty ones are left out.
    """

    leads: int
    average: float | None
    median: float | None
    lowest: int | None
    highest: int | None
    at_or_above: int
    bins: list[tuple[int, int]]


def scores(*, tag_id: int | None, threshold: int, width: int) -> Scores:
    """How the scores of all leads lie, or of those that live-carry a tag. `width` is that of a bin, in points.

    Index: lead_by_score alone (all leads); leadtag_by_tag, then lead_by_score or the leads themselves (of a tag).
    """
    chosen = _EVERY_LEAD if tag_id is None else _CARRYING_LEAD
    with connection.cursor() as cursor:
        cursor.execute(_SCORES.format(chosen=chosen), {"tag_id": tag_id, "threshold": threshold, "width": width})
        leads, average, median, lowest, highest, at_or_above, bins = cursor.fetchone()
    return Scores(
        leads=leads,
        average=average,
        median=median,
        lowest=lowest,
        highest=highest,
        at_or_above=at_or_above,
        bins=[(number, count) for number, count in bins],
    )


def stacks(*, tag_id: int | None, most: int) -> list[tuple[int, int, float]]:
    """(live tags, leads that carry so many, their average score); `most` stands for so many or more.

    Index: lead_by_score alone for the leads; all assignments are read (no index knows whether one is live), or, of a
    tag, those of its carriers by leadtag_by_tag and leadtag_unique.
    """
    chosen, chosen_tags = (_EVERY_LEAD, _EVERY_LEAD) if tag_id is None else (_CARRYING_LEAD, _CARRIERS_TAGS)
    statement = _STACKS.format(live=_LIVE, chosen=chosen, chosen_tags=chosen_tags)
    with connection.cursor() as cursor:
        cursor.execute(statement, {"tag_id": tag_id, "most": most})
        return [(tags, leads, average) for tags, leads, average in cursor.fetchall()]
