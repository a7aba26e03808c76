"""Reads of leads: their assignments at any moments, and the moments at which those of one lead change."""

import datetime as dt
from collections.abc import Sequence
from typing import Any

from django.db import connection
from psycopg import sql

from scoring.sql.expression import RULES, assignments

_EXPLAIN = sql.SQL(
    """
    WITH rule AS MATERIALIZED ({rules}),
    assignment AS (
        SELECT moment.at, a.*
        FROM unnest(%(moments)s::timestamptz[]) moment(at)
        CROSS JOIN LATERAL ({assignments} AND lt.lead_id = ANY(%(lead_ids)s)) a
    )
    SELECT a.lead_id, a.at, a.tag_id, tag.name, tag.color, tag.is_archived, tag.base_score, a.assigned_at,
           a.expiration_at, a.is_expired_now, a.step,
           CASE WHEN a.step = 0 OR tag.is_archived THEN 0
                WHEN a.is_expired_now THEN least(pct.percent, tag.expired_percent)
                ELSE pct.percent END AS percent,
           coalesce(a.points, 0) AS points, a.next_at, a.group_id, grp.name AS group_name, a.cap, a.is_unapplied
    FROM assignment a
    JOIN tags_tag tag ON tag.id = a.tag_id
    LEFT JOIN tags_taggroup grp ON grp.id = a.group_id
    CROSS JOIN LATERAL (
        SELECT CASE WHEN a.step <= 1 THEN 100 ELSE (tag.decay_steps->(a.step - 2)->>1)::int END AS percent
    ) pct
    ORDER BY a.at, a.lead_id, coalesce(a.points, 0) DESC, tag.name
    """
).format(rules=RULES, assignments=assignments(at=sql.SQL("moment.at")))

_MOMENTS = sql.SQL(
    """
    WITH rule AS MATERIALIZED ({rules})
    SELECT DISTINCT turn.at
    FROM tags_leadtag lt JOIN rule ON rule.tag_id = lt.tag_id
    CROSS JOIN LATERAL (SELECT lt.assigned_at + unnest(rule.after) UNION ALL SELECT lt.expiration_at) turn(at)
    WHERE lt.lead_id = %(lead_id)s AND lt.removed_at IS NULL AND turn.at > %(after)s AND turn.at <= %(until)s
    ORDER BY turn.at
    """
).format(rules=RULES)


def explain(*, lead_id: int, moments: Sequence[dt.datetime]) -> list[dict[str, Any]]:
    """Each assignment of one lead at each moment, counted or not: the same expression that scores.

    Index: leadtag_unique.
    """
    return explain_leads(lead_ids=[lead_id], moments=moments)


def explain_leads(*, lead_ids: Sequence[int], moments: Sequence[dt.datetime]) -> list[dict[str, Any]]:
    """The same for many leads, each row with its `lead_id`. Index: leadtag_unique."""
    with connection.cursor() as cursor:
        cursor.execute(_EXPLAIN, {"lead_ids": list(lead_ids), "moments": list(moments)})
        names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def moments_of_change(*, lead_id: int, after: dt.datetime, until: dt.datetime) -> list[dt.datetime]:
    """Every start, step and expiration of one lead's assignments in (after, until]. Index: leadtag_unique."""
    with connection.cursor() as cursor:
        cursor.execute(_MOMENTS, {"lead_id": lead_id, "after": after, "until": until})
        return [at for (at,) in cursor.fetchall()]
